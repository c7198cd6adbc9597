"""Write what an agent prints into files that stay small: a thread of the shim, between the agent's pipe and the disk.

Loaded beside the shim, so it uses the standard library only and imports nothing of ours. The agent's output goes
through a pipe: a file that the agent holds open could only be cut, which loses lines, or grow without end.

**Files**: the newest part at the path itself, older ones at `path.1`, `path.2` and so on. A new file begins at a line's
beginning wherever lines are shorter than a file.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable

READ_BYTES = 64 * 1024
PIPE_BYTES = 1024 * 1024
"""What the agent may print in one go while the disk is busy, without waiting; as far as the kernel allows it."""
FINISH_LIMIT_SECONDS = 10.0

# From the kernel's include/uapi/linux/fcntl.h
_F_SETPIPE_SZ = 1031
_OPEN_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LogWriter:
    """The files of one log. What cannot be written is dropped and counted: a full disk must not stop an agent."""

    def __init__(self, path: str, file_bytes: int, file_count: int) -> None:
        """Open the newest file. Raises `OSError`. It does not wait for a reader if that should be a pipe."""
        self._path = path
        self._file_bytes = file_bytes
        self._file_count = file_count
        self._lost_bytes = 0
        self._open()

    def write(self, chunk: bytes) -> None:
        """Append, into a new file where the present one is full."""
        while chunk:
            room_bytes = self._file_bytes - self._size_bytes
            if len(chunk) <= room_bytes:
                self._append(chunk)
                return
            # After the last line that fits. One that has begun here already, or fills a whole file, is cut.
            end = chunk.rfind(b"\n", 0, max(0, room_bytes)) + 1
            if not end and not (self._size_bytes and self._is_at_line_start):
                end = max(0, room_bytes)
            self._append(chunk[:end])
            chunk = chunk[end:]
            self._rotate()

    def close(self) -> None:
        os.close(self._file)

    def _open(self) -> None:
        self._file = os.open(self._path, _OPEN_FLAGS, 0o600)
        os.set_blocking(self._file, True)
        self._size_bytes = os.fstat(self._file).st_size
        self._is_at_line_start = True

    def _append(self, chunk: bytes) -> None:
        if not chunk:
            return
        if self._lost_bytes:
            chunk = b"\n-- %d bytes of output could not be written --\n" % self._lost_bytes + chunk
        try:
            self._write_all(chunk)
        except OSError:
            self._lost_bytes += len(chunk)
        else:
            self._lost_bytes = 0
            self._is_at_line_start = chunk.endswith(b"\n")

    def _write_all(self, chunk: bytes) -> None:
        waiting = memoryview(chunk)
        while waiting:
            written = os.write(self._file, waiting)
            self._size_bytes += written
            waiting = waiting[written:]

    def _rotate(self) -> None:
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, self._file_count))]
        try:
            if self._file_count == 1:
                os.unlink(self._path)
            for older, newer in reversed(list(zip(names[1:], names[:-1], strict=True))):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(newer, older)
            full = self._file
            self._open()
            os.close(full)
        except OSError:
            # The folder has gone, or no file can be made: the one that is open takes it. Bounded all the same.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
            self._size_bytes = 0


def start(path: str, file_bytes: int, file_count: int) -> Callable[[], None]:
    """Let standard error lead to a log from now on; return what waits until everything is written.

    Raises `OSError` when the log cannot be opened. Signals have to be blocked, so that none goes to the new thread.
    """
    writer = LogWriter(path, file_bytes, file_count)
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):  # more than the kernel allows this user
        fcntl.fcntl(writing, _F_SETPIPE_SZ, PIPE_BYTES)
    os.dup2(writing, 2)
    os.close(writing)
    thread = threading.Thread(target=_copy, args=(reading, writer), daemon=True)
    thread.start()

    def finish() -> None:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)
        # Nobody of the agent is left who could hold the other end.
        thread.join(FINISH_LIMIT_SECONDS)

    return finish


def _copy(reading: int, writer: LogWriter) -> None:
    while chunk := os.read(reading, READ_BYTES):
        writer.write(chunk)
    os.close(reading)
    writer.close()
