"""A server that starts again finds the queues of agents that went on working."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

import agentcore
from ploinky.adapters.file_courier import MIRRORED_TASKS_LIMIT, FileCourier
from ploinky.domain.errors import QueueUnavailable
from ploinky.ports.courier import Failed, Finding, Succeeded
from tests.adapters.courier.folder_agent import INSTANCE_ID, TASK_ID, FolderAgent, numbered_task_id, order
from tests.waiting import eventually

AGENT_PY = """
def echo(*params):
    return list(params)
"""


def outcomes(courier: FileCourier) -> list[Finding]:
    return [found for found in courier.look(INSTANCE_ID) if isinstance(found, (Succeeded, Failed))]


def test_a_restarted_server_finds_everything(
    courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner, place: Path
) -> None:
    """Identity, readiness, results and orders survive the server; settling works for attempts it did not send."""
    identity = courier.attach(INSTANCE_ID)
    runner.run(courier.send(INSTANCE_ID, order()))
    agent.make_ready()
    courier.close()
    agent.claim()
    agent.succeed()
    after = FileCourier(str(place / "queues"), runner.get_loop())
    assert after.provision(INSTANCE_ID, None) == str(agent.root)
    assert after.attach(INSTANCE_ID) == identity
    assert after.is_ready(INSTANCE_ID)
    assert len(outcomes(after)) == 1
    after.settle(INSTANCE_ID, TASK_ID, 1)
    assert agent.files() == []
    after.close()


def test_a_folder_made_anew_has_another_identity(courier: FileCourier, agent: FolderAgent, place: Path) -> None:
    """A queue wiped and made again is not taken for the one before."""
    identity = courier.attach(INSTANCE_ID)
    agent.root.rename(place / "kept, so that its inode stays taken")
    courier.release(INSTANCE_ID)
    courier.provision(INSTANCE_ID, None)
    assert courier.attach(INSTANCE_ID) != identity


def test_takes_a_bounded_number_of_tasks(courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner) -> None:
    """A queue is full at its limit, says so, and takes more after one was settled."""

    async def fill() -> None:
        for number in range(MIRRORED_TASKS_LIMIT):
            await courier.send(INSTANCE_ID, order(numbered_task_id(number)))

    runner.run(fill())
    with pytest.raises(QueueUnavailable, match="full"):
        runner.run(courier.send(INSTANCE_ID, order()))
    runner.run(courier.send(INSTANCE_ID, order(numbered_task_id(0))))
    courier.settle(INSTANCE_ID, numbered_task_id(0), 1)
    runner.run(courier.send(INSTANCE_ID, order()))


@pytest.mark.parametrize("where", ["file", "missing parent"])
def test_says_when_queues_cannot_be_kept_there(runner: asyncio.Runner, tmp_path: Path, where: str) -> None:
    """A queue directory that cannot be one is refused at the start."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" if where == "file" else tmp_path / "file" / "queues"
    with pytest.raises(QueueUnavailable, match="cannot be kept here"):
        FileCourier(str(path), runner.get_loop())


@pytest.fixture
def real_agent(agent: FolderAgent, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The runner that stands in every agent, over this queue."""
    (tmp_path / "agent.py").write_text(AGENT_PY)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(agentcore.__file__).parent.parent),
        "AGENT_DIR": str(tmp_path),
        "PLOINKY_QUEUE_DIR": str(agent.root),
    }
    process = subprocess.Popen([sys.executable, "-m", "agentcore"], env=environment, stdout=subprocess.DEVNULL)
    yield process
    process.terminate()
    process.wait(30)


def test_works_with_the_real_agent(
    courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner, real_agent: subprocess.Popen[bytes]
) -> None:
    """Fifty tasks reach agentcore and their results come back by hints alone; nothing is left in the folder."""
    found: list[Finding] = []

    def collect(_: str) -> None:
        for finding in outcomes(courier):
            courier.settle(INSTANCE_ID, finding.task_id, finding.attempt)
            found.append(finding)

    async def scenario() -> None:
        await eventually(lambda: courier.is_ready(INSTANCE_ID), what="the agent")
        courier.subscribe(collect)
        for number in range(50):
            await courier.send(INSTANCE_ID, order(numbered_task_id(number)))
        await eventually(lambda: len(found) == 50, what="fifty results")

    runner.run(asyncio.wait_for(scenario(), 60))
    assert {type(finding) for finding in found} == {Succeeded}
    assert {finding.task_id for finding in found} == {numbered_task_id(number) for number in range(50)}
    assert agent.files() == []


@pytest.mark.parametrize("metadata", [MappingProxyType({"token": "t"}), {"inner": MappingProxyType({"a": 1})}])
def test_carries_any_mapping(
    courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner, metadata: Mapping[str, object]
) -> None:
    """Metadata may be any mapping, at any depth."""
    runner.run(courier.send(INSTANCE_ID, msgspec.structs.replace(order(), metadata=metadata)))
    assert agent.orders()[0].metadata == metadata


def test_refuses_metadata_that_is_no_json(courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner) -> None:
    """What JSON cannot express is a mistake of the caller, and leaves nothing behind."""
    with pytest.raises(TypeError, match="object"):
        runner.run(courier.send(INSTANCE_ID, order(strange=object())))
    assert agent.files() == []
    assert not courier._queues[INSTANCE_ID].open_names


def test_a_short_write_is_a_full_disk(
    courier: FileCourier, agent: FolderAgent, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that was not written wholly is never put in place."""
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:10]))
        with pytest.raises(QueueUnavailable, match="No space left"):
            runner.run(courier.send(INSTANCE_ID, order()))
    assert agent.files() == []
    assert not courier._queues[INSTANCE_ID].open_names
    runner.run(courier.send(INSTANCE_ID, order()))
    assert agent.orders() == [order()]
