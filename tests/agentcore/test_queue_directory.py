"""The agent's side of the queue directory: what it claims, what it leaves alone, what it survives."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.agentcore.conftest import Agent
from tests.waiting import wait_until

ECHO = "def echo(x):\n    return x\n"


@pytest.fixture
def echo(agent: Agent) -> Agent:
    agent.write("agent.py", ECHO)
    return agent


def test_says_when_it_is_ready(echo: Agent) -> None:
    """One line on stdout tells the agent, its methods and the mode, and the readiness file is there."""
    echo.start()
    wait_until(lambda: echo.stdout() == "agentcore ready: tested, 2 methods, file mode\n")


def test_a_claim_has_an_owner(echo: Agent) -> None:
    """The claim's `owner` names the parent process, never a worker."""
    echo.start().data("echo", 1)
    owner = json.loads((echo.queue / "locks/task-1.1/owner").read_text())
    assert owner["pid"] == echo.pid
    assert sorted(owner) == ["host", "pid", "started_at"]


def test_leaves_removing_files_to_the_server(echo: Agent) -> None:
    """After an attempt its task, claim and result are all still there, and no temporary file is."""
    echo.start().data("echo", 1)
    for path in ("tasks/task-1.1", "locks/task-1.1/owner", "results/task-1.1"):
        assert (echo.queue / path).is_file()
    assert [path.name for path in (echo.queue / "results").iterdir()] == ["task-1.1"]


def test_finds_tasks_that_were_there_before_it(echo: Agent) -> None:
    """Tasks that wait when the agent starts are executed."""
    (echo.queue / "tasks").mkdir(parents=True)
    echo.submit("echo", "early")
    assert echo.start().wait_outcome()["data"] == "early"


def test_works_without_inotify(echo: Agent) -> None:
    """Scanning alone executes tasks and hears cancellations."""
    echo.write("handlers/wait.sh", "sleep 600\n")
    echo.start(PLOINKY_WATCH="poll")
    assert echo.data("echo", 1) == 1
    echo.submit("wait", name="slow.1")
    wait_until(lambda: echo.is_claimed("slow.1"))
    echo.cancel("slow.1")
    assert echo.wait_outcome("slow.1")["code"] == "CANCELLED"


def test_never_claims_what_is_claimed(echo: Agent) -> None:
    """An attempt whose claim exists is left alone, whoever made the claim."""
    (echo.queue / "locks/foreign.1").mkdir(parents=True)
    (echo.queue / "tasks").mkdir()
    echo.submit("echo", 1, name="foreign.1")
    echo.submit("echo", 2, name="own.1")
    echo.start().wait_outcome("own.1")
    assert echo.outcome("foreign.1") is None
    assert list((echo.queue / "locks/foreign.1").iterdir()) == []


def test_a_restarted_agent_does_not_repeat_attempts(echo: Agent) -> None:
    """Claims of an earlier process hold; repeating is the server's decision, under a new attempt number."""
    echo.write("handlers/wait.sh", "sleep 600\n")
    echo.start().submit("wait")
    wait_until(lambda: echo.is_claimed("task-1.1"))
    echo.signal(signal.SIGKILL)
    echo.wait_end()
    (echo.queue / "locks/.ready").unlink()
    echo.start()
    assert echo.data("echo", 2, name="task-1.2") == 2
    assert echo.outcome("task-1.1") is None


def test_an_attempt_is_executed_once(echo: Agent) -> None:
    """A task file that stays behind when its claim was removed is not executed again."""
    echo.write("agent.py", "import os\ndef note(path):\n    os.close(os.open(path, os.O_CREAT | os.O_EXCL))\n")
    echo.start(PLOINKY_WATCH="poll").data("note", str(echo.folder / "noted"))
    shutil.rmtree(echo.queue / "locks/task-1.1")
    (echo.queue / "results/task-1.1").unlink()
    echo.wait_scan()
    assert echo.outcome() is None
    assert not echo.is_claimed("task-1.1")


@pytest.mark.parametrize("name", ["noattempt", "task.x", "-task.1", "task 1.1", "ta\nsk.1", "x" * 200 + ".1", "..1"])
def test_leaves_files_alone_that_are_no_attempts(echo: Agent, name: str) -> None:
    """A stranger's file in `tasks` is named on stderr once and never claimed."""
    echo.start(PLOINKY_WATCH="poll")
    (echo.queue / "tasks" / name).write_text("{}")
    echo.wait_scan()
    locks = [path.name for path in (echo.queue / "locks").iterdir() if not path.name.startswith(".")]
    assert sorted(locks) == ["scan-1.1", "scan-2.1"]


