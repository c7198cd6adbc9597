"""Cancellation, deadlines and workers that die: every attempt still gets exactly one outcome."""

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.agentcore.conftest import Agent, is_running, state_of
from tests.waiting import wait_until

STUCK = """
import os, signal, sys, time
def note(path):
    with open(path + '.tmp', 'w') as file:
        file.write(str(os.getpid()))
    os.rename(path + '.tmp', path)
def handle(params, context):
    if 'stubborn' in params:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(params[0])
    while True:
        time.sleep(60)
"""
ECHO = "def echo(x):\n    return x\n"
# A program that starts another one; both note their process ids, the first also what it was told.
FAMILY = """
trap 'echo told > "$1/told"; exit 0' TERM
sleep 600 &
echo $! > "$1/child"
echo $$ > "$1/.tmp"; mv "$1/.tmp" "$1/parent"
wait
"""


@pytest.fixture
def stuck(agent: Agent) -> Agent:
    agent.write("handlers/stuck.py", STUCK)
    agent.write("handlers/family.sh", FAMILY)
    agent.write("handlers/stubborn.sh", 'trap "" TERM\necho $$ > "$1/.tmp"; mv "$1/.tmp" "$1/parent"\nsleep 600\n')
    agent.write("agent.py", ECHO)
    return agent


def wait_pid(path: Path) -> int:
    wait_until(path.exists, what=str(path))
    return int(path.read_text())


def deadline_in(seconds: float) -> dict[str, str]:
    return {"deadline": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()}


def test_cancels_a_running_handler(stuck: Agent, tmp_path: Path) -> None:
    """The worker of a cancelled attempt is killed, the attempt answered, and the next one executed."""
    stuck.start(PLOINKY_CONCURRENCY="1").submit("stuck", str(tmp_path / "pid"))
    pid = wait_pid(tmp_path / "pid")
    stuck.cancel("task-1.1")
    assert stuck.wait_outcome()["code"] == "CANCELLED"
    assert not is_running(pid)
    assert stuck.data("echo", 1, name="task-2.1") == 1


def test_kills_a_handler_that_ignores_being_told(stuck: Agent, tmp_path: Path) -> None:
    """A handler that ignores SIGTERM is killed after its grace."""
    stuck.start().submit("stuck", str(tmp_path / "pid"), "stubborn")
    pid = wait_pid(tmp_path / "pid")
    stuck.cancel("task-1.1")
    assert stuck.wait_outcome()["code"] == "CANCELLED"
    assert not is_running(pid)


def test_lets_a_cancelled_program_end_by_itself(stuck: Agent, tmp_path: Path) -> None:
    """A program gets SIGTERM and its time; what it started is gone with it."""
    stuck.start().submit("family", str(tmp_path))
    pids = [wait_pid(tmp_path / name) for name in ("parent", "child")]
    stuck.cancel("task-1.1")
    assert stuck.wait_outcome()["code"] == "CANCELLED"
    assert (tmp_path / "told").read_text() == "told\n"
    wait_until(lambda: not any(map(is_running, pids)), what="the end of the programs")


def test_kills_a_program_that_ignores_being_told(stuck: Agent, tmp_path: Path) -> None:
    """A program that ignores SIGTERM is killed, and only then the attempt is answered."""
    stuck.start().submit("stubborn", str(tmp_path))
    pid = wait_pid(tmp_path / "parent")
    stuck.cancel("task-1.1")
    assert stuck.wait_outcome()["code"] == "CANCELLED"
    wait_until(lambda: not is_running(pid), what="the end of the program")


def test_cancels_an_attempt_before_it_is_claimed(stuck: Agent, tmp_path: Path) -> None:
    """An attempt that waits is claimed and answered without being executed."""
    stuck.start(PLOINKY_CONCURRENCY="1").submit("stuck", str(tmp_path / "pid"))
    wait_pid(tmp_path / "pid")
    stuck.submit("stuck", str(tmp_path / "never"), name="task-2.1")
    stuck.cancel("task-2.1")
    found = stuck.wait_outcome("task-2.1")
    assert (found["code"], found["message"]) == ("CANCELLED", "the attempt was cancelled before it was started")
    assert stuck.is_claimed("task-2.1")
    assert not (tmp_path / "never").exists()


def test_a_cancellation_may_come_before_its_task(stuck: Agent) -> None:
    """A task whose cancel file is there already is answered, not executed."""
    stuck.start().cancel("task-1.1")
    assert stuck.data("echo", 1, name="task-0.1") == 1
    assert stuck.call("echo", 2)["code"] == "CANCELLED"


def test_a_cancellation_after_the_end_changes_nothing(stuck: Agent) -> None:
    """The result of a finished attempt stands, and no error is added."""
    stuck.start(PLOINKY_WATCH="poll").data("echo", 1)
    stuck.cancel("task-1.1")
    stuck.wait_scan()
    assert not (stuck.queue / "errors/task-1.1").exists()
    assert (stuck.queue / "results/task-1.1").exists()


def test_enforces_the_deadline_of_a_handler(stuck: Agent, tmp_path: Path) -> None:
    """An attempt that outlasts its deadline is killed and answered with TASK_TIMEOUT."""
    stuck.start().submit("stuck", str(tmp_path / "pid"), metadata=deadline_in(2))
    pid = wait_pid(tmp_path / "pid")
    assert stuck.wait_outcome()["code"] == "TASK_TIMEOUT"
    assert not is_running(pid)


