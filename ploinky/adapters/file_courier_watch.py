"""Hear of results: inotify on the event loop itself, without a thread in between.

A hint is only ever a reason to look. It can be lost (a full inotify queue), it can be wrong; the regular looks find
what it missed. Folders are watched through descriptors: a path could lead elsewhere by now.
"""

import asyncio
from collections.abc import Callable, Iterable

from agentcore.inotify import FolderWatch

RETRY_INTERVAL_SECONDS = 30.0
"""After the system refused to watch (its inotify limits)."""


class QueueWatch:
    """The watches of all attached queues. Called on the event loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, report: Callable[[str], None]) -> None:
        self._loop = loop
        self._report = report
        self._hint: Callable[[str], None] | None = None
        self._kernel: FolderWatch | None = None
        self._folders: dict[str, tuple[str, ...]] = {}
        """By instance, what is watched for it, as `/proc/self/fd/...`."""
        self._instances: dict[str, str] = {}
        """By folder, whose it is."""
        self._unwatched: set[str] = set()
        """Folders that the system refused to watch."""
        self._retry: asyncio.TimerHandle | None = None
        self._pending: set[str] = set()
        self._is_closed = False
        self._is_trouble_reported = False

    def subscribe(self, hint: Callable[[str], None]) -> None:
        """Begin to watch; a later call only replaces who is told. Everything attached so far is hinted once."""
        self._hint = hint
        if self._kernel is None and not self._is_closed:
            self._unwatched = set(self._instances)
            self._watch_missing()
        self._announce(self._folders)

    def add(self, instance_id: str, descriptors: tuple[int, ...]) -> None:
        """Watch an instance's folders; it is hinted once, for what was there before."""
        folders = tuple(f"/proc/self/fd/{descriptor}" for descriptor in descriptors)
        self._folders[instance_id] = folders
        self._instances.update(dict.fromkeys(folders, instance_id))
        self._unwatched.update(folders)
        if self._hint is not None:
            self._watch_missing()
        self.hint_soon(instance_id)

    def remove(self, instance_id: str, close_descriptors: Callable[[], None]) -> None:
        """Forget an instance, then close its descriptors: their numbers may be used again."""
        for folder in self._folders.pop(instance_id, ()):
            del self._instances[folder]
            self._unwatched.discard(folder)
            if self._kernel is not None:
                self._kernel.forget(folder)
        close_descriptors()

    def hint_soon(self, instance_id: str) -> None:
        """Hint on one of the loop's next turns."""
        self._announce((instance_id,))

    def close(self) -> None:
        """Watch and hint no more. Idempotent."""
        self._is_closed = True
        if self._retry is not None:
            self._retry.cancel()
        if self._kernel is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._kernel.fileno())
            self._kernel.close()
            self._kernel = None

    def _watch_missing(self) -> None:
        self._retry = None
        if self._is_closed:
            return
        try:
            if self._kernel is None:
                self._kernel = FolderWatch()
                self._loop.add_reader(self._kernel.fileno(), self._read)
            for folder in tuple(self._unwatched):
                self._kernel.watch(folder)
                self._unwatched.discard(folder)
        except OSError as error:
            self._note_trouble(error)
            if self._retry is None:
                self._retry = self._loop.call_later(RETRY_INTERVAL_SECONDS, self._watch_missing)

    def _note_trouble(self, error: OSError) -> None:
        if not self._is_trouble_reported:
            self._is_trouble_reported = True
            self._report(f"Queue folders cannot be watched, results are noticed later: {error}")

    def _read(self) -> None:
        if self._kernel is None:
            return
        news = self._kernel.read()
        found = {self._instances[folder] for folder, name in news.arrivals if not name.startswith(".")}
        self._tell(self._folders.keys() | found if news.needs_scan else found)

    def _announce(self, instance_ids: Iterable[str]) -> None:
        """Collect hints while the loop is busy: one delivery takes them all."""
        is_delivery_due = bool(self._pending)
        self._pending.update(instance_ids)
        if self._pending and not is_delivery_due:
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        pending, self._pending = self._pending, set()
        self._tell(pending)

    def _tell(self, instance_ids: Iterable[str]) -> None:
        for instance_id in tuple(instance_ids):
            if self._hint is not None and not self._is_closed and instance_id in self._folders:
                self._hint(instance_id)
