"""Recognise, signal and end the processes of an instance without ever touching a stranger's."""

import os
import select
import signal
import time
from pathlib import Path
from typing import NamedTuple

from ploinky.adapters.process_runtime_shim import GROUP_PROCESSES_FILE, all_pids, boot_id, read_stat

MARKER_VARIABLE = "PLOINKY_PROCESS"
"""Set to the engine id in every agent: it tells those who outlived their shim from strangers."""

KILL_WAIT_SECONDS = 5.0
_KILL_POLL_MILLISECONDS = 20


class ProcessIdentity(NamedTuple):
    """A process number together with what makes it unique."""

    pid: int
    start_ticks: int
    boot_id: str


def open_process(identity: ProcessIdentity) -> int | None:
    """Open a descriptor of exactly this process; None when it has ended. The caller closes it.

    The number is checked after opening: from then on the descriptor cannot come to mean another process.
    """
    if identity.boot_id != boot_id():
        return None
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    stat = read_stat(identity.pid)
    if stat is None or stat.start_ticks != identity.start_ticks or has_ended(descriptor, 0):
        os.close(descriptor)
        return None
    return descriptor


def has_ended(descriptor: int, timeout_seconds: float) -> bool:
    """Wait for the end of an opened process; True once it has ended, a zombie included."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(int(timeout_seconds * 1000)))


def send(descriptor: int, order: signal.Signals) -> None:
    """Signal an opened process; nothing happens when it has ended."""
    try:
        signal.pidfd_send_signal(descriptor, order)
    except ProcessLookupError:
        return


def end_process(descriptor: int, grace_seconds: float) -> bool:
    """Ask a shim to end its agent, order it to kill after the grace; True when it has ended."""
    send(descriptor, signal.SIGTERM)
    if has_ended(descriptor, grace_seconds):
        return True
    send(descriptor, signal.SIGUSR1)
    if has_ended(descriptor, KILL_WAIT_SECONDS):
        return True
    send(descriptor, signal.SIGKILL)
    return has_ended(descriptor, KILL_WAIT_SECONDS)


def end_survivors(marker: str, groups: tuple[str, ...]) -> bool:
    """Kill what outlived its shim: whatever carries the marker or is in its control groups. True when none is left.

    A shim that ended in order leaves nothing of the agent behind, but commands that ran beside it are not its own.
    """
    return end_marked(MARKER_VARIABLE, marker, groups)


def end_marked(variable: str, value: str, groups: tuple[str, ...] = ()) -> bool:
    """Kill whatever carries a value in its environment or is in the groups. True when none is left."""
    marker = f"{variable}={value}".encode()
    deadline = time.monotonic() + KILL_WAIT_SECONDS
    while survivors := _survivors(marker, groups):
        poll = select.poll()
        for descriptor in survivors:
            send(descriptor, signal.SIGKILL)
            poll.register(descriptor, select.POLLIN)
        poll.poll(_KILL_POLL_MILLISECONDS)
        for descriptor in survivors:
            os.close(descriptor)
        if time.monotonic() > deadline:
            return False
    return True


def _survivors(marker: bytes, groups: tuple[str, ...]) -> list[int]:
    this_boot = boot_id()
    members = frozenset(pid for group in groups for pid in _members(group))
    found = []
    for pid in all_pids():
        stat = read_stat(pid)
        if stat is None or stat.state == "Z" or not (pid in members or _carries(pid, marker)):
            continue
        descriptor = open_process(ProcessIdentity(pid, stat.start_ticks, this_boot))
        if descriptor is not None:
            found.append(descriptor)
    return found


def _members(group: str) -> list[int]:
    try:
        return [int(line) for line in Path(group, GROUP_PROCESSES_FILE).read_text().split()]
    except OSError:
        return []  # it is gone, so nobody is in it


def _carries(pid: int, marker: bytes) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False  # ended, or another user's: not one of ours
    return marker in environment.split(b"\0")
