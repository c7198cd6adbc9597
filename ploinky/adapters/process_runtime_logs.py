"""The output of agents that run as plain processes: files that are read from their end and kept small."""

import os
from pathlib import Path

MAX_TAIL_BYTES = 1024 * 1024
MAX_LOG_BYTES = 16 * 1024 * 1024


def newest_lines(path: Path, count: int) -> bytes:
    """Return the last lines of a file, at most 1 MiB; empty when there is no such file."""
    tail = _newest_bytes(path)
    lines = tail.splitlines(keepends=True)
    return b"".join(lines[-count:]) if count > 0 else b""


def keep_small(path: Path) -> None:
    """Shorten a log that has grown beyond its bound to its newest part.

    In place, because the agent holds the file open: it appends, so what it writes next lands after the cut.
    What it writes between reading and cutting is lost.
    """
    try:
        if path.stat().st_size <= MAX_LOG_BYTES:
            return
        newest = _newest_bytes(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "ab") as file:
        file.truncate(0)
        file.write(newest)


def _newest_bytes(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_TAIL_BYTES))
        return file.read(MAX_TAIL_BYTES)
