"""Calls to a deployment, as callers see them: the agent's own data, or an error in the one format."""

from typing import Any

import pytest

from tests.server.outside import Gate
from tests.server.running import RunningServer

pytestmark = pytest.mark.usefixtures("deployment_id")


@pytest.mark.parametrize(
    ("method", "path", "body", "data"),
    [
        ("POST", "/sample", {"command": "echo", "params": [1, "two", {"three": None}]}, [1, "two", {"three": None}]),
        ("POST", "/sample", b'{"command": "echo", "params": "one"}', ["one"]),
        ("POST", "/sample/echo", {"b": 1, "a": [2]}, [1, [2]]),
        ("POST", "/sample/echo", "grüße 🎉".encode(), ["grüße 🎉"]),
        ("GET", "/sample/echo", None, []),
        ("GET", "/sample/echo?a=1&b=two%20words", None, ["1", "two words"]),
        ("PUT", "/sample/deeper/echo?c=3", b"text", ["text", "3"]),
        ("POST", "/sample/echo", b'{"params": [1.5, 12345678901234567890]}', [1.5, 12345678901234567890]),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_answers_with_the_agents_data(server: RunningServer, method: str, path: str, body: object, data: Any) -> None:
    """The answer is what the handler returned and nothing around it, with the task's id in a header."""
    answer = server.ask(method, path, body)
    assert (answer.status, answer.document) == (200, data)
    assert answer.headers["content-type"] == "application/json"
    assert server.task(answer.headers["x-ploinky-task"])["result"] == data


def test_a_large_body_comes_back_whole(server: RunningServer) -> None:
    """Params and results of some megabytes go both ways unharmed."""
    text = "é" * 1_500_000
    assert server.ask("POST", "/sample/echo", {"params": [text]}).document == [text]


def test_tells_the_agent_who_asks(server: RunningServer) -> None:
    """The agent gets the request and who it is acting for, and nothing by which the caller is known to us."""
    seen = server.ask("POST", "/sample/seen?x=1", b"hi", X_Trace="t1", X_API_Key=server.key, Cookie="a=b").document
    metadata = seen["metadata"]
    assert (metadata["method"], metadata["url"]) == ("POST", "/sample/seen?x=1")
    assert metadata["headers"]["x-trace"] == "t1"
    assert not {"x-api-key", "cookie", "authorization"} & metadata["headers"].keys()
    assert server.key not in str(seen)
    security = metadata["securityContext"]
    assert security["isAuthenticated"] is True
    assert security["userId"] == f"key:{server.key.split('_')[1]}"
    assert metadata["deployment"]["path"] == "/sample"
    assert metadata["deadline"]
    assert metadata["token"]


def test_tells_the_agent_when_nobody_is_known(server: RunningServer) -> None:
    """An anonymous caller is nobody with no roles; a wrong key makes nobody of them either."""
    for headers in ({}, {"X_API_Key": "plk_wrong"}):
        security = server.ask("GET", "/sample/seen", **headers).document["metadata"]["securityContext"]
        assert (security["isAuthenticated"], security["userId"]) == (False, None)
        assert (security["roles"], security["permissions"]) == ([], [])


def test_says_what_the_agent_answers_to(server: RunningServer) -> None:
    """An unknown command is 404 with the commands there are."""
    answer = server.ask("POST", "/sample/nothing")
    assert (answer.status, answer.code) == (404, "COMMAND_NOT_FOUND")
    assert "echo" in answer.document["details"]["methods"]
    assert answer.document["details"]["task"] == answer.headers["x-ploinky-task"]


def test_a_handlers_error_is_an_error(server: RunningServer) -> None:
    """What a handler raises is 500 with its message, and the task says the same."""
    answer = server.ask("POST", "/sample/fail")
    assert (answer.status, answer.code) == (500, "TASK_EXECUTION_ERROR")
    assert "this is refused" in answer.document["message"]
    task = server.task(answer.headers["x-ploinky-task"])
    assert (task["state"], task["error"]["code"]) == ("failed", "TASK_EXECUTION_ERROR")


def test_shows_where_it_failed_to_known_callers_only(server: RunningServer) -> None:
    """A traceback names files and lines: whoever has a key sees it, an anonymous caller does not."""
    known = server.ask("POST", "/sample/fail", X_API_Key=server.key)
    anonymous = server.ask("POST", "/sample/fail")
    assert "traceback" in known.document["details"]
    assert (anonymous.status, anonymous.code) == (500, "TASK_EXECUTION_ERROR")
    assert "traceback" not in anonymous.document["details"]


@pytest.mark.parametrize("path", ["/", "/samplex", "/sampl", "/nothing/echo", "/Sample/echo", "/%73ample/echo"])
def test_unknown_routes_are_not_found(server: RunningServer, path: str) -> None:
    """Only whole segments of a route match; what answers nowhere is 404, saying where it looked."""
    answer = server.ask("GET", path)
    assert (answer.status, answer.code) == (404, "DEPLOYMENT_NOT_FOUND")
    assert answer.document["details"]["path"] == path


def test_the_host_decides(server: RunningServer) -> None:
    """A deployment on localhost does not answer for other hosts."""
    assert server.ask("GET", "/sample/echo", Host="localhost:1234").status == 200
    assert server.ask("GET", "/sample/echo", Host="other.example.com").code == "DEPLOYMENT_NOT_FOUND"


@pytest.mark.parametrize(
    ("query", "body", "content_type"),
    [
        ("", b"{broken", "application/json"),
        ("", b"\xff\xfe", "text/plain"),
        ("", b'{"command": 5}', "application/json"),
        ("", b'{"params": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", ""),
        ("?" + "&".join(["a=1"] * 1_001), b"", ""),
        ("?a=%ff", b"", ""),
    ],
    ids=["broken", "not text", "no command", "deep", "many fields", "not UTF-8"],
)
def test_refuses_what_it_cannot_read(server: RunningServer, query: str, body: bytes, content_type: str) -> None:
    """What the rules cannot read is 400, and no task comes of it."""
    before = server.api("GET", "/health").document["journal"]["position"]
    answer = server.ask("POST", f"/sample/echo{query}", body, Content_Type=content_type)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert server.api("GET", "/health").document["journal"]["position"] == before


def test_refuses_what_is_too_large(server: RunningServer) -> None:
    """A body above the limit is 413."""
    answer = server.ask("POST", "/sample/echo", b" " * (65 * 1024 * 1024))
    assert (answer.status, answer.code) == (413, "BODY_TOO_LARGE")


def test_goes_on_without_the_caller(server: RunningServer) -> None:
    """After `syncWaitSeconds` the caller gets 202 with where to look, and the task ends all the same."""
    gate = Gate()
    assert server.api("PUT", "/settings/syncWaitSeconds", {"value": 0.2}).status == 200
    try:
        answer = server.ask("POST", "/sample/gate", {"params": [str(gate)]})
    finally:
        assert server.api("PUT", "/settings/syncWaitSeconds", {"value": 30}).status == 200
    assert answer.status == 202
    assert server.ask("GET", answer.document["location"]).document["state"] in {"submitted", "running"}
    gate.touch()
    task = server.await_task(answer.document["id"], "succeeded")
    assert task["result"] == "opened"
    assert task["attempt"] == 1


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"Prefer": "respond-async"}),
        ("", {"Prefer": "wait=5, respond-async"}),
        ("?async=true", {}),
        ("?async=1", {}),
    ],
    ids=["prefer", "prefer among others", "async=true", "async=1"],
)
def test_need_not_be_waited_for(server: RunningServer, query: str, headers: dict[str, str]) -> None:
    """Asked to, the answer is 202 at once, with where to look as `Location`."""
    answer = server.ask("POST", f"/sample/echo{query}", {"params": ["later"]}, **headers)
    assert answer.status == 202
    assert answer.headers["location"] == answer.document["location"]
    assert server.await_task(answer.document["id"], "succeeded")["result"] == ["later"]


