"""Stop and continue all processes of an instance, as an engine freezes a container.

A file in the instance's folder says that it shall be paused; only what the kernel shows says that it is. The file is
made before the first signal and removed after the last, so that a server that dies in between leaves an instance that
is seen as running, and a repetition finishes the work.
"""

import os
import signal
import time
from pathlib import Path

from ploinky.adapters.process_runtime_identity import ProcessIdentity, open_process, send
from ploinky.adapters.process_runtime_shim import ProcessStat, all_pids, read_stat

PAUSED_FILE = "paused"
FREEZE_WAIT_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 0.002

_STOPPED = frozenset("Tt")
_OVER = frozenset("ZXx")


def freeze(folder: Path, shim: ProcessIdentity) -> bool:
    """Stop everything below the shim; False when something cannot be stopped, which then all goes on.

    In passes, until one finds all stopped: a process may fork between being seen and being stopped.
    """
    (folder / PAUSED_FILE).touch(mode=0o600)
    deadline = time.monotonic() + FREEZE_WAIT_SECONDS
    while awake := [pid for pid, stat in _descendants(shim.pid).items() if stat.state not in _STOPPED]:
        if time.monotonic() > deadline:
            thaw(folder, shim)
            return False
        _signal(awake, shim, signal.SIGSTOP)
        time.sleep(_LOOK_AGAIN_SECONDS)
    return True


def thaw(folder: Path, shim: ProcessIdentity) -> None:
    """Let everything below the shim go on. Nothing happens to what runs."""
    if not (folder / PAUSED_FILE).exists():
        return
    while stopped := [pid for pid, stat in _descendants(shim.pid).items() if stat.state in _STOPPED]:
        _signal(stopped, shim, signal.SIGCONT)
    (folder / PAUSED_FILE).unlink(missing_ok=True)


def is_frozen(folder: Path, shim: ProcessIdentity) -> bool:
    """Tell whether the instance is paused: it shall be, and everything below the shim is stopped."""
    if not (folder / PAUSED_FILE).exists():
        return False  # the usual case, which costs no look at all processes
    states = [stat.state for stat in _descendants(shim.pid).values()]
    return bool(states) and all(state in _STOPPED for state in states)


def _descendants(ancestor: int) -> dict[int, ProcessStat]:
    """Return what lives below a process, by number: whatever it started stays below it, for it is a subreaper."""
    children: dict[int, list[tuple[int, ProcessStat]]] = {}
    for pid in all_pids():
        stat = read_stat(pid)
        if stat is not None:
            children.setdefault(stat.parent_pid, []).append((pid, stat))
    found: dict[int, ProcessStat] = {}
    waiting = [ancestor]
    while waiting:
        for pid, stat in children.pop(waiting.pop(), ()):
            waiting.append(pid)
            if stat.state not in _OVER:
                found[pid] = stat
    return found


def _signal(pids: list[int], shim: ProcessIdentity, order: signal.Signals) -> None:
    for pid in pids:
        stat = read_stat(pid)
        descriptor = open_process(ProcessIdentity(pid, stat.start_ticks, shim.boot_id)) if stat else None
        if descriptor is not None:
            send(descriptor, order)
            os.close(descriptor)
