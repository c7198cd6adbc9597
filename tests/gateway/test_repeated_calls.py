"""The same Idempotency-Key is the same task, for as long as the task is known."""

import pytest

from tests.server.outside import Gate, Notes
from tests.server.running import RunningServer

pytestmark = pytest.mark.usefixtures("deployment_id")


def test_a_repetition_is_the_same_task(server: RunningServer) -> None:
    """Repeating a request with its key runs nothing again and gives the same answer, also long after the end."""
    with Notes() as notes:
        body = {"params": [str(notes)]}
        answers = [server.ask("POST", "/sample/note", body, Idempotency_Key="one") for _ in range(3)]
        written = notes.lines()
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} == {b'"noted"'}
    assert len({answer.headers["x-ploinky-task"] for answer in answers}) == 1
    assert len(written) == 1


def test_another_request_conflicts(server: RunningServer) -> None:
    """The key with another command or other params is refused, also after the task has ended."""
    assert server.ask("POST", "/sample/echo", b"a", Idempotency_Key="two").status == 200
    for path, body in (("/sample/echo", b"b"), ("/sample/fail", b"a")):
        answer = server.ask("POST", path, body, Idempotency_Key="two")
        assert (answer.status, answer.code) == (409, "IDEMPOTENCY_CONFLICT")


def test_a_failed_task_stays_failed(server: RunningServer) -> None:
    """Repeating a request whose handler failed gives the same failure."""
    answers = [server.ask("POST", "/sample/fail", Idempotency_Key="three") for _ in range(2)]
    assert {(answer.status, answer.code) for answer in answers} == {(500, "TASK_EXECUTION_ERROR")}
    assert answers[0].headers["x-ploinky-task"] == answers[1].headers["x-ploinky-task"]


def test_a_repetition_joins_a_running_task(server: RunningServer) -> None:
    """A repetition while the task runs waits for the same end."""
    gate = Gate()
    body = {"params": [str(gate)]}
    first = server.ask("POST", "/sample/gate?async=true", body, Idempotency_Key="four")
    again = server.ask("POST", "/sample/gate?async=true", body, Idempotency_Key="four")
    assert first.document["id"] == again.document["id"]
    gate.touch()
    assert server.ask("POST", "/sample/gate", body, Idempotency_Key="four").document == "opened"


def test_callers_do_not_share_keys(server: RunningServer) -> None:
    """The same key of another caller is another request."""
    mine = server.ask("POST", "/sample/echo", b"x", Idempotency_Key="five", X_API_Key=server.key)
    others = server.ask("POST", "/sample/echo", b"y", Idempotency_Key="five")
    assert (mine.document, others.document) == (["x"], ["y"])


def test_the_api_keeps_keys_as_well(server: RunningServer, deployment_id: str) -> None:
    """Submitting through the API twice with one key makes one task."""
    body = {"deployment": deployment_id, "command": "echo", "params": [1]}
    answers = [server.api("POST", "/tasks", body, Idempotency_Key="six") for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].document["id"] == answers[1].document["id"]
    assert server.api("POST", "/tasks", {**body, "params": [2]}, Idempotency_Key="six").code == "IDEMPOTENCY_CONFLICT"


@pytest.mark.parametrize("path", ["/sample/echo", "/management/api/tasks"])
def test_refuses_endless_keys(server: RunningServer, deployment_id: str, path: str) -> None:
    """A key has at most 255 characters, wherever it is given."""
    body = {"deployment": deployment_id, "command": "echo"}
    answer = server.ask("POST", path, body, Idempotency_Key="k" * 256, X_API_Key=server.key)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
