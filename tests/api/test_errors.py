"""Whatever goes wrong, the answer is in the one error format."""

import socket
from urllib.parse import urlsplit

import pytest

from tests.server.running import Answer, RunningServer

BIG = b" " * (65 * 1024 * 1024)
DEEP = b'{"domain":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
WEBSOCKET = (
    b"GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
GOOD = {"domain": "localhost", "path": "/x", "agent": "a", "repository": "/srv/agents"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nothing", None, 404, "NOT_FOUND"),
        ("PATCH", "/keys", None, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/health", None, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/deployments/nothing", None, 404, "DEPLOYMENT_NOT_FOUND"),
        ("GET", "/deployments/nothing/logs", None, 404, "DEPLOYMENT_NOT_FOUND"),
        ("POST", "/deployments/nothing/restart", None, 404, "DEPLOYMENT_NOT_FOUND"),
        ("DELETE", "/deployments/nothing", None, 404, "DEPLOYMENT_NOT_FOUND"),
        ("DELETE", "/deployments?domain=localhost&path=/nothing", None, 404, "DEPLOYMENT_NOT_FOUND"),
        ("DELETE", "/deployments", None, 400, "INVALID_REQUEST"),
        ("GET", "/tasks/nothing", None, 404, "TASK_NOT_FOUND"),
        ("GET", "/tasks/%00", None, 404, "TASK_NOT_FOUND"),
        ("GET", "/tasks/%ff", None, 404, "TASK_NOT_FOUND"),
        ("DELETE", "/tasks/nothing", None, 404, "TASK_NOT_FOUND"),
        ("DELETE", "/keys/nothing", None, 404, "KEY_NOT_FOUND"),
        ("DELETE", "/repositories/nothing", None, 404, "REPOSITORY_NOT_FOUND"),
        ("PUT", "/settings/nothing", {"value": 1}, 404, "NOT_FOUND"),
        ("PUT", "/settings/taskTimeout", {"value": "long"}, 400, "INVALID_REQUEST"),
        ("PUT", "/settings/taskTimeout", {"value": True}, 400, "INVALID_REQUEST"),
        ("PUT", "/settings/taskTimeout", {"value": -1}, 400, "INVALID_REQUEST"),
        ("PUT", "/settings/maxContainers", {"value": 1.5}, 400, "INVALID_REQUEST"),
        ("PUT", "/settings/maxContainers", {"value": 10**400}, 400, "INVALID_REQUEST"),
        ("PUT", "/settings/maxContainers", {"value": None}, 400, "INVALID_REQUEST"),
        ("GET", "/tasks?page=0", None, 400, "INVALID_REQUEST"),
        ("GET", "/tasks?page=x", None, 400, "INVALID_REQUEST"),
        ("GET", "/tasks?perPage=501", None, 400, "INVALID_REQUEST"),
        ("GET", "/events?after=-1", None, 400, "INVALID_REQUEST"),
        ("GET", f"/events?after={10**30}", None, 400, "INVALID_REQUEST"),
        ("GET", "/events?limit=1001", None, 400, "INVALID_REQUEST"),
        ("POST", "/deployments", b"{broken", 400, "INVALID_REQUEST"),
        ("POST", "/deployments", b"\xff\xfe", 400, "INVALID_REQUEST"),
        ("POST", "/deployments", b"", 400, "INVALID_REQUEST"),
        ("POST", "/deployments", b"[]", 400, "INVALID_REQUEST"),
        ("POST", "/deployments", DEEP, 400, "INVALID_REQUEST"),
        ("POST", "/deployments", {"domain": "localhost"}, 400, "INVALID_REQUEST"),
        ("POST", "/tasks", {"deployment": "nothing", "command": "hello"}, 404, "DEPLOYMENT_NOT_FOUND"),
        ("POST", "/tasks", {"deployment": "nothing", "command": ""}, 400, "INVALID_REQUEST"),
        ("POST", "/repositories", {"name": "a/b", "url": "/srv"}, 400, "INVALID_REQUEST"),
        ("POST", "/repositories", {"name": "a", "url": "ssh://x"}, 400, "SOURCE_INVALID"),
        ("POST", "/keys/recover", {"issuedAt": 10**400, "proof": "x"}, 400, "INVALID_REQUEST"),
        ("POST", "/keys/recover", {"issuedAt": -1, "proof": "x"}, 400, "INVALID_REQUEST"),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_refuses_in_one_format(
    server: RunningServer, method: str, path: str, body: object, status: int, code: str
) -> None:
    """Each mistake has its status and code, and the answer has the one format."""
    answer = server.api(method, path, body)
    assert (answer.status, answer.code) == (status, code), answer.body
    assert answer.document["message"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"unknown": 2},
        {"replicas": 0},
        {"replicas": 65},
        {"domain": "no spaces"},
        {"path": "no-slash"},
        {"path": "/management/x"},
        {"agent": "../etc"},
        {"repository": "unknown-name"},
        {"runtime": "vmware"},
        {"concurrency": 0},
        {"concurrency": 10**30},
        {"timeoutSeconds": 0},
        {"env": {"A=B": "c"}},
        {"env": {"A": "c\0d"}},
        {"env": {"PLOINKY_PATH": "/"}},
        {"env": {"A": 1}},
        {"env": {"A": "c" * 40_000}},
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_refuses_wrong_deployments(server: RunningServer, wrong: dict[str, object]) -> None:
    """A deployment that cannot be is refused at once, and nothing of it is recorded."""
    answer = server.api("POST", "/deployments", {**GOOD, **wrong})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST"), answer.body
    assert server.api("GET", "/events?type=deployment.requested").document["data"] == []


@pytest.mark.parametrize("path", ["/deployments", "/keys/recover"])
def test_refuses_what_is_too_large(server: RunningServer, path: str) -> None:
    """A body above the limit is refused with 413, and the server goes on."""
    answer = server.api("POST", path, BIG)
    assert (answer.status, answer.code) == (413, "BODY_TOO_LARGE")
    assert server.ask("GET", "/management/health/live").status == 200


def test_refuses_an_impossible_position(server: RunningServer) -> None:
    """A stream that shall resume beyond what any journal can hold is refused before it begins."""
    answer = server.api("GET", "/events/stream", Last_Event_ID="9" * 5_000)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


def raw(server: RunningServer, request: bytes) -> bytes:
    """Send bytes and return everything that comes back."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65_536):
            received += part
    return received


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-API-Key: \xff\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://localhost/management/api/keys HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nshort",
        WEBSOCKET,
    ],
)
def test_stays_up_whatever_is_sent(server: RunningServer, request_: bytes) -> None:
    """Broken and odd requests get an error or a closed connection, never a 200 or a 500."""
    received = raw(server, request_)
    status = received[9:12]
    assert status in {b"", b"307", b"400", b"401", b"404"}, received
    assert server.ask("GET", "/management/health/live").status == 200


def test_every_answer_has_a_request_id(server: RunningServer) -> None:
    """Requests are told apart in answers, errors and events by an id of their own."""
    answers: list[Answer] = [server.api("GET", "/health"), server.api("GET", "/nothing"), server.ask("GET", "/x")]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == len(answers)