def test_enforces_the_deadline_of_a_program(stuck: Agent, tmp_path: Path) -> None:
    """A program that outlasts its deadline is stopped with all that it started."""
    stuck.start().submit("family", str(tmp_path), metadata=deadline_in(2))
    pids = [wait_pid(tmp_path / name) for name in ("parent", "child")]
    assert stuck.wait_outcome()["code"] == "TASK_TIMEOUT"
    wait_until(lambda: not any(map(is_running, pids)), what="the end of the programs")


def test_a_deadline_that_is_kept_is_no_timeout(stuck: Agent) -> None:
    """An attempt that ends in time gives its result."""
    stuck.write("handlers/short.sh", "sleep 0.2; echo done\n")
    assert stuck.start().data("short", metadata=deadline_in(30)) == "done"


def test_answers_for_a_worker_that_was_killed(stuck: Agent, tmp_path: Path) -> None:
    """After kill -9 of a worker its attempt is WORKER_DIED with the signal, and another worker goes on."""
    stuck.start(PLOINKY_CONCURRENCY="1").submit("stuck", str(tmp_path / "pid"))
    os.kill(wait_pid(tmp_path / "pid"), signal.SIGKILL)
    found = stuck.wait_outcome()
    assert (found["code"], found["details"]) == ("WORKER_DIED", {"signal": 9})
    assert stuck.data("echo", 1, name="task-2.1") == 1


def test_kills_what_a_dead_worker_started(stuck: Agent, tmp_path: Path) -> None:
    """Programs of a worker that was killed do not outlive it."""
    stuck.start().submit("family", str(tmp_path))
    pids = [wait_pid(tmp_path / name) for name in ("parent", "child")]
    worker = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(worker, signal.SIGKILL)
    assert stuck.wait_outcome()["code"] == "WORKER_DIED"
    wait_until(lambda: not any(map(is_running, pids)), what="the end of the programs")


@pytest.mark.parametrize(
    ("body", "details"),
    [("os._exit(7)", {"exit_status": 7}), ("os.kill(os.getpid(), 11)", {"signal": 11}), ("os.abort()", {"signal": 6})],
)
def test_answers_for_a_handler_that_ends_its_process(stuck: Agent, body: str, details: dict[str, int]) -> None:
    """A handler that takes its process down is WORKER_DIED and says how."""
    stuck.write("handlers/end.py", f"import os\ndef handle(params, context):\n    {body}\n")
    found = stuck.start().call("end")
    assert (found["code"], found["details"]) == ("WORKER_DIED", details)
    assert stuck.data("echo", 1, name="task-2.1") == 1


def test_replaces_an_idle_worker_that_died(stuck: Agent) -> None:
    """A worker that was killed between two attempts costs none of them."""
    stuck.write("handlers/pid.py", "import os\ndef handle(params, context):\n    return os.getpid()\n")
    stuck.start(PLOINKY_CONCURRENCY="1")
    first = stuck.data("pid", name="a.1")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_running(first))
    assert stuck.data("pid", name="b.1") != first


def test_an_attempt_its_worker_never_read_is_not_lost(stuck: Agent) -> None:
    """A worker that dies before it has read of an attempt leaves it to another one."""
    stuck.write("handlers/pid.py", "import os\ndef handle(params, context):\n    return os.getpid()\n")
    stuck.start(PLOINKY_CONCURRENCY="1")
    first = stuck.data("pid", name="a.1")
    os.kill(first, signal.SIGSTOP)
    wait_until(lambda: state_of(first) == "T")
    stuck.submit("pid", name="b.1")
    wait_until(lambda: stuck.is_claimed("b.1"))
    os.kill(first, signal.SIGKILL)
    assert stuck.wait_outcome("b.1")["data"] != first


def test_kills_a_worker_that_lost_its_channel(stuck: Agent) -> None:
    """A handler that closes every descriptor ends its worker, not the agent; it gets one outcome all the same."""
    stuck.write("handlers/close.py", "import os\ndef handle(params, context):\n    os.closerange(3, 256)\n")
    stuck.start(PLOINKY_CONCURRENCY="1")
    assert stuck.call("close").get("code", "WORKER_DIED") == "WORKER_DIED"
    assert stuck.data("echo", 1, name="task-2.1") == 1


def test_says_when_a_result_cannot_be_written(stuck: Agent) -> None:
    """A result that finds no place is an error of that attempt."""
    stuck.start()
    (stuck.queue / "results").rmdir()
    (stuck.queue / "results").write_text("in the way")
    stuck.submit("echo", 1)
    wait_until((stuck.queue / "errors/task-1.1").exists)
    assert stuck.read_error("task-1.1")["code"] == "RESULT_NOT_WRITTEN"


def test_answers_later_when_no_error_can_be_written_now(stuck: Agent) -> None:
    """An outcome that finds no place at all is kept and written when there is one again."""
    stuck.start()
    for folder in ("results", "errors"):
        (stuck.queue / folder).rmdir()
        (stuck.queue / folder).write_text("in the way")
    stuck.submit("echo", 1)
    wait_until(lambda: "cannot write the error of task-1.1" in stuck.stderr())
    (stuck.queue / "errors").unlink()
    wait_until((stuck.queue / "errors/task-1.1").exists)
    assert stuck.read_error("task-1.1")["code"] == "WORKER_DIED"
