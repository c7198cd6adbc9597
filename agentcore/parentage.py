"""Let a process die with the one that started it (Linux, prctl(2) PR_SET_PDEATHSIG)."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends; survives an exec, safe between fork and exec."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def die_with(parent_pid: int) -> None:
    """Do as `die_with_parent`, and end at once when that parent is gone already."""
    die_with_parent()
    if os.getppid() != parent_pid:
        os._exit(1)
