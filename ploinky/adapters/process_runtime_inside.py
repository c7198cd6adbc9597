"""What runs below the shim of an instance, and what it takes: read from /proc."""

import os
from pathlib import Path
from typing import NamedTuple

from ploinky.adapters.process_runtime_shim import all_pids, read_stat
from ploinky.ports.runtime import Usage

_OVER = frozenset("ZXx")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

SANDBOX_PROGRAM = "bwrap"


class Inside(NamedTuple):
    """One process of an instance."""

    pid: int
    parent_pid: int
    state: str
    start_ticks: int


def descendants(ancestor: int) -> list[Inside]:
    """Return what lives below a process, parents first, elder siblings first.

    Whatever an agent starts stays below its shim, which adopts orphans.
    """
    children: dict[int, list[Inside]] = {}
    for pid in all_pids():
        stat = read_stat(pid)
        if stat is not None:
            found = Inside(pid, stat.parent_pid, stat.state, stat.start_ticks)
            children.setdefault(stat.parent_pid, []).append(found)
    below: list[Inside] = []
    waiting = [ancestor]
    while waiting:
        born = sorted(children.pop(waiting.pop(0), ()), key=lambda child: child.start_ticks)
        waiting.extend(child.pid for child in born)
        below.extend(child for child in born if child.state not in _OVER)
    return below


def find_agent(shim_pid: int) -> int | None:
    """Return the process that is the agent: the eldest below the shim, and below the sandbox if it has one."""
    below, parent = descendants(shim_pid), shim_pid
    while child := next((process for process in below if process.parent_pid == parent), None):
        if _program(child.pid) != SANDBOX_PROGRAM:
            return child.pid
        parent = child.pid
    return None


def measure(shim_pid: int) -> Usage | None:
    """Add up what the processes of an instance take; None when there is none.

    Times are those of the living and of all they have waited for. Memory is the proportional share, so that what
    several processes share counts once; where that may not be read it is the resident size. There is no limit for all
    together, so none is told.
    """
    processes = descendants(shim_pid)
    if not processes:
        return None
    ticks = threads = memory_bytes = 0
    for pid in (shim_pid, *(process.pid for process in processes)):
        fields = _stat_fields(pid)
        if fields is None:
            continue
        ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime: fields 14 to 17 of proc(5)
        if pid != shim_pid:
            threads += int(fields[17])
            memory_bytes += _memory_bytes(pid, int(fields[21]))
    return Usage(cpu_seconds=ticks / _TICKS_PER_SECOND, memory_bytes=memory_bytes, pids=threads)


def _stat_fields(pid: int) -> list[bytes] | None:
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return content[content.rindex(b")") + 2 :].split()


def _memory_bytes(pid: int, resident_pages: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
    except OSError:
        return resident_pages * _PAGE_BYTES
    kilobytes = next((line.split()[1] for line in lines if line.startswith(b"Pss:")), None)
    return int(kilobytes) * 1024 if kilobytes is not None else resident_pages * _PAGE_BYTES


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""
