"""Run the appending process, end it, and look at what it left."""

import os
import subprocess
import sys
from pathlib import Path

from ploinky.adapters.sqlalchemy_journal_opening import open_journal
from ploinky.journal.chain import verify
from ploinky.ports.journal_store import GENESIS_HASH, Head, Record
from tests.crash.journal.appending import BATCH_RECORDS, batch_of

RUN_TIMEOUT_SECONDS = 60
ROOT = Path(__file__).parents[3]


def tracer(calls: str, output: Path, fault: str = "") -> list[str]:
    """Return the command that traces `calls` into a file and injects `fault` into them."""
    injected = ["-e", f"inject={calls}:{fault}"] if fault else []
    return ["strace", "-f", "-qq", "-o", str(output), "-e", f"trace={calls}", *injected]


def run(journal: Path, batches: int, *tracer: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Append `batches` in a process, under `tracer` where given."""
    return subprocess.run(
        [*tracer, sys.executable, str(Path(__file__).with_name("appending.py")), str(journal), str(batches)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_SECONDS,
        check=False,
    )


def acknowledged(result: "subprocess.CompletedProcess[str]") -> int:
    """Return the last position that the process was told to be durable."""
    lines = [line.split() for line in result.stdout.splitlines()]
    return max((int(words[1]) for words in lines if words[0] == "ack"), default=0)


def check(journal: Path, result: "subprocess.CompletedProcess[str]") -> int:
    """Check that the journal is whole and holds all that was acknowledged; return its last position."""
    store = open_journal(str(journal), verify)
    try:
        head = store.head()
        records: list[Record] = []
        while page := store.read(len(records)):
            records += page
        verify(records, head)
        assert head.position >= acknowledged(result), "an acknowledged batch is gone"
        assert head.position % BATCH_RECORDS == 0, "half a batch is there"
        before = Head(0, GENESIS_HASH, 1)
        for start in range(0, len(records), BATCH_RECORDS):
            expected = batch_of(before)
            assert records[start : start + BATCH_RECORDS] == expected.records
            for row in expected.payloads:
                assert store.payload(row.position, row.name) == row
            before = Head(records[start + BATCH_RECORDS - 1].position, records[start + BATCH_RECORDS - 1].hash, 1)
        assert store.payload(head.position + 1, "params") is None
        store.append(batch_of(store.take_epoch()))
    finally:
        store.close()
    return head.position