def test_ignores_temporary_files(echo: Agent) -> None:
    """What the server is still writing is not looked at."""
    echo.start(PLOINKY_WATCH="poll")
    (echo.queue / "tasks/.tmp-half.1").write_text('{"id":')
    echo.wait_scan()
    assert "half" not in echo.stderr()
    assert not echo.is_claimed("half.1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"id": "bad"', "not JSON"),
        ("", "not JSON"),
        ("\xff", "not JSON"),
        ("[1]", "JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"id": "other", "attempt": 1, "command": "echo"}', "its name says otherwise"),
        ('{"id": "bad", "attempt": 2, "command": "echo"}', "its name says otherwise"),
        ('{"id": "bad", "attempt": true, "command": "echo"}', "its name says otherwise"),
        ('{"id": "bad", "attempt": 1}', "`command`"),
        ('{"id": "bad", "attempt": 1, "command": "echo", "params": {}}', "`params`"),
        ('{"id": "bad", "attempt": 1, "command": "echo", "metadata": [1]}', "`metadata`"),
        ('{"id": "bad", "attempt": 1, "command": "echo", "metadata": {"deadline": "soon"}}', "`metadata.deadline`"),
        ('{"id": "bad", "attempt": 1, "command": "echo", "metadata": {"deadline": 5}}', "`metadata.deadline`"),
    ],
)
def test_refuses_task_files_it_cannot_read(echo: Agent, text: str, says: str) -> None:
    """A task file that is not this attempt's task is INVALID_TASK and says why; the agent goes on."""
    echo.start()
    (echo.queue / "tasks/.tmp-bad.1").write_text(text, encoding="latin-1")
    (echo.queue / "tasks/.tmp-bad.1").rename(echo.queue / "tasks/bad.1")
    found = echo.wait_outcome("bad.1")
    assert found["code"] == "INVALID_TASK"
    assert says in found["message"]
    assert echo.data("echo", 1) == 1


def make_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("make", [make_link, os.mkfifo, os.mkdir])
def test_refuses_task_files_that_are_no_files(echo: Agent, make: Callable[[Path], None]) -> None:
    """A link, a FIFO and a folder are INVALID_TASK and hang nobody."""
    echo.start()
    make(echo.queue / "tasks/odd.1")
    assert echo.wait_outcome("odd.1")["code"] == "INVALID_TASK"


@pytest.mark.parametrize(
    "command",
    [
        *("../agent", "/bin/sh", "a/b", "..", ".hidden", "_private", "ns._private", "a..b", "a.", "handlers/one"),
        *("a\0b", "a\nb", "\ud800", "", "x" * 129),
    ],
)
def test_refuses_hostile_command_names(echo: Agent, command: str) -> None:
    """No command is ever a path, a private name or an unprintable text, even where `runTask` answers to all."""
    echo.write("manifest.json", '{"runTask": "echo ran"}')
    found = echo.start().call(command)
    assert found["code"] == "COMMAND_NOT_FOUND"


@pytest.mark.parametrize(
    ("text", "place"),
    [('{\n "commands": {,}\n}', {"line": 2, "column": 15}), ("[1]", {"line": 1, "column": 1}), ("\xff", {})],
)
def test_a_broken_manifest_fails_every_task(echo: Agent, text: str, place: dict[str, int]) -> None:
    """INVALID_MANIFEST tells line and column, for every command."""
    (echo.folder / "manifest.json").write_text(text, encoding="latin-1")
    echo.start()
    for number, command in enumerate(("echo", "methods", "nothing")):
        found = echo.call(command, name=f"t{number}.1")
        assert (found["code"], found["details"]) == ("INVALID_MANIFEST", place)


def test_a_wrong_manifest_field_is_a_warning(echo: Agent) -> None:
    """The agent works with the rest and says what it left out."""
    echo.write("manifest.json", '{"commands": {"a": 1, "b": "echo \'"}, "runTask": "", "module": "../x.py"}')
    assert echo.start().data("echo", 1) == 1
    for field in ("commands.a", "commands.b", "runTask", "module"):
        assert f"`{field}`" in echo.stderr()


