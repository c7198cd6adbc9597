"""Instances kept frozen until there is work for them."""

import json
from datetime import timedelta

import pytest

from ploinky.control.arrivals import Arrivals
from ploinky.domain import commands as c
from ploinky.domain.instance import Status
from ploinky.policies import warm
from ploinky.views import due_times
from tests.control.machine import URL, Machine, Play, Surroundings, running
from tests.waiting import eventually

FROZEN, AWAKE = Status.PAUSED, Status.RUNNING


def statuses(machine: Machine) -> list[Status]:
    return [instance.status for _, instance in machine.views.instances_of("d1")]


def keep_warm(around: Surroundings, monkeypatch: pytest.MonkeyPatch, **manifest: object) -> None:
    """Let the agent ask for two frozen instances beside one that serves, with one slot each."""
    content = {"access": "public", "warmInstances": 2, "concurrency": 1, **manifest}
    around.sources.commit(URL, {"sample/manifest.json": json.dumps(content).encode()})
    for module in (warm, due_times):
        monkeypatch.setattr(module, "WARM_REST", timedelta(seconds=0.2))


async def at_rest(machine: Machine, *expected: Status) -> None:
    await eventually(lambda: sorted(statuses(machine)) == sorted(expected), what=f"{expected}")


def test_freezes_what_is_started_beyond_those_that_serve(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are started, become ready, and are frozen; the deployment serves from the first ready instance on."""

    async def scenario(around: Surroundings) -> None:
        keep_warm(around, monkeypatch)
        async with running(around) as machine:
            await machine.deploy()
            await at_rest(machine, AWAKE, FROZEN, FROZEN)
            assert len(machine.views.serving_instances("d1")) == 1

    play(scenario)


def test_lets_them_go_on_for_tasks_without_a_slot(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task that waits gets an instance, as many as there are; without work they are frozen again."""

    async def scenario(around: Surroundings) -> None:
        keep_warm(around, monkeypatch)
        async with running(around) as machine:
            await machine.deploy()
            await at_rest(machine, AWAKE, FROZEN, FROZEN)
            around.courier.is_silent = True
            for task_id in ("t1", "t2", "t3", "t4"):
                await machine.submit(task_id)
            await at_rest(machine, AWAKE, AWAKE, AWAKE)
            await eventually(lambda: len(machine.views.tasks.running) == 3, what="work for all of them")
            around.courier.is_silent = False
            for instance_id, tasks in list(machine.views.tasks.running.items()):
                for task_id in tasks:
                    around.courier.succeed(instance_id, task_id, 1, "done")
            await eventually(lambda: not machine.views.tasks.open, what="all answers")
            await at_rest(machine, AWAKE, FROZEN, FROZEN)

    play(scenario)


def test_sleeps_and_wakes_without_a_new_generation(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle deployment with a warm pool freezes all of it, and the next caller finds the same generation."""

    async def scenario(around: Surroundings) -> None:
        keep_warm(around, monkeypatch)
        async with running(around) as machine:
            await machine.deploy()
            await at_rest(machine, AWAKE, FROZEN, FROZEN)
            await machine.give(c.IdleDeployment(subject_id="d1"))
            await at_rest(machine, FROZEN, FROZEN, FROZEN)
            await machine.submit("t1")
            await eventually(lambda: machine.task("t1").state == "succeeded", what="an answer")
            assert machine.task("t1").instance_id.startswith("d1.1.")
            await at_rest(machine, AWAKE, FROZEN, FROZEN)
            await machine.give(c.IdleDeployment(subject_id="d1"))
            await at_rest(machine, FROZEN, FROZEN, FROZEN)
            serving = await Arrivals(machine.views, machine.core.commander, machine.core.watch).serving("d1")
            assert serving[0][1].generation == 1

    play(scenario)


def test_a_frozen_instance_that_ends_is_replaced(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool is filled up again beside those that serve."""

    async def scenario(around: Surroundings) -> None:
        keep_warm(around, monkeypatch)
        async with running(around) as machine:
            await machine.deploy()
            await at_rest(machine, AWAKE, FROZEN, FROZEN)
            frozen = next(one for _, one in machine.views.instances_of("d1") if one.status is FROZEN)
            around.runtime.exit(frozen.name, 1)
            await eventually(lambda: machine.instance("d1.1.3") is not None, what="its successor")
            await at_rest(machine, AWAKE, FROZEN, FROZEN)
            assert machine.views.deployments.rows["d1"].state.active_generation == 1

    play(scenario)


def test_undeploying_ends_frozen_instances_too(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing frozen is left behind."""

    async def scenario(around: Surroundings) -> None:
        keep_warm(around, monkeypatch)
        async with running(around) as machine:
            await machine.deploy()
            await at_rest(machine, AWAKE, FROZEN, FROZEN)
            await machine.give(c.Undeploy(subject_id="d1"))
            await eventually(lambda: "d1" not in machine.views.deployments.rows, what="its end")
            assert not around.runtime.list("memory000001")

    play(scenario)
