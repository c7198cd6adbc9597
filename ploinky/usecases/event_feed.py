"""Read the journal in pages, and follow it live."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from ploinky.control.pools import Pools
from ploinky.domain.errors import Overloaded
from ploinky.journal.codec import Recorded
from ploinky.ports.journal_store import READ_LIMIT_ROWS, JournalStore, Record

FOLLOWERS_LIMIT = 200
QUIET_LIMIT_SECONDS = 15.0
SCAN_LIMIT_ROWS = 20_000
"""Events looked through for one page."""


class EventFeed:
    """Events for people: pages, and a live stream that resumes at any position."""

    def __init__(self, store: JournalStore, pools: Pools) -> None:
        """Read from a store; `follow` tells of news."""
        self._store = store
        self._pools = pools
        self._news: set[asyncio.Event] = set()
        self._is_closed = False

    def follow(self, _batch: Sequence[Recorded]) -> None:
        """Wake the streams."""
        for news in self._news:
            news.set()

    def close(self) -> None:
        """End all streams: the server is stopping."""
        self._is_closed = True
        for news in self._news:
            news.set()

    async def page(self, after: int, limit: int, type_prefix: str = "", stream: str = "") -> tuple[list[Record], int]:
        """Return at most `limit` matching events after a position, and the position that was read up to.

        Reads `SCAN_LIMIT_ROWS` at most: with a filter there may be more although nothing was found. At the end the
        position is the one asked for.
        """
        found: list[Record] = []
        position = after
        while len(found) < limit and position - after < SCAN_LIMIT_ROWS:
            start = position
            records = await self._pools.slow(lambda start=start: self._store.read(start, READ_LIMIT_ROWS))  # type: ignore[misc]
            if not records:
                break
            for record in records:
                position = record.position
                if record.type.startswith(type_prefix) and (not stream or record.stream == stream):
                    found.append(record)
                    if len(found) == limit:
                        break
        return found, position

    def stream(self, after: int, type_prefix: str = "", stream: str = "") -> AsyncIterator[Record | None]:
        """Yield matching events from a position on, for ever; None when nothing came for a while.

        Raises `Overloaded` at once when too many are listening.
        """
        if len(self._news) >= FOLLOWERS_LIMIT:
            raise Overloaded("Too many streams are open")
        return self._stream(after, type_prefix, stream)

    async def _stream(self, after: int, type_prefix: str, stream: str) -> AsyncIterator[Record | None]:
        news = asyncio.Event()
        self._news.add(news)
        try:
            position = after
            while not self._is_closed:
                news.clear()
                start = position
                records, position = await self.page(start, READ_LIMIT_ROWS, type_prefix, stream)
                for record in records:
                    yield record
                if position == start:
                    try:
                        async with asyncio.timeout(QUIET_LIMIT_SECONDS):
                            await news.wait()
                    except TimeoutError:
                        yield None
        finally:
            self._news.discard(news)
