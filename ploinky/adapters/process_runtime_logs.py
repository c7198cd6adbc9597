"""The output of agents that run as plain processes, spread over a few files: `path`, before it `path.1`, and so on."""

import io
import os
import stat
from pathlib import Path

from ploinky.ports.logs import LOG_FILES_LIMIT

MAX_TAIL_BYTES = 1024 * 1024


def log_files(path: Path) -> list[Path]:
    """Return where the output may be, the newest part first."""
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, LOG_FILES_LIMIT))]


def newest_lines(path: Path, count: int) -> bytes:
    """Return the last lines of an output, at most 1 MiB; empty when there is none."""
    content, newest = read_newest(path, count)
    if newest is not None:
        newest.close()
    return content


def read_newest(path: Path, count: int) -> tuple[bytes, io.FileIO | None]:
    """Return the last lines, and the newest file where they end; what is written from now on follows there."""
    files = log_files(path)
    newest = open_log(files.pop(0)) or open_log(files.pop(0))  # the first is missing while a new one is begun
    if newest is None:
        return b"", None
    content = _last_bytes(newest, MAX_TAIL_BYTES)
    for older in files:
        if content.count(b"\n") >= count or len(content) >= MAX_TAIL_BYTES:
            break
        file = open_log(older)
        if file is None:
            break
        with file:
            content = _last_bytes(file, MAX_TAIL_BYTES - len(content)) + content
    lines = content.splitlines(keepends=True)
    return b"".join(lines[-count:]) if count > 0 else b"", newest


def open_log(path: Path) -> io.FileIO | None:
    """Open a log; None when it is none: an agent may have put a link or a pipe in its place, which is not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return io.FileIO(descriptor)
    os.close(descriptor)
    return None


def open_next(path: Path, file: io.FileIO) -> io.FileIO | None:
    """Open the part of an output that comes after this one; None while this is the newest."""
    own = os.fstat(file.fileno())
    try:
        if os.path.samestat(own, path.lstat()):
            return None  # the usual case
    except OSError:
        pass
    opened = [found for found in map(open_log, log_files(path)) if found is not None]
    ids = [os.fstat(found.fileno()) for found in opened]
    place = next((place for place, found in enumerate(ids) if os.path.samestat(own, found)), len(opened))
    following = opened.pop(place - 1) if place > 0 else None
    for found in opened:
        found.close()
    return following


def _last_bytes(file: io.FileIO, limit_bytes: int) -> bytes:
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - limit_bytes))
    return file.read(size - start)
