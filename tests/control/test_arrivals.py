"""Callers who come while nothing serves wait for what is about to, and for nothing else."""

import asyncio

import pytest

from ploinky.control import arrivals as module
from ploinky.control.arrivals import Arrivals
from ploinky.domain import commands as c
from ploinky.domain.errors import DeploymentNotReady, Overloaded
from tests.control.machine import SPEC, Machine, Play, Surroundings, running
from tests.control.test_web_agents import HERE, web
from tests.waiting import eventually


def arrivals_of(machine: Machine) -> Arrivals:
    return Arrivals(machine.views, machine.core.commander, machine.core.watch)


async def who_serves(arrivals: Arrivals) -> list[str]:
    return [key for key, _ in await arrivals.serving("d1")]


def test_the_first_generation_is_waited_for(play: Play) -> None:
    """Who comes before the agent is ready is led to it once it is."""

    async def scenario(around: Surroundings) -> None:
        web(around)
        around.probes.closed.add(HERE)
        async with running(around) as machine:
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/d1", spec=SPEC))
            arrived = asyncio.create_task(who_serves(arrivals_of(machine)))
            await eventually(lambda: machine.health.finding("d1.1.0"), what="a look")
            assert not arrived.done()
            around.probes.closed.clear()
            assert await arrived == ["d1.1.0"]

    play(scenario)


def test_an_idle_deployment_is_woken(play: Play) -> None:
    """Who comes to what was stopped for want of callers starts it, however many come at once."""

    async def scenario(around: Surroundings) -> None:
        web(around)
        async with running(around) as machine:
            await machine.deploy()
            await machine.give(c.IdleDeployment(subject_id="d1"))
            await eventually(lambda: not machine.views.instances_of("d1"), what="the end of the first instance")
            arrivals = arrivals_of(machine)
            assert await asyncio.gather(*(who_serves(arrivals) for _ in range(5))) == [["d1.2.0"]] * 5
            assert await who_serves(arrivals) == ["d1.2.0"]

    play(scenario)


def test_a_crash_is_waited_out(play: Play) -> None:
    """An agent that ended by itself is back in a moment, for those who come meanwhile."""

    async def scenario(around: Surroundings) -> None:
        web(around)
        async with running(around) as machine:
            instance = machine.instance(await machine.deploy())
            assert instance is not None
            around.runtime.exit(instance.name, 1)
            await eventually(lambda: not machine.views.serving_instances("d1"), what="the end")
            assert await who_serves(arrivals_of(machine)) == ["d1.2.0"]

    play(scenario)


def test_what_will_not_serve_is_not_waited_for(play: Play) -> None:
    """A stopped deployment, and one that does not exist, answer at once."""

    async def scenario(around: Surroundings) -> None:
        web(around)
        async with running(around) as machine:
            await machine.deploy()
            await machine.give(c.StopDeployment(subject_id="d1"))
            await eventually(lambda: not machine.views.serving_instances("d1"), what="the stop")
            for deployment_id in ("d1", "nobody"):
                with pytest.raises(DeploymentNotReady):
                    await arrivals_of(machine).serving(deployment_id)

    play(scenario)


def test_waiting_is_bounded(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever, and only so many at once."""
    monkeypatch.setattr(module, "ARRIVALS_LIMIT", 1)
    monkeypatch.setattr(module, "ARRIVAL_LIMIT_SECONDS", 0.2)

    async def scenario(around: Surroundings) -> None:
        web(around)
        around.probes.closed.add(HERE)
        async with running(around) as machine:
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/d1", spec=SPEC))
            arrivals = arrivals_of(machine)
            first = asyncio.create_task(who_serves(arrivals))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await arrivals.serving("d1")
            with pytest.raises(DeploymentNotReady):
                await first

    play(scenario)
