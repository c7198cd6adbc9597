"""Which image a rollout runs in: asked for anew, built, or exactly the one that ran before."""

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.deployment import RolloutEnd
from ploinky.ports.images import LABEL_IMAGE_DEPLOYMENT, LABEL_IMAGE_JOURNAL, RegistryLogin
from tests.control.machine import SITE, SPEC, URL, Machine, Play, Surroundings, running
from tests.waiting import eventually


def with_image(reference: str) -> dict[str, bytes]:
    return {"sample/manifest.json": f'{{"access": "public", "image": "{reference}"}}'.encode()}


async def end_of(machine: Machine, generation: int) -> RolloutEnd:
    def found() -> RolloutEnd | None:
        row = machine.views.deployments.rows.get("d1")
        end = row.state.last_end if row else None
        return end if end and end.generation == generation else None

    await eventually(lambda: found() is not None, what=f"the end of rollout {generation}")
    end = found()
    assert end is not None
    return end


@pytest.mark.parametrize(
    ("reference", "is_moving"),
    [("shop", True), ("shop:latest", True), ("images.example.com:5000/shop", True), ("shop:1.2", False), ("", False)],
)
def test_a_moving_tag_is_asked_for_again(play: Play, reference: str, is_moving: bool) -> None:
    """A deploy and an update look whether a tag without a number stands for something newer; a restart never looks."""

    async def scenario(around: Surroundings) -> None:
        if reference:
            around.sources.commit(URL, with_image(reference))
        async with running(around) as machine:
            await machine.deploy()
            await machine.give(c.UpdateDeployment(subject_id="d1", spec=SPEC))
            await machine.ready_instance("d1", generation=2)
            await machine.give(c.RestartDeployment(subject_id="d1"))
            await machine.ready_instance("d1", generation=3)
            assert around.runtime.asked == [(reference, is_moving, None)] * 2

    play(scenario)


def test_a_restart_without_its_image_says_so(play: Play) -> None:
    """An image that is gone is never replaced by whatever has its name now."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, with_image("shop:1"))
        async with running(around) as machine:
            await machine.deploy()
            around.runtime.lost_images.add("shop:1")
            await machine.give(c.RestartDeployment(subject_id="d1"))
            end = await end_of(machine, 2)
            assert (end.step, end.code) == ("image", "IMAGE_UNAVAILABLE")
            assert "shop:1" in end.message
            assert "Update" in end.hint

    play(scenario)


def test_a_lost_base_image_is_replaced(play: Play) -> None:
    """Who names no image takes the one of the machine, whichever that is."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            await machine.deploy()
            around.runtime.lost_images.add("")
            await machine.give(c.RestartDeployment(subject_id="d1"))
            await machine.ready_instance("d1", generation=2)

    play(scenario)


def test_a_dockerfile_is_built(play: Play) -> None:
    """An agent with a Dockerfile and no image is built from it, under a name that its source gives, with our labels."""

    async def scenario(around: Surroundings) -> None:
        commit = around.sources.commit(URL, {"sample/manifest.json": b"{}", "sample/Dockerfile": b"FROM x"})
        async with running(around) as machine:
            await machine.deploy()
            (spec,) = around.runtime.built
            assert spec.reference.startswith(f"ploinky-agent/d1:{commit[:12]}-")
            assert spec.labels[LABEL_IMAGE_JOURNAL] == SITE.journal_id
            assert spec.labels[LABEL_IMAGE_DEPLOYMENT] == "d1"
            assert around.runtime.asked == []
            around.runtime.lost_images.add(spec.reference)
            await machine.give(c.RestartDeployment(subject_id="d1"))
            await machine.ready_instance("d1", generation=2)
            assert around.runtime.built == [spec, spec], "the same again, from the same commit"

    play(scenario)


def test_a_private_registry_is_asked_with_its_password(play: Play) -> None:
    """The login goes with the call to the one host that it is for; the journal knows a version's id only."""

    async def scenario(around: Surroundings) -> None:
        around.sources.commit(URL, with_image("images.example.com/shop"))
        version = around.secrets.put(b"hunter2")
        async with running(around) as machine:
            for host in ("images.example.com", "other.example.com"):
                await machine.give(c.AddRegistry(subject_id=host, username="robot", secret=version))
            await machine.deploy()
            login = RegistryLogin(host="images.example.com", username="robot", password="hunter2")
            assert around.runtime.asked == [("images.example.com/shop", True, login)]
            records = machine.storage.store.read(0, 100)
            assert not [record for record in records if b"hunter2" in record.data]
            assert any(record.type == e.RegistryAdded.TYPE and version.encode() in record.data for record in records)

    play(scenario)
