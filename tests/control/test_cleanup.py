"""Only what no deployment needs, to run or to be rolled back, is removed."""

import pytest

from ploinky.domain import commands as c
from ploinky.ports.leftovers import DiskSpace, Leftover, LeftoverKind
from tests.control.machine import SPEC, URL, Machine, Play, Surroundings, running
from tests.waiting import eventually

NEEDY = {"sample/manifest.json": b'{"access": "public", "install": "make"}'}
STRAY = "ab" * 16


def checkout(commit: str) -> Leftover:
    return Leftover(LeftoverKind.CHECKOUT, f"agents-12345678/{commit}")


def release(name: str) -> Leftover:
    return Leftover(LeftoverKind.RELEASE, name)


async def settled(machine: Machine) -> None:
    """Wait until no rollout is under way and nothing of an earlier generation is left."""
    await eventually(
        lambda: (
            not any(row.state.rollout for _, row in machine.views.deployments.items())
            and len(machine.views.instances_of("d1")) == 1
        ),
        what="rest",
    )


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_removes_what_nothing_needs(play: Play, is_dry_run: bool) -> None:
    """Strays go, or are named; what serves, and what served, stays."""

    async def scenario(around: Surroundings) -> None:
        first = around.sources.commit(URL, NEEDY)
        async with running(around) as machine:
            await machine.deploy()
            second = around.sources.commit(URL, {**NEEDY, "sample/more": b"x"})
            await machine.give(c.UpdateDeployment(subject_id="d1", spec=SPEC))
            await machine.ready_instance("d1", generation=2)
            await settled(machine)
            installed = set(around.dependencies.filled)
            assert len(installed) == 2
            around.dependencies.filled[STRAY] = {"x": bytes(30)}
            around.runtime.kept_images = ["sha256:stray"]
            kept = {checkout(first), checkout(second), release("d1/2")}
            strays = {checkout("0" * 40), release("d1/1"), release("gone/1")}
            around.leftovers.sizes = dict.fromkeys(kept | strays, 10)
            done = await machine.cleaner.clean(is_dry_run=is_dry_run)
            names = {f"{stray.kind} {stray.name}" for stray in strays}
            assert set(done.removed) == names | {f"dependencies {STRAY}", "image sha256:stray"}
            assert (done.freed_bytes, done.is_dry_run) == (0 if is_dry_run else 60, is_dry_run)
            assert (set(around.leftovers.sizes) == kept) is not is_dry_run
            assert (set(around.dependencies.filled) == installed) is not is_dry_run
            assert (around.runtime.kept_images == []) is not is_dry_run

    play(scenario)


def test_warns_once_of_a_full_disk(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """When less is free than was asked for, the log says so, once until there is room again."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            machine.cleaner._least_free_bytes = 100
            for free_bytes in (99, 98, 100, 99):
                around.leftovers.disk = DiskSpace(free_bytes, 1_000)
                space = await machine.cleaner.watch_space()
                assert space == (DiskSpace(free_bytes, 1_000), free_bytes < 100)

    play(scenario)
    assert [record.message.startswith("the disk has 99 bytes left") for record in caplog.records].count(True) == 2
    assert "98 bytes" not in caplog.text


def test_waits_for_rollouts(play: Play) -> None:
    """What a rollout will need is not known before it is there, so nothing is looked at until it has ended."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, NEEDY)
        around.leftovers.sizes = {release("gone/1"): 10}
        async with running(around) as machine:
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/d1", spec=SPEC))
            done = await machine.cleaner.clean()
            assert done.reason
            assert around.leftovers.sizes == {release("gone/1"): 10}
            await machine.ready_instance()

    play(scenario)


def test_a_removed_deployment_leaves_nothing(play: Play) -> None:
    """Once it is gone, its dependencies and checkouts are nobody's."""

    async def scenario(around: Surroundings) -> None:
        commit = around.sources.commit(URL, NEEDY)
        around.leftovers.sizes = {checkout(commit): 10}
        async with running(around) as machine:
            await machine.deploy()
            await machine.give(c.Undeploy(subject_id="d1"))
            await eventually(lambda: "d1" not in machine.views.deployments.rows, what="the removal")
            await machine.cleaner.clean()
            assert around.leftovers.sizes == {}
            assert around.dependencies.filled == {}

    play(scenario)
