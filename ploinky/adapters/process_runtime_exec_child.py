"""Become a command inside an instance: what the process runtime starts for each `exec`.

Run as a script with `-I -S`, so it uses the standard library only and imports nothing of ours. It reads one JSON
document from the descriptor that its argument names: `command`, `environment`, `directory`, `limits` (`resource` name
to soft and hard limit), `user`, `group` and `groups`, which are null where they stay as they are, and of the agent
whose sandbox is to be entered `agent`, `namespaces` and `control_groups`.

Everything it needs is loaded before it enters: nothing in a sandbox is read with rights that the agent has not.
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import sys
import warnings  # noqa: F401 - used by execvpe, which may find nothing to load any more
from pathlib import Path
from typing import Any, NoReturn

SIGNAL_EXIT_OFFSET = 128
NOT_FOUND = 127
NOT_EXECUTABLE = 126

# From the kernel's include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
# From include/uapi/linux/nsfs.h
_NS_GET_PARENT = 0xB702


def become(order: dict[str, Any]) -> NoReturn:
    """Turn this process into the command; what hinders that is its output, with the exit code that shells use."""
    command: list[str] = order["command"]
    try:
        for group in order["control_groups"]:
            Path(group, "cgroup.procs").write_text("0")
        enter(order["agent"], order["namespaces"])
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


def enter(agent: int, kinds: list[str]) -> None:
    """Enter the namespaces of an agent, and become its parent's child there; returns in the process that is inside.

    A user namespace is entered after the others, since they belong to one further out, whose own come first.
    """
    if not kinds:
        return
    opened = {kind: os.open(f"/proc/{agent}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds}
    inner = opened.pop("user", None)
    outer = _between(inner) if inner is not None else []
    for descriptor in (*outer, *opened.values(), *([] if inner is None else [inner])):
        _setns(descriptor)
    # Only children are in another process namespace.
    parent = os.getpid()
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else SIGNAL_EXIT_OFFSET - code)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if "pid" not in kinds and os.getppid() != parent:
        os._exit(NOT_EXECUTABLE)


def _between(namespace: int) -> list[int]:
    """Open the user namespaces between ours and another, outermost first."""
    own = os.stat("/proc/self/ns/user").st_ino
    found: list[int] = []
    while True:
        namespace = fcntl.ioctl(namespace, _NS_GET_PARENT)
        if os.fstat(namespace).st_ino == own:
            return found
        found.insert(0, namespace)


def _setns(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"the sandbox cannot be entered ({os.strerror(number)})")


def _give_up(exit_code: int, reason: str) -> NoReturn:
    os.write(2, f"{reason}\n".encode("utf-8", "replace"))
    os._exit(exit_code)


def _prctl(option: int, argument: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "rb") as pipe:
        become(json.load(pipe))
