"""A deployment's own volumes come with its first instance and go with the deployment; processes have none."""

from ploinky.adapters.memory.agent_folders import MemoryAgentFolders
from ploinky.domain import commands as c
from ploinky.domain.grants import Grants, Volume
from tests.control.machine import SPEC, URL, Play, Surroundings, running
from tests.control.test_faulty_engine import newest_end
from tests.waiting import eventually

WITH_VOLUME = b'{"access": "public", "volumes": {"cache": "/var/cache/x"}}'


def test_own_volumes_are_made_and_removed_with_the_deployment(play: Play) -> None:
    """The instance is given the folder's path; undeploying removes it."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, {"sample/manifest.json": WITH_VOLUME})
        async with running(around) as machine:
            await machine.deploy()
            (entry,) = around.runtime._entries.values()
            assert entry.spec.grants == Grants(volumes=(Volume("/memory/data/d1/cache", "/var/cache/x"),))
            folders = machine.world.folders
            assert isinstance(folders, MemoryAgentFolders)
            assert folders.volumes == {("d1", "cache")}
            await machine.give(c.Undeploy(subject_id="d1"))
            await eventually(lambda: "d1" not in machine.views.deployments.rows)
            assert folders.volumes == set()

    play(scenario)


def test_what_is_not_allowed_fails_the_rollout(play: Play) -> None:
    """Nothing is started, and the reason is the rollout's end."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, {"sample/manifest.json": b'{"volumes": {"/etc": "/etc"}}'})
        async with running(around) as machine:
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/x", spec=SPEC))
            await eventually(lambda: newest_end(machine) == (False, "source", "MANIFEST_INVALID"))
            assert around.runtime.started == []

    play(scenario)


def test_a_process_is_given_none(play: Play) -> None:
    """Where nothing can be mounted the start is refused, not done without."""

    async def scenario(around: Surroundings) -> None:
        around.runtime.kind = "process"
        around.sources.commit(URL, {"sample/manifest.json": WITH_VOLUME})
        async with running(around) as machine:
            machine.world.runtimes.by_kind.clear()
            machine.world.runtimes.by_kind["process"] = around.runtime
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/x", spec=SPEC))
            await eventually(lambda: newest_end(machine) == (False, "start", "RUNTIME_REFUSED"))
            assert around.runtime.started == []

    play(scenario)
