"""Sleep until a process ends or somebody rings; no polling."""

import os
import select
import threading
from collections.abc import Callable, Iterator, Mapping

RESCAN_SECONDS = 10.0
"""Within this time also instances are seen that nobody rang for: those a predecessor was just starting."""


class Bells:
    """Wakes every watcher: an instance was started, or the runtime closes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptors: set[int] = set()
        self._is_closed = threading.Event()

    def is_closed(self) -> bool:
        return self._is_closed.is_set()

    def add(self) -> int:
        """Hang up one more bell; its owner takes it down with `remove`."""
        bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        with self._lock:
            self._descriptors.add(bell)
        return bell

    def remove(self, bell: int) -> None:
        with self._lock:
            self._descriptors.discard(bell)
            os.close(bell)

    def ring(self) -> None:
        with self._lock:
            for bell in self._descriptors:
                os.eventfd_write(bell, 1)

    def close(self) -> None:
        self._is_closed.set()
        self.ring()


def watch(bells: Bells, open_running: Callable[[Mapping[str, int]], dict[str, int]]) -> Iterator[str]:
    """Yield the name of each instance when it appears and when it ends, until the bells are closed.

    `open_running` gets the descriptors watched so far by name, and opens those of running instances not among them.
    """
    watched: dict[str, int] = {}
    bell = bells.add()
    try:
        while not bells.is_closed():
            appeared = open_running(watched)
            watched |= appeared
            yield from appeared
            if bells.is_closed():
                return
            for name in _wait(bell, watched):
                os.close(watched.pop(name))
                yield name
    finally:
        bells.remove(bell)
        for descriptor in watched.values():
            os.close(descriptor)


def _wait(bell: int, watched: Mapping[str, int]) -> list[str]:
    poll = select.poll()
    poll.register(bell, select.POLLIN)
    for descriptor in watched.values():
        poll.register(descriptor, select.POLLIN)
    ready = {descriptor for descriptor, _event in poll.poll(int(RESCAN_SECONDS * 1000))}
    if bell in ready:
        os.eventfd_read(bell)
    return [name for name, descriptor in watched.items() if descriptor in ready]