def test_async_false_waits(server: RunningServer) -> None:
    """`?async=false` is a normal call."""
    assert server.ask("POST", "/sample/echo?async=false", {"params": [1]}).document == [1]


def test_a_token_reads_one_task(server: RunningServer) -> None:
    """An anonymous caller reads the own task by the token of its location: only that one, and only reading."""
    mine = server.ask("POST", "/sample/echo?async=true", b"mine")
    other = server.ask("POST", "/sample/echo?async=true", b"other")
    location, _, token = mine.headers["location"].partition("?token=")
    server.await_task(mine.document["id"], "succeeded")
    assert server.ask("GET", mine.headers["location"]).document["result"] == ["mine"]
    assert server.ask("GET", location).status == 401
    assert server.ask("GET", f"{location}?token={token[:-1]}").status == 401
    assert server.ask("GET", f"/management/api/tasks/{other.document['id']}?token={token}").status == 401
    assert server.ask("DELETE", mine.headers["location"]).status == 401
    assert server.ask("GET", f"/management/api/tasks?token={token}").status == 401
    assert server.ask("GET", f"/management/api/keys?token={token}").status == 401


def test_a_known_caller_needs_no_token(server: RunningServer) -> None:
    """Who has a key gets a location without a token."""
    answer = server.ask("POST", "/sample/echo?async=true", X_API_Key=server.key)
    assert "token" not in answer.headers["location"]
    assert server.ask("GET", answer.headers["location"], X_API_Key=server.key).status == 200
