"""A follower sees what an instance prints, goes on with its successors, and costs nothing once it is gone."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ploinky.control.pools import FOLLOWER_THREADS
from ploinky.domain import commands as c
from ploinky.domain.errors import DeploymentNotFound, InstanceNotFound, Overloaded, RuntimeUnavailable
from ploinky.usecases import log_feed
from ploinky.usecases.log_feed import LogFeed, Piece, Wish
from tests.control.machine import Machine, Surroundings, hurry, running
from tests.waiting import eventually

ANY = Wish()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr(log_feed, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(log_feed, "ENGINE_PAUSE_SECONDS", 0.01)


def feed_of(machine: Machine) -> LogFeed:
    return LogFeed(machine.views, machine.world.runtimes, machine.world.logs, machine.core.pools)


def say(machine: Machine, instance_id: str, text: str) -> None:
    instance = machine.instance(instance_id)
    assert instance is not None
    machine.around.runtime.write_output(instance.name, text.encode())


class Listener:
    """Collects what a stream yields, in a task of its own."""

    def __init__(self, pieces: AsyncIterator[Piece]) -> None:
        self.lines: list[str] = []
        self.remarks: list[str] = []
        self.quiet = 0
        self.task = asyncio.ensure_future(self._listen(pieces))

    async def _listen(self, pieces: AsyncIterator[Piece]) -> None:
        async for piece in pieces:
            self.lines += piece.lines
            self.remarks += [piece.remark] if piece.remark else []
            self.quiet += not piece.lines and not piece.remark

    async def gone(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


def test_goes_on_with_the_next_generation(tmp_path: Path) -> None:
    """What a successor prints follows, from its first line on, after a remark."""

    async def scenario() -> None:
        async with running(Surroundings(tmp_path)) as machine:
            first = await machine.deploy()
            say(machine, first, "old\n")
            listener = Listener(feed_of(machine).follow("d1", ANY, 10))
            await eventually(lambda: listener.lines == ["old"], what="the line there was")
            say(machine, first, "new\nbegun")
            await eventually(lambda: listener.lines == ["old", "new"], what="the line that came")
            await machine.give(c.RestartDeployment(subject_id="d1"))
            second = await machine.ready_instance(generation=2)
            say(machine, second, "next\n")
            await eventually(lambda: "next" in listener.lines, what="the next generation's line")
            assert listener.lines == ["old", "new", "begun", "next"]
            assert listener.remarks == [f"{first} is over; {second} goes on"]
            await machine.give(c.Undeploy(subject_id="d1"))
            await asyncio.wait_for(listener.task, 10)

    asyncio.run(scenario())


def test_a_named_generation_is_read_to_its_end(tmp_path: Path) -> None:
    """One that is gone is read from what was kept; one that never was is not found."""

    async def scenario() -> None:
        async with running(Surroundings(tmp_path)) as machine:
            first = await machine.deploy()
            say(machine, first, "kept\n")
            await machine.give(c.RestartDeployment(subject_id="d1"))
            await machine.ready_instance(generation=2)
            await eventually(lambda: machine.instance(first) is None, what="the first one is removed")
            feed = feed_of(machine)
            listener = Listener(feed.follow("d1", Wish(generation=1), 10))
            await asyncio.wait_for(listener.task, 10)
            assert listener.lines == ["kept"]
            assert await feed.newest("d1", Wish(generation=1), 10) == b"kept\n"
            with pytest.raises(InstanceNotFound):
                feed.follow("d1", Wish(generation=9), 10)
            for wish in (ANY, Wish(generation=1)):
                with pytest.raises(DeploymentNotFound):
                    feed.follow("absent", wish, 10)

    asyncio.run(scenario())


def test_a_follower_that_leaves_frees_its_thread(tmp_path: Path) -> None:
    """As many as there are threads may follow; when they leave, though nothing is printed, as many others may."""

    async def scenario() -> None:
        async with running(Surroundings(tmp_path)) as machine:
            first = await machine.deploy()
            say(machine, first, "up\n")
            feed = feed_of(machine)
            for _ in range(2):
                listeners = [Listener(feed.follow("d1", ANY, 10)) for _ in range(FOLLOWER_THREADS)]
                await eventually(lambda: all(heard.lines for heard in listeners), what="all hear it")  # noqa: B023
                with pytest.raises(Overloaded):
                    feed.follow("d1", ANY, 10)
                await asyncio.gather(*(listener.gone() for listener in listeners))
                assert feed.follower_count == 0
            assert sum(thread.name.startswith("follower") for thread in threading.enumerate()) <= FOLLOWER_THREADS

    asyncio.run(scenario())


def test_ends_when_the_server_stops(tmp_path: Path) -> None:
    """A stop of the server ends every stream, whether or not anything is printed."""

    async def scenario() -> None:
        async with running(Surroundings(tmp_path)) as machine:
            await machine.deploy()
            feed = feed_of(machine)
            listener = Listener(feed.follow("d1", ANY, 10))
            await eventually(lambda: feed.follower_count == 1, what="it follows")
            feed.close()
            await asyncio.wait_for(listener.task, 1)

    asyncio.run(scenario())


def test_tells_that_it_is_still_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing is printed for a while the follower hears that."""
    monkeypatch.setattr(log_feed, "QUIET_LIMIT_SECONDS", 0.02)

    async def scenario() -> None:
        async with running(Surroundings(tmp_path)) as machine:
            await machine.deploy()
            listener = Listener(feed_of(machine).follow("d1", ANY, 10))
            await eventually(lambda: listener.quiet > 1, what="a sign")
            await listener.gone()

    asyncio.run(scenario())


def test_says_that_an_engine_does_not_answer(tmp_path: Path) -> None:
    """An engine that goes away is told, not taken for the end; what is printed once it is back is heard."""

    async def scenario() -> None:
        around = Surroundings(tmp_path)
        async with running(around) as machine:
            instance_id = await machine.deploy()
            feed = feed_of(machine)

            def fail(method: str, _name: str) -> None:
                if method == "follow":
                    raise RuntimeUnavailable("the engine is away")

            around.runtime.before_call = fail
            listener = Listener(feed.follow("d1", ANY, 10))
            await eventually(lambda: bool(listener.remarks), what="a remark")
            assert "the engine is away" in listener.remarks[0]
            around.runtime.before_call = lambda _method, _name: None
            following = feed.follower_count

            def has_spoken() -> bool:
                say(machine, instance_id, "back\n")
                return "back" in listener.lines

            await eventually(has_spoken, what="new lines")
            assert following == 1
            await listener.gone()

    asyncio.run(scenario())
