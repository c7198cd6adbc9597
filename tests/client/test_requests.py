"""The client says what it means, reuses its connection, and takes nothing for granted in what comes back."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ploinky.client import AddressInvalid, ApiError, ConnectionFailed, PloinkyClient
from ploinky.client import connection as connection_module
from tests.cli.documents import deployment, health
from tests.cli.stub_server import Reply, StubServer, page_of, refusal

Ask = Callable[[PloinkyClient], Any]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_sends_its_key_with_every_request(client: PloinkyClient, stub: StubServer) -> None:
    """The key goes into the header that the API reads."""
    stub.answer("GET", "~/health", Reply(200, health()))
    assert client.health() == health()
    assert stub.requests[0].headers["x-api-key"] == "plk_test"


def test_sends_no_key_when_it_has_none(stub: StubServer) -> None:
    """Without a key there is no such header."""
    stub.answer("GET", "~/health", Reply(200, health()))
    with PloinkyClient(stub.url) as anonymous:
        anonymous.health()
    assert "x-api-key" not in stub.requests[0].headers


def test_uses_one_connection_for_many_requests(client: PloinkyClient, stub: StubServer) -> None:
    """Requests one after the other share a connection."""
    stub.answer("GET", "~/health", Reply(200, health()))
    for _ in range(3):
        client.health()
    assert len({request.client for request in stub.requests}) == 1


def test_opens_a_new_connection_after_close(client: PloinkyClient, stub: StubServer) -> None:
    """A closed client can be used again."""
    stub.answer("GET", "~/health", Reply(200, health()))
    client.health()
    client.close()
    client.close()
    client.health()
    assert len({request.client for request in stub.requests}) == 2


def test_goes_below_the_prefix_of_its_url(stub: StubServer) -> None:
    """A server behind a path of a proxy is reached there."""
    stub.answer("GET", "/behind/proxy/management/api/health", Reply(200, health()))
    with PloinkyClient(f"{stub.url}/behind/proxy/") as client:
        assert client.url == f"{stub.url}/behind/proxy"
        assert client.health()["status"] == "ok"


REQUESTS: dict[str, tuple[Ask, str, str, dict[str, str], Any]] = {
    "initialise": (lambda c: c.initialise(), "POST", "~/init", {}, None),
    "deployments": (
        lambda c: c.deployments(page=2, per_page=5, domain="a.b", path="/x"),
        "GET",
        "~/deployments",
        {"page": "2", "perPage": "5", "domain": "a.b", "path": "/x"},
        None,
    ),
    "deployment": (lambda c: c.deployment("dep1"), "GET", "~/deployments/dep1", {}, None),
    "deploy": (
        lambda c: c.deploy("localhost", "/demo", "demo", "/srv", branch=None, env={"A": "b"}),
        "POST",
        "~/deployments",
        {},
        {"domain": "localhost", "path": "/demo", "agent": "demo", "repository": "/srv", "env": {"A": "b"}},
    ),
    "undeploy": (lambda c: c.undeploy("dep1"), "DELETE", "~/deployments/dep1", {}, None),
    "change": (lambda c: c.change("dep1", "restart"), "POST", "~/deployments/dep1/restart", {}, None),
    "tasks": (lambda c: c.tasks(state="dead"), "GET", "~/tasks", {"state": "dead"}, None),
    "task": (lambda c: c.task("t1"), "GET", "~/tasks/t1", {}, None),
    "task at a place": (
        lambda c: c.task_at("/management/api/tasks/t1?token=x"),
        "GET",
        "~/tasks/t1",
        {"token": "x"},
        None,
    ),
    "submit": (
        lambda c: c.submit_task("dep1", "add", [1, 2]),
        "POST",
        "~/tasks",
        {},
        {"deployment": "dep1", "command": "add", "params": [1, 2]},
    ),
    "cancel": (lambda c: c.cancel_task("t1"), "DELETE", "~/tasks/t1", {}, None),
    "instances": (lambda c: c.instances(), "GET", "~/instances", {}, None),
    "routes": (lambda c: c.routes(page=3), "GET", "~/routes", {"page": "3"}, None),
    "repositories": (lambda c: c.repositories(), "GET", "~/repositories", {}, None),
    "add repository": (
        lambda c: c.add_repository("mine", "https://git.test/x", "dev"),
        "POST",
        "~/repositories",
        {},
        {"name": "mine", "url": "https://git.test/x", "branch": "dev"},
    ),
    "clean up": (lambda c: c.clean_up(), "POST", "~/cleanup", {}, None),
    "clean up, dry": (lambda c: c.clean_up(is_dry_run=True), "POST", "~/cleanup", {"dryRun": "true"}, None),
    "registries": (lambda c: c.registries(), "GET", "~/registries", {}, None),
    "add registry": (
        lambda c: c.add_registry("h:5000", "robot", "x"),
        "POST",
        "~/registries",
        {},
        {"host": "h:5000", "username": "robot", "password": "x"},
    ),
    "remove registry": (lambda c: c.remove_registry("h:5000"), "DELETE", "~/registries/h:5000", {}, None),
    "remove repository": (lambda c: c.remove_repository("mine"), "DELETE", "~/repositories/mine", {}, None),
    "change setting": (
        lambda c: c.change_setting("taskTimeout", 30),
        "PUT",
        "~/settings/taskTimeout",
        {},
        {"value": 30},
    ),
    "keys": (lambda c: c.keys(), "GET", "~/keys", {}, None),
    "revoke": (lambda c: c.revoke_key("k1"), "DELETE", "~/keys/k1", {}, None),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_asks(client: PloinkyClient, stub: StubServer, what: str) -> None:
    """Each method sends the request of the API that it stands for and gives its document."""
    ask, method, path, query, document = REQUESTS[what]
    stub.answer(method, path, Reply(200, {"from": what}))
    assert ask(client) == {"from": what}
    (request,) = stub.requests
    assert dict(request.query) == query
    assert request.document == document


def test_gives_settings_as_a_list(client: PloinkyClient, stub: StubServer) -> None:
    """Settings come as a list of objects; anything else is refused."""
    stub.answer("GET", "~/settings", Reply(200, [{"name": "a", "value": 1}]), Reply(200, {"a": 1}), Reply(200, [1]))
    assert client.settings() == [{"name": "a", "value": 1}]
    for _ in range(2):
        with pytest.raises(ApiError, match="not a list of JSON objects"):
            client.settings()


def test_keeps_a_value_inside_its_segment(client: PloinkyClient, stub: StubServer) -> None:
    """An id with a slash or a question mark cannot become another path."""
    with pytest.raises(ApiError):
        client.task("../keys?x=1#y")
    assert stub.requests[0].path == "/management/api/tasks/..%2Fkeys%3Fx=1%23y".replace("=", "%3D")


def test_gives_logs_as_text(client: PloinkyClient, stub: StubServer) -> None:
    """Logs are no JSON; bytes that are no UTF-8 do not end the reading."""
    stub.answer("GET", "~/deployments/dep1/logs", Reply(content=b"one\n\xff\n", headers={"Content-Type": "text/plain"}))
    assert client.logs("dep1", 5) == "one\n�\n"
    assert stub.requests[0].query == {"tail": "5"}


def test_accepts_an_answer_without_content(client: PloinkyClient, stub: StubServer) -> None:
    """A change that is answered with nothing gives an empty document."""
    stub.answer("DELETE", "~/keys/k1", Reply(204, content=b""))
    assert client.revoke_key("k1") == {}


def test_finds_a_deployment_by_its_route(client: PloinkyClient, stub: StubServer) -> None:
    """Domain and path are sent as the filter."""
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    assert client.find_deployment("localhost", "/demo")["id"] == "dep1"
    assert stub.requests[0].query == {"domain": "localhost", "path": "/demo"}


def test_says_that_nothing_is_at_a_route(client: PloinkyClient, stub: StubServer) -> None:
    """An empty list is the same as a 404 for who looked for one deployment."""
    stub.answer("GET", "~/deployments", Reply(200, page_of()))
    with pytest.raises(ApiError, match="localhost/none") as caught:
        client.find_deployment("localhost", "/none")
    assert (caught.value.status, caught.value.code) == (404, "DEPLOYMENT_NOT_FOUND")


def test_raises_what_the_error_format_says(client: PloinkyClient, stub: StubServer) -> None:
    """Every field of a refusal is kept, and the hint is found."""
    stub.answer("GET", "~/tasks/t1", refusal(409, "INVALID_STATE", "It is over", hint="Look at it.", state="dead"))
    with pytest.raises(ApiError) as caught:
        client.task("t1")
    error = caught.value
    assert (error.status, error.code, error.message, error.hint) == (409, "INVALID_STATE", "It is over", "Look at it.")
    assert error.details["state"] == "dead"
    assert error.request_id == "request-1"


FOREIGN = {
    "a page of a proxy": (Reply(502, content=b"<html>"), "HTTP_502", "502 Bad Gateway"),
    "a redirect": (Reply(302, content=b"", headers={"Location": "/x"}), "HTTP_302", "302 Found"),
    "a status nobody knows": (Reply(599, content=b"{}"), "HTTP_599", "599"),
    "an error of another shape": (Reply(400, {"code": 7}), "HTTP_400", "400 Bad Request"),
    "a page instead of JSON": (Reply(200, content=b"<html>"), "UNREADABLE_ANSWER", "not JSON"),
    "a list instead of an object": (Reply(200, [1]), "UNREADABLE_ANSWER", "not a JSON object"),
    "endless nesting": (Reply(200, content=b"[" * 100_000), "UNREADABLE_ANSWER", "not JSON"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_is_not_confused_by(client: PloinkyClient, stub: StubServer, what: str) -> None:
    """An answer that is none of Ploinky's is an error that says so, with a hint."""
    reply, code, message = FOREIGN[what]
    stub.answer("GET", "~/health", reply)
    with pytest.raises(ApiError, match=message) as caught:
        client.health()
    assert caught.value.code == code
    assert "Ploinky server" in caught.value.hint


