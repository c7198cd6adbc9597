"""What a container takes of the machine. **Source**: Engine API 1.41, `GET /containers/{id}/stats`."""

from typing import Any

import msgspec

from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import Usage

NANOSECONDS = 1_000_000_000
NO_LIMIT_BYTES = 1 << 60
"""Engines write "none" as the largest number their counters hold, rounded to pages."""


class _CpuUsage(msgspec.Struct, frozen=True):
    total_usage: int = 0


class _Cpu(msgspec.Struct, frozen=True):
    cpu_usage: _CpuUsage = _CpuUsage()


class _Memory(msgspec.Struct, frozen=True):
    usage: int | None = None
    limit: int | None = None
    stats: dict[str, Any] | None = None


class _Pids(msgspec.Struct, frozen=True):
    current: int | None = None
    limit: int | None = None


class _Stats(msgspec.Struct, frozen=True):
    cpu_stats: _Cpu = _Cpu()
    memory_stats: _Memory = _Memory()
    pids_stats: _Pids = _Pids()


def read_usage(answer: object) -> Usage:
    """Read the engine's answer. **Raises** `RuntimeUnavailable` when it is none.

    Memory is shown as people count it: without the file cache, which the kernel takes back when it wants.
    """
    try:
        found = msgspec.convert(answer, _Stats)
    except msgspec.ValidationError as error:
        raise RuntimeUnavailable("the container engine's statistics are not readable", reason=str(error)) from error
    memory = found.memory_stats
    details = memory.stats or {}
    cache = details.get("inactive_file", details.get("total_inactive_file", 0))  # cgroups of version 2, else 1
    used = memory.usage
    if used is not None and isinstance(cache, int) and cache < used:
        used -= cache
    return Usage(
        cpu_seconds=found.cpu_stats.cpu_usage.total_usage / NANOSECONDS,
        memory_bytes=used,
        memory_limit_bytes=memory.limit if memory.limit and memory.limit < NO_LIMIT_BYTES else None,
        # No instance has none: a zero is what engines say that do not count them.
        pids=found.pids_stats.current or None,
        pids_limit=found.pids_stats.limit
        if found.pids_stats.limit and found.pids_stats.limit < NO_LIMIT_BYTES
        else None,
    )
