"""Folders as a hostile agent changes them: it shows, nothing is followed, nothing outside is touched."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ploinky.adapters.file_courier import FileCourier
from ploinky.adapters.file_courier_removal import LOCK_CONTENT_LIMIT, RemovalBudget, remove_entry
from ploinky.adapters.file_courier_trash import NAME_ATTEMPTS
from ploinky.domain.errors import QueueUnavailable
from tests.adapters.courier.folder_agent import INSTANCE_ID, TASK_ID, FolderAgent, order

NAME = f"{TASK_ID}.1"
PARTS = ["tasks", "cancel", "results", "errors", "locks"]

Attack = Callable[[Path, Path], None]


def replace_by_a_link(part: Path, outside: Path) -> None:
    part.rename(part.with_name("aside"))
    part.symlink_to(outside)


def replace_by_another_folder(part: Path, outside: Path) -> None:
    part.rename(part.with_name("aside"))
    part.mkdir()


def replace_by_a_file(part: Path, outside: Path) -> None:
    shutil.rmtree(part)
    part.write_text("")


def remove_it(part: Path, outside: Path) -> None:
    shutil.rmtree(part)


ATTACKS = [replace_by_a_link, replace_by_another_folder, replace_by_a_file, remove_it]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("part", [*PARTS, ""])
def test_shows_when_a_folder_was_replaced(
    courier: FileCourier, agent: FolderAgent, outside: Path, part: str, attack: Attack
) -> None:
    """A look says that the queue was tampered with, whatever took the folder's place."""
    attack(agent.root / part, outside)
    with pytest.raises(QueueUnavailable, match="tampered"):
        courier.look(INSTANCE_ID, include_claims=True)
    with pytest.raises(QueueUnavailable):
        courier.attach(INSTANCE_ID)


@pytest.mark.parametrize("part", PARTS)
def test_works_on_the_folder_it_opened(
    courier: FileCourier, agent: FolderAgent, outside: Path, runner: asyncio.Runner, part: str
) -> None:
    """Before the attack shows, everything still happens in the true folder, nothing behind the link."""
    (outside / NAME).mkdir()
    (outside / NAME / "owner").write_text("keep")
    replace_by_a_link(agent.root / part, outside)
    runner.run(courier.send(INSTANCE_ID, order()))
    runner.run(courier.cancel(INSTANCE_ID, TASK_ID, 1))
    assert courier.is_ready(INSTANCE_ID) is False
    courier.settle(INSTANCE_ID, TASK_ID, 1)
    assert (outside / NAME / "owner").read_text() == "keep"
    shutil.rmtree(outside / NAME)


@pytest.mark.parametrize("part", [*PARTS, ""])
@pytest.mark.parametrize("attack", [replace_by_a_link, replace_by_a_file, remove_it])
def test_refuses_to_attach_a_replaced_folder(
    runner: asyncio.Runner, place: Path, outside: Path, part: str, attack: Attack
) -> None:
    """After a restart of the server a folder that is a link, or no folder, is not attached."""
    before = FileCourier(str(place / "queues"), runner.get_loop())
    root = Path(before.provision(INSTANCE_ID, None))
    before.close()
    attack(root / part, outside)
    after = FileCourier(str(place / "queues"), runner.get_loop())
    with pytest.raises(QueueUnavailable):
        after.attach(INSTANCE_ID)
    after.close()


def test_does_not_provision_through_a_link(courier: FileCourier, place: Path, outside: Path) -> None:
    """A link in the place of a folder to be made is refused, and nothing is made behind it."""
    root = Path(courier.provision(INSTANCE_ID, None))
    replace_by_a_link(root / "results", outside / "inner")
    with pytest.raises(QueueUnavailable):
        courier.provision(INSTANCE_ID, None)


