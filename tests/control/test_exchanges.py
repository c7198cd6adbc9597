"""What passes through to web servers is counted, spread, bounded, and drained."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest

from ploinky.control import exchanges as module
from ploinky.control.exchanges import Exchange, Exchanges
from ploinky.domain.errors import Overloaded

LONG_SECONDS = 60.0


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def nothing() -> None:
    return


def test_the_least_busy_is_chosen() -> None:
    """The instance with the fewest exchanges gets the next one; of none at all there is none."""

    async def scenario() -> None:
        exchanges = Exchanges()
        assert exchanges.choose([]) is None
        exchanges.begin("a", nothing)
        first = exchanges.begin("b", nothing)
        exchanges.begin("b", nothing)
        assert exchanges.choose(["a", "b"]) == "a"
        exchanges.begin("a", nothing)
        exchanges.end(first)
        assert exchanges.choose(["a", "b"]) == "b"

    run(scenario())


def test_equals_take_turns() -> None:
    """Instances that are equally busy are used one after the other."""

    async def scenario() -> None:
        exchanges = Exchanges()
        used = []
        for _ in range(6):
            chosen = exchanges.choose(["a", "b", "c"])
            assert chosen is not None
            exchanges.end(exchanges.begin(chosen, nothing))
            used.append(chosen)
        assert used == ["a", "b", "c", "a", "b", "c"]

    run(scenario())


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit an exchange is refused; one that ends makes room; others have a limit of their own."""
    monkeypatch.setattr(module, "EXCHANGES_LIMIT", 2)

    async def scenario() -> None:
        exchanges = Exchanges()
        first = exchanges.begin("a", nothing)
        exchanges.begin("a", nothing)
        with pytest.raises(Overloaded):
            exchanges.begin("a", nothing)
        assert exchanges.count("a") == 2
        exchanges.begin("b", nothing)
        exchanges.end(first)
        exchanges.begin("a", nothing)

    run(scenario())


def test_ending_twice_counts_once() -> None:
    """An exchange that is over cannot end again for another."""

    async def scenario() -> None:
        exchanges = Exchanges()
        first = exchanges.begin("a", nothing)
        exchanges.begin("a", nothing)
        exchanges.end(first)
        exchanges.end(first)
        assert exchanges.count("a") == 1

    run(scenario())


def test_draining_waits_for_the_last_to_end() -> None:
    """It returns when the instance has no exchange any more, cutting none, whatever others have."""

    async def scenario() -> None:
        exchanges, cut = Exchanges(), []
        exchanges.begin("b", nothing)
        open_ones = [exchanges.begin("a", lambda: cut.append("a")) for _ in range(2)]
        draining = asyncio.create_task(exchanges.drain("a", LONG_SECONDS))
        for exchange in open_ones:
            await asyncio.sleep(0)
            assert not draining.done()
            exchanges.end(exchange)
        await draining
        assert cut == []
        await exchanges.drain("never used", LONG_SECONDS)

    run(scenario())


def test_what_takes_too_long_is_cut() -> None:
    """After the limit each of its exchanges is cut once, and draining waits until they have ended."""

    async def scenario() -> None:
        exchanges = Exchanges()
        cut: list[Exchange] = []

        def cut_and_end(number: int) -> None:
            cut.append(long_ones[number])
            asyncio.get_running_loop().call_soon(exchanges.end, long_ones[number])

        exchanges.begin("b", nothing)
        long_ones = [exchanges.begin("a", partial(cut_and_end, number)) for number in range(3)]
        await exchanges.drain("a", 0.0)
        assert len(cut) == len(set(cut)) == 3
        assert (exchanges.count("a"), exchanges.count("b")) == (0, 1)

    run(scenario())


def test_what_cannot_be_cut_does_not_hold_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that does not end although it was cut delays the stop for a bounded time only."""
    monkeypatch.setattr(module, "CUT_LIMIT_SECONDS", 0.01)

    async def scenario() -> None:
        exchanges = Exchanges()
        exchanges.begin("a", nothing)
        await exchanges.drain_all(0.0)
        assert exchanges.count("a") == 1

    run(scenario())


def test_all_are_drained_at_once() -> None:
    """Draining everything waits for every instance."""

    async def scenario() -> None:
        exchanges = Exchanges()
        open_ones = [exchanges.begin(key, nothing) for key in ("a", "b")]
        draining = asyncio.create_task(exchanges.drain_all(LONG_SECONDS))
        exchanges.end(open_ones[0])
        await asyncio.sleep(0)
        assert not draining.done()
        exchanges.end(open_ones[1])
        await draining

    run(scenario())
