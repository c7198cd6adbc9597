"""Draining, being killed, and what is left behind: nothing."""

import signal
from pathlib import Path

import pytest

from tests.agentcore.conftest import Agent, is_running
from tests.waiting import wait_until

# Runs until the file named by its first param appears.
WAITING = """
import os, time
def handle(params, context):
    os.makedirs(params[0] + '.started.' + str(os.getpid()))
    while not os.path.exists(params[0]):
        time.sleep(0.01)
    return 'finished'
"""


@pytest.fixture
def waiting(agent: Agent) -> Agent:
    agent.write("handlers/wait.py", WAITING)
    agent.write("handlers/sleep.sh", 'echo $$ > "$1.tmp"; mv "$1.tmp" "$1"; exec sleep 600\n')
    agent.write("agent.py", "def echo(x):\n    return x\n")
    return agent


def wait_worker(gate: Path) -> int:
    """Give the process id of the worker that waits for the gate."""
    wait_until(lambda: list(gate.parent.glob(f"{gate.name}.started.*")), what="the start of the handler")
    return int(next(gate.parent.glob(f"{gate.name}.started.*")).suffix[1:])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_once_when_idle(waiting: Agent, number: int) -> None:
    """An idle agent ends with status 0 and takes its readiness back."""
    waiting.start().data("echo", 1)
    waiting.signal(number)
    assert waiting.wait_end() == 0
    assert not (waiting.queue / "locks/.ready").exists()


def test_finishes_what_runs_and_claims_nothing_more(waiting: Agent, tmp_path: Path) -> None:
    """While it drains, running attempts go on and new tasks are left to others."""
    waiting.start(PLOINKY_WATCH="poll").submit("wait", str(tmp_path / "gate"))
    wait_worker(tmp_path / "gate")
    waiting.signal(signal.SIGTERM)
    waiting.submit("echo", 1, name="late.1")
    waiting.put("tasks", "no attempt", "")
    wait_until(lambda: "'no attempt' in tasks" in waiting.stderr(), what="a scan after the signal")
    (tmp_path / "gate").touch()
    assert waiting.wait_end() == 0
    assert waiting.wait_outcome()["data"] == "finished"
    assert not waiting.is_claimed("late.1")


def test_kills_what_does_not_finish_in_time(waiting: Agent, tmp_path: Path) -> None:
    """After the drain's time the rest is killed and answered with WORKER_DIED."""
    waiting.start(PLOINKY_DRAIN_SECONDS="0.2").submit("wait", str(tmp_path / "gate"))
    worker = wait_worker(tmp_path / "gate")
    waiting.signal(signal.SIGTERM)
    assert waiting.wait_end() == 0
    found = waiting.wait_outcome()
    assert (found["code"], found["message"]) == (
        "WORKER_DIED",
        "the agent was stopped before the attempt was finished",
    )
    assert not is_running(worker)


def test_ends_at_once_when_told_twice(waiting: Agent, tmp_path: Path) -> None:
    """A second signal does not wait for anybody."""
    waiting.start(PLOINKY_DRAIN_SECONDS="600").submit("wait", str(tmp_path / "gate"))
    worker = wait_worker(tmp_path / "gate")
    waiting.signal(signal.SIGTERM)
    wait_until(lambda: "drain" in waiting.stdout(), what="the first signal")
    waiting.signal(signal.SIGTERM)
    assert waiting.wait_end() == 143
    wait_until(lambda: not is_running(worker), what="the end of the worker")
    assert waiting.outcome() is None


def test_workers_die_with_their_parent(waiting: Agent, tmp_path: Path) -> None:
    """After kill -9 of the parent neither a stuck handler nor a program goes on."""
    waiting.start().submit("wait", str(tmp_path / "gate"))
    waiting.submit("sleep", str(tmp_path / "pid"), name="task-2.1")
    worker = wait_worker(tmp_path / "gate")
    wait_until((tmp_path / "pid").exists)
    program = int((tmp_path / "pid").read_text())
    waiting.signal(signal.SIGKILL)
    waiting.wait_end()
    wait_until(lambda: not is_running(worker) and not is_running(program), what="the end of the children")


def test_cancels_while_it_drains(waiting: Agent, tmp_path: Path) -> None:
    """A cancellation ends a running attempt, and with it the drain."""
    waiting.start(PLOINKY_DRAIN_SECONDS="600").submit("wait", str(tmp_path / "gate"))
    wait_worker(tmp_path / "gate")
    waiting.signal(signal.SIGTERM)
    waiting.cancel("task-1.1")
    assert waiting.wait_end() == 0
    assert waiting.wait_outcome()["code"] == "CANCELLED"
