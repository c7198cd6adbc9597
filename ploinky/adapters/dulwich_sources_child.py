"""The child process that speaks git: one JSON request in, progress lines and one answer out.

Started by `dulwich_sources_process`; nothing else talks to it.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ploinky.adapters.dulwich_sources_cache import Cache
from ploinky.adapters.dulwich_sources_changes import uncommitted_changes
from ploinky.adapters.dulwich_sources_failures import Refusal, refusal_of
from ploinky.adapters.dulwich_sources_remote import Remote

REQUEST_BYTES = 65_536
FILE_BYTES = 2 * 1_073_741_824
MEMORY_BYTES = 4 * 1_073_741_824
PROGRESS_LINES = 2_000
LINE_CHARACTERS = 500

_PR_SET_PDEATHSIG = 1

Report = Callable[[str], None]


def main() -> None:
    """Serve one request and end."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)  # what a library prints may not look like an answer
    request = json.loads(sys.stdin.buffer.read(REQUEST_BYTES))
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


def answer_to(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Fetch or check out under the repository's lock. Raises `Refusal`."""
    try:
        with _locked(request["cache"], report):
            cache = Cache(request["cache"], report)
            if request["operation"] == "checkout":
                commit, is_from_cache = request["commit"], False
                directory = cache.checked_out(commit)
            else:
                remote = Remote(request["address"], request["is_local"], request["username"], request["password"])
                commit, directory, is_from_cache = cache.fetched(remote, request["branch"])
                if remote.is_local:
                    _tell_changes(uncommitted_changes(remote.address, commit), report)
    except Refusal:
        raise
    except Exception as error:
        raise refusal_of(error) from error
    return {"commit": commit, "directory": directory, "is_from_cache": is_from_cache}


def _tell_changes(paths: list[str], report: Report) -> None:
    if paths:
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        report(f"not deployed, since not committed: {paths[0]}{others}")


@contextlib.contextmanager
def _locked(directory: str, report: Report) -> Iterator[None]:
    """Hold the repository's lock; it is freed by the system however this process ends."""
    os.makedirs(directory, exist_ok=True)
    descriptor = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another fetch of this repository")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
