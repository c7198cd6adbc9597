"""Durable appends with 64 waiting callers: Ploinky beside raw sqlite3 and beside the `eventsourcing` library.

Each round runs every contender once, on a new file in the same folder:

- append: each caller awaits its own event, chained on the event loop and committed in groups by the journal thread
- submit: the same with real `SubmitTask` commands through the dispatcher, two payload rows beside each event
- raw append, raw submit: the rows of those two, ready made and in the same batches, by a plain sqlite3 script
- recorder, application: `eventsourcing` with its SQLite module, one event per transaction, as it works

All of them use a write-ahead log with synchronous=FULL; ours and raw fold it back equally often. Only ratios of one
run say something.
"""

import argparse
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from uuid import UUID, uuid4

import uvloop
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from ops.benchmarks._journal_ours import CALLERS, EVENT_STATE, Run, appending, run_callers, submitting
from ops.benchmarks._rows import print_head, print_row
from ploinky.journal.writer import UNFOLDED_LIMIT_BYTES, log_bytes
from ploinky.ports.journal_store import AppendBatch

SHORTEST_ROUNDS = 3
SECONDS_PER_RUN = 2.0

BARS: tuple[tuple[str, str, float | None], ...] = (
    ("append", "raw append", 0.6),
    ("append", "recorder", 4.0),
    ("append", "application", 4.0),
    ("submit", "raw submit", None),
    ("submit", "application", 4.0),
)
"""Of ours and the other, the least that the ratio has to be; the work of deciding has no bar against none at all."""


def run_raw(folder: str, name: str, batches: list[AppendBatch]) -> Run:
    """Write the same rows in the same batches, as durable and folded back as often, by sqlite3 alone."""
    connection = sqlite3.connect(os.path.join(folder, f"raw-{name}.db"), isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(
        "CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT, version INTEGER, type TEXT, schema INTEGER,"
        " at INTEGER, actor TEXT, correlation TEXT, causation INTEGER, epoch INTEGER, data BLOB, hash BLOB,"
        " UNIQUE (stream, version))"
    )
    connection.execute(
        "CREATE TABLE payloads (position INTEGER, name TEXT, salt BLOB, content BLOB, blob TEXT,"
        " PRIMARY KEY (position, name)) WITHOUT ROWID"
    )
    connection.execute("CREATE TABLE head (id INTEGER PRIMARY KEY, position INTEGER, hash BLOB)")
    connection.execute("INSERT INTO head VALUES (1, 0, x'')")
    unfolded_bytes = 0
    begun_at = time.monotonic()
    for batch in batches:
        records, payloads = batch.records, batch.payloads
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", records)
        connection.executemany("INSERT INTO payloads VALUES (?, ?, ?, ?, ?)", payloads)
        connection.execute("UPDATE head SET position = ?, hash = ?", (records[-1].position, records[-1].hash))
        connection.execute("COMMIT")
        # The log is folded back when it has grown as much as the journal thread lets it grow.
        unfolded_bytes += log_bytes(batch)
        if unfolded_bytes > UNFOLDED_LIMIT_BYTES:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            unfolded_bytes = 0
    run = Run(sum(len(batch.records) for batch in batches), time.monotonic() - begun_at)
    connection.close()
    return run


def repeat(step: Callable[[], object], seconds: float) -> Run:
    """Do a step again and again for some time."""
    begun_at, count = time.monotonic(), 0
    while time.monotonic() - begun_at < seconds:
        step()
        count += 1
    return Run(count, time.monotonic() - begun_at)


def run_recorder(folder: str, seconds: float) -> Run:
    """Insert one stored event per transaction through the library's recorder."""
    datastore = SQLiteDatastore(os.path.join(folder, "recorder.db"))
    recorder = SQLiteApplicationRecorder(datastore)
    recorder.create_table()
    run = repeat(lambda: recorder.insert_events([StoredEvent(uuid4(), 1, "TaskSubmitted", EVENT_STATE)]), seconds)
    datastore.close()
    return run


def run_application(folder: str, seconds: float) -> Run:
    """Save one new aggregate per transaction through the library's application."""
    environment = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": os.path.join(folder, "app.db")}
    application: Application[UUID] = Application(environment)
    run = repeat(lambda: application.save(Aggregate()), seconds)
    application.close()
    return run


def run_round(parent: str | None, seconds: float) -> tuple[dict[str, Run], float]:
    """Run every contender once; return the runs and the events per commit."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        append, append_batches = uvloop.run(run_callers(folder, seconds, appending))
        raw_append = run_raw(folder, "append", append_batches)
        submit, submit_batches = uvloop.run(run_callers(folder, seconds, submitting))
        runs = {
            "append": append,
            "raw append": raw_append,
            "submit": submit,
            "raw submit": run_raw(folder, "submit", submit_batches),
            "recorder": run_recorder(folder, seconds),
            "application": run_application(folder, seconds),
        }
        return runs, append.events / len(append_batches)


def report(rounds: list[dict[str, Run]], batch_sizes: list[float]) -> bool:
    """Print rates and ratios; return whether the bars are reached."""
    print(f"{CALLERS} callers, {len(rounds)} rounds, {statistics.median(batch_sizes):.1f} events per commit")
    print_head("events/s")
    for name in rounds[0]:
        print_row(name, [runs[name].rate for runs in rounds], ".0f")
    print_head("ratio")
    are_reached = True
    for ours, other, bar in BARS:
        ratios = [runs[ours].rate / runs[other].rate for runs in rounds]
        is_reached = bar is None or statistics.median(ratios) >= bar
        are_reached &= is_reached
        verdict = "no bar" if bar is None else f"at least {bar}: {'reached' if is_reached else 'MISSED'}"
        print_row(f"{ours} / {other}", ratios, ".2f", verdict)
    print("Differs: raw gets its rows ready made, hashes and answers nobody, and has no triggers; submit also decides,")
    print("encodes and digests two payloads; eventsourcing commits each event alone, in one thread, without a chain.")
    return are_reached


def main() -> None:
    """Alternate the contenders and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=SHORTEST_ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS_PER_RUN)
    parser.add_argument("--directory", default=None, help="a folder on the disk to measure; default: the temporary one")
    options = parser.parse_args()
    results = [run_round(options.directory, options.seconds) for _ in range(max(SHORTEST_ROUNDS, options.rounds))]
    if not report([runs for runs, _ in results], [size for _, size in results]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
