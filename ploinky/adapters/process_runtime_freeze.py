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
from ploinky.adapters.process_runtime_inside import Inside, descendants

PAUSED_FILE = "paused"
FREEZE_WAIT_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 0.002

_STOPPED = frozenset("Tt")


def freeze(folder: Path, shim: ProcessIdentity) -> bool:
    """Stop everything below the shim; False when something cannot be stopped, which then all goes on.

    In passes, until one finds all stopped: a process may fork between being seen and being stopped.
    """
    (folder / PAUSED_FILE).touch(mode=0o600)
    deadline = time.monotonic() + FREEZE_WAIT_SECONDS
    while awake := [process for process in descendants(shim.pid) if process.state not in _STOPPED]:
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
    while stopped := [process for process in descendants(shim.pid) if process.state in _STOPPED]:
        _signal(stopped, shim, signal.SIGCONT)
    (folder / PAUSED_FILE).unlink(missing_ok=True)


def is_frozen(folder: Path, shim: ProcessIdentity) -> bool:
    """Tell whether the instance is paused: it shall be, and everything below the shim is stopped."""
    if not (folder / PAUSED_FILE).exists():
        return False  # the usual case, which costs no look at all processes
    processes = descendants(shim.pid)
    return bool(processes) and all(process.state in _STOPPED for process in processes)


def _signal(processes: list[Inside], shim: ProcessIdentity, order: signal.Signals) -> None:
    for process in processes:
        descriptor = open_process(ProcessIdentity(process.pid, process.start_ticks, shim.boot_id))
        if descriptor is not None:
            send(descriptor, order)
            os.close(descriptor)
