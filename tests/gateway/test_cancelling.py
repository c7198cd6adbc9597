"""A task is cancelled wherever it is."""

from pathlib import Path

from tests.server.outside import Gate, Notes
from tests.server.running import RunningServer


def test_cancels_a_running_task(server: RunningServer, deployment_id: str, tmp_path: Path) -> None:
    """A running task is stopped through its agent; who waits for it is told 409."""
    running = server.ask("POST", "/sample/gate?async=true", {"params": [str(tmp_path / "never")]}).document["id"]
    server.await_task(running, "running")
    assert server.api("DELETE", f"/tasks/{running}").status == 202
    task = server.await_task(running, "cancelled")
    assert task["error"]["code"] == "CANCELLED"
    assert server.ask("GET", "/sample/echo").status == 200


def test_cancels_a_waiting_task(server: RunningServer, deployment_id: str) -> None:
    """A task behind the agent's concurrency is cancelled at once and never runs."""
    gate, notes = Gate(), Notes()
    busy = [server.ask("POST", "/sample/gate?async=true", {"params": [str(gate)]}).document["id"] for _ in range(4)]
    waiting = server.ask("POST", "/sample/note?async=true", {"params": [str(notes)]}).document["id"]
    assert server.deployment(deployment_id)["tasks"]["waiting"] == 1
    cancelled = server.api("DELETE", f"/tasks/{waiting}").document
    assert cancelled["state"] == "cancelled"
    gate.touch()
    with notes:
        for task_id in busy:
            server.await_task(task_id, "succeeded")
        assert notes.lines() == []


def test_cancelling_twice_is_the_same(server: RunningServer, deployment_id: str, tmp_path: Path) -> None:
    """Cancelling is idempotent; what ended otherwise cannot be cancelled any more."""
    task_id = server.ask("POST", "/sample/gate?async=true", {"params": [str(tmp_path / "never")]}).document["id"]
    server.api("DELETE", f"/tasks/{task_id}")
    server.await_task(task_id, "cancelled")
    assert server.api("DELETE", f"/tasks/{task_id}").document["state"] == "cancelled"
    done = server.ask("GET", "/sample/echo").headers["x-ploinky-task"]
    answer = server.api("DELETE", f"/tasks/{done}")
    assert (answer.status, answer.code) == (409, "INVALID_STATE")


def test_who_waits_is_told(server: RunningServer, deployment_id: str, tmp_path: Path) -> None:
    """A synchronous caller of a cancelled task gets 409 CANCELLED."""
    body = {"params": [str(tmp_path / "never")]}
    task_id = server.ask("POST", "/sample/gate?async=true", body, Idempotency_Key="c1").document["id"]
    server.api("DELETE", f"/tasks/{task_id}")
    answer = server.ask("POST", "/sample/gate", body, Idempotency_Key="c1")
    assert (answer.status, answer.code) == (409, "CANCELLED")
