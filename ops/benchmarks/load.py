"""Load a no-op command of a deployment over HTTP and check every answer.

Raw kept-alive connections with one call at a time each.

Usage: ops/bench load http://127.0.0.1:8000/bench [--clients 32] [--seconds 2 | --calls 300] [--warm-up 50]
Prints one JSON object: `{calls, seconds, latencies_ms}`. The first wrong answer ends it with an error.
"""

import argparse
import asyncio
import json
import math
import sys
import time
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import uvloop

ANSWER_LIMIT_SECONDS = 40.0
ANSWER_LIMIT_BYTES = 64 * 1024


class Stop(NamedTuple):
    """When a run is over: whichever comes first."""

    calls: float
    at: float

    def is_due(self, begun_calls: int) -> bool:
        """Tell whether no further call is to begin."""
        return begun_calls >= self.calls or time.perf_counter() >= self.at


class Client(asyncio.Protocol):
    """One connection that calls again as soon as it has its answer."""

    def __init__(self, load: "Load") -> None:
        """Belong to a run."""
        self._load = load
        self._transport: asyncio.WriteTransport | None = None
        self._received = b""
        self._number = 0
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make the first call."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are no subclass
        self._call()

    def data_received(self, data: bytes) -> None:
        """Collect an answer, and call again once it is whole."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        if len(self._received) > ANSWER_LIMIT_BYTES:
            self._load.fail("an answer is too large")
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return
        self._received = b""
        if not head.startswith(b"HTTP/1.1 200 ") or body != b"%d" % self._number:
            self._load.fail(f"call {self._number} was answered by {head[:200]!r} {body[:300]!r}")
            return
        self._load.latencies.append(time.perf_counter() - self._sent_at)
        self._call()

    def connection_lost(self, _error: Exception | None) -> None:
        """Fail, unless this client has hung up itself."""
        self._load.note_closed(is_expected=self._transport is None)

    def _call(self) -> None:
        transport, load = self._transport, self._load
        if transport is None:
            return
        if load.stop.is_due(load.begun_calls):
            self._transport = None
            transport.close()
            return
        self._number = load.begun_calls
        load.begun_calls += 1
        body = b'{"command":"noop","params":[%d]}' % self._number
        self._sent_at = time.perf_counter()
        transport.write(b"%s%d\r\n\r\n%s" % (load.request_head, len(body), body))


class Load:
    """One run of all clients against one address."""

    def __init__(self, url: str, stop: Stop) -> None:
        """Take where and how long."""
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.request_head = (
            f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self.stop = stop
        self.latencies: list[float] = []
        self.begun_calls = 0
        self._open_clients = 0
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, clients: int) -> float:
        """Call from all clients until it is over; return the seconds it took. Raises `RuntimeError`."""
        self._open_clients = clients
        begun_at = time.perf_counter()
        loop = asyncio.get_running_loop()
        for _ in range(clients):
            await loop.create_connection(lambda: Client(self), self.host, self.port)
        async with asyncio.timeout(max(0.0, min(self.stop.at - begun_at, 600.0)) + ANSWER_LIMIT_SECONDS):
            await self._ended
        return time.perf_counter() - begun_at

    def fail(self, why: str) -> None:
        """End the run: a benchmark that fails a request has failed."""
        if not self._ended.done():
            self._ended.set_exception(RuntimeError(why))

    def note_closed(self, *, is_expected: bool) -> None:
        """Count a client out."""
        self._open_clients -= 1
        if not is_expected:
            self.fail("the server closed a connection")
        elif self._open_clients == 0 and not self._ended.done():
            self._ended.set_result(None)


async def load(url: str, clients: int, seconds: float, calls: float, warm_up_calls: int) -> dict[str, object]:
    """Warm up, then measure."""
    if warm_up_calls:
        await Load(url, Stop(warm_up_calls, math.inf)).run(clients)
    run = Load(url, Stop(calls, time.perf_counter() + seconds))
    elapsed_seconds = await run.run(clients)
    latencies_ms = [round(latency * 1000, 4) for latency in run.latencies]
    return {"calls": len(latencies_ms), "seconds": elapsed_seconds, "latencies_ms": latencies_ms}


def main() -> None:
    """Run as told by the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--calls", type=int, default=None, help="end after so many calls instead")
    parser.add_argument("--warm-up", type=int, default=50)
    options = parser.parse_args()
    seconds, calls = (options.seconds, math.inf) if options.calls is None else (math.inf, options.calls)
    print(json.dumps(uvloop.run(load(options.url, options.clients, seconds, calls, options.warm_up))))


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError, TimeoutError) as error:
        sys.exit(f"the load has failed: {error!r}")
