"""A deployment's network comes with its first instance and goes with the deployment."""

import pytest

from ploinky.control import runtime_observer
from ploinky.control.network_names import network_name
from ploinky.domain import commands as c
from ploinky.domain.errors import RuntimeUnavailable
from tests.control.machine import SITE, Play, Surroundings, running
from tests.control.test_faulty_engine import Trouble
from tests.waiting import eventually


def test_is_shared_by_generations_and_removed_with_the_deployment(play: Play) -> None:
    """Each deployment has one; undeploying removes this one and no other."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            for name in ("d1", "d2"):
                await machine.deploy(name)
            assert around.runtime.networks == {network_name("d1"), network_name("d2")}
            await machine.give(c.Undeploy(subject_id="d1"))
            await eventually(lambda: "d1" not in machine.views.deployments.rows)
            assert around.runtime.networks == {network_name("d2")}

    play(scenario)


def test_of_a_deployment_that_is_gone_is_found_at_the_next_start(play: Play) -> None:
    """What an engine could not remove is removed later, and an engine that is away keeps nobody from undeploying."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            await machine.deploy("d1")
            around.runtime.before_call = Trouble("keep_networks", RuntimeUnavailable("away"), times=10)
            await machine.give(c.Undeploy(subject_id="d1"))
            await eventually(lambda: "d1" not in machine.views.deployments.rows)
            assert around.runtime.networks == {network_name("d1")}
        around.runtime.before_call = Trouble("nothing", RuntimeUnavailable("away"))
        async with running(around):
            await eventually(lambda: around.runtime.networks == set())
            assert around.runtime.list(SITE.journal_id) == []

    play(scenario)


def test_is_looked_for_again_from_time_to_time(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that appears without a deployment does not wait for a restart."""
    monkeypatch.setattr(runtime_observer, "LOOKS_PER_TIDYING", 2)

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            await machine.deploy("d1")
            around.runtime.networks.add("ploinky-nobody")
            await eventually(lambda: around.runtime.networks == {network_name("d1")})

    play(scenario)
