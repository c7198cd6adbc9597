"""Whatever an engine does, what is recorded of instances is true and work goes on."""

import asyncio
from datetime import timedelta
from threading import Event

import pytest

from ploinky.domain import commands as c
from ploinky.domain.errors import ImageUnavailable, RuntimeRefused, RuntimeUnavailable
from ploinky.domain.task import TaskState
from ploinky.policies import serving
from ploinky.ports.runtime import LABEL_INSTANCE, LABEL_JOURNAL, InstanceSpec, Observation
from ploinky.views import due_times
from tests.control.machine import SITE, SPEC, Machine, Play, Surroundings, running
from tests.waiting import eventually


class Trouble:
    """Raise from chosen methods of the runtime, so many times."""

    def __init__(self, method: str, error: Exception, times: int = 1_000_000) -> None:
        self.method, self.error, self.left = method, error, times
        self.hits = 0

    def __call__(self, method: str, _name: str) -> None:
        if method == self.method and self.left > 0:
            self.left -= 1
            self.hits += 1
            raise self.error


def newest_end(machine: Machine, deployment_id: str = "d1") -> tuple[bool, str, str]:
    row = machine.views.deployments.rows.get(deployment_id)
    end = row.state.last_end if row else None
    return (end.is_success, end.step, end.code) if end else (False, "", "")


def test_serves(play: Play) -> None:
    """Without trouble a deployment serves and a task is answered in one attempt."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            await machine.deploy()
            await machine.submit("t1")
            await eventually(lambda: machine.task("t1").state is TaskState.SUCCEEDED)
            types = [kind for kind in machine.types("task/t1") if kind != "task.claimed"]
            assert types == ["task.submitted", "task.attempt_started", "task.succeeded"]

    play(scenario)


@pytest.mark.parametrize("method", ["resolve_image", "create", "start", "stop", "remove"])
def test_tries_again(play: Play, method: str) -> None:
    """A step whose engine does not answer is repeated until it does, and recorded once."""

    async def scenario(around: Surroundings) -> None:
        trouble = Trouble(method, RuntimeUnavailable("away"), times=3)
        around.runtime.before_call = trouble
        async with running(around) as machine:
            if method == "resolve_image":
                # An image is not waited for: the rollout ends with the reason.
                await machine.give(c.Deploy(subject_id="d1", domain="*", path="/x", spec=SPEC))
                await eventually(lambda: newest_end(machine) == (False, "image", "RUNTIME_UNAVAILABLE"))
                return
            instance_id = await machine.deploy()
            await machine.give(c.Undeploy(subject_id="d1"))
            await eventually(lambda: "d1" not in machine.views.deployments.rows)
            types = machine.types(f"instance/{instance_id}")
            assert trouble.hits == 3
            assert [types.count(f"instance.{what}") for what in ("started", "stopped", "removed")] == [1, 1, 1]
            assert len(around.runtime.started) == 1
            assert around.runtime.list(SITE.journal_id) == []

    play(scenario)


@pytest.mark.parametrize(
    ("method", "error", "end"),
    [
        ("resolve_image", ImageUnavailable("no such image"), (False, "image", "IMAGE_UNAVAILABLE")),
        ("create", RuntimeRefused("no"), (False, "start", "RUNTIME_REFUSED")),
        ("start", RuntimeRefused("no"), (False, "start", "RUNTIME_REFUSED")),
    ],
)
def test_a_refusal_ends_the_rollout(play: Play, method: str, error: Exception, end: tuple[bool, str, str]) -> None:
    """What an engine refuses is the outcome, with its code, and nothing of it stays."""

    async def scenario(around: Surroundings) -> None:
        around.runtime.before_call = Trouble(method, error)
        async with running(around) as machine:
            await machine.give(c.Deploy(subject_id="d1", domain="*", path="/x", spec=SPEC))
            await eventually(lambda: newest_end(machine) == end)
            await eventually(lambda: machine.views.instances_of("d1") == [])

    play(scenario)


def test_a_defect_stops_nobody_else(play: Play) -> None:
    """An effect that fails unexpectedly is repeated; other deployments go on meanwhile."""

    async def scenario(around: Surroundings) -> None:
        trouble = Trouble("create", ZeroDivisionError(), times=5)
        around.runtime.before_call = trouble
        async with running(around) as machine:
            await machine.deploy("d1")
            await machine.deploy("d2")
            assert trouble.hits == 5

    play(scenario)


def test_silence_is_no_end(play: Play) -> None:
    """While the engine is silent its instance is unobservable, its tasks go on, and all is well again after."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            instance_id = await machine.deploy()
            around.runtime.before_call = Trouble("list", RuntimeUnavailable("away"))
            await eventually(lambda: (one := machine.instance(instance_id)) is not None and one.is_unobservable)
            await machine.submit("t1")
            await eventually(lambda: machine.task("t1").state is TaskState.SUCCEEDED)
            around.runtime.before_call = Trouble("nothing", ZeroDivisionError())
            await eventually(lambda: (one := machine.instance(instance_id)) is not None and not one.is_unobservable)
            types = machine.types(f"instance/{instance_id}")
            assert types.count("instance.unobservable") == 1
            assert "instance.stopped" not in types

    play(scenario)


