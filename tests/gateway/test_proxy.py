"""Requests to an agent with a web server of its own pass through as they are, both ways."""

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gateway.web_agents import SILENCE_LIMIT_SECONDS, Shown, web_repository
from tests.server.running import RunningServer
from tests.waiting import wait_until

LARGE_BYTES = 10 * 1024 * 1024
MEMORY_GROWTH_LIMIT_BYTES = 6 * 1024 * 1024


@pytest.fixture(scope="module")
def web(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The agent that shows what reached it, public at /web."""
    directory = tmp_path_factory.mktemp("agents") / "web"
    return server.serve("/web", "web", web_repository(directory, "web_agent").directory)


@pytest.fixture
def connection(server: RunningServer, web: str) -> Iterator[HTTPConnection]:
    """A connection of one's own, for what has to be read piece by piece."""
    address = urlsplit(server.url)
    with closing(HTTPConnection(address.hostname or "", address.port, timeout=30)) as opened:
        yield opened


def memory_of(server: RunningServer) -> int:
    """Return the most memory the server ever had resident."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def seen(server: RunningServer) -> dict[str, int]:
    return dict(server.ask("GET", "/web/seen").document)


def test_is_shown_as_what_it_is(server: RunningServer, web: str) -> None:
    """The API tells a deployment whose requests are passed on from one whose requests are tasks."""
    assert server.deployment(web)["kind"] == "http"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_the_method_passes(server: RunningServer, web: str, method: str) -> None:
    """Any method is the agent's to understand."""
    assert Shown(server.ask(method, "/web/x")).document["method"] == method


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_some_methods_are_for_no_agent(server: RunningServer, web: str, method: str) -> None:
    """What would show a request's headers, or make a tunnel, is refused."""
    assert server.ask(method, "/web/x").status == 400


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("/web", "/"),
        ("/web/", "/"),
        ("/web?a=1&a=2&b", "/?a=1&a=2&b"),
        ("/web/a%2Fb/%C3%BC?q=%20+%26", "/a%2Fb/%C3%BC?q=%20+%26"),
        ("/web//double///slash/", "//double///slash/"),
        ("/web/a/../../b/./c", "/a/../../b/./c"),
        ("/web/%2e%2e/x", "/%2e%2e/x"),
        ("/web/;params=1", "/;params=1"),
        ("/web/web/web", "/web/web"),
    ],
)
def test_the_path_below_passes_as_it_was_written(server: RunningServer, web: str, asked: str, got: str) -> None:
    """The deployment's path is taken off, and told; nothing is decoded, joined or resolved."""
    shown = Shown(server.ask("GET", asked))
    assert shown.target == got
    assert shown.header("x-forwarded-prefix") == "/web"


@pytest.mark.parametrize("path", ["/website", "/we", "/WEB", "/%77eb", "/x/../web"])
def test_no_spelling_reaches_another_route(server: RunningServer, web: str, path: str) -> None:
    """Only whole segments, as they are written, lead to a deployment."""
    assert server.ask("GET", path).code == "DEPLOYMENT_NOT_FOUND"


def test_headers_are_cleaned_and_told(server: RunningServer, web: str) -> None:
    """The agent learns who asks and for which host, and never sees a key of ours."""
    sent = {
        "Host": "localhost:1234",
        "Connection": "X-Hop",
        "X_Hop": "1",
        "X_Own": "kept",
        "X_API_Key": server.key,
        "Authorization": "Basic b3duOm93bg==",
        "Cookie": "own=1; ploinky_session=2",
        "User_Agent": "tester",
    }
    answer = server.ask("GET", "/web/x", **sent)
    shown = Shown(answer)
    assert shown.header("host") == "localhost:1234"
    assert shown.header("x-forwarded-host") == "localhost:1234"
    assert shown.header("x-forwarded-for") == "127.0.0.1"
    assert shown.header("x-own") == "kept"
    assert shown.header("authorization") == "Basic b3duOm93bg=="
    assert shown.header("cookie") == "own=1"
    assert shown.header("user-agent") == "tester"
    assert shown.header("x-request-id") == answer.headers["x-request-id"]
    assert server.key not in json.dumps(shown.document)
    assert shown.all("x-hop") == shown.all("x-api-key") == shown.all("accept") == []
    bearer = server.ask("GET", "/web/x", Authorization=f"Bearer {server.key}")
    assert Shown(bearer).all("authorization") == []


def test_answers_are_cleaned(server: RunningServer, web: str) -> None:
    """An agent sets its own cookies and headers, and none of ours or of its connection's."""
    answer = server.ask("GET", "/web/cookies")
    assert answer.headers["set-cookie"] == "own=1; Path=/"
    assert not {"x-hop", "x-ploinky-task", "connection", "transfer-encoding"} & set(answer.headers)


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 404, 418, 500, 503])
def test_any_status_passes(server: RunningServer, web: str, status: int) -> None:
    """What the agent answers is the answer, redirects and errors included."""
    answer = server.ask("GET", f"/web/status/{status}")
    assert (answer.status, answer.headers["x-own"], answer.body) == (status, "mine", b"")


