"""Agents with a web server of their own: ready when they answer, stopped when nobody is with them any more."""

import asyncio
import json

from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.control.exchanges import Exchange
from ploinky.domain import commands as c
from ploinky.domain.errors import RuntimeUnavailable
from ploinky.domain.instance import Instance, Status
from ploinky.ports.runtime import Address
from tests.control.machine import ANYBODY, SPEC, URL, Machine, Play, Surroundings, running
from tests.waiting import eventually

PORT = 8080
HERE = Address("127.0.0.1", PORT)
INSTANCE = "d1.1.0"


def web(around: Surroundings, **changes: object) -> None:
    """Let the agent be a web server."""
    manifest = {"run": "./serve", "http": {"port": PORT, "health": "/health"}, **changes}
    around.sources.commit(URL, {"sample/manifest.json": json.dumps(manifest).encode()})


async def ask_for(machine: Machine) -> None:
    await machine.give(c.Deploy(subject_id="d1", domain="*", path="/d1", spec=SPEC))


async def started(machine: Machine) -> Instance:
    def runs() -> bool:
        found = machine.instance(INSTANCE)
        return found is not None and found.status is Status.RUNNING

    await eventually(runs, what="the start")
    found = machine.instance(INSTANCE)
    assert found is not None
    return found


def is_ready(machine: Machine) -> bool:
    found = machine.instance(INSTANCE)
    return found is not None and found.is_ready


def test_is_ready_once_it_answers_well(play: Play) -> None:
    """While its health path says no it is not ready, and why is known; when it says yes, it serves."""

    async def scenario(around: Surroundings) -> None:
        web(around)
        around.probes.statuses[HERE] = 503
        async with running(around) as machine:
            await ask_for(machine)
            await started(machine)
            await eventually(lambda: machine.health.finding(INSTANCE) == "GET /health answers 503", what="a look")
            assert not is_ready(machine)
            around.probes.statuses[HERE] = 204
            assert await machine.ready_instance() == INSTANCE
            assert machine.health.finding(INSTANCE) == ""
            assert await machine.addresses.of(INSTANCE) == HERE

    play(scenario)


def test_is_ready_when_its_port_is_open(play: Play) -> None:
    """Without a health path an open port is enough."""

    async def scenario(around: Surroundings) -> None:
        web(around, http={"port": PORT})
        around.probes.closed.add(HERE)
        around.probes.statuses[HERE] = 500
        async with running(around) as machine:
            await ask_for(machine)
            await started(machine)
            await eventually(lambda: "accepts" in machine.health.finding(INSTANCE), what="a look")
            around.probes.closed.clear()
            await machine.ready_instance()

    play(scenario)


def test_says_why_it_never_was_ready(play: Play) -> None:
    """A rollout that fails for this carries what the last look found."""

    async def scenario(around: Surroundings) -> None:
        web(around)
        around.probes.statuses[HERE] = 500
        async with running(around) as machine:
            await ask_for(machine)
            await started(machine)
            await eventually(lambda: machine.health.finding(INSTANCE), what="a look")
            await machine.give(c.StopInstance(subject_id=INSTANCE, reason="not_ready", grace_seconds=1.0))
            state = machine.views.deployments.rows["d1"]
            await eventually(lambda: state.state.last_end, what="the end of the rollout")
            end = state.state.last_end
            assert end is not None
            assert end.code == "READINESS_TIMEOUT"
            assert end.message == "The agent was not ready within 60 s: GET /health answers 500"
            assert end.evidence.probe == "GET /health answers 500"

    play(scenario)


def test_the_queue_alone_makes_no_web_server_ready(play: Play) -> None:
    """With `mode` file both have to be ready: what takes tasks, and the web server."""

    async def scenario(around: Surroundings) -> None:
        web(around, mode="file")
        around.probes.closed.add(HERE)
        async with running(around) as machine:
            await ask_for(machine)
            await started(machine)
            await eventually(lambda: machine.health.finding(INSTANCE), what="a look")
            assert not is_ready(machine)
            around.probes.closed.clear()
            await machine.ready_instance()
            await machine.submit("t1")
            await eventually(lambda: machine.task("t1").state == "succeeded", what="the task's end")

    play(scenario)


def test_is_found_by_the_next_server(play: Play) -> None:
    """An instance that was not ready when the server died is looked at by the next one."""

    async def scenario(around: Surroundings) -> None:
        web(around)
        around.probes.closed.add(HERE)
        async with running(around) as machine:
            await ask_for(machine)
            await started(machine)
        around.runtime = _reopened(around.runtime)
        around.probes.closed.clear()
        async with running(around) as machine:
            assert await machine.ready_instance() == INSTANCE

    play(scenario)


def _reopened(runtime: MemoryRuntime) -> MemoryRuntime:
    again = MemoryRuntime()
    again._entries = runtime._entries
    return again


def test_an_engine_without_an_answer_is_asked_again(play: Play) -> None:
    """The address is asked for until the engine says it, then never again in the instance's life."""
    asked: list[str] = []

    async def scenario(around: Surroundings) -> None:
        web(around)

        def refuse_twice(method: str, name: str) -> None:
            if method == "address":
                asked.append(name)
                if len(asked) <= 2:
                    raise RuntimeUnavailable("not now")

        around.runtime.before_call = refuse_twice
        async with running(around) as machine:
            await ask_for(machine)
            await machine.ready_instance()
            for _ in range(3):
                assert await machine.addresses.of(INSTANCE) == HERE
            assert len(asked) == 3

    play(scenario)


async def _replaced(machine: Machine) -> None:
    """Roll out once more, and wait until the first instance is to stop."""
    machine.core.commander.give(c.UpdateDeployment(subject_id="d1", spec=SPEC), ANYBODY)

    def is_to_stop() -> bool:
        found = machine.instance(INSTANCE)
        return found is not None and found.is_stop_requested

    await eventually(is_to_stop, what="the stop of the first generation")


def test_a_replaced_instance_runs_until_nobody_is_with_it(play: Play) -> None:
    """After the switch the old generation is not stopped while a request is in flight, and gets no new ones."""

    async def scenario(around: Surroundings) -> None:
        web(around)
        async with running(around) as machine:
            await ask_for(machine)
            await machine.ready_instance()
            cut: list[Exchange] = []
            exchange = machine.exchanges.begin(INSTANCE, lambda: cut.append(exchange))
            await _replaced(machine)
            assert [key for key, _ in machine.views.serving_instances("d1")] == ["d1.2.0"]
            for _ in range(20):
                await asyncio.sleep(0)
            kept = machine.instance(INSTANCE)
            assert kept is not None
            assert kept.status is Status.RUNNING
            machine.exchanges.end(exchange)
            await eventually(lambda: machine.instance(INSTANCE) is None, what="the removal")
            assert cut == []

    play(scenario)


def test_a_stop_cuts_what_takes_too_long(play: Play) -> None:
    """An instance that is stopped because the server stops does not wait for anybody."""

    async def scenario(around: Surroundings) -> None:
        web(around)
        async with running(around) as machine:
            await ask_for(machine)
            await machine.ready_instance()
            exchange = machine.exchanges.begin(INSTANCE, lambda: machine.exchanges.end(exchange))
            await machine.give(c.StopInstance(subject_id=INSTANCE, reason="shutdown", grace_seconds=1.0))

            def is_over() -> bool:
                found = machine.instance(INSTANCE)
                return found is None or found.status is Status.STOPPED

            await eventually(is_over, what="the stop")
            assert machine.exchanges.count(INSTANCE) == 0

    play(scenario)
