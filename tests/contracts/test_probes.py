"""What every way of probing promises: in memory, and over real connections."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from ploinky.adapters.aiohttp_probes import AiohttpProbes
from ploinky.adapters.memory.probes import MemoryProbes
from ploinky.ports.probes import ProbeAnswer, Probes
from ploinky.ports.runtime import Address

LIMIT_SECONDS = 10.0
NOWHERE = Address("127.0.0.1", 1)


def answer_with(content: bytes, opened: ExitStack) -> Address:
    """Listen, answer each connection with these bytes once something was asked, and hang up; nothing = keep silent."""
    listener = opened.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            if content:
                with connection:
                    connection.recv(65_536)
                    connection.sendall(content)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def end() -> None:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in kept:
            connection.close()

    opened.callback(end)
    return Address(*listener.getsockname())


class Bench:
    """A way of probing, and addresses of either kind for it."""

    def __init__(self, kind: str, opened: ExitStack) -> None:
        self.probes: Probes = MemoryProbes() if kind == "memory" else AiohttpProbes()
        self._opened = opened

    def answering(self, status: int) -> Address:
        if isinstance(self.probes, MemoryProbes):
            address = Address("127.0.0.1", 1000 + status)
            self.probes.statuses[address] = status
            return address
        return answer_with(b"HTTP/1.1 %d X\r\nContent-Length: 100\r\n\r\n" % status, self._opened)

    def closed(self) -> Address:
        if isinstance(self.probes, MemoryProbes):
            self.probes.closed.add(NOWHERE)
        return NOWHERE

    def tcp(self, address: Address, limit_seconds: float = LIMIT_SECONDS) -> ProbeAnswer:
        return asyncio.run(self.probes.tcp(address, limit_seconds))

    def http(self, address: Address, limit_seconds: float = LIMIT_SECONDS) -> ProbeAnswer:
        return asyncio.run(self.probes.http(address, "/health", limit_seconds))


@pytest.fixture(params=["memory", "real"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with ExitStack() as opened:
        yield Bench(request.param, opened)


@pytest.mark.parametrize("status", [200, 204, 302, 399])
def test_a_good_answer_passes(bench: Bench, status: int) -> None:
    """2xx and 3xx are good, without waiting for the body; what was found is said."""
    assert bench.http(bench.answering(status)) == ProbeAnswer(is_passed=True, finding=f"GET /health answers {status}")


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_bad_answer_does_not(bench: Bench, status: int) -> None:
    """Anything else is not good, and the status is said."""
    assert bench.http(bench.answering(status)) == ProbeAnswer(is_passed=False, finding=f"GET /health answers {status}")


def test_an_open_port_passes(bench: Bench) -> None:
    """Somebody accepts connections and keeps them."""
    address = bench.answering(200)
    assert bench.tcp(address) == ProbeAnswer(is_passed=True, finding=f"port {address.port} is open")


def test_a_closed_port_does_not(bench: Bench) -> None:
    """Nobody listens: neither look passes, and both name the port."""
    for found in (bench.tcp(bench.closed()), bench.http(bench.closed())):
        assert not found.is_passed
        assert "port 1" in found.finding


class TestRealConnections:
    """What memory cannot get wrong."""

    def look(self, content: bytes, path: str = "/health", limit_seconds: float = LIMIT_SECONDS) -> ProbeAnswer:
        with ExitStack() as opened:
            return asyncio.run(AiohttpProbes().http(answer_with(content, opened), path, limit_seconds))

    def test_garbage_is_no_answer(self) -> None:
        """Something that is not HTTP does not pass, nor raise."""
        assert not self.look(b"what is this\r\n\r\n").is_passed

    def test_silence_ends_in_time(self) -> None:
        """Whoever accepts and says nothing does not pass, and the limit is said."""
        assert self.look(b"", limit_seconds=0.1).finding == "GET /health has no answer within 0.1 s"

    def test_the_path_is_asked_for_as_it_is(self) -> None:
        """Escapes and queries of the manifest are not rewritten."""
        heard: list[bytes] = []
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            thread = threading.Thread(target=hear_one(listener, heard))
            thread.start()
            asyncio.run(AiohttpProbes().http(Address(*listener.getsockname()), "/a%2Fb?c=%20d", LIMIT_SECONDS))
            thread.join()
        assert heard[0].startswith(b"GET /a%2Fb?c=%20d HTTP/1.1\r\n")

    def test_a_connection_that_is_not_kept_does_not_pass(self) -> None:
        """A forwarder accepts for a port nobody listens on, and then hangs up: that is no open port."""
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            thread = threading.Thread(target=hang_up_on_one, args=(listener,))
            thread.start()
            found = asyncio.run(AiohttpProbes().tcp(Address(*listener.getsockname()), LIMIT_SECONDS))
            thread.join()
        assert not found.is_passed
        assert "closed at once" in found.finding


def hang_up_on_one(listener: socket.socket) -> None:
    listener.accept()[0].close()


def hear_one(listener: socket.socket, heard: list[bytes]) -> Callable[[], None]:
    def serve() -> None:
        with listener.accept()[0] as connection:
            heard.append(connection.recv(65_536))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    return serve