def test_an_instance_that_dies_is_replaced(play: Play) -> None:
    """An exit is recorded with its code and last words, and a new generation serves; a cut task is repeated."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            instance_id = await machine.deploy()
            around.courier.is_silent = True
            await machine.submit("t1")
            await eventually(lambda: machine.task("t1").state is TaskState.RUNNING)
            around.courier.is_silent = False
            around.runtime.exit(name_of(machine, instance_id), 3)
            await machine.ready_instance(generation=2)
            await eventually(lambda: machine.task("t1").state is TaskState.SUCCEEDED)
            assert machine.task("t1").attempt == 2

    play(scenario)


def name_of(machine: Machine, instance_id: str) -> str:
    instance = machine.instance(instance_id)
    assert instance is not None
    return instance.name


def test_what_vanished_is_replaced(play: Play) -> None:
    """An instance that was removed behind our back has ended, and is replaced."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            instance_id = await machine.deploy()
            around.runtime.remove(name_of(machine, instance_id))
            await machine.ready_instance(generation=2)

    play(scenario)


def stranger() -> InstanceSpec:
    return InstanceSpec(
        name="stranger",
        labels={LABEL_JOURNAL: SITE.journal_id, LABEL_INSTANCE: "d9.1.0"},
        image="",
        command=(),
        environment={},
        code_directory="/x",
        agentcore_directory="/x",
        queue_directory="/x",
        log_path="/x",
    )


@pytest.mark.parametrize("grace_seconds", [0.2, 3_600.0])
def test_an_orphan_is_removed_after_its_grace(
    play: Play, monkeypatch: pytest.MonkeyPatch, grace_seconds: float
) -> None:
    """What runs under our label and nobody knows is reported at once, and removed after the grace, not before."""
    for module in (serving, due_times):
        monkeypatch.setattr(module, "ORPHAN_GRACE", timedelta(seconds=grace_seconds))

    async def scenario(around: Surroundings) -> None:
        around.runtime.create(stranger())
        around.runtime.start("stranger")
        async with running(around) as machine:
            await eventually(lambda: "instance.orphan_found" in machine.types("instance/d9.1.0"), what="the report")
            if grace_seconds < 1:
                await eventually(lambda: around.runtime.inspect("stranger") is None, what="the removal")
                await eventually(lambda: "instance.removed" in machine.types("instance/d9.1.0"), what="the record")
            else:
                await machine.deploy()
                assert around.runtime.inspect("stranger") is not None
                assert machine.types("instance/d9.1.0") == ["instance.orphan_found"]

    play(scenario)


def test_what_was_removed_during_a_look_is_no_orphan(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that was made before an instance was removed, and read after it, tells nothing new."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            instance_id = await machine.deploy()
            is_asked, may_answer = Event(), Event()
            ask = around.runtime.list

            def answer_late(journal_id: str) -> list[Observation]:
                found = ask(journal_id)
                is_asked.set()
                may_answer.wait(10.0)
                return found

            monkeypatch.setattr(around.runtime, "list", answer_late)
            looking = asyncio.create_task(machine.observer.resync())
            await eventually(is_asked.is_set, what="the look")
            await machine.give(c.Undeploy(subject_id="d1"))
            await eventually(lambda: machine.instance(instance_id) is None, what="the removal")
            may_answer.set()
            await looking
            assert machine.types(f"instance/{instance_id}")[-1] == "instance.removed"

    play(scenario)


def test_ends_although_there_is_news(play: Play) -> None:
    """Watching ends when it is told to, also when an engine has news in the same moment."""

    async def scenario(around: Surroundings) -> None:
        async with running(around) as machine:
            for turns in range(4):
                watching = asyncio.get_running_loop().create_task(machine.observer.run())
                await asyncio.sleep(0)
                machine.observer._wanted.set()
                for _ in range(turns):
                    await asyncio.sleep(0)
                watching.cancel()
                ended, _ = await asyncio.wait({watching}, timeout=5)
                assert ended, f"it watches on when cancelled {turns} turns after the news"

    play(scenario)
