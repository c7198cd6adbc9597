"""Huey's side of the task benchmark: its consumer with four worker processes, and clients that await each result.

Run as a program it is one of its processes: `consume` works on the queue, `call` loads it and prints one JSON object.
Which queue is told by the environment: `BENCH_HUEY_SQLITE` is a database file, `BENCH_HUEY_REDIS` a server's socket.
"""

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huey import Huey, RedisHuey, SqliteHuey

WORKERS = 4
FASTEST_POLL_SECONDS = 0.000_5
SLOWEST_POLL_SECONDS = 0.002
"""SQLite wakes nobody, so both sides look often; its defaults, 0.1 s and up, would only make it slower here."""
FULL_SYNCHRONOUS = 2
"""`PRAGMA synchronous`: the write-ahead log is synchronised at each commit."""
RESULT_LIMIT_SECONDS = 40.0
START_LIMIT_SECONDS = 20.0
STOP_LIMIT_SECONDS = 10.0


def make_queue() -> Huey:
    """Make the queue that the environment names."""
    if path := os.environ.get("BENCH_HUEY_SQLITE"):
        return SqliteHuey("bench", filename=path, fsync=True, journal_mode="wal", timeout=30)
    url = f"unix://{os.environ['BENCH_HUEY_REDIS']}"
    return RedisHuey("bench", url=url, blocking=True, notify_result=True)


queue = make_queue() if {"BENCH_HUEY_SQLITE", "BENCH_HUEY_REDIS"} & os.environ.keys() else Huey(immediate=True)


def same(number: int) -> int:
    """Do nothing."""
    return number


noop = queue.task()(same)


class Callers:
    """Threads that each call, await the result, check it, and call again."""

    def __init__(self, calls: float, until: float) -> None:
        """Stop after so many calls or at a time, whichever comes first."""
        self._calls = calls
        self._until = until
        self._lock = threading.Lock()
        self._begun_calls = 0
        self.latencies: list[float] = []
        self.failures: list[str] = []

    def run(self, count: int) -> float:
        """Call from `count` threads; return the seconds it took."""
        threads = [threading.Thread(target=self._call_on) for _ in range(count)]
        begun_at = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - begun_at

    def _call_on(self) -> None:
        try:
            while (number := self._next()) is not None:
                self._call(number)
        except Exception as error:  # noqa: BLE001 - reported by the process, whatever it was
            self.failures.append(repr(error))

    def _next(self) -> int | None:
        with self._lock:
            if self._begun_calls >= self._calls or time.perf_counter() >= self._until or self.failures:
                return None
            self._begun_calls += 1
            return self._begun_calls

    def _call(self, number: int) -> None:
        sent_at = time.perf_counter()
        found = noop(number).get(
            blocking=True, timeout=RESULT_LIMIT_SECONDS, backoff=1.15, max_delay=SLOWEST_POLL_SECONDS
        )
        if found != number:
            raise ValueError(f"{number} was answered by {found!r}")
        self.latencies.append(time.perf_counter() - sent_at)


def call(clients: int, seconds: float, calls: float, warm_up_calls: int) -> None:
    """Warm up, measure, print."""
    Callers(warm_up_calls, math.inf).run(clients)
    callers = Callers(calls, time.perf_counter() + seconds)
    elapsed_seconds = callers.run(clients)
    if callers.failures:
        sys.exit(f"the load has failed: {callers.failures[0]}")
    latencies_ms = [round(latency * 1000, 4) for latency in callers.latencies]
    print(json.dumps({"calls": len(latencies_ms), "seconds": elapsed_seconds, "latencies_ms": latencies_ms}))


def consume() -> None:
    """Work on the queue until told to stop."""
    queue.create_consumer(
        workers=WORKERS,
        worker_type="process",
        initial_delay=FASTEST_POLL_SECONDS,
        max_delay=SLOWEST_POLL_SECONDS,
        periodic=False,
    ).run()


def program(*words: str) -> list[str]:
    """Return the command that runs this file."""
    return [sys.executable, "-m", "ops.benchmarks._tasks_huey", *words]


@contextmanager
def running_consumer(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Run a consumer; give the environment its callers need."""
    everything = {**os.environ, **environment}
    consumer = subprocess.Popen(program("consume"), env=everything, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        yield everything
    finally:
        _stop(consumer, signal.SIGTERM)


@contextmanager
def running_redis(folder: Path, *, is_synchronous: bool) -> Iterator[str]:
    """Run a Redis server on a socket in `folder`, as it comes or with an append-only file synchronised always."""
    path = folder / "redis.sock"
    durable = ("--appendonly", "yes", "--appendfsync", "always") if is_synchronous else ()
    words = ("redis-server", "--port", "0", "--unixsocket", str(path), "--dir", str(folder), *durable)
    server = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not path.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.02)
        yield str(path)
    finally:
        _stop(server, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        process.wait(STOP_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main() -> None:
    """Run as one of the processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("consume", "call"))
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--calls", type=float, default=math.inf)
    parser.add_argument("--warm-up", type=int, default=50)
    options = parser.parse_args()
    if options.role == "consume":
        consume()
    else:
        call(options.clients, options.seconds, options.calls, options.warm_up)


if __name__ == "__main__":
    main()
