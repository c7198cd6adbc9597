"""The child process that speaks git: one JSON request in, progress lines and one answer out.

Started by `dulwich_sources_process`; nothing else talks to it.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from ploinky.adapters.dulwich_sources_failures import Refusal
from ploinky.adapters.dulwich_sources_operations import Report, answer_to

REQUEST_BYTES = 262_144
FILE_BYTES = 2 * 1_073_741_824
MEMORY_BYTES = 4 * 1_073_741_824
PROGRESS_LINES = 2_000
LINE_CHARACTERS = 500

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve one request and end."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)  # what a library prints may not look like an answer
    content = sys.stdin.buffer.read(REQUEST_BYTES)
    if not content:
        return  # it was kept for a request, and whoever would have asked has gone
    request = json.loads(content)
    _confine(request["parent_pid"])

    def say(message: dict[str, Any]) -> None:
        output.write(json.dumps(message) + "\n")
        output.flush()

    try:
        say(answer_to(request, _reporter(say)))
    except Refusal as refusal:
        say({"refusal": refusal.kind, "message": refusal.message, "hint": refusal.hint})
    # dulwich's destructors complain when they run while the interpreter is being taken down.
    os._exit(0)


def _confine(parent_pid: int) -> None:
    """Die with the parent, make readable files, and let no pack fill the memory or the disk."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)  # it died before the signal was asked for
    os.umask(0o022)
    for limit, wanted in ((resource.RLIMIT_FSIZE, FILE_BYTES), (resource.RLIMIT_DATA, MEMORY_BYTES)):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _reporter(say: Callable[[dict[str, Any]], None]) -> Report:
    lines = iter(range(PROGRESS_LINES))

    def report(line: str) -> None:
        if next(lines, None) is not None:
            say({"progress": line[:LINE_CHARACTERS]})

    return report


if __name__ == "__main__":
    main()