@pytest.mark.parametrize("instance_id", ["", "..", "x.1.1", f"../{INSTANCE_ID}", f"{INSTANCE_ID}\n", f"{INSTANCE_ID}/"])
def test_refuses_what_is_no_instance(courier: FileCourier, instance_id: str) -> None:
    """Only ids of the known form become paths."""
    with pytest.raises(QueueUnavailable):
        courier.provision(instance_id, None)
    with pytest.raises(QueueUnavailable):
        courier.attach(instance_id)


def test_settling_does_not_reach_through_a_claim_that_is_a_link(
    courier: FileCourier, agent: FolderAgent, outside: Path
) -> None:
    """A claim that is a link to a folder with an `owner` loses the link, not the `owner`."""
    (agent.root / "locks" / NAME).symlink_to(outside)
    courier.settle(INSTANCE_ID, TASK_ID, 1)
    assert agent.files() == []


def test_settling_removes_what_a_claim_should_not_hold(courier: FileCourier, agent: FolderAgent, outside: Path) -> None:
    """Unexpected files, folders and links inside a claim go with it, links unfollowed."""
    lock = agent.claim()
    (lock / "more" / "and" / "more").mkdir(parents=True)
    (lock / "more" / "link").symlink_to(outside)
    (lock / "link").symlink_to(outside / "owner")
    courier.settle(INSTANCE_ID, TASK_ID, 1)
    assert agent.files() == []


def test_settling_leaves_a_claim_that_holds_too_much(
    courier: FileCourier, agent: FolderAgent, reports: list[str]
) -> None:
    """More entries than the bound are left, which is reported once and costs a bounded time."""
    lock = agent.claim()
    for number in range(3 * LOCK_CONTENT_LIMIT):
        (lock / str(number)).touch()
    courier.settle(INSTANCE_ID, TASK_ID, 1)
    courier.settle(INSTANCE_ID, TASK_ID, 1)
    assert len(list(lock.iterdir())) > LOCK_CONTENT_LIMIT
    assert len(reports) == 1
    assert NAME in reports[0]


def test_settling_removes_files_that_are_something_else(
    courier: FileCourier, agent: FolderAgent, outside: Path
) -> None:
    """Links and folders in the place of an attempt's files are removed as such."""
    (agent.root / "results" / NAME).symlink_to(outside)
    (agent.root / "errors" / NAME / "deep").mkdir(parents=True)
    courier.settle(INSTANCE_ID, TASK_ID, 1)
    assert agent.files() == []


@pytest.mark.parametrize("kind", ["link", "folder", "file"])
def test_sends_past_what_lies_at_the_temporary_name(
    courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner, outside: Path, kind: str
) -> None:
    """A left-over temporary file, or a link put there, is replaced and never written through."""
    temporary = agent.root / "tasks" / f".{NAME}"
    if kind == "link":
        temporary.symlink_to(outside / "owner")
    elif kind == "folder":
        temporary.mkdir()
    else:
        temporary.write_text("left by a crash")
    runner.run(courier.send(INSTANCE_ID, order()))
    assert agent.orders() == [order()]


def test_says_when_a_task_cannot_be_put_in_place(
    courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner
) -> None:
    """A folder in the task's place makes the queue unavailable, and leaves no temporary file."""
    (agent.root / "tasks" / NAME).mkdir()
    with pytest.raises(QueueUnavailable, match="takes no task"):
        runner.run(courier.send(INSTANCE_ID, order()))
    assert agent.files() == [f"tasks/{NAME}"]


def test_is_not_ready_by_a_link(courier: FileCourier, agent: FolderAgent, outside: Path) -> None:
    """Only a regular file says that the agent is ready."""
    (agent.root / "locks" / ".ready").symlink_to(outside / "owner")
    assert courier.is_ready(INSTANCE_ID) is False


