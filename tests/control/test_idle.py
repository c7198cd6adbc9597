"""What nobody needs is stopped, and a task starts it again."""

import json
from functools import partial

from ploinky.control.exchanges import Exchange
from ploinky.domain.deployment import Deployment
from tests.control.machine import URL, Machine, Play, Surroundings, running
from tests.waiting import eventually

IDLE_SECONDS = 60.0


def sleeper(around: Surroundings, **manifest: object) -> None:
    content = {"access": "public", "idleTimeoutSeconds": IDLE_SECONDS, **manifest}
    around.sources.commit(URL, {"sample/manifest.json": json.dumps(content).encode()})


def state_of(machine: Machine) -> Deployment:
    return machine.views.deployments.rows["d1"].state


def is_done(machine: Machine, task_id: str) -> bool:
    return machine.task(task_id).state == "succeeded"


async def let_sleep(around: Surroundings, machine: Machine) -> None:
    await eventually(lambda: "d1" in machine.idle._needed_at, what="a look")
    around.clock.advance(IDLE_SECONDS + 1)
    await eventually(lambda: state_of(machine).is_idle, what="the idle time")
    await eventually(lambda: not machine.views.instances.rows, what="the end of its instance")


def test_stops_what_nobody_needs_and_wakes_it_for_a_task(play: Play) -> None:
    """The deployment stays wanted, and a task that comes waits for the new generation, which executes it."""

    async def scenario(around: Surroundings) -> None:
        sleeper(around)
        async with running(around) as machine:
            await machine.deploy()
            await let_sleep(around, machine)
            assert state_of(machine).restart_due_at is None
            await machine.submit("t1")
            await eventually(lambda: machine.task("t1").state == "succeeded", what="an answer")
            assert machine.task("t1").instance_id == "d1.2.0"
            assert not state_of(machine).is_idle
            await let_sleep(around, machine)

    play(scenario)


def test_tasks_keep_it_awake(play: Play) -> None:
    """The idle time begins with the last thing that anybody wanted."""

    async def scenario(around: Surroundings) -> None:
        sleeper(around)
        async with running(around) as machine:
            await machine.deploy()
            await eventually(lambda: "d1" in machine.idle._needed_at, what="a look")
            for task_id in ("t1", "t2", "t3"):
                around.clock.advance(IDLE_SECONDS * 0.7)
                await machine.submit(task_id)
                await eventually(partial(is_done, machine, task_id), what="an answer")
                assert not state_of(machine).is_idle

    play(scenario)


def test_without_an_idle_time_it_never_sleeps(play: Play) -> None:
    """Only agents that ask for it are stopped."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            await machine.deploy()
            around.clock.advance(1_000_000.0)
            machine.idle._look()
            assert machine.idle._needed_at == {}
            assert not state_of(machine).is_idle

    play(scenario)


def test_a_request_on_its_way_keeps_it_awake(play: Play) -> None:
    """Whoever is with the agent's own web server counts, however long."""

    async def scenario(around: Surroundings) -> None:
        sleeper(around)
        async with running(around) as machine:
            instance_id = await machine.deploy()
            exchange: Exchange = machine.exchanges.begin(instance_id, lambda: None)
            await eventually(lambda: "d1" in machine.idle._needed_at, what="a look")
            around.clock.advance(IDLE_SECONDS * 3)
            machine.idle._look()
            assert not state_of(machine).is_idle
            machine.exchanges.end(exchange)
            await let_sleep(around, machine)

    play(scenario)


def test_a_short_request_keeps_it_awake(play: Play) -> None:
    """Also one that came and went between two looks."""

    async def scenario(around: Surroundings) -> None:
        sleeper(around)
        async with running(around) as machine:
            instance_id = await machine.deploy()
            await eventually(lambda: "d1" in machine.idle._needed_at, what="a look")
            around.clock.advance(IDLE_SECONDS * 0.9)
            machine.exchanges.end(machine.exchanges.begin(instance_id, lambda: None))
            machine.idle._look()
            around.clock.advance(IDLE_SECONDS * 0.9)
            machine.idle._look()
            assert not state_of(machine).is_idle
            await let_sleep(around, machine)

    play(scenario)
