"""The server stops in order, starts again where it was, and keeps its promises over both."""

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.outside import Gate, Notes
from tests.server.running import Answer, RunningServer
from tests.server.sample_agent import sample_repository
from tests.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path)
    try:
        running.initialise()
        running.serve("/sample", "sample", sample_repository(tmp_path / "agent").directory)
        yield running
    finally:
        running.kill()
        wait_until(lambda: not running.agent_processes(), timeout_seconds=30, what="the end of the agents")


def ask_aside(server: RunningServer, path: str, body: object) -> tuple[threading.Thread, list[Answer]]:
    """Ask in a thread; the answer appears in the list."""
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(server.ask("POST", path, body)))
    thread.start()
    wait_until(lambda: server.api("GET", "/tasks?state=running").document["data"], what="a running task")
    return thread, answers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_lets_running_tasks_finish(server: RunningServer, number: signal.Signals) -> None:
    """Asked to stop, it answers what runs, exits with 0 and leaves no process behind."""
    thread, answers = ask_aside(server, "/sample/slow", {"params": [1]})
    server.signal(number)
    assert server.wait() == 0
    thread.join()
    assert [(answer.status, answer.document) for answer in answers] == [(200, "slept")]
    assert not server.agent_processes()
    assert not [path for path in (server.directory / "queues").rglob("*") if path.name != ".trash"]
    assert "Traceback" not in server.errors


def test_stops_what_is_only_starting(tmp_path: Path) -> None:
    """An agent that is not ready yet is stopped as well, and started again as the next generation after the stop."""
    never_ready = json.dumps({"access": "public", "run": ["sleep", "600"]})
    repository = sample_repository(tmp_path / "agent", never_ready).directory
    server = RunningServer(tmp_path)
    again: RunningServer | None = None
    try:
        server.initialise()
        deployment_id = server.deploy("/slow", "sample", repository)
        wait_until(lambda: server.deployment(deployment_id)["instances"], what="its instance")
        assert server.stop() == 0
        assert not server.agent_processes()
        again = RunningServer(tmp_path)
        again.key = server.key
        wait_until(lambda: again.deployment(deployment_id)["instances"], what="its next instance")
        found = again.deployment(deployment_id)
        assert (found["rollout"]["generation"], found["lastRollout"]["code"]) == (2, "SHUTDOWN")
        assert again.stop() == 0
        assert not again.agent_processes()
    finally:
        server.kill()
        if again is not None:
            again.kill()


def test_refuses_new_work_while_stopping(server: RunningServer, tmp_path: Path) -> None:
    """While running tasks finish, new calls are refused as retryable."""
    gate = Gate()
    thread, answers = ask_aside(server, "/sample/gate", {"params": [str(gate)]})
    server.signal(signal.SIGTERM)
    wait_until(lambda: server.ask("GET", "/sample/echo").status == 503, what="a refusal")
    refused = server.ask("GET", "/sample/echo")
    assert refused.code == "SHUTTING_DOWN"
    assert refused.headers["retry-after"] == "1"
    gate.touch()
    assert server.wait() == 0
    thread.join()
    assert answers[0].document == "opened"


def test_a_second_signal_leaves_at_once(server: RunningServer, tmp_path: Path) -> None:
    """Who presses Ctrl-C twice does not wait; the next start finds the task and ends it."""
    gate = Gate()
    body = {"params": [str(gate)]}
    task_id = server.ask("POST", "/sample/gate?async=true", body).document["id"]
    server.await_task(task_id, "running")
    server.signal(signal.SIGINT)
    wait_until(lambda: server.ask("GET", "/sample/echo").status == 503, what="the stopping")
    server.signal(signal.SIGINT)
    assert server.wait() == -signal.SIGINT
    again = RunningServer(tmp_path)
    try:
        again.key = server.key
        gate.touch()
        assert again.await_task(task_id, "succeeded")["result"] == "opened"
        assert again.stop() == 0
    finally:
        again.kill()