def test_says_that_nothing_listens() -> None:
    """A refused connection names the server and the reason."""
    url = f"http://127.0.0.1:{closed_port()}"
    with PloinkyClient(url) as client, pytest.raises(ConnectionFailed, match="refused") as caught:
        client.health()
    assert caught.value.url == url
    assert "ploinky start" in caught.value.hint


def test_gives_up_on_a_silent_server() -> None:
    """A server that accepts and says nothing is left after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with PloinkyClient(url, timeout_seconds=0.05) as client, pytest.raises(ConnectionFailed, match="too long"):
            client.health()


def test_says_that_it_is_not_http() -> None:
    """Something else that listens there is not taken for a server."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            accepted, _ = other.accept()
            with accepted:
                accepted.recv(65_536)
                accepted.sendall(b"220 mail.test ESMTP\r\n")

        greeter = threading.Thread(target=greet)
        greeter.start()
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        with PloinkyClient(url, timeout_seconds=5) as client, pytest.raises(ConnectionFailed, match="HTTP"):
            client.health()
        greeter.join()


def test_notices_an_answer_that_ends_too_early(client: PloinkyClient, stub: StubServer) -> None:
    """Half an answer is no answer."""
    stub.answer("GET", "~/health", Reply(200, health(), is_cut=True))
    with pytest.raises(ConnectionFailed):
        client.health()


