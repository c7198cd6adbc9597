"""Become a command inside an instance: what the process runtime starts for each `exec`.

Run as a script with `-I -S`, so it uses the standard library only and imports nothing of ours. It reads one JSON
document from the descriptor that its argument names: `command`, `environment`, `directory`, `limits` (`resource` name
to soft and hard limit), and `user`, `group` and `groups`, which are null where they stay as they are.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any, NoReturn

NOT_FOUND = 127
NOT_EXECUTABLE = 126

# From the kernel's include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def become(order: dict[str, Any]) -> NoReturn:
    """Turn this process into the command; what hinders that is its output, with the exit code that shells use."""
    command: list[str] = order["command"]
    try:
        for name, bounds in order["limits"].items():
            resource.setrlimit(getattr(resource, name), tuple(bounds))
        if order["user"] is not None:
            os.setgroups(order["groups"])
            os.setresgid(order["group"], order["group"], order["group"])
            os.setresuid(order["user"], order["user"], order["user"])
        # After the change of user, which would reset the first.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        os.umask(0o077)
        os.chdir(order["directory"])
        for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored_by_python, signal.SIG_DFL)
        os.execvpe(command[0], command, order["environment"])  # noqa: S606 - no shell is the point
    except (FileNotFoundError, NotADirectoryError) as error:
        _give_up(NOT_FOUND, f"{command[0]} cannot be run: {error.strerror}")
    except (OSError, ValueError) as error:
        _give_up(NOT_EXECUTABLE, f"{command[0]} cannot be run: {error}")


def _give_up(exit_code: int, reason: str) -> NoReturn:
    os.write(2, f"{reason}\n".encode("utf-8", "replace"))
    os._exit(exit_code)


def _prctl(option: int, argument: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "rb") as pipe:
        become(json.load(pipe))
