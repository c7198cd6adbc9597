"""Hints: they come soon, for what matters only, and the watching survives what happens to folders."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from ploinky.adapters.file_courier import FileCourier
from ploinky.adapters.file_courier_look import LOOK_LIMIT_FINDINGS
from ploinky.ports.courier import Succeeded
from tests.adapters.courier.folder_agent import (
    INSTANCE_ID,
    OTHER_INSTANCE_ID,
    TASK_ID,
    FolderAgent,
    numbered_task_id,
    order,
    result,
)
from tests.waiting import eventually

NAME = f"{TASK_ID}.1"


class Hints:
    """What was hinted, and on which threads."""

    def __init__(self, courier: FileCourier) -> None:
        self.seen: list[str] = []
        self.threads: set[str] = set()
        courier.subscribe(self._hear)

    def _hear(self, instance_id: str) -> None:
        self.seen.append(instance_id)
        self.threads.add(threading.current_thread().name)

    async def wait(self, instance_id: str = INSTANCE_ID) -> set[str]:
        """Wait for the next hint for an instance; return who was hinted since the last wait."""
        await eventually(lambda: instance_id in self.seen, what=f"a hint for {instance_id}")
        hinted = set(self.seen)
        self.seen.clear()
        return hinted


@pytest.fixture
def other_agent(courier: FileCourier) -> FolderAgent:
    agent = FolderAgent(courier.provision(OTHER_INSTANCE_ID, None))
    courier.attach(OTHER_INSTANCE_ID)
    return agent


def open_below(directory: Path) -> list[str]:
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [path for path in found if path.startswith(str(directory))]


def _rename_in(folder: Path) -> None:
    (folder / ".new").touch()
    (folder / ".new").rename(folder / NAME)


def run(runner: asyncio.Runner, scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    runner.run(asyncio.wait_for(scenario(), 60))


def test_every_result_is_hinted(courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner) -> None:
    """Each of a hundred tasks in a row is found because of a hint, on the loop's own thread."""

    async def scenario() -> None:
        hints = Hints(courier)
        await hints.wait()
        for number in range(100):
            await courier.send(INSTANCE_ID, order(numbered_task_id(number)))
            agent.write("results", f"{numbered_task_id(number)}.1", result(numbered_task_id(number)))
            await hints.wait()
            found = [finding for finding in courier.look(INSTANCE_ID) if isinstance(finding, Succeeded)]
            assert [finding.task_id for finding in found] == [numbered_task_id(number)]
            courier.settle(INSTANCE_ID, numbered_task_id(number), 1)
        assert hints.threads == {threading.current_thread().name}

    run(runner, scenario)


def test_an_instance_attached_later_is_watched(
    courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner
) -> None:
    """Instances come and go; each fresh one is hinted once without any file."""

    async def scenario() -> None:
        hints = Hints(courier)
        await hints.wait()
        other = FolderAgent(courier.provision(OTHER_INSTANCE_ID, None))
        courier.attach(OTHER_INSTANCE_ID)
        await hints.wait(OTHER_INSTANCE_ID)
        other.fail()
        await hints.wait(OTHER_INSTANCE_ID)
        courier.release(INSTANCE_ID)
        other.succeed()
        await hints.wait(OTHER_INSTANCE_ID)

    run(runner, scenario)


def test_finds_what_was_there_before_it_watched(
    courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner
) -> None:
    """A result that was there before the watches is hinted when they stand."""

    async def scenario() -> None:
        agent.succeed()
        hints = Hints(courier)
        await hints.wait()
        assert len(courier.look(INSTANCE_ID)) == 1

    run(runner, scenario)


def test_does_not_hint_for_temporary_or_removed_files(
    courier: FileCourier, agent: FolderAgent, other_agent: FolderAgent, runner: asyncio.Runner
) -> None:
    """Neither a dot-name nor a removal is a reason to look: a later hint for another instance comes alone."""

    async def scenario() -> None:
        hints = Hints(courier)
        await hints.wait()
        agent.succeed()
        assert await hints.wait() == {INSTANCE_ID}
        (agent.root / "results" / ".tmp").touch()
        (agent.root / "results" / ".tmp").unlink()
        courier.settle(INSTANCE_ID, TASK_ID, 1)
        other_agent.succeed()
        assert await hints.wait(OTHER_INSTANCE_ID) == {OTHER_INSTANCE_ID}

    run(runner, scenario)


