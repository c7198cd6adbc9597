"""The way of tasks between the journal and the instances, with the machinery stepped by hand."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ploinky.adapters.hmac_signer import HmacSigner
from ploinky.adapters.memory.blobs import MemoryBlobStore
from ploinky.adapters.memory.courier import AgentError, MemoryCourier
from ploinky.adapters.system_clock import TimeOrderedIds
from ploinky.control.commander import Commander
from ploinky.control.orders import Orders
from ploinky.control.pools import Pools
from ploinky.control.signs_of_life import SignsOfLife
from ploinky.control.task_traffic import TaskTraffic
from ploinky.domain.commands import StartAttempt
from ploinky.domain.ids import instance_id
from ploinky.domain.task import TaskState
from tests.journal import sample_commands as sample
from tests.journal.stepping import Stepping

INSTANCE = instance_id("d1", 1, 0)


class Traffic(Stepping):
    """A deployment with one slot, and its queue in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.courier = MemoryCourier(monotonic=self.clock.monotonic)
        self.courier.provision(INSTANCE, None)
        self.pools = Pools()
        orders = Orders(self.views, self.store, MemoryBlobStore(), HmacSigner(bytes(32)), TimeOrderedIds(), self.pools)
        life = SignsOfLife(self.clock)
        self.traffic = TaskTraffic(self.views, Commander(self.dispatcher), self.courier, orders, life)
        self.dispatcher.followers.append(self.traffic.follow)
        self.run(*sample.serve("d1", concurrency=1))
        self.traffic.attach(INSTANCE)

    def state(self, task_id: str) -> TaskState:
        row = self.views.tasks.get(task_id)
        assert row is not None
        return row.state.state

    def sent(self) -> list[tuple[str, int]]:
        return [(order.id, order.attempt) for order in self.courier.orders(INSTANCE)]

    async def go_on(self) -> None:
        """Let the event loop and the journal come to rest."""
        for _ in range(5):
            await asyncio.sleep(0)
            self.settle()


def on_loop(scenario: Callable[[Traffic], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario on an event loop of its own."""

    async def run() -> None:
        traffic = Traffic()
        try:
            await scenario(traffic)
        finally:
            traffic.pools.close()

    asyncio.run(run())


def test_sends_an_attempt_as_soon_as_it_is_committed() -> None:
    """The order lies in the queue when the commit's followers are through, without another turn of the loop."""

    async def scenario(traffic: Traffic) -> None:
        traffic.run(sample.submit("t1"))
        assert traffic.sent() == [("t1", 1)]

    on_loop(scenario)


def test_the_next_attempt_shares_the_commit_of_an_end() -> None:
    """With one slot, the end of one task and the beginning of the next are adjacent events of one batch."""

    async def scenario(traffic: Traffic) -> None:
        traffic.run(sample.submit("t1"), sample.submit("t2"), sample.submit("t3"))
        assert (traffic.state("t2"), traffic.state("t3")) == (TaskState.SUBMITTED, TaskState.SUBMITTED)
        traffic.courier.succeed(INSTANCE, "t1", 1, "done")
        await asyncio.sleep(0)
        traffic.turn()
        assert traffic.writer.step()
        assert traffic.types()[-2:] == ["task.succeeded", "task.attempt_started"]
        started = traffic.store.contents.records[-1]
        assert (started.stream, started.causation) == ("task/t2", started.position - 1)
        assert traffic.state("t2") is TaskState.RUNNING
        await traffic.go_on()
        assert traffic.sent() == [("t2", 1)]
        traffic.verify()

    on_loop(scenario)


def test_an_early_repetition_does_not_get_the_free_slot() -> None:
    """A task that waits for its time is passed over for one that is ready, and is not forgotten when it is due."""

    async def scenario(traffic: Traffic) -> None:
        traffic.run(sample.submit("t1"), sample.expire("t1"), sample.submit("t2"), sample.expire("t1"))
        for _ in range(2):
            row = traffic.views.tasks.open["t1"]
            traffic.run(StartAttempt(subject_id="t1"), sample.expire("t1", row.state.attempt + 1))
        traffic.run(StartAttempt(subject_id="t2"), sample.submit("t3"), sample.submit("t4"))
        assert traffic.views.tasks.open["t1"].state.retry_at is not None
        await traffic.go_on()
        traffic.courier.succeed(INSTANCE, "t2", 1, None)
        await traffic.go_on()
        assert (traffic.state("t1"), traffic.state("t3")) == (TaskState.SUBMITTED, TaskState.RUNNING)
        traffic.clock.advance(600)
        traffic.courier.succeed(INSTANCE, "t3", 1, None)
        await traffic.go_on()
        assert (traffic.state("t1"), traffic.state("t4")) == (TaskState.RUNNING, TaskState.SUBMITTED)

    on_loop(scenario)


def test_starts_nothing_when_nobody_waits() -> None:
    """The end of the only task is one event."""

    async def scenario(traffic: Traffic) -> None:
        traffic.run(sample.submit("t1"))
        before = len(traffic.types())
        traffic.courier.succeed(INSTANCE, "t1", 1, 7)
        await traffic.go_on()
        assert traffic.types()[before:] == ["task.succeeded"]

    on_loop(scenario)


@pytest.mark.parametrize("is_success", [True, False])
def test_clears_up_after_an_end(*, is_success: bool) -> None:
    """Once an end is committed nothing of the attempt is left in the queue."""

    async def scenario(traffic: Traffic) -> None:
        traffic.run(sample.submit("t1"))
        if is_success:
            traffic.courier.succeed(INSTANCE, "t1", 1, 7)
        else:
            traffic.courier.fail(INSTANCE, "t1", 1, AgentError("NOPE", "no", {"why": 1}))
        await traffic.go_on()
        assert traffic.state("t1") is (TaskState.SUCCEEDED if is_success else TaskState.FAILED)
        assert traffic.sent() == []
        assert traffic.courier.look(INSTANCE, include_claims=True) == []

    on_loop(scenario)


def test_clears_a_late_result_away() -> None:
    """A result that comes after the end changes nothing, and is removed all the same."""

    async def scenario(traffic: Traffic) -> None:
        traffic.run(sample.submit("t1"))
        await traffic.go_on()
        traffic.run(sample.succeed("t1"))
        await traffic.go_on()
        traffic.courier.succeed(INSTANCE, "t1", 1, "again")
        await traffic.go_on()
        assert traffic.courier.look(INSTANCE) == []
        assert traffic.types("task/t1")[-1] == "task.succeeded"

    on_loop(scenario)


def test_clears_away_what_belongs_to_no_task() -> None:
    """A result of a task that never was is removed and recorded nowhere."""

    async def scenario(traffic: Traffic) -> None:
        before = traffic.types()
        traffic.courier.succeed(INSTANCE, "stranger", 1, "boo")
        await traffic.go_on()
        assert traffic.courier.look(INSTANCE) == []
        assert traffic.types() == before

    on_loop(scenario)


def test_stops_an_instance_whose_queue_takes_nothing() -> None:
    """A broken queue is found when an attempt is sent: its instance is told to stop, and the server goes on."""

    async def scenario(traffic: Traffic) -> None:
        traffic.courier.break_queue(INSTANCE)
        traffic.run(sample.submit("t1"))
        await traffic.go_on()
        assert "instance.stop_requested" in traffic.types(f"instance/{INSTANCE}")
        assert traffic.fatal == []

    on_loop(scenario)