def test_starts_again_where_it_was(server: RunningServer, tmp_path: Path) -> None:
    """A second start has the same deployments, keys, settings and tasks, and shows no key."""
    task_id = server.ask("POST", "/sample/echo", b"before").headers["x-ploinky-task"]
    assert server.api("PUT", "/settings/lastLogsLines", {"value": 7}).status == 200
    before = server.api("GET", "/routes").document
    assert server.stop() == 0
    again = RunningServer(tmp_path)
    try:
        again.key = server.key
        assert "plk_" not in again.output
        assert again.api("GET", "/routes").document == before
        assert again.task(task_id)["result"] == ["before"]
        assert again.api("GET", "/health").document["journal"]["epoch"] == 2
        settings = {one["name"]: one["value"] for one in again.api("GET", "/settings").document}
        assert settings["lastLogsLines"] == 7
        assert again.ask("POST", "/sample/echo", b"after").document == ["after"]
        assert again.stop() == 0
    finally:
        again.kill()


def test_waiting_tasks_outlive_a_restart(server: RunningServer, tmp_path: Path) -> None:
    """What was accepted and did not run before the stop runs after the next start."""
    gate = Gate()
    answers = [server.ask("POST", "/sample/gate?async=true", {"params": [str(gate)]}) for _ in range(6)]
    tasks = [answer.document["id"] for answer in answers]
    server.kill()
    again = RunningServer(tmp_path)
    try:
        again.key = server.key
        gate.touch()
        assert [again.await_task(task_id, "succeeded")["result"] for task_id in tasks] == ["opened"] * 6
        assert again.stop() == 0
    finally:
        again.kill()


def test_adopts_agents_after_a_crash(server: RunningServer, tmp_path: Path) -> None:
    """Killed, the server leaves its agents at work; the next one takes them over and repeats nothing."""
    gate = Gate()
    task_id = server.ask("POST", "/sample/gate?async=true", {"params": [str(gate)]}).document["id"]
    server.await_task(task_id, "running")
    wait_until(lambda: server.task(task_id)["attempt"] == 1, what="the attempt")
    agents = server.agent_processes()
    server.kill()
    gate.touch()
    again = RunningServer(tmp_path)
    try:
        again.key = server.key
        task = again.await_task(task_id, "succeeded")
        assert task["attempt"] == 1
        assert set(agents) & set(again.agent_processes())
        with Notes() as notes:
            assert again.ask("POST", "/sample/note", {"params": [str(notes)]}).document == "noted"
            assert len(notes.lines()) == 1
        assert again.stop() == 0
        assert not again.agent_processes()
    finally:
        again.kill()


def test_may_leave_agents_running(tmp_path: Path) -> None:
    """With `stopAgentsOnExit` off a stop is like a crash for the agents: they go on and are adopted."""
    changes = {"PLOINKY_STOP_AGENTS_ON_EXIT": "false"}
    server = RunningServer(tmp_path, changes=changes)
    again: RunningServer | None = None
    try:
        server.initialise()
        deployment_id = server.serve("/sample", "sample", sample_repository(tmp_path / "agent").directory)
        assert server.stop() == 0
        agents = server.agent_processes()
        assert agents
        again = RunningServer(tmp_path)
        again.key = server.key
        assert again.ask("GET", "/sample/echo").status == 200
        assert again.deployment(deployment_id)["generation"] == 1
        assert again.stop() == 0
        assert not again.agent_processes()
    finally:
        server.kill()
        if again is not None:
            again.kill()


def test_says_nothing_secret(server: RunningServer) -> None:
    """Neither output nor log holds the key when it was not made at the start."""
    server.ask("POST", "/sample/echo", b"x", X_API_Key=server.key)
    assert server.stop() == 0
    assert server.key not in server.output + server.errors
    assert json.dumps(server.key)[1:-1] not in server.errors