def test_a_replaced_folder_is_not_followed(
    courier: FileCourier, agent: FolderAgent, other_agent: FolderAgent, runner: asyncio.Runner, place: Path
) -> None:
    """The watch is on the folder that was opened; what happens behind a link in its place is no hint."""

    async def scenario() -> None:
        (place / "elsewhere").mkdir()
        (agent.root / "results").rename(agent.root / "aside")
        (agent.root / "results").symlink_to(place / "elsewhere")
        hints = Hints(courier)
        await hints.wait()
        _rename_in(place / "elsewhere")
        other_agent.succeed()
        assert await hints.wait(OTHER_INSTANCE_ID) == {OTHER_INSTANCE_ID}
        _rename_in(agent.root / "aside")
        assert await hints.wait() == {INSTANCE_ID}

    run(runner, scenario)


def test_a_look_cut_short_asks_for_another(courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner) -> None:
    """More results than one look takes are all found by following the hints."""

    async def scenario() -> None:
        count = LOOK_LIMIT_FINDINGS + 10
        for number in range(count):
            agent.write("results", f"{numbered_task_id(number)}.1", result(numbered_task_id(number)))
        found: list[object] = []
        courier.subscribe(lambda instance_id: found.extend(courier.look(instance_id)))
        await eventually(lambda: len(found) == count, what="all results")

    run(runner, scenario)


def test_says_once_when_the_system_refuses_to_watch(
    courier: FileCourier,
    agent: FolderAgent,
    runner: asyncio.Runner,
    reports: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused watches are reported once; looks go on finding results, and hints return when watching works again."""
    refusals: list[object] = []

    def refuse(*arguments: object, **options: object) -> None:
        refusals.append(arguments)
        raise OSError("inotify watch limit reached")

    async def scenario() -> None:
        monkeypatch.setattr("ploinky.adapters.file_courier_watch.FolderWatch", refuse)
        hints = Hints(courier)
        await eventually(lambda: reports, what="the report")
        courier.provision(OTHER_INSTANCE_ID, None)
        courier.attach(OTHER_INSTANCE_ID)
        await eventually(lambda: len(refusals) > 1, what="a second refusal")
        agent.succeed()
        assert len(courier.look(INSTANCE_ID)) == 1
        assert len(reports) == 1
        assert "limit reached" in reports[0]
        monkeypatch.undo()
        courier.release(OTHER_INSTANCE_ID)
        courier.provision(OTHER_INSTANCE_ID, None)
        courier.attach(OTHER_INSTANCE_ID)
        await hints.wait()

    run(runner, scenario)


def test_survives_folders_that_disappear(courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner) -> None:
    """Instances released while the watcher starts do not end the watching."""

    async def scenario() -> None:
        hints = Hints(courier)
        for _ in range(20):
            courier.provision(OTHER_INSTANCE_ID, None)
            courier.attach(OTHER_INSTANCE_ID)
            courier.release(OTHER_INSTANCE_ID)
        await hints.wait()
        await courier.send(INSTANCE_ID, order())
        agent.succeed()
        await hints.wait()

    run(runner, scenario)


def test_closing_ends_the_hints(courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner) -> None:
    """After close there is no further hint; the folder stays."""

    async def scenario() -> None:
        hints = Hints(courier)
        await hints.wait()
        agent.succeed()
        courier.close()
        await asyncio.sleep(0)
        assert hints.seen == []
        assert (agent.root / "results" / NAME).exists()

    run(runner, scenario)


def test_leaves_no_descriptor_behind(runner: asyncio.Runner, place: Path) -> None:
    """Attaching, releasing and closing give every descriptor back, also after a refusal."""
    courier = FileCourier(str(place / "queues"), runner.get_loop())
    for number in range(20):
        root = courier.provision(INSTANCE_ID, None)
        courier.attach(INSTANCE_ID)
        if number % 2:
            courier.release(INSTANCE_ID)
        else:
            os.rename(root, place / f"aside-{number}")
            courier.release(INSTANCE_ID)
    courier.provision(INSTANCE_ID, None)
    courier.attach(INSTANCE_ID)
    assert len(open_below(place)) > 0
    courier.close()
    assert open_below(place) == []
