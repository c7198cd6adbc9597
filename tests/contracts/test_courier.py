"""What every `Courier` has to do, held against memory and against folders."""

import asyncio
import shutil
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from ploinky.adapters.file_courier import FileCourier
from ploinky.adapters.memory.courier import AgentError, MemoryCourier
from ploinky.domain.errors import QueueUnavailable
from ploinky.ports.courier import Claimed, Courier, Failed, Finding, Quarantined, Succeeded, TaskOrder
from tests.adapters.courier.folder_agent import (
    INSTANCE_ID,
    OTHER_INSTANCE_ID,
    TASK_ID,
    FolderAgent,
    numbered_task_id,
    order,
)
from tests.waiting import eventually

Answer = TypeVar("Answer")
CLAIMED_AT = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


class Bench(Protocol):
    """A courier with one instance's queue, and the agent at its other end."""

    courier: Courier

    def orders(self) -> list[TaskOrder]: ...

    def cancellations(self) -> int: ...

    def make_ready(self) -> None: ...

    def claim(self) -> None: ...

    def live(self) -> None: ...

    def succeed(self, attempt: int, data: object) -> None: ...

    def fail(self) -> None: ...

    def spoil(self) -> None: ...

    def lose_queue(self) -> None: ...


class MemoryBench:
    def __init__(self, loop: asyncio.AbstractEventLoop, directory: Path) -> None:
        self.memory = MemoryCourier()
        self.courier: Courier = self.memory
        self.courier.provision(INSTANCE_ID, None)

    def orders(self) -> list[TaskOrder]:
        return self.memory.orders(INSTANCE_ID)

    def cancellations(self) -> int:
        return len(self.memory.cancellations(INSTANCE_ID))

    def make_ready(self) -> None:
        self.memory.make_ready(INSTANCE_ID)

    def claim(self) -> None:
        self.memory.claim(INSTANCE_ID, TASK_ID, 1)

    def live(self) -> None:
        self.memory.claim(INSTANCE_ID, TASK_ID, 1)

    def succeed(self, attempt: int, data: object) -> None:
        self.memory.succeed(INSTANCE_ID, TASK_ID, attempt, data, CLAIMED_AT)

    def fail(self) -> None:
        self.memory.fail(INSTANCE_ID, TASK_ID, 1, AgentError("NO_LUCK", "no luck", {"tried": 3}))

    def spoil(self) -> None:
        self.memory.spoil(INSTANCE_ID, TASK_ID, 1, "it is not JSON")

    def lose_queue(self) -> None:
        self.memory.break_queue(INSTANCE_ID)


class FolderBench:
    def __init__(self, loop: asyncio.AbstractEventLoop, directory: Path) -> None:
        self.courier: Courier = FileCourier(str(directory / "queues"), loop)
        self.agent = FolderAgent(self.courier.provision(INSTANCE_ID, None))

    def orders(self) -> list[TaskOrder]:
        return self.agent.orders()

    def cancellations(self) -> int:
        return len(self.agent.cancellations())

    def make_ready(self) -> None:
        self.agent.make_ready()

    def claim(self) -> None:
        self.agent.claim()

    def live(self) -> None:
        self.agent.live()

    def succeed(self, attempt: int, data: object) -> None:
        self.agent.succeed(attempt=attempt, data=data, claimed_at=CLAIMED_AT)

    def fail(self) -> None:
        self.agent.fail()

    def spoil(self) -> None:
        self.agent.spoil()

    def lose_queue(self) -> None:
        shutil.rmtree(self.agent.root)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(params=[MemoryBench, FolderBench], ids=["memory", "folders"])
def bench(request: pytest.FixtureRequest, runner: asyncio.Runner, tmp_path: Path) -> Iterator[Bench]:
    bench: Bench = request.param(runner.get_loop(), tmp_path)
    bench.courier.attach(INSTANCE_ID)
    yield bench
    bench.courier.close()


def in_loop(runner: asyncio.Runner, work: Coroutine[object, object, Answer]) -> Answer:
    return runner.run(asyncio.wait_for(work, 30))


def without_claims(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if not isinstance(finding, Claimed)]


def claims(findings: list[Finding]) -> list[Claimed]:
    return [finding for finding in findings if isinstance(finding, Claimed)]


def test_an_order_arrives_as_it_was_sent(bench: Bench, runner: asyncio.Runner) -> None:
    """The agent reads the same order, its params byte for byte."""
    in_loop(runner, bench.courier.send(INSTANCE_ID, order()))
    (arrived,) = bench.orders()
    assert arrived == order()
    assert bytes(arrived.params) == b'["one",2]'


def test_sending_again_changes_nothing(bench: Bench, runner: asyncio.Runner) -> None:
    """The same attempt sent twice is there once."""
    in_loop(runner, bench.courier.send(INSTANCE_ID, order()))
    in_loop(runner, bench.courier.send(INSTANCE_ID, order()))
    assert len(bench.orders()) == 1


