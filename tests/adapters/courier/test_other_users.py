"""What the agent's user, and any other user of the machine, can do with a queue folder."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

from ploinky.adapters.file_courier import FileCourier
from ploinky.domain.errors import QueueUnavailable
from ploinky.ports.courier import Quarantined, Succeeded
from tests.adapters.courier.folder_agent import INSTANCE_ID, TASK_ID, TOKEN, FolderAgent, order, result

NAME = f"{TASK_ID}.1"
AGENT_USER_ID = 61_234
OTHER_USER_ID = 61_235

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to another user")


def run_as(user_id: int, script: str, *arguments: object) -> str:
    """Run a shell script as another user; return what it printed, and `DENIED` when the system refused something."""
    done = subprocess.run(
        ["sh", "-euc", script, "sh", *map(str, arguments)],
        user=user_id,
        group=user_id,
        extra_groups=[],
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "Permission denied" in done.stderr or "Operation not permitted" in done.stderr:
        return DENIED
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


DENIED = "denied"
READ = 'cat "$1"'
LIST = 'ls "$1"'
WRITE = ': >"$1"'
UNLINK = 'rm -f "$1"'
CHANGE_MODE = 'chmod 777 "$1"'
PUT_OWN_FOLDER = 'mv "$1/tasks" "$1/aside"; mkdir "$1/tasks"'
ANSWER = """
cd "$1"
mkdir "locks/$2"
: >"locks/$2/owner"
printf %s "$3" >results/.tmp
mv results/.tmp "results/$2"
"""
HIDE = """
cd "$1"
chmod 0 "results/$2"
mkdir -p "locks/$2/in"
chmod 0 "locks/$2/in" "locks/$2"
"""


@pytest.fixture
def queue(courier: FileCourier, runner: asyncio.Runner) -> FolderAgent:
    """A queue of an agent with a user of its own, one task in it."""
    agent = FolderAgent(courier.provision(INSTANCE_ID, AGENT_USER_ID))
    courier.attach(INSTANCE_ID)
    runner.run(courier.send(INSTANCE_ID, order()))
    runner.run(courier.cancel(INSTANCE_ID, TASK_ID, 1))
    return agent


@needs_root
def test_the_agent_reads_its_task(queue: FolderAgent) -> None:
    """The agent's user can list and read tasks and cancellations, whatever the server's umask."""
    assert TOKEN in run_as(AGENT_USER_ID, READ, queue.root / "tasks" / NAME)
    assert run_as(AGENT_USER_ID, LIST, queue.root / "tasks") == NAME
    assert run_as(AGENT_USER_ID, READ, queue.root / "cancel" / NAME) == ""


@needs_root
def test_nobody_else_reads_the_token(queue: FolderAgent) -> None:
    """A third user cannot read the task, nor list anything."""
    assert run_as(OTHER_USER_ID, READ, queue.root / "tasks" / NAME) == DENIED
    assert run_as(OTHER_USER_ID, LIST, queue.root) == DENIED
    assert run_as(OTHER_USER_ID, LIST, queue.root.parent) == DENIED
    assert run_as(OTHER_USER_ID, LIST, queue.root.parent.parent) == DENIED


@needs_root
@pytest.mark.parametrize("folder", ["tasks", "cancel"])
def test_the_agent_cannot_change_what_is_the_servers(queue: FolderAgent, folder: str) -> None:
    """Tasks and cancellations can be neither written, added, removed nor opened up by the agent."""
    assert run_as(AGENT_USER_ID, WRITE, queue.root / folder / NAME) == DENIED
    assert run_as(AGENT_USER_ID, WRITE, queue.root / folder / "new") == DENIED
    assert run_as(AGENT_USER_ID, UNLINK, queue.root / folder / NAME) == DENIED
    assert run_as(AGENT_USER_ID, CHANGE_MODE, queue.root / folder) == DENIED
    assert queue.orders() == [order()]


@needs_root
def test_the_agent_answers(queue: FolderAgent, courier: FileCourier) -> None:
    """The agent's user can claim and put a result in place, and settling removes all of it."""
    assert run_as(AGENT_USER_ID, ANSWER, queue.root, NAME, json.dumps(result())) == ""
    (finding,) = [found for found in courier.look(INSTANCE_ID) if isinstance(found, Succeeded)]
    assert finding.task_id == TASK_ID
    courier.settle(INSTANCE_ID, TASK_ID, 1)
    assert queue.files() == []