def test_refuses_an_answer_over_the_limit(
    client: PloinkyClient, stub: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is not filled by what a server sends."""
    monkeypatch.setattr(connection_module, "ANSWER_LIMIT_BYTES", 10)
    stub.answer("GET", "~/health", Reply(200, health()))
    with pytest.raises(ApiError, match="more than 10 bytes"):
        client.health()


def test_repeats_a_read_on_a_connection_that_was_closed(client: PloinkyClient, stub: StubServer) -> None:
    """A kept connection that the server closed meanwhile is nobody's concern."""
    stub.answer("GET", "~/health", Reply(200, health()), Reply(is_dropped=True), Reply(200, health()))
    client.health()
    assert client.health()["status"] == "ok"
    assert len(stub.requests) == 3


def test_does_not_repeat_what_is_not_idempotent(client: PloinkyClient, stub: StubServer) -> None:
    """A task is not handed in twice because no answer came."""
    stub.answer("GET", "~/health", Reply(200, health()))
    stub.answer("POST", "~/tasks", Reply(is_dropped=True))
    client.health()
    with pytest.raises(ConnectionFailed, match="without an answer"):
        client.submit_task("dep1", "hello")
    assert len(stub.asked("POST", "~/tasks")) == 1


def test_does_not_repeat_on_a_new_connection(client: PloinkyClient, stub: StubServer) -> None:
    """A server that drops the first request will drop the second."""
    stub.answer("GET", "~/health", Reply(is_dropped=True))
    with pytest.raises(ConnectionFailed):
        client.health()
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host:99999",
        "http://user:secret@host",
        "http://host/?x=1",
        "http://host/#x",
        "http://[::1",
    ],
)
def test_refuses_the_url(url: str) -> None:
    """What is no URL of a server is refused before anything is sent, with an example."""
    with pytest.raises(AddressInvalid) as caught:
        PloinkyClient(url)
    assert "http://127.0.0.1:8000" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://Host.test", "http://host.test:80"),
        ("https://host.test/", "https://host.test:443"),
        ("http://[::1]:9000/a/", "http://[::1]:9000/a"),
        (" http://bücher.test ", "http://xn--bcher-kva.test:80"),
    ],
)
def test_reads_the_url(url: str, plain: str) -> None:
    """URLs are brought into one form."""
    assert PloinkyClient(url).url == plain


@pytest.mark.parametrize("key", ["with space", "line\nbreak", "ключ", "x" * 501])
def test_refuses_the_key(key: str) -> None:
    """A key that could break out of its header is refused and not shown."""
    with pytest.raises(AddressInvalid) as caught:
        PloinkyClient("http://127.0.0.1:1", key)
    assert key not in caught.value.message