def test_attempts_of_one_task_are_apart(bench: Bench, runner: asyncio.Runner) -> None:
    """Two attempts of a task are two orders; settling one leaves the other."""
    in_loop(runner, bench.courier.send(INSTANCE_ID, order(attempt=1)))
    in_loop(runner, bench.courier.send(INSTANCE_ID, order(attempt=2)))
    bench.courier.settle(INSTANCE_ID, TASK_ID, 1)
    assert [arrived.attempt for arrived in bench.orders()] == [2]


def test_finds_a_result_with_its_data(bench: Bench) -> None:
    """A result is found with its data, and with the time of its claim."""
    bench.succeed(1, {"text": "grüße"})
    (found,) = without_claims(bench.courier.look(INSTANCE_ID))
    assert isinstance(found, Succeeded)
    assert (found.instance_id, found.task_id, found.attempt) == (INSTANCE_ID, TASK_ID, 1)
    assert b"text" in bytes(found.data)
    assert found.claimed_at == CLAIMED_AT


def test_finds_an_error_with_its_code(bench: Bench) -> None:
    """An error is found with code, message and details."""
    bench.fail()
    (found,) = without_claims(bench.courier.look(INSTANCE_ID))
    assert isinstance(found, Failed)
    assert (found.code, found.message, found.claimed_at) == ("NO_LUCK", "no luck", None)
    assert b"tried" in bytes(found.details)


def test_quarantines_what_cannot_be_a_result(bench: Bench) -> None:
    """Something unreadable is found as such, with a reason, once: it was removed."""
    bench.spoil()
    (found,) = without_claims(bench.courier.look(INSTANCE_ID))
    assert isinstance(found, Quarantined)
    assert "not JSON" in found.reason
    assert without_claims(bench.courier.look(INSTANCE_ID)) == []


def test_reports_once_while_the_commit_is_under_way(bench: Bench) -> None:
    """A result that was reported and not settled yet is not reported at the next look."""
    bench.succeed(1, 1)
    assert len(without_claims(bench.courier.look(INSTANCE_ID))) == 1
    assert without_claims(bench.courier.look(INSTANCE_ID)) == []


def test_reports_a_result_that_comes_after_settling(bench: Bench) -> None:
    """After settling, a further result of the same attempt is reported again: it is late, and the caller decides."""
    bench.succeed(1, 1)
    bench.courier.look(INSTANCE_ID)
    bench.courier.settle(INSTANCE_ID, TASK_ID, 1)
    assert without_claims(bench.courier.look(INSTANCE_ID)) == []
    bench.succeed(1, 2)
    assert len(without_claims(bench.courier.look(INSTANCE_ID))) == 1


def test_a_claim_shows_and_changes_with_every_sign_of_life(bench: Bench) -> None:
    """A claim is found when asked for, and its sign of life differs after the agent gave one."""
    bench.claim()
    (first,) = claims(bench.courier.look(INSTANCE_ID, include_claims=True))
    (same,) = claims(bench.courier.look(INSTANCE_ID, include_claims=True))
    bench.live()
    (later,) = claims(bench.courier.look(INSTANCE_ID, include_claims=True))
    assert first == same
    assert (later.task_id, later.attempt) == (TASK_ID, 1)
    assert later.sign_of_life != first.sign_of_life


def test_looks_at_claims_only_now_and_then_unless_asked(bench: Bench) -> None:
    """The first look shows claims, the next within a second does not."""
    bench.claim()
    assert len(claims(bench.courier.look(INSTANCE_ID))) == 1
    assert claims(bench.courier.look(INSTANCE_ID)) == []


def test_settling_leaves_nothing(bench: Bench, runner: asyncio.Runner) -> None:
    """Order, cancellation, claim and result of a settled attempt are gone; settling again is harmless."""
    in_loop(runner, bench.courier.send(INSTANCE_ID, order()))
    in_loop(runner, bench.courier.cancel(INSTANCE_ID, TASK_ID, 1))
    bench.claim()
    bench.succeed(1, 1)
    bench.courier.settle(INSTANCE_ID, TASK_ID, 1)
    bench.courier.settle(INSTANCE_ID, TASK_ID, 1)
    assert bench.orders() == []
    assert bench.cancellations() == 0
    assert bench.courier.look(INSTANCE_ID, include_claims=True) == []


@pytest.mark.parametrize(
    ("instance_id", "task_id", "attempt"),
    [("nobody", TASK_ID, 1), (OTHER_INSTANCE_ID, TASK_ID, 1), (INSTANCE_ID, "../x", 1), (INSTANCE_ID, TASK_ID, -1)],
)
def test_settling_never_raises(bench: Bench, instance_id: str, task_id: str, attempt: int) -> None:
    """Settling what is not there, or cannot be, does nothing."""
    bench.courier.settle(instance_id, task_id, attempt)


