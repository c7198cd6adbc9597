"""Calls reach the agent at a path of a domain and give its data itself."""

from typing import Any

import pytest

from ploinky.client import AddressInvalid, ApiError, PloinkyClient
from tests.cli.stub_server import Reply, StubServer, refusal


def test_sends_command_and_params(client: PloinkyClient, stub: StubServer) -> None:
    """The body is the object that the gateway reads."""
    stub.answer("POST", "/demo", Reply(200, "Hello, World!", headers={"X-Ploinky-Task": "task1"}))
    called = client.call("/demo", "hello", ["World", 1])
    assert (called.data, called.task_id, called.is_finished) == ("Hello, World!", "task1", True)
    assert stub.requests[0].document == {"command": "hello", "params": ["World", 1]}
    assert "prefer" not in stub.requests[0].headers


@pytest.mark.parametrize("data", [None, 3.5, [1, {"a": None}], {"error": True}])
def test_gives_the_data_itself(client: PloinkyClient, stub: StubServer, data: Any) -> None:
    """Any JSON is an agent's data, also what looks like something else."""
    stub.answer("POST", "/demo", Reply(200, data))
    assert client.call("/demo", "hello").data == data


@pytest.mark.parametrize(
    ("reply", "data"),
    [
        (Reply(content=b"plain", headers={"Content-Type": "text/plain"}), "plain"),
        (Reply(content=b"\xff\xfe", headers={"Content-Type": "image/png"}), b"\xff\xfe"),
        (Reply(content=b"[1]", headers={"Content-Type": "application/problem+json; charset=utf-8"}), [1]),
        (Reply(204, content=b""), None),
    ],
)
def test_gives_other_content_as_it_is(client: PloinkyClient, stub: StubServer, reply: Reply, data: Any) -> None:
    """An agent's own web server may answer with anything."""
    stub.answer("POST", "/demo", reply)
    assert client.call("/demo", "index").data == data


def test_asks_for_another_domain_in_the_host_header(client: PloinkyClient, stub: StubServer) -> None:
    """A domain other than the URL's host is what the gateway routes by."""
    stub.answer("POST", "/demo", Reply(200, 1))
    client.call("/demo", "hello", domain="shop.example.com")
    assert stub.requests[0].headers["host"] == f"shop.example.com:{stub.port}"


def test_leaves_the_host_header_alone_for_its_own_host(client: PloinkyClient, stub: StubServer) -> None:
    """Without a domain the URL's host is asked."""
    stub.answer("POST", "/demo", Reply(200, 1))
    client.call("/demo", "hello", domain="127.0.0.1")
    assert stub.requests[0].headers["host"] == f"127.0.0.1:{stub.port}"


def test_names_the_task_of_a_call_that_goes_on(client: PloinkyClient, stub: StubServer) -> None:
    """An accepted call tells its task and where it can be read."""
    location = "/management/api/tasks/task1?token=abc"
    stub.answer("POST", "/demo", Reply(202, {"id": "task1"}, headers={"Location": location}))
    called = client.call("/demo", "wait", [60], is_async=True)
    assert (called.is_finished, called.task_id, called.location) == (False, "task1", location)
    assert stub.requests[0].headers["prefer"] == "respond-async"


@pytest.mark.parametrize("location", ["http://evil.test/x", "//evil.test/x", "tasks/1"])
def test_follows_no_location_elsewhere(client: PloinkyClient, stub: StubServer, location: str) -> None:
    """A key is not carried to another server because an answer says so."""
    stub.answer("POST", "/demo", Reply(202, {"id": "task1", "location": location}))
    assert client.call("/demo", "wait").location is None


def test_raises_what_the_agent_refuses(client: PloinkyClient, stub: StubServer) -> None:
    """A handler's failure is an error with its code."""
    stub.answer("POST", "/demo", refusal(500, "TASK_EXECUTION_ERROR", "division by zero"))
    with pytest.raises(ApiError, match="division by zero") as caught:
        client.call("/demo", "divide")
    assert caught.value.code == "TASK_EXECUTION_ERROR"


def test_escapes_what_a_request_line_cannot_hold(client: PloinkyClient, stub: StubServer) -> None:
    """Spaces and line ends in a path stay in the path; what is escaped stays escaped."""
    with pytest.raises(ApiError):
        client.call("/a b\r\nX: y/%2F", "hello")
    assert stub.requests[0].path == "/a%20b%0D%0AX:%20y/%2F"


@pytest.mark.parametrize(
    ("path", "domain"), [("demo", None), ("/demo", "a b"), ("/demo", "a\r\nX: y"), ("/demo", "a/b")]
)
def test_refuses(client: PloinkyClient, stub: StubServer, path: str, domain: str | None) -> None:
    """What is no path or no domain is not sent."""
    with pytest.raises(AddressInvalid):
        client.call(path, "hello", domain=domain)
    assert not stub.requests
