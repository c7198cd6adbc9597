"""The journal in pages and as a stream, without HTTP."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from ploinky.adapters.memory.journal import MemoryJournalStore
from ploinky.control.pools import Pools
from ploinky.domain.errors import Overloaded
from ploinky.ports.journal_store import Record
from ploinky.usecases import event_feed
from ploinky.usecases.event_feed import EventFeed
from tests.journal.records import head_after, numbered

Scenario = Callable[[EventFeed, MemoryJournalStore], Coroutine[Any, Any, None]]


def play(scenario: Scenario) -> None:
    """Run a scenario over a journal of five events."""

    async def run() -> None:
        store, pools = MemoryJournalStore(), Pools()
        store.append(numbered(store.take_epoch(), 5))
        try:
            await scenario(EventFeed(store, pools), store)
        finally:
            pools.close()

    asyncio.run(run())


def positions(records: Sequence[Record | None]) -> list[int]:
    return [record.position for record in records if record is not None]


def test_pages_end_where_the_next_begins() -> None:
    """A page says where it ended; from there the next goes on, until nothing is left."""

    async def scenario(feed: EventFeed, _store: MemoryJournalStore) -> None:
        found, after = await feed.page(0, 3)
        assert (positions(found), after) == ([1, 2, 3], 3)
        found, after = await feed.page(after, 3)
        assert (positions(found), after) == ([4, 5], 5)
        assert await feed.page(after, 3) == ([], 5)

    play(scenario)


def test_what_does_not_match_is_passed_by() -> None:
    """A page of what never happened is empty, and has read to the end."""

    async def scenario(feed: EventFeed, _store: MemoryJournalStore) -> None:
        assert await feed.page(0, 3, "deployment.") == ([], 5)
        found, after = await feed.page(0, 1, "task.", "task/3")
        assert (positions(found), after) == ([4], 4)

    play(scenario)


def test_a_stream_goes_on_with_news() -> None:
    """A stream shows what is there, then what comes, and ends when the server stops."""

    async def scenario(feed: EventFeed, store: MemoryJournalStore) -> None:
        stream = feed.stream(3)
        assert positions([await anext(stream), await anext(stream)]) == [4, 5]
        waiting = asyncio.ensure_future(anext(stream, None))
        store.append(numbered(store.head(), 1))
        feed.follow(())
        assert positions([await waiting]) == [6]
        ending = asyncio.ensure_future(anext(stream, None))
        await asyncio.sleep(0)
        feed.close()
        assert await ending is None
        assert [one async for one in feed.stream(0)] == []

    play(scenario)


def test_a_quiet_stream_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing comes for a while the stream says so, so that nobody in between closes it."""
    monkeypatch.setattr(event_feed, "QUIET_LIMIT_SECONDS", 0.01)

    async def scenario(feed: EventFeed, _store: MemoryJournalStore) -> None:
        assert await anext(feed.stream(5)) is None

    play(scenario)


def test_only_so_many_may_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One stream too many is refused before it begins; one that ends makes room."""
    monkeypatch.setattr(event_feed, "FOLLOWERS_LIMIT", 2)

    async def scenario(feed: EventFeed, _store: MemoryJournalStore) -> None:
        streams = [feed.stream(0), feed.stream(0)]
        for stream in streams:
            await anext(stream)
        with pytest.raises(Overloaded):
            feed.stream(0)
        await streams[0].aclose()  # type: ignore[attr-defined]
        assert positions([await anext(feed.stream(0))]) == [1]

    play(scenario)


def test_reads_what_was_appended_meanwhile() -> None:
    """A page sees everything that is committed when it is asked for."""

    async def scenario(feed: EventFeed, store: MemoryJournalStore) -> None:
        batch = numbered(store.head(), 2)
        store.append(batch)
        found, after = await feed.page(5, 10)
        assert (positions(found), after) == ([6, 7], head_after(batch).position)

    play(scenario)
