"""The heart of a primary: the views restored, the dispatcher over the journal, and those who wait for it."""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from ploinky.adapters.system_clock import SystemClock, TimeOrderedIds
from ploinky.control.commander import Commander
from ploinky.control.fold_watch import FoldWatch
from ploinky.control.orders import Orders
from ploinky.control.pools import Pools
from ploinky.control.waiters import TaskWaiters
from ploinky.domain.deciders import DECIDERS
from ploinky.domain.errors import PloinkyError
from ploinky.journal import snapshot
from ploinky.journal.codec import Codec, Recorded, to_microseconds
from ploinky.journal.dispatcher import Dispatcher
from ploinky.journal.writer import JournalWriter
from ploinky.server.storage import SNAPSHOT_FILE, Storage, restore_views
from ploinky.usecases.event_feed import EventFeed
from ploinky.views.fold_digest import fold_digest

log = logging.getLogger(__name__)

SNAPSHOT_EVERY_EVENTS = 10_000


class Core:
    """Everything that needs no world: made on the event loop it runs on."""

    def __init__(self, storage: Storage) -> None:
        """Restore the views and take the journal over."""
        loop = asyncio.get_running_loop()
        self.storage = storage
        self.codec, self.clock, self.ids = Codec(), SystemClock(), TimeOrderedIds()
        restored = restore_views(storage, self.codec)
        self.views = restored.views
        self.pools = Pools()
        self._writer = JournalWriter(storage.store, loop.call_soon_threadsafe)
        self.dispatcher = Dispatcher(
            store=storage.store,
            writer=self._writer,
            codec=self.codec,
            deciders=DECIDERS,
            clock=self.clock,
            head=storage.head,
            last_at=restored.last_at,
            indexes=self.views.indexes,
            schedule=loop.call_soon,
        )
        self.commander = Commander(self.dispatcher)
        self.waiters = TaskWaiters()
        self.orders = Orders(self.views, storage.store, storage.blobs, storage.signer, self.ids, self.pools)
        self.feed = EventFeed(storage.store, self.pools)
        self.watch = FoldWatch()
        self.failed: asyncio.Future[PloinkyError] = loop.create_future()
        """Set when the journal cannot be written any more: the process has to end."""
        self.dispatcher.on_fatal = self._fail
        self._folds = fold_digest()
        self._snapshot_position = self.views.position
        self._last_at = restored.last_at
        self._saving: asyncio.Task[None] | None = None

    def note(self, batch: Sequence[Recorded]) -> None:
        """Follow the journal: save a snapshot now and then, wake those who wait for the views."""
        self._last_at = to_microseconds(batch[-1].at)
        if self.views.position - self._snapshot_position >= SNAPSHOT_EVERY_EVENTS and not self._is_saving():
            kept = self._snapshot()
            if kept is not None:
                saving = self.pools.slow(lambda: self._save(kept))
                self._saving = asyncio.get_running_loop().create_task(saving)
        self.feed.follow(batch)
        self.watch.follow(batch)

    async def close(self) -> None:
        """Finish what was handed to the journal, save the views, end the threads."""
        self._writer.close()
        if not self.failed.done():
            await asyncio.sleep(0)  # The writer's last call back.
            if self._saving is not None:
                await self._saving
            kept = self._snapshot()
            if kept is not None:
                self._save(kept)
        self.pools.close()

    def _is_saving(self) -> bool:
        return self._saving is not None and not self._saving.done()

    def _snapshot(self) -> snapshot.Snapshot | None:
        head = self.dispatcher.head
        if head.position == 0 or head.position != self.views.position:
            return None
        self._snapshot_position = head.position
        return snapshot.Snapshot(
            journal_id=self.storage.store.journal_id,
            position=head.position,
            hash=head.hash,
            last_at=self._last_at,
            folds=self._folds,
            views=msgspec.Raw(msgspec.json.encode(self.views.dump(), order="sorted")),
        )

    def _save(self, kept: snapshot.Snapshot) -> None:
        try:
            snapshot.save(self.storage.directory / SNAPSHOT_FILE, kept)
        except OSError as error:
            log.warning("the snapshot of the views could not be saved: %s", error)

    def _fail(self, error: PloinkyError) -> None:
        if not self.failed.done():
            self.failed.set_result(error)