@needs_root
def test_shows_when_the_agent_puts_its_own_tasks_folder_there(
    queue: FolderAgent, courier: FileCourier, runner: asyncio.Runner, place: Path
) -> None:
    """A tasks folder of the agent's making is noticed while attached, and refused at a restart."""
    assert run_as(AGENT_USER_ID, PUT_OWN_FOLDER, queue.root) == ""
    with pytest.raises(QueueUnavailable, match="tampered"):
        courier.look(INSTANCE_ID, include_claims=True)
    courier.close()
    after = FileCourier(str(place / "queues"), runner.get_loop())
    with pytest.raises(QueueUnavailable, match="tampered"):
        after.attach(INSTANCE_ID)
    with pytest.raises(QueueUnavailable, match="somebody else"):
        after.provision(INSTANCE_ID, AGENT_USER_ID)
    after.close()


@needs_root
def test_an_unreadable_result_of_the_agent_is_read_by_root(queue: FolderAgent, courier: FileCourier) -> None:
    """Modes do not matter to root: the result of mode 0 counts, and folders of mode 0 are removed."""
    run_as(AGENT_USER_ID, ANSWER + HIDE, queue.root, NAME, json.dumps(result()))
    assert [type(found) for found in courier.look(INSTANCE_ID)][-1] is Succeeded
    courier.settle(INSTANCE_ID, TASK_ID, 1)
    assert queue.files() == []


@needs_root
def test_provisioning_again_keeps_owners(queue: FolderAgent, courier: FileCourier) -> None:
    """Repeating the provision changes neither owners nor the task that is there."""
    before = {path.name: (path.stat().st_uid, path.stat().st_mode) for path in queue.root.iterdir()}
    courier.provision(INSTANCE_ID, AGENT_USER_ID)
    assert {path.name: (path.stat().st_uid, path.stat().st_mode) for path in queue.root.iterdir()} == before
    assert before["tasks"][0] == 0
    assert before["results"][0] == AGENT_USER_ID
    assert queue.orders() == [order()]


@needs_root
def test_without_root_a_foreign_owner_is_refused(place: Path, runner: asyncio.Runner) -> None:
    """A server that is not root says that it cannot give folders away, and works for its own user."""
    (place / "queues").mkdir()
    os.chown(place / "queues", OTHER_USER_ID, OTHER_USER_ID)
    os.seteuid(OTHER_USER_ID)
    try:
        courier = FileCourier(str(place / "queues"), runner.get_loop())
        with pytest.raises(QueueUnavailable, match="cannot be made"):
            courier.provision(INSTANCE_ID, AGENT_USER_ID)
        courier.provision(INSTANCE_ID, None)
        courier.attach(INSTANCE_ID)
        courier.release(INSTANCE_ID)
        courier.close()
    finally:
        os.seteuid(0)


@needs_root
def test_without_root_locked_folders_stay_in_the_trash(place: Path, runner: asyncio.Runner) -> None:
    """An agent of the server's own user can lock its folders; they are moved aside and reported."""
    reports: list[str] = []
    (place / "queues").mkdir()
    os.chown(place / "queues", OTHER_USER_ID, OTHER_USER_ID)
    os.seteuid(OTHER_USER_ID)
    try:
        courier = FileCourier(str(place / "queues"), runner.get_loop(), reports.append)
        agent = FolderAgent(courier.provision(INSTANCE_ID, None))
        courier.attach(INSTANCE_ID)
        agent.claim().chmod(0)
        courier.settle(INSTANCE_ID, TASK_ID, 1)
        agent.write("results", NAME, result()).chmod(0)
        (refused,) = [found for found in courier.look(INSTANCE_ID) if isinstance(found, Quarantined)]
        assert "cannot be opened" in refused.reason
        courier.release(INSTANCE_ID)
        courier.close()
    finally:
        os.seteuid(0)
    assert ["cannot be removed" in reports[0], ".trash" in reports[1]] == [True, True]
    assert not agent.root.exists()


def test_with_one_user_for_all_everything_is_private(courier: FileCourier, runner: asyncio.Runner) -> None:
    """Where the agent is the server's own user, no folder and no task is open to others."""
    agent = FolderAgent(courier.provision(INSTANCE_ID, os.geteuid()))
    courier.attach(INSTANCE_ID)
    runner.run(courier.send(INSTANCE_ID, order()))
    modes = {path.stat().st_mode & 0o077 for path in [agent.root, *agent.root.iterdir(), agent.root / "tasks" / NAME]}
    assert modes == {0}
