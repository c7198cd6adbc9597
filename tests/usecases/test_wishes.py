"""What a change keeps and what it changes, and what a roll back brings back."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ploinky.domain.deployment import Outcome, Served
from ploinky.domain.errors import BlobNotFound, DeploymentNotFound, Invalid, ReleaseNotFound, VersionConflict
from ploinky.domain.routing import Route
from ploinky.domain.specs import AccessKind, DeploymentSpec
from ploinky.journal.dispatcher import Expected
from ploinky.usecases.deployment_checks import REPLICAS_LIMIT
from ploinky.usecases.deployments import NOTHING_GIVEN, Deployments, Given
from ploinky.usecases.release_history import ReleaseHistory
from ploinky.usecases.repositories import GivenAccess
from ploinky.usecases.vault import Vault
from ploinky.usecases.wishes import NO_CHANGE, Change, Wishes
from tests.control.machine import ANYBODY, SPEC, URL, Machine, Surroundings, hurry, running
from tests.waiting import eventually

ROUTE = Route("localhost", "/sample")
FILE = "sample/handlers/version.py"


class Desk:
    """The use cases over one machine, and one deployment."""

    def __init__(self, machine: Machine) -> None:
        core = machine.core
        self.machine = machine
        vault = Vault(machine.around.secrets, core.pools)
        self.deployments = Deployments(core.views, core.commander, core.ids, vault, 10)
        environments = machine.world.environments
        self.wishes = Wishes(self.deployments, core.views, core.commander, environments, core.ids, vault)
        self.history = ReleaseHistory(core.views, machine.storage.store, core.pools)
        self.id = ""

    async def deploy(self, given: Given = NOTHING_GIVEN, spec: DeploymentSpec = SPEC) -> None:
        self.id = await self.deployments.deploy(ROUTE, spec, given, ANYBODY)
        await self.settle()

    async def update(self, change: Change = NO_CHANGE) -> None:
        await self.wishes.update(self.id, change, ANYBODY)
        await self.settle()

    async def roll_back(self, to_generation: int | None = None) -> None:
        await self.wishes.roll_back(self.id, to_generation, ANYBODY)
        await self.settle()

    async def settle(self) -> None:
        """Wait until as many instances serve as are wanted, and no others are left."""

        def is_settled() -> bool:
            state = self.deployments.get(self.id).state
            serving = self.machine.views.serving_instances(self.id)
            there = self.machine.views.instances_of(self.id)
            return state.rollout is None and len(there) == len(serving) == state.spec.replicas

        await eventually(is_settled, what="the end of the rollout")

    @property
    def spec(self) -> DeploymentSpec:
        return self.deployments.get(self.id).state.spec

    @property
    def served(self) -> Served:
        served = self.deployments.get(self.id).state.active
        assert served is not None
        return served

    async def environment(self) -> dict[str, str]:
        """Read what the serving generation was started with."""
        return await self.machine.world.environments.of(self.id, self.served.generation)

    def commit(self, version: str) -> str:
        """Commit another version of the agent and return its id."""
        return self.machine.around.sources.commit(
            URL, {"sample/manifest.json": b'{"access": "public"}', FILE: version.encode()}
        )


Scenario = Callable[[Desk], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], None]:
    """Play a scenario at a desk."""
    hurry(monkeypatch)

    async def run(scenario: Scenario) -> None:
        async with running(Surroundings(tmp_path)) as machine:
            await scenario(Desk(machine))

    return lambda scenario: asyncio.run(run(scenario))


Play = Callable[[Scenario], None]


def test_a_change_keeps_what_it_does_not_name(play: Play) -> None:
    """Settings, variables and secrets stay unless they are named; a named variable is set or taken away."""

    async def scenario(desk: Desk) -> None:
        spec = DeploymentSpec(agent="sample", repository=URL, concurrency=3, image="one", time_limit_seconds=9.0)
        await desk.deploy(Given({"KEPT": "1", "GONE": "2", "BECOMES_SECRET": "3"}, {"S": "s", "T": "t"}), spec)
        before = desk.spec
        await desk.update(
            Change({"concurrency": 5, "image": None}, {"NEW": "4", "GONE": None, "T": "plain"}, {"BECOMES_SECRET": "x"})
        )
        assert await desk.environment() == {"KEPT": "1", "NEW": "4", "T": "plain"}
        after = desk.spec
        assert (after.concurrency, after.image, after.time_limit_seconds) == (5, None, 9.0)
        assert after.secrets["S"] == before.secrets["S"]
        assert after.secrets.keys() == {"S", "BECOMES_SECRET"}
        assert desk.machine.around.secrets.get(after.secrets["BECOMES_SECRET"]) == b"x"

    play(scenario)


def test_a_change_of_nothing_fetches_the_newest_commit(play: Play) -> None:
    """Without anything to change the newest commit is rolled out, with the same spec and variables."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy(Given({"A": "1"}))
        spec, commit = desk.spec, desk.commit("two")
        await desk.update()
        assert (desk.served.generation, desk.served.release.commit) == (2, commit)
        assert (desk.spec, await desk.environment()) == (spec, {"A": "1"})

    play(scenario)


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({"branch": "main"}, {"revision": "v1"}, (None, "v1")),
        ({"revision": "v1"}, {"branch": "main"}, ("main", None)),
        ({"revision": "v1"}, {"revision": None}, (None, None)),
        ({"branch": "main"}, {"concurrency": 2}, ("main", None)),
    ],
)
def test_a_branch_and_a_revision_replace_each_other(
    play: Play, before: dict[str, Any], change: dict[str, Any], after: tuple[str | None, str | None]
) -> None:
    """Naming one gives the other one up."""

    async def scenario(desk: Desk) -> None:
        spec = DeploymentSpec(agent="sample", repository=URL, **before)
        desk.id = await desk.deployments.deploy(ROUTE, spec, NOTHING_GIVEN, ANYBODY)
        await desk.wishes.update(desk.id, Change(change), ANYBODY)
        assert (desk.spec.branch, desk.spec.revision) == after

    play(scenario)


