"""The memory courier's own part: the agent inside the process, and the faults tests can ask for."""

import asyncio

import pytest

from ploinky.adapters.memory.courier import AgentError, Handler, MemoryCourier
from ploinky.domain.errors import QueueUnavailable
from ploinky.ports.courier import Claimed, Failed, Finding, Succeeded, TaskOrder
from tests.adapters.courier.folder_agent import INSTANCE_ID, TASK_ID, order


def attached(handler: Handler) -> MemoryCourier:
    courier = MemoryCourier(handler)
    courier.provision(INSTANCE_ID, None)
    courier.attach(INSTANCE_ID)
    return courier


def found(courier: MemoryCourier) -> list[type[Finding]]:
    return [type(finding) for finding in courier.look(INSTANCE_ID, include_claims=True)]


def agree(order: TaskOrder) -> object:
    return 1


def refuse(order: TaskOrder) -> object:
    raise AgentError("NO_LUCK", "no luck", {"command": order.command})


def test_a_handler_answers_at_once() -> None:
    """Sending claims, runs the handler and leaves its answer; the instance is ready without further ado."""
    courier = attached(lambda order: {"command": order.command})
    assert courier.is_ready(INSTANCE_ID)
    asyncio.run(courier.send(INSTANCE_ID, order()))
    claimed, succeeded = courier.look(INSTANCE_ID)
    assert isinstance(claimed, Claimed)
    assert isinstance(succeeded, Succeeded)
    assert bytes(succeeded.data) == b'{"command":"echo"}'


def test_a_handlers_refusal_is_an_error() -> None:
    """What the handler raises becomes the agent's error."""
    courier = attached(refuse)
    asyncio.run(courier.send(INSTANCE_ID, order()))
    assert found(courier) == [Claimed, Failed]


def test_a_handler_runs_once_for_an_attempt() -> None:
    """Sending the same attempt again does not run it again."""
    runs: list[str] = []
    courier = attached(lambda order: runs.append(order.id))
    asyncio.run(courier.send(INSTANCE_ID, order()))
    asyncio.run(courier.send(INSTANCE_ID, order()))
    assert runs == [TASK_ID]


@pytest.mark.parametrize("handler", [refuse, agree])
def test_a_lost_result_leaves_a_claim(handler: Handler) -> None:
    """An agent that loses its results has claimed, and nothing more is heard of it."""
    courier = attached(handler)
    courier.is_losing_results = True
    asyncio.run(courier.send(INSTANCE_ID, order()))
    assert found(courier) == [Claimed]


def test_a_silent_agent_claims_nothing() -> None:
    """A silent agent leaves the order where it is."""
    courier = attached(agree)
    courier.is_silent = True
    asyncio.run(courier.send(INSTANCE_ID, order()))
    assert found(courier) == []
    assert len(courier.orders(INSTANCE_ID)) == 1


def test_hints_without_a_loop() -> None:
    """A simulation that has no event loop is hinted directly."""
    courier = attached(agree)
    hints: list[str] = []
    courier.subscribe(hints.append)
    courier.succeed(INSTANCE_ID, TASK_ID, 1, None)
    assert hints == [INSTANCE_ID]


def test_reports_again_after_five_seconds() -> None:
    """A result that nobody settled is reported again, as the real courier does."""
    now_seconds = [100.0]
    courier = MemoryCourier(monotonic=lambda: now_seconds[0])
    courier.provision(INSTANCE_ID, None)
    courier.attach(INSTANCE_ID)
    courier.succeed(INSTANCE_ID, TASK_ID, 1, None)
    assert found(courier) == [Succeeded]
    now_seconds[0] += 4.9
    assert found(courier) == []
    now_seconds[0] += 0.2
    assert found(courier) == [Succeeded]


def test_a_broken_queue_can_be_neither_used_nor_attached() -> None:
    """The fault of a lost queue."""
    courier = attached(agree)
    courier.break_queue(INSTANCE_ID)
    with pytest.raises(QueueUnavailable):
        courier.attach(INSTANCE_ID)
    with pytest.raises(QueueUnavailable):
        asyncio.run(courier.send(INSTANCE_ID, order()))