def test_a_cancellation_arrives_once(bench: Bench, runner: asyncio.Runner) -> None:
    """Asking twice to cancel is asking once."""
    in_loop(runner, bench.courier.cancel(INSTANCE_ID, TASK_ID, 1))
    in_loop(runner, bench.courier.cancel(INSTANCE_ID, TASK_ID, 1))
    assert bench.cancellations() == 1


def test_is_ready_only_after_the_agent_said_so(bench: Bench) -> None:
    """An instance is ready when its agent said so, and an unknown one never."""
    assert not bench.courier.is_ready(INSTANCE_ID)
    bench.make_ready()
    assert bench.courier.is_ready(INSTANCE_ID)
    assert not bench.courier.is_ready(OTHER_INSTANCE_ID)


def test_a_result_gives_a_hint(bench: Bench, runner: asyncio.Runner) -> None:
    """A hint names the instance soon after a result; the look it asks for finds it."""
    hints: list[str] = []

    async def wait() -> list[Finding]:
        bench.courier.subscribe(hints.append)
        await bench.courier.send(INSTANCE_ID, order())
        bench.succeed(1, 1)
        await eventually(lambda: hints, what="a hint")
        return without_claims(bench.courier.look(INSTANCE_ID))

    assert len(in_loop(runner, wait())) == 1
    assert set(hints) == {INSTANCE_ID}


def test_refuses_an_instance_that_is_not_attached(bench: Bench, runner: asyncio.Runner) -> None:
    """Sending, cancelling and looking need an attached queue."""
    bench.courier.provision(OTHER_INSTANCE_ID, None)
    with pytest.raises(QueueUnavailable):
        in_loop(runner, bench.courier.send(OTHER_INSTANCE_ID, order()))
    with pytest.raises(QueueUnavailable):
        in_loop(runner, bench.courier.cancel(OTHER_INSTANCE_ID, TASK_ID, 1))
    with pytest.raises(QueueUnavailable):
        bench.courier.look(OTHER_INSTANCE_ID)


def test_refuses_to_attach_what_was_not_provisioned(bench: Bench) -> None:
    """There is no queue to attach before it is provisioned."""
    with pytest.raises(QueueUnavailable):
        bench.courier.attach(OTHER_INSTANCE_ID)


def test_attaching_again_gives_the_same_identity(bench: Bench) -> None:
    """The identity is the folder's: the same one while it stands, another one for another instance."""
    bench.courier.provision(OTHER_INSTANCE_ID, None)
    bench.courier.provision(INSTANCE_ID, None)
    assert bench.courier.attach(INSTANCE_ID) == bench.courier.attach(INSTANCE_ID)
    assert bench.courier.attach(INSTANCE_ID) != bench.courier.attach(OTHER_INSTANCE_ID)


def test_says_when_the_queue_is_lost(bench: Bench, runner: asyncio.Runner) -> None:
    """A queue that was taken away is unavailable for everything, and settling still does not raise."""
    bench.lose_queue()
    with pytest.raises(QueueUnavailable):
        in_loop(runner, bench.courier.send(INSTANCE_ID, order()))
    with pytest.raises(QueueUnavailable):
        bench.courier.look(INSTANCE_ID, include_claims=True)
    with pytest.raises(QueueUnavailable):
        bench.courier.attach(INSTANCE_ID)
    bench.courier.settle(INSTANCE_ID, TASK_ID, 1)


def test_a_released_queue_is_gone(bench: Bench, runner: asyncio.Runner) -> None:
    """After release there is nothing to send to or to attach; releasing again is harmless."""
    in_loop(runner, bench.courier.send(INSTANCE_ID, order()))
    bench.courier.release(INSTANCE_ID)
    bench.courier.release(INSTANCE_ID)
    with pytest.raises(QueueUnavailable):
        in_loop(runner, bench.courier.send(INSTANCE_ID, order()))
    with pytest.raises(QueueUnavailable):
        bench.courier.attach(INSTANCE_ID)


def test_instances_do_not_share_anything(bench: Bench, runner: asyncio.Runner) -> None:
    """What is sent to and found at one instance does not show at another."""
    bench.courier.provision(OTHER_INSTANCE_ID, None)
    bench.courier.attach(OTHER_INSTANCE_ID)
    in_loop(runner, bench.courier.send(OTHER_INSTANCE_ID, order()))
    bench.succeed(1, 1)
    assert bench.orders() == []
    assert bench.courier.look(OTHER_INSTANCE_ID, include_claims=True) == []


def test_many_orders_are_all_there(bench: Bench, runner: asyncio.Runner) -> None:
    """A thousand open orders are no trouble."""

    async def send_all() -> None:
        for number in range(1_000):
            await bench.courier.send(INSTANCE_ID, order(numbered_task_id(number)))

    in_loop(runner, send_all())
    assert len({arrived.id for arrived in bench.orders()}) == 1_000


def test_closing_twice_is_harmless(bench: Bench) -> None:
    """Close is idempotent, and nothing can be done with the queue afterwards."""
    bench.courier.close()
    bench.courier.close()
    with pytest.raises(QueueUnavailable):
        bench.courier.look(INSTANCE_ID)
