"""Tasks end to end: Ploinky over HTTP with a file queue beside Huey on SQLite and Huey on Redis, all with a no-op.

Each round runs every contender twice: one caller after the other (latency), then 32 callers (throughput), each load
from a process of its own. Every answer is checked against the number that was sent. All have four worker processes.

- ploinky: HTTP to a server process, journal on the disk measured, queue in memory, `handlers/noop.py`
- huey sqlite: a write-ahead log with synchronous=FULL, so that every commit is synchronised as ours is
- huey redis aof: `appendonly yes`, `appendfsync always`
- huey redis: as Redis comes, which loses in a crash what it has not yet written

Only ratios of one run say something.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ops.benchmarks._rows import print_head, print_row
from ops.benchmarks._tasks_huey import program, running_consumer, running_redis
from ops.benchmarks._tasks_ours import running_server

CLIENTS = 32
SHORTEST_ROUNDS = 3
SEQUENTIAL_CALLS = 400
SEQUENTIAL_WARM_UP_CALLS = 100
PARALLEL_SECONDS = 4.0
QUICK_PARALLEL_SECONDS = 1.5
LOAD_LIMIT_SECONDS = 180.0
LOAD_FILE = str(Path(__file__).with_name("load.py"))

OURS = "ploinky"
BARS = (
    ("tasks/s", "huey sqlite", 1.0, "bar"),
    ("p50 ms", "huey sqlite", 1.0, "bar"),
    ("tasks/s", "huey redis aof", 1.5, "aim"),
    ("p50 ms", "huey redis aof", 1.0, "aim"),
    ("tasks/s", "huey redis", 1.0, "aim"),
    ("p50 ms", "huey redis", 1.5, "aim"),
)
"""Ours to theirs: at least for tasks/s, at most for milliseconds. A missed bar fails, a missed aim is shown."""

Call = Callable[..., dict[str, Any]]
"""Runs one load and returns what it printed."""


class Run(NamedTuple):
    """What one contender did in one round."""

    p50_ms: float
    p99_ms: float
    rate: float
    """Tasks per second with all clients."""
    parallel_p99_ms: float

    def value(self, measure: str) -> float:
        """Look a measure up by the name it is shown with."""
        return self[MEASURES.index(measure)]


MEASURES = ("p50 ms", "p99 ms", "tasks/s", "p99 ms of 32")


def run_load(command: list[str], environment: dict[str, str] | None, **options: object) -> dict[str, Any]:
    """Run a load generator. Raises `RuntimeError` when a call failed."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = subprocess.run(
        [*command, *words], env=environment, capture_output=True, text=True, timeout=LOAD_LIMIT_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{done.stderr.strip() or done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(call: Call, seconds: float) -> Run:
    """Run both loads on one contender."""
    one = call(clients=1, calls=SEQUENTIAL_CALLS, warm_up=SEQUENTIAL_WARM_UP_CALLS)
    many = call(clients=CLIENTS, seconds=seconds, warm_up=4 * CLIENTS)
    return Run(
        percentile(one["latencies_ms"], 0.50),
        percentile(one["latencies_ms"], 0.99),
        many["calls"] / many["seconds"],
        percentile(many["latencies_ms"], 0.99),
    )


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of all do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


@contextmanager
def ploinky(folder: Path) -> Iterator[Call]:
    """Serve ours."""
    with running_server(folder) as server:
        yield lambda **options: run_load([sys.executable, LOAD_FILE, server.url], None, **options)


@contextmanager
def huey_sqlite(folder: Path) -> Iterator[Call]:
    """Serve Huey on SQLite."""
    with running_consumer({"BENCH_HUEY_SQLITE": str(folder / "huey.db")}) as environment:
        yield lambda **options: run_load(program("call"), environment, **options)


@contextmanager
def huey_redis(folder: Path, *, is_synchronous: bool = False) -> Iterator[Call]:
    """Serve Huey on Redis."""
    with (
        running_redis(folder, is_synchronous=is_synchronous) as socket_path,
        running_consumer({"BENCH_HUEY_REDIS": socket_path}) as environment,
    ):
        yield lambda **options: run_load(program("call"), environment, **options)


CONTENDERS: dict[str, Callable[[Path], Any]] = {
    OURS: ploinky,
    "huey sqlite": huey_sqlite,
    "huey redis aof": lambda folder: huey_redis(folder, is_synchronous=True),
    "huey redis": huey_redis,
}


def run_all(parent: str | None, rounds: int, seconds: float, names: list[str]) -> dict[str, list[Run]]:
    """Alternate the contenders, each started anew and alone: one that polls while idle would slow the others down."""
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            with (
                tempfile.TemporaryDirectory(prefix="tasks-", dir=parent) as folder,
                CONTENDERS[name](Path(folder)) as call,
            ):
                runs[name].append(measure(call, seconds))
    return runs


def report(runs: dict[str, list[Run]]) -> bool:
    """Print values and ratios; return whether the bars are reached."""
    print(f"{len(runs[OURS])} rounds of {SEQUENTIAL_CALLS} calls one after the other, then {CLIENTS} clients")
    print_head("")
    for name, done in runs.items():
        for measured in MEASURES:
            print_row(
                f"{name}, {measured}", [run.value(measured) for run in done], ".2f" if "ms" in measured else ".0f"
            )
    are_reached = True
    for measured, other, limit, kind in BARS:
        if other not in runs:
            continue
        pairs = zip(runs[OURS], runs[other], strict=True)
        ratios = [ours.value(measured) / theirs.value(measured) for ours, theirs in pairs]
        is_most = "ms" in measured
        median = statistics.median(ratios)
        is_reached = median <= limit if is_most else median >= limit
        are_reached &= is_reached or kind == "aim"
        verdict = f"{kind}: at {'most' if is_most else 'least'} {limit}: {'reached' if is_reached else 'MISSED'}"
        print_row(f"{measured}, ours / {other}", ratios, ".2f", verdict)
    print(
        "Differs: ours answers over HTTP and keeps the whole history, chained; Huey's callers reach the queue directly,"
    )
    print(
        "and its result is deleted when read. SQLite's callers and workers look every 0.5 to 2 ms instead of its 100;"
    )
    print("Redis on a Unix socket with notify_result; without the append-only file it synchronises nothing.")
    return are_reached


def main() -> None:
    """Alternate the contenders and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=SHORTEST_ROUNDS)
    parser.add_argument("--seconds", type=float, default=PARALLEL_SECONDS, help="of each load with all clients")
    parser.add_argument("--quick", action="store_true", help="short loads, for a first look")
    parser.add_argument("--directory", default=None, help="a folder on the disk to measure; default: the temporary one")
    parser.add_argument("--only", action="append", choices=list(CONTENDERS)[1:], help="a peer to run; default: all")
    options = parser.parse_args()
    seconds = QUICK_PARALLEL_SECONDS if options.quick else options.seconds
    names = [OURS, *(options.only or list(CONTENDERS)[1:])]
    runs = run_all(options.directory, max(SHORTEST_ROUNDS, options.rounds), seconds, names)
    if not report(runs):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