def test_gives_signs_of_life_while_a_handler_is_stuck(echo: Agent) -> None:
    """The claim's mtime moves though the handler blocks everything in its process."""
    echo.write("handlers/stuck.py", "def handle(params, context):\n    while True: pass\n")
    echo.start().submit("stuck")
    wait_until(lambda: echo.is_claimed("task-1.1"))
    lock = echo.queue / "locks/task-1.1"
    first = lock.stat().st_mtime_ns
    wait_until(lambda: lock.stat().st_mtime_ns > first, what="a sign of life")


def test_touches_its_readiness(echo: Agent) -> None:
    """The readiness file's mtime moves while the agent is idle."""
    echo.start()
    ready = echo.queue / "locks/.ready"
    first = ready.stat().st_mtime_ns
    wait_until(lambda: ready.stat().st_mtime_ns > first, timeout_seconds=15, what="a sign of life")


def test_survives_a_wiped_queue(echo: Agent) -> None:
    """When the directory is removed and made anew the agent is ready again and works on."""
    echo.start().data("echo", 1)
    shutil.rmtree(echo.queue)
    for folder in ("tasks", "cancel", "results", "errors"):
        (echo.queue / folder).mkdir(parents=True)
    wait_until((echo.queue / "locks/.ready").exists, timeout_seconds=15, what="readiness")
    assert echo.data("echo", 2, name="task-2.1") == 2


def test_makes_a_missing_results_folder(echo: Agent) -> None:
    """A result whose folder was removed is written all the same."""
    echo.start()
    (echo.queue / "results").rmdir()
    echo.submit("echo", 1)
    assert echo.wait_outcome()["data"] == 1


def test_a_deadline_in_the_past_is_a_timeout(echo: Agent) -> None:
    """An attempt that is too late already is not started."""
    echo.write("agent.py", "import os\ndef make(path):\n    os.mkdir(path)\n")
    past = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    found = echo.start().call("make", str(echo.folder / "made"), metadata={"deadline": past})
    assert found["code"] == "TASK_TIMEOUT"
    assert not (echo.folder / "made").exists()


def test_executes_two_hundred_tasks_at_concurrency_four(echo: Agent) -> None:
    """Every one of many tasks gets exactly its own result, and no worker runs two at a time."""
    echo.write(
        "agent.py",
        "import os\nbusy = []\ndef work(x):\n    busy.append(x)\n    alone = len(busy) == 1\n    busy.pop()\n"
        "    return [x, alone, os.getpid()]\n",
    )
    echo.start(PLOINKY_CONCURRENCY="4")
    names = [echo.submit("work", number, name=f"t{number}.1") for number in range(200)]
    found = [echo.wait_outcome(name)["data"] for name in names]
    assert [number for number, _, _ in found] == list(range(200))
    assert all(alone for _, alone, _ in found)
    assert len({pid for _, _, pid in found}) <= 4
    assert list((echo.queue / "errors").iterdir()) == []


def test_claims_no_more_than_it_can_run(echo: Agent) -> None:
    """With all workers busy, the rest waits unclaimed."""
    echo.write("handlers/wait.sh", "sleep 600\n")
    echo.start(PLOINKY_CONCURRENCY="2")
    names = [echo.submit("wait", name=f"t{number}.1") for number in range(6)]
    wait_until(lambda: sum(map(echo.is_claimed, names)) == 2)
    echo.cancel(next(name for name in names if echo.is_claimed(name)))
    wait_until(lambda: sum(map(echo.is_claimed, names)) == 3)


def test_takes_its_concurrency_from_the_manifest(echo: Agent) -> None:
    """Without an environment setting the manifest's `concurrency` holds."""
    echo.write("manifest.json", '{"concurrency": 1}')
    echo.write("handlers/wait.sh", "sleep 600\n")
    echo.start()
    names = [echo.submit("wait", name=f"t{number}.1") for number in range(3)]
    wait_until(lambda: sum(map(echo.is_claimed, names)) == 1)
    echo.cancel(next(name for name in names if echo.is_claimed(name)))
    wait_until(lambda: sum(map(echo.is_claimed, names)) > 1)
    assert sum(map(echo.is_claimed, names)) == 2


def test_says_why_it_cannot_start(agent: Agent) -> None:
    """A queue directory that cannot be used ends the agent with a message."""
    agent.queue.write_text("a file")
    agent.makes_folders = False
    agent.start(is_ready=False)
    assert agent.wait_end() == 1
    assert "cannot use the queue directory" in agent.stderr()
