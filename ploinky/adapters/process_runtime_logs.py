"""The output of agents that run as plain processes: files that are read from their end and kept small."""

import io
import os
import stat
from pathlib import Path

MAX_TAIL_BYTES = 1024 * 1024
MAX_LOG_BYTES = 16 * 1024 * 1024


def newest_lines(path: Path, count: int, end: int | None = None) -> bytes:
    """Return the last lines of a file, or of its part before `end`, at most 1 MiB; empty when there is no such file."""
    file = open_log(path, os.O_RDONLY) if count > 0 else None
    if file is None:
        return b""
    with file:
        return b"".join(_newest_bytes(file, end).splitlines(keepends=True)[-count:])


def keep_small(path: Path) -> None:
    """Shorten a log that has grown beyond its bound to its newest part.

    In place, because the agent holds the file open: it appends, so what it writes next lands after the cut.
    What it writes between reading and cutting is lost.
    """
    file = open_log(path, os.O_RDWR | os.O_APPEND)
    if file is None:
        return
    with file:
        if file.seek(0, os.SEEK_END) > MAX_LOG_BYTES:
            newest = _newest_bytes(file)
            file.truncate(0)
            file.write(newest)


def open_log(path: Path, flags: int) -> io.FileIO | None:
    """Open a log; None when it is none: an agent may have put a link or a pipe in its place, which is not followed."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return io.FileIO(descriptor, "r+" if flags & os.O_RDWR else "r")
    os.close(descriptor)
    return None


def _newest_bytes(file: io.FileIO, end: int | None = None) -> bytes:
    size = file.seek(0, os.SEEK_END) if end is None else end
    start = file.seek(max(0, size - MAX_TAIL_BYTES))
    return file.read(size - start)
