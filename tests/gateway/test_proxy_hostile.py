"""Agents and callers that break the rules of HTTP: nobody else notices, and nobody is told a lie."""

import json
import socket
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gateway.web_agents import SILENCE_LIMIT_SECONDS, Shown, web_repository
from tests.server.running import RunningServer, request

READ_LIMIT_SECONDS = 20.0


@pytest.fixture(scope="module")
def raw(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The agent that answers with whatever bytes it likes, public at /raw."""
    directory = tmp_path_factory.mktemp("agents") / "raw"
    repository = web_repository(directory, "raw_agent", timeoutSeconds=SILENCE_LIMIT_SECONDS)
    return server.serve("/raw", "raw", repository.directory)


@pytest.fixture(scope="module")
def web(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The agent that shows what reached it, public at /web."""
    directory = tmp_path_factory.mktemp("agents") / "web"
    return server.serve("/web", "web", web_repository(directory, "web_agent").directory)


def exchange(server: RunningServer, sent: bytes) -> bytes:
    """Send bytes, and return everything that comes back until the server closes."""
    address = urlsplit(server.url)
    with closing(socket.create_connection((address.hostname, address.port), READ_LIMIT_SECONDS)) as opened:
        opened.sendall(sent)
        received = b""
        while piece := opened.recv(65_536):
            received += piece
        return received


class TestAgents:
    @pytest.mark.parametrize("path", ["/garbage", "/nothing", "/switch", "/huge", "/odd", "/badchunk"])
    def test_what_is_no_answer_is_a_502(self, server: RunningServer, raw: str, path: str) -> None:
        """What is no HTTP, or more than we carry, is said to be the agent's fault."""
        answer = server.ask("GET", f"/raw{path}")
        assert (answer.status, answer.code) == (502, "AGENT_UNREACHABLE")

    @pytest.mark.parametrize("path", ["/silent", "/dripping"])
    def test_headers_that_never_end_are_a_504(self, server: RunningServer, raw: str, path: str) -> None:
        """An answer has to begin within the limit, however busily an agent prepares it."""
        assert server.ask("GET", f"/raw{path}").code == "AGENT_TIMEOUT"

    def test_what_breaks_off_is_not_completed(self, server: RunningServer, raw: str) -> None:
        """The caller gets what came and sees that it is not all: the connection closes without an end."""
        answer = exchange(server, b"GET /raw/short HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-length: 100" in head
        assert body == b"short"

    def test_one_request_has_one_answer(self, server: RunningServer, raw: str) -> None:
        """A second answer nobody asked for is given to nobody, now or later."""
        for _ in range(3):
            answer = server.ask("GET", "/raw/two")
            assert (answer.status, answer.body) == (200, b"ok")

    @pytest.mark.parametrize(("path", "body"), [("/continue", b"ok"), ("/until-end", b"all of it")])
    def test_old_and_odd_answers_pass(self, server: RunningServer, raw: str, path: str, body: bytes) -> None:
        """A 100 before the answer, and a body that ends with its connection, are HTTP too."""
        answer = server.ask("GET", f"/raw{path}")
        assert (answer.status, answer.body) == (200, body)

    def test_a_kept_connection_that_was_closed_costs_nothing(self, server: RunningServer, raw: str) -> None:
        """An agent that closes a kept connection just when it is used again is asked once more on another."""
        for _ in range(5):
            answer = server.ask("GET", "/raw/kept")
            assert (answer.status, answer.body) == (200, b"ok")
            answer = server.ask("POST", "/raw/kept", b"x")
            assert (answer.status, answer.body) == (200, b"ok")

    @pytest.mark.parametrize("framing", ["", "?length"])
    def test_an_agent_that_dies_is_not_covered_up(self, server: RunningServer, web: str, framing: str) -> None:
        """An answer that breaks off in the middle breaks off for the caller."""
        answer = exchange(server, f"GET /web/die{framing} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert body in {b"begun", b"5\r\nbegun\r\n"}


SMUGGLED = b"GET /web/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


class TestCallers:
    @pytest.mark.parametrize(
        "framing",
        [
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
            b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!" + SMUGGLED,
            b"Content-Length: 5, 6\r\n\r\nhello!" + SMUGGLED,
            b"Content-Length: +5\r\n\r\nhello" + SMUGGLED,
            b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
            b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
            b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
            b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n" + SMUGGLED,
            b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
            b"X: a\rb\r\n\r\n" + SMUGGLED,
            b"X: a\x00b\r\n\r\n" + SMUGGLED,
        ],
    )
    def test_doubtful_framing_is_refused(self, server: RunningServer, web: str, framing: bytes) -> None:
        """Where a request ends is beyond doubt, or it is refused: nothing behind it is taken for another request."""
        answer = exchange(server, b"POST /web/outer HTTP/1.1\r\nHost: localhost\r\n" + framing)
        assert b"smuggled" not in answer
        assert b" 400 " in answer.partition(b"\r\n")[0] or b"AGENT_UNREACHABLE" in answer

    def test_pipelined_requests_stay_two(self, server: RunningServer, web: str) -> None:
        """Two requests in one packet are two requests for the agent, answered in their order."""
        first = b"POST /web/first HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
        second = b"GET /web/second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = exchange(server, first + second)
        assert [part.count(b'"target": "/first"') for part in answer.split(b"HTTP/1.1 200")] == [0, 1, 0]
        assert answer.index(b'"/first"') < answer.index(b'"/second"')

    @pytest.mark.parametrize(
        ("target", "got"),
        [(b"http://other.example/web/x?y", "/x?y"), (b"/web/x#fragment", "/x")],
        ids=["absolute", "fragment"],
    )
    def test_odd_targets_name_the_path_only(self, server: RunningServer, web: str, target: bytes, got: str) -> None:
        """The route is chosen by `Host` and path; no address in the request line leads anywhere else."""
        sent = b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        body = exchange(server, sent).partition(b"\r\n\r\n")[2]
        assert json.loads(body)["target"] == got

    def test_too_large_headers_are_refused(self, server: RunningServer, web: str) -> None:
        """Up to the limit they pass, above it the caller is told."""
        assert len(Shown(server.ask("GET", "/web/x", X_Large="y" * 7_000)).header("x-large") or "") == 7_000
        answer = server.ask("GET", "/web/x", X_Large="y" * 70_000)
        assert (answer.status, answer.code) == (431, "HEADERS_TOO_LARGE")

    def test_an_upgrade_to_something_else_is_a_plain_request(self, server: RunningServer, web: str) -> None:
        """Nobody talks to an agent in a protocol that we cannot follow."""
        sent = b"GET /web/x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
        shown = json.loads(exchange(server, sent).partition(b"\r\n\r\n")[2])
        assert "upgrade" not in dict(shown["headers"])

    def test_an_expectation_is_met_here(self, server: RunningServer, web: str) -> None:
        """A caller that waits for permission to send its body gets it from us."""
        address = urlsplit(server.url)
        with closing(socket.create_connection((address.hostname, address.port), READ_LIMIT_SECONDS)) as opened:
            head = b"POST /web/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            opened.sendall(head + b"Connection: close\r\n\r\n")
            assert opened.recv(65_536).startswith(b"HTTP/1.1 100 Continue")
            opened.sendall(b"ok")
            received = b""
            while piece := opened.recv(65_536):
                received += piece
        shown = json.loads(received.partition(b"\r\n\r\n")[2])
        assert shown["size"] == 2
        assert "expect" not in dict(shown["headers"])


def test_the_server_stays_well(server: RunningServer, raw: str, web: str, tmp_path: Path) -> None:
    """After all of that others are served, and nothing was unexpected."""
    exchange(server, b"GET /raw/short HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert request(server.url, "GET", "/web/health").body == b"fine"
    assert "broke off" in server.errors
    assert "without completing" not in server.errors
    assert "failed unexpectedly" not in server.errors
    assert "Traceback" not in server.errors
