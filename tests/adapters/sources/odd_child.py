"""A child process that misbehaves as its request says."""

import json
import os
import signal
import subprocess
import sys

FOREVER_SECONDS = 600


def main() -> None:
    request = json.loads(sys.stdin.read())
    how = request["how"]
    if how == "answer":
        print(json.dumps({"progress": "one"}))
        print(json.dumps({"progress": "two"}), flush=True)
        print(json.dumps({"commit": "c", "environment": dict(os.environ)}))
    elif how == "hang":
        signal.pause()
    elif how == "leave somebody behind":
        left = subprocess.Popen(["sleep", str(FOREVER_SECONDS)])
        print(json.dumps({"progress": str(left.pid)}), flush=True)
        os._exit(0)
    elif how == "garbage":
        print("no JSON")
    elif how == "long line":
        sys.stdout.write("x" * 10_000_000)
    elif how == "many lines":
        for _ in range(200_000):
            print(json.dumps({"progress": "x" * 60}))
    elif how == "many errors":
        sys.stderr.write("y" * 10_000_000 + "\nthe last line")
    elif how == "die":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