@pytest.mark.parametrize(
    "change",
    [
        Change({"concurrency": 0}),
        Change({"replicas": 0}),
        Change({"replicas": REPLICAS_LIMIT + 1, "concurrency": 2}),
        Change({"branch": "main", "revision": "v1"}),
        Change({"subfolder": "../x"}),
        Change(plain={"1A": "x"}),
        Change(plain={"PLOINKY_KEY": "x"}),
        Change(plain={"A": "x" * 40_000}),
        Change(secret={"A": "\0"}),
        Change(access=GivenAccess(AccessKind.TOKEN, "t")),
    ],
)
def test_refuses_a_change_that_cannot_be(play: Play, change: Change) -> None:
    """Out of bounds, impossible or reserved: nothing is recorded, and no secret is left behind."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy()
        version = desk.deployments.get(desk.id).version
        with pytest.raises(Invalid):
            await desk.wishes.update(desk.id, change, ANYBODY)
        assert desk.deployments.get(desk.id).version == version

    play(scenario)


def test_two_changes_at_a_time_both_count(play: Play) -> None:
    """Changes wait for each other: none is made from what the other one is about to replace."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy(Given({"A": "0"}))
        names = [f"V{number}" for number in range(5)]
        changes = [desk.wishes.update(desk.id, Change(plain={name: name}), ANYBODY) for name in names]
        await asyncio.gather(*changes)
        await desk.settle()
        assert await desk.environment() == {"A": "0", **{name: name for name in names}}

    play(scenario)


def test_rolls_back_commit_settings_and_variables_together(play: Play) -> None:
    """What the newest change replaced comes back whole, an empty environment as empty, as a new generation."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy()
        first = desk.served
        desk.commit("two")
        await desk.update(Change({"concurrency": 7, "replicas": 2}, {"COLOUR": "red"}))
        assert await desk.environment() == {"COLOUR": "red"}
        await desk.roll_back()
        assert (desk.served.generation, desk.served.reason) == (3, "rollback")
        assert desk.served.release == first.release
        assert desk.spec == DeploymentSpec(agent="sample", repository=URL, replicas=2)
        assert await desk.environment() == {}
        await desk.update()
        assert await desk.environment() == {}

    play(scenario)


def test_rolls_back_to_the_newest_that_differs(play: Play) -> None:
    """Releases that are the same in everything are passed over; variables alone make a difference."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy(Given({"A": "1"}))
        await desk.update(Change(plain={"A": "2"}))
        await desk.update()
        await desk.update(Change(plain={"A": "2"}))
        await desk.roll_back()
        assert (desk.served.generation, await desk.environment()) == (5, {"A": "1"})
        await desk.roll_back()
        assert await desk.environment() == {"A": "2"}

    play(scenario)


