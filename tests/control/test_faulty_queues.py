"""Whatever happens to a queue, each task ends once, and nobody answers for others."""

from ploinky.adapters.memory.courier import MemoryCourier
from ploinky.control.signs_of_life import SILENCE_LIMIT_SECONDS
from ploinky.domain import commands as c
from ploinky.domain.task import ENDED, TaskState
from tests.control.machine import Machine, Play, Surroundings, echo, running
from tests.waiting import eventually


def ends(machine: Machine, task_id: str) -> list[str]:
    final = {"task.succeeded", "task.failed", "task.cancelled", "task.dead"}
    return [kind for kind in machine.types(f"task/{task_id}") if kind in final]


def test_a_broken_queue_is_replaced(play: Play) -> None:
    """An instance whose queue cannot be used is stopped; the next one does the work."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            instance_id = await machine.deploy()
            around.courier.break_queue(instance_id)
            await machine.submit("t1")
            await machine.ready_instance(generation=2)
            await eventually(lambda: machine.task("t1").state is TaskState.SUCCEEDED)
            assert ends(machine, "t1") == ["task.succeeded"]

    play(scenario)


def test_a_silent_agent_is_replaced(play: Play) -> None:
    """An agent that claims and then shows no sign of life is stopped, and its task repeated elsewhere."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            instance_id = await machine.deploy()
            around.courier.is_losing_results = True
            await machine.submit("t1")

            def is_claimed() -> bool:
                around.clock.advance(0.02)
                return machine.task("t1").is_claimed

            await eventually(is_claimed, what="the claim")
            around.courier.is_losing_results = False
            around.clock.advance(SILENCE_LIMIT_SECONDS + 1)
            await machine.ready_instance(generation=2)
            await eventually(lambda: machine.task("t1").state is TaskState.SUCCEEDED)
            stopped = machine.types(f"instance/{instance_id}")
            assert "instance.stop_requested" in stopped
            assert ends(machine, "t1") == ["task.succeeded"]

    play(scenario)


def test_a_result_that_is_none_fails_the_task(play: Play) -> None:
    """A quarantined result is the task's failure, with the reason."""

    async def scenario(around: Surroundings) -> None:
        around.courier = MemoryCourier(echo)
        around.courier.is_silent = True
        async with running(around) as machine:
            instance_id = await machine.deploy()
            await machine.submit("t1")
            await eventually(lambda: bool(around.courier.orders(instance_id)), what="the order")
            around.courier.spoil(instance_id, "t1", 1, "it is a link")
            await eventually(lambda: machine.task("t1").state in ENDED)
            assert ends(machine, "t1") == ["task.failed"]

    play(scenario)


def test_nobody_answers_for_others(play: Play) -> None:
    """Results for another deployment's task, an unknown one or another attempt count for nothing."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            mine, hostile = await machine.deploy("d1"), await machine.deploy("d2")
            around.courier.is_silent = True
            await machine.submit("t1", "d1")
            await eventually(lambda: bool(around.courier.orders(mine)), what="the order")
            around.courier.succeed(hostile, "t1", 1, "stolen")
            around.courier.succeed(hostile, "unknown", 1, "made up")
            around.courier.succeed(mine, "t1", 2, "from the future")
            around.courier.succeed(mine, "t1", 1, "real")
            await eventually(lambda: machine.task("t1").state in ENDED)
            ended = machine.views.tasks.get("t1")
            assert ended is not None
            payload = machine.storage.store.payload(ended.ended_position, "result")
            assert payload is not None
            assert payload.content == b'"real"'
            assert ends(machine, "t1") == ["task.succeeded"]

    play(scenario)


def test_a_second_answer_changes_nothing(play: Play) -> None:
    """A result that comes again after the end leaves the task as it ended."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            instance_id = await machine.deploy()
            await machine.submit("t1")
            await eventually(lambda: machine.task("t1").state is TaskState.SUCCEEDED)
            around.courier.succeed(instance_id, "t1", 1, "again")
            await machine.submit("t2")
            await eventually(lambda: machine.task("t2").state is TaskState.SUCCEEDED)
            assert ends(machine, "t1") == ["task.succeeded"]

    play(scenario)


def test_cancels_through_the_agent(play: Play) -> None:
    """A running task is cancelled by asking its agent; the agent's word ends it."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            instance_id = await machine.deploy()
            around.courier.is_silent = True
            await machine.submit("t1")
            await eventually(lambda: bool(around.courier.orders(instance_id)), what="the order")
            await machine.give(c.CancelTask(subject_id="t1"))
            await eventually(lambda: ("t1", 1) in around.courier.cancellations(instance_id), what="the asking")

    play(scenario)


def test_a_next_server_adopts(play: Play) -> None:
    """A server that comes after finds the instance, takes in what it answered meanwhile, and starts nothing."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            instance_id = await machine.deploy()
            around.courier.is_silent = True
            await machine.submit("t1")
            await eventually(lambda: bool(around.courier.orders(instance_id)), what="the order")
        around.courier.succeed(instance_id, "t1", 1, "meanwhile")
        async with running(around) as machine:
            await eventually(lambda: machine.task("t1").state is TaskState.SUCCEEDED)
            assert machine.task("t1").attempt == 1
            assert len(around.runtime.started) == 1

    play(scenario)


def test_a_lost_queue_is_not_adopted(play: Play) -> None:
    """A queue that is not the one the instance was started with is nobody's: the instance is replaced."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            instance_id = await machine.deploy()
            around.courier.is_silent = True
            await machine.submit("t1")
        around.courier.release(instance_id)
        around.courier.provision(instance_id, None)
        around.courier.succeed(instance_id, "t1", 1, "from before")
        around.courier.is_silent = False
        async with running(around) as machine:
            await machine.ready_instance(generation=2)
            await eventually(lambda: machine.task("t1").state is TaskState.SUCCEEDED)
            assert machine.task("t1").attempt == 2

    play(scenario)