def test_release_does_not_follow_links(courier: FileCourier, agent: FolderAgent, outside: Path, place: Path) -> None:
    """Everything of the folder goes, nothing that its links point to."""
    (agent.root / "link").symlink_to(outside)
    (agent.root / "results" / NAME).symlink_to(outside / "owner")
    replace_by_a_link(agent.root / "tasks", outside / "inner")
    courier.release(INSTANCE_ID)
    assert [path.name for path in (place / "queues").iterdir()] == [".trash"]
    assert list((place / "queues" / ".trash").iterdir()) == []


def test_release_leaves_a_tree_that_is_too_deep_in_the_trash(
    courier: FileCourier, agent: FolderAgent, reports: list[str], place: Path
) -> None:
    """A very deep tree is moved aside at once, and reported."""
    deep = agent.root / "locks"
    for _ in range(100):
        deep = deep / "d"
        deep.mkdir()
    courier.release(INSTANCE_ID)
    assert not agent.root.exists()
    assert len(list((place / "queues" / ".trash").iterdir())) == 1
    assert ".trash" in reports[0]
    courier.provision(INSTANCE_ID, None)
    courier.release(INSTANCE_ID)
    assert not agent.root.exists()


def test_sweeps_the_trash_when_it_starts(runner: asyncio.Runner, place: Path, outside: Path) -> None:
    """What a crash left in the trash is removed at the next start, links unfollowed."""
    left = place / "queues" / ".trash" / f"{INSTANCE_ID}.0"
    (left / "tasks").mkdir(parents=True)
    (left / "link").symlink_to(outside)
    FileCourier(str(place / "queues"), runner.get_loop()).close()
    assert not left.exists()


def test_removal_stops_at_its_bound(tmp_path: Path) -> None:
    """Not one entry more than the budget is removed."""
    crowd = tmp_path / "crowd"
    crowd.mkdir()
    for number in range(50):
        (crowd / str(number)).touch()
    parent_fd = os.open(tmp_path, os.O_RDONLY)
    assert remove_entry(parent_fd, "crowd", RemovalBudget(11)) is False
    assert len(list(crowd.iterdir())) == 40
    assert remove_entry(parent_fd, "crowd", RemovalBudget(100)) is True
    assert remove_entry(parent_fd, "crowd", RemovalBudget(100)) is True
    os.close(parent_fd)


def test_release_reports_what_it_cannot_move(
    courier: FileCourier, agent: FolderAgent, reports: list[str], place: Path, outside: Path
) -> None:
    """A deployment's folder that became a link is left alone and reported."""
    agent.root.parent.rename(place / "aside")
    agent.root.parent.symlink_to(outside)
    courier.release(INSTANCE_ID)
    assert "cannot be removed" in reports[0]
    assert agent.root.parent.is_symlink()


def test_release_reports_a_trash_that_is_full(courier: FileCourier, agent: FolderAgent, reports: list[str]) -> None:
    """A folder that cannot be moved aside stays, which is reported."""
    for number in range(NAME_ATTEMPTS):
        (agent.root.parent.parent / ".trash" / f"{INSTANCE_ID}.{number}").touch()
    courier.release(INSTANCE_ID)
    assert "cannot be removed" in reports[0]
    assert agent.root.exists()


def test_the_sweep_reports_what_it_cannot_remove(runner: asyncio.Runner, place: Path, reports: list[str]) -> None:
    """What is too deep stays in the trash also at the next start, and is reported."""
    deep = place / "queues" / ".trash" / "old"
    deep.joinpath(*["d"] * 40).mkdir(parents=True)
    FileCourier(str(place / "queues"), runner.get_loop(), reports.append).close()
    assert len(reports) == 1
    assert deep.exists()


def test_refuses_a_trash_that_is_a_link(runner: asyncio.Runner, place: Path, outside: Path) -> None:
    """A trash that leads elsewhere stops the start: things are removed there."""
    (place / "queues").mkdir()
    (place / "queues" / ".trash").symlink_to(outside)
    with pytest.raises(QueueUnavailable):
        FileCourier(str(place / "queues"), runner.get_loop())
