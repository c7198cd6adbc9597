"""The output of an agent that runs as a plain process, as it grows.

A few looks a second at the size of the file: the agent's writing wakes nobody, and a watch of its own for each follower
would be one more thing to run out of.
"""

import os
import select
import threading
from pathlib import Path

from ploinky.adapters.process_runtime_logs import open_log, open_next, read_newest

LOOK_SECONDS = 0.1
READ_BYTES = 64 * 1024


class ProcessStream:
    """A `LogStream` over the file that a process writes."""

    def __init__(self, path: Path, process: int | None, tail_lines: int) -> None:
        """Take a descriptor of the process, to close; None when it has ended."""
        self._process = process
        self._path = path
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self._waiting, self._file = read_newest(path, tail_lines)

    def read(self) -> bytes:
        if self._waiting:
            found, self._waiting = self._waiting, b""
            return found
        while not self._is_closed.is_set():
            with self._lock:
                is_over = self._process is None or _has_ended(self._process)
                found = self._more()  # after the look at the process: what it wrote before its end is there
            if found or is_over:
                return found
            self._is_closed.wait(LOOK_SECONDS)
        return b""

    def close(self) -> None:
        self._is_closed.set()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
            if self._process is not None:
                os.close(self._process)
                self._process = None

    def _more(self) -> bytes:
        if self._file is None and not self._is_closed.is_set():
            self._file = open_log(self._path)
        if self._file is None:
            return b""
        following = None
        while not (found := self._file.read(READ_BYTES)):
            if following is None and (following := open_next(self._path, self._file)) is None:
                return b""
            if found := self._file.read(READ_BYTES):  # written right before the next part was begun
                following.close()
                return found
            self._file.close()
            self._file, following = following, None
        return found


def _has_ended(process: int) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(0))