def test_a_head_has_a_length_and_no_body(server: RunningServer, connection: HTTPConnection) -> None:
    """The length is that of the body a GET would have had; the connection can be used on."""
    connection.request("HEAD", "/web/download?bytes=12345&length")
    response = connection.getresponse()
    assert (response.status, response.getheader("content-length"), response.read()) == (200, "12345", b"")
    connection.request("GET", "/web/health")
    assert connection.getresponse().read() == b"fine"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_passes_whole(server: RunningServer, connection: HTTPConnection, is_chunked: bool) -> None:
    """Of ten megabytes with a length or in chunks each byte arrives, framed as it was."""
    body = bytes(range(256)) * (LARGE_BYTES // 256)
    pieces = iter([body[:1], body[1:70_000], body[70_000:]]) if is_chunked else body
    connection.request("POST", "/web/x", pieces, encode_chunked=is_chunked)
    response = connection.getresponse()
    document = json.loads(response.read())
    assert (document["size"], document["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    framing = dict(document["headers"])
    assert framing.get("content-length") == (None if is_chunked else str(len(body)))


@pytest.mark.parametrize("framing", ["", "&length"])
def test_a_large_answer_passes_whole(server: RunningServer, connection: HTTPConnection, framing: str) -> None:
    """Ten megabytes with a length or without arrive, in pieces."""
    connection.request("GET", f"/web/download?bytes={LARGE_BYTES}{framing}")
    response = connection.getresponse()
    assert len(response.read()) == LARGE_BYTES


def test_nothing_is_gathered(server: RunningServer, connection: HTTPConnection) -> None:
    """A caller that does not read, and one that sends fifty megabytes, cost a bounded amount of memory."""
    server.ask("POST", "/web/x", b"warm" * 100_000)
    before = memory_of(server)
    connection.request("GET", f"/web/download?bytes={5 * LARGE_BYTES}")
    response = connection.getresponse()
    assert len(response.read(1)) == 1  # the rest has to wait for us
    server.ask("POST", "/web/x", b"x" * (5 * LARGE_BYTES))
    assert memory_of(server) - before < MEMORY_GROWTH_LIMIT_BYTES
    assert len(response.read()) == 5 * LARGE_BYTES - 1


def test_an_answer_before_the_end_of_the_body_is_passed(server: RunningServer, web: str) -> None:
    """An agent that refuses an upload early is heard."""
    answer = server.ask("POST", "/web/refusing", b"x" * 1_000)
    assert (answer.status, answer.body) == (413, b"too much")


def test_events_arrive_as_they_are_sent(server: RunningServer, connection: HTTPConnection) -> None:
    """A stream's first event is read while the agent still holds the second one back."""
    connection.request("GET", "/web/events?gate=stream")
    response = connection.getresponse()
    assert response.getheader("content-type") == "text/event-stream"
    assert response.read(13) == b"data: first\n\n"
    server.ask("GET", "/web/open?gate=stream")
    assert response.read() == b"data: second\n\n"


@pytest.mark.parametrize("path", ["/web/held?gate=never", "/web/events?gate=never"], ids=["waiting", "streaming"])
def test_a_caller_that_hangs_up_is_noticed(server: RunningServer, connection: HTTPConnection, path: str) -> None:
    """The agent's request is cancelled when its caller goes, before the answer or in the middle of it."""
    before = seen(server)["cancelled"]
    connection.request("GET", path)
    if "events" in path:
        assert connection.getresponse().read(1) == b"d"
    else:
        wait_until(lambda: connection.sock is not None, what="the request on its way")
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: seen(server)["cancelled"] > before, what="the cancellation")


def test_only_those_who_may_are_passed_on(server: RunningServer, tmp_path: Path) -> None:
    """Without a key a deployment that is not public forwards nothing; with one it does."""
    repository = web_repository(tmp_path / "closed", "web_agent", access="reports.read")
    server.serve("/closed", "closed", repository.directory)
    assert server.ask("GET", "/closed/open?gate=closed").code == "UNAUTHENTICATED"
    assert server.ask("GET", "/closed/x", X_API_Key="plk_wrong").code == "UNAUTHENTICATED"
    assert Shown(server.ask("GET", "/closed/x", X_API_Key=server.key)).target == "/x"


def test_takes_no_tasks(server: RunningServer, web: str) -> None:
    """A task through the API is refused at once, with what to do."""
    refused = server.api("POST", "/tasks", {"deployment": web, "command": "x", "params": []})
    assert (refused.status, refused.code) == (409, "INVALID_STATE")


@pytest.fixture(scope="module")
def impatient(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same agent with a short limit, at /impatient."""
    directory = tmp_path_factory.mktemp("agents") / "impatient"
    repository = web_repository(directory, "web_agent", timeoutSeconds=SILENCE_LIMIT_SECONDS)
    return server.serve("/impatient", "impatient", repository.directory)


def test_silence_before_the_answer_is_a_504(server: RunningServer, impatient: str) -> None:
    """An agent that does not answer within its limit is given up."""
    answer = server.ask("GET", "/impatient/held?gate=never")
    assert (answer.status, answer.code) == (504, "AGENT_TIMEOUT")


def test_silence_in_the_answer_breaks_it_off(server: RunningServer, impatient: str, connection: HTTPConnection) -> None:
    """A stream that falls silent for too long is closed without its end."""
    connection.request("GET", "/impatient/events?gate=never")
    with pytest.raises(IncompleteRead):
        connection.getresponse().read()


def test_an_agent_that_never_is_well_fails_its_rollout(tmp_path: Path) -> None:
    """The deploy fails and says what was found; who calls it is told that nothing is ready."""
    repository = web_repository(tmp_path / "ill", "raw_agent", http={"port": 80, "health": "/unwell"})
    server = RunningServer(tmp_path, changes={"PLOINKY_AGENT_START_TIMEOUT_MS": "3000"})
    try:
        server.initialise()
        deployment_id = server.deploy("/ill", "ill", repository.directory)
        ended = server.await_rollout(deployment_id)["lastRollout"]
        assert (ended["outcome"], ended["step"], ended["code"]) == ("failed", "readiness", "READINESS_TIMEOUT")
        assert ended["message"].endswith(": GET /unwell answers 503")
        assert server.ask("GET", "/ill", X_API_Key=server.key).code == "DEPLOYMENT_NOT_READY"
        assert server.stop() == 0
    finally:
        server.kill()
