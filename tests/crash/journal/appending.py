"""Append numbered batches and say on stdout which are acknowledged: the process that the crash tests end.

    python appending.py <journal> <batches>

Lines: `ack <last position>` after each batch, `full` for each error of a full disk, after which it goes on, `broken`
before it gives up, `closed` at the end. Each line is one write, made after the append returned.
"""

import os
import sys

from ploinky.adapters.sqlalchemy_journal_opening import open_journal
from ploinky.domain.errors import Broken, JournalFull
from ploinky.journal.chain import verify
from ploinky.ports.journal_store import AppendBatch, Head, JournalStore, PayloadRow
from tests.journal.records import Draft, batch_after, head_after

BATCH_RECORDS = 3
BATCHES_BETWEEN_CHECKPOINTS = 4
PAYLOAD_BYTES = 600


def content_of(position: int) -> bytes:
    """Return what belongs at a position, so that a half written row shows."""
    return b"%020d" % position * (PAYLOAD_BYTES // 20)


def batch_of(head: Head) -> AppendBatch:
    """Return the only batch that follows `head`: it follows from the position alone."""
    positions = range(head.position + 1, head.position + 1 + BATCH_RECORDS)
    drafts = [
        Draft("task/all", (position + 1) // 2, content_of(position)) if position % 2 else Draft(f"task/{position}")
        for position in positions
    ]
    payloads = [PayloadRow(position, "params", b"salt", content_of(position), None) for position in positions]
    return batch_after(head, *drafts, payloads=payloads)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def append(store: JournalStore, batch: AppendBatch) -> None:
    try:
        store.append(batch)
    except JournalFull:
        say("full")
        store.append(batch)
    except Broken:
        say("broken")
        raise
    say(f"ack {batch.records[-1].position}")


def fold(store: JournalStore) -> None:
    """Fold the log back as the journal thread does: a full disk leaves everything in the log."""
    try:
        store.checkpoint()
    except JournalFull:
        say("full")


def main(path: str, batches: int) -> None:
    store = open_journal(path, verify)
    head = store.take_epoch()
    for number in range(batches):
        batch = batch_of(head)
        append(store, batch)
        head = head_after(batch)
        if number % BATCHES_BETWEEN_CHECKPOINTS == 0:
            fold(store)
    store.close()
    say("closed")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