def test_rolls_back_to_the_generation_named(play: Play) -> None:
    """Any kept generation can be named, again and again."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy()
        commits = [desk.served.release.commit]
        for version in ("two", "three"):
            commits.append(desk.commit(version))
            await desk.update()
        for generation in (1, 2, 3):
            await desk.roll_back(generation)
            assert desk.served.release.commit == commits[generation - 1]
        with pytest.raises(ReleaseNotFound) as refused:
            await desk.wishes.roll_back(desk.id, 99, ANYBODY)
        assert "1, 2, 3, 4, 5, 6" in refused.value.advice

    play(scenario)


def test_a_change_on_its_way_is_what_is_undone(play: Play) -> None:
    """While a change has not begun to serve, going back means what serves, whose settings come back."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy(Given({"A": "1"}))
        await desk.update(Change(plain={"A": "2"}))
        await desk.wishes.update(desk.id, Change({"concurrency": 9}, {"A": "3"}), ANYBODY)
        await desk.roll_back()
        assert (desk.spec.concurrency, await desk.environment()) == (None, {"A": "2"})

    play(scenario)


def test_there_may_be_nothing_to_go_back_to(play: Play) -> None:
    """Before anything served, with one release, or with the same twice, that is what is said."""

    async def scenario(desk: Desk) -> None:
        desk.id = await desk.deployments.deploy(ROUTE, SPEC, NOTHING_GIVEN, ANYBODY)
        with pytest.raises(ReleaseNotFound, match="Nothing has served"):
            await desk.wishes.roll_back(desk.id, None, ANYBODY)
        await desk.settle()
        await desk.update()
        with pytest.raises(ReleaseNotFound, match="No kept release differs"):
            await desk.wishes.roll_back(desk.id, None, ANYBODY)
        with pytest.raises(DeploymentNotFound):
            await desk.wishes.roll_back("unknown", None, ANYBODY)

    play(scenario)


def test_does_not_make_variables_up(play: Play) -> None:
    """A release whose variables are no longer kept is not brought back without them."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy(Given({"A": "1"}))
        desk.commit("two")
        await desk.update(Change(plain={"A": "2"}))
        position = desk.machine.views.environments.position(desk.id, 1)
        del desk.machine.around.contents.payloads[position, "environment"]
        with pytest.raises(BlobNotFound):
            await desk.wishes.roll_back(desk.id, 1, ANYBODY)
        assert desk.served.generation == 2

    play(scenario)


def test_scales_without_touching_those_that_go_on(play: Play) -> None:
    """Instances are added to and taken from the generation that serves; a change of their number alone is a scale."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy()
        (first,) = [key for key, _ in desk.machine.views.instances_of(desk.id)]
        await desk.wishes.scale(desk.id, 3, ANYBODY)
        await desk.settle()
        assert next(key for key, _ in desk.machine.views.instances_of(desk.id)) == first
        await desk.update(Change({"replicas": 2}))
        assert (desk.served.generation, len(desk.machine.views.serving_instances(desk.id))) == (1, 2)
        for replicas in (0, -1, REPLICAS_LIMIT + 1):
            with pytest.raises(Invalid):
                await desk.wishes.scale(desk.id, replicas, ANYBODY)

    play(scenario)


def test_a_redeploy_keeps_the_number_of_instances(play: Play) -> None:
    """Deploying again does not scale down unless it says so."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy(Given(replicas=3))
        await desk.deploy()
        assert (desk.served.generation, desk.spec.replicas) == (2, 3)
        await desk.deploy(Given(replicas=1))
        assert (desk.served.generation, desk.spec.replicas) == (3, 1)

    play(scenario)


def test_a_change_can_depend_on_the_version_that_was_seen(play: Play) -> None:
    """Each wish can name the version it was made for; another one in between refuses it."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy()
        seen = Expected(desk.deployments.get(desk.id).version)
        await desk.wishes.scale(desk.id, 2, ANYBODY, seen)
        await desk.settle()
        wishes = desk.wishes
        for late in (
            wishes.scale(desk.id, 1, ANYBODY, seen),
            wishes.update(desk.id, NO_CHANGE, ANYBODY, seen),
            wishes.roll_back(desk.id, 1, ANYBODY, seen),
        ):
            with pytest.raises(VersionConflict):
                await late

    play(scenario)


def test_tells_what_is_kept_and_who_asked(play: Play) -> None:
    """The history has the newest first, the serving one marked, and who asked for each."""

    async def scenario(desk: Desk) -> None:
        await desk.deploy()
        commit = desk.commit("two")
        await desk.wishes.update(desk.id, NO_CHANGE, ANYBODY._replace(actor="key:other"))
        await desk.settle()
        kept = await desk.history.of(desk.id)
        assert [(one.served.generation, one.is_active, one.actor) for one in kept] == [
            (2, True, "key:other"),
            (1, False, ANYBODY.actor),
        ]
        assert kept[0].served.release.commit == commit
        end = desk.deployments.get(desk.id).state.last_end
        assert end is not None
        assert end.outcome is Outcome.SUCCEEDED
        with pytest.raises(DeploymentNotFound):
            await desk.history.of("unknown")

    play(scenario)
