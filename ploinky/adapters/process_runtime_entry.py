"""The last step before an agent: take its limits and its user, give up all further privileges, and become it.

Run as a script with `-I -S` by the shim, inside the sandbox where there is one, by the Python the agent gets: standard
library only, Python 3.8 or newer. What to become comes as JSON on standard input, so that neither secrets stand in a
command line, nor variables that a deployer chose are read by anything that runs as root.

One byte, `RUNS`, goes to the descriptor `REPORT` once everything is in place; then nothing, or what hindered the agent.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import warnings  # noqa: F401 - used by execvpe, and as the agent's user it might not be readable any more

REPORT = 3
RUNS = b"+"
FAILURE_TEXT_BYTES = 4096
EXIT_NOT_EXECUTABLE = 127
LAST_INHERITED_DESCRIPTOR = 256

# From the kernel's include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def main() -> None:
    """Become the agent; returns only when that fails."""
    with os.fdopen(0, "rb") as standard_input:
        order = json.load(standard_input)
    os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, that of standard input
    os.set_inheritable(REPORT, False)
    os.closerange(REPORT + 1, LAST_INHERITED_DESCRIPTOR)
    try:
        become(order)
    except (OSError, ValueError) as error:
        os.write(REPORT, str(error).encode("utf-8", "replace")[:FAILURE_TEXT_BYTES])


def become(order: dict) -> None:  # type: ignore[type-arg]  # Python 3.8 knows no other way to write it
    """Raise `OSError` or `ValueError`, saying what cannot be done."""
    take_user(order["user_id"])
    set_process_option(_PR_SET_NO_NEW_PRIVS, 1)
    if order["parent_pid"] is not None:
        # Only now: a change of the user takes this back.
        set_process_option(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != order["parent_pid"]:
            raise OSError("the parent has ended")
    os.umask(0o077)
    os.chdir(order["directory"])
    for name, bound in order["limits"].items():
        lower_limit(getattr(resource, name), bound)
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    os.write(REPORT, RUNS)
    program = order["command"][0]
    try:
        os.execvpe(program, order["command"], order["environment"])  # noqa: S606 - no shell is the point
    except OSError as error:
        # The error itself names the last place on PATH only.
        raise OSError(f"{program} cannot be run: {error.strerror}") from error


def take_user(user_id: "int | None") -> None:
    """Become another user, without any group but its own; None = stay who we are."""
    if user_id is None:
        return
    os.setgroups([])
    os.setresgid(user_id, user_id, user_id)
    os.setresuid(user_id, user_id, user_id)


def lower_limit(resource_id: int, bound: int) -> None:
    """Lower a limit, never beyond the hard limit this process lives under."""
    hard = resource.getrlimit(resource_id)[1]
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(resource_id, (bound, bound))


def set_process_option(option: int, argument: int) -> None:
    """Ask the kernel something of this process. **Source**: prctl(2)."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


if __name__ == "__main__":
    main()
    sys.exit(EXIT_NOT_EXECUTABLE)
