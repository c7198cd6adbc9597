"""Records and batches for tests of the journal, chained as the dispatcher chains them."""

from collections.abc import Sequence
from typing import NamedTuple

from ploinky.journal.chain import record_hash
from ploinky.ports.journal_store import AppendBatch, Head, PayloadRow, Record

FIRST_AT = 1_700_000_000_000_000


class Draft(NamedTuple):
    """What a test says about a record; the rest follows from its place."""

    stream: str = "task/one"
    version: int = 1
    data: bytes = b"{}"


def chained(head: Head, drafts: Sequence[Draft]) -> list[Record]:
    """Return the records that follow `head`, with positions, times and hashes."""
    records: list[Record] = []
    previous_hash = head.hash
    for position, draft in enumerate(drafts, start=head.position + 1):
        record = Record(
            position=position,
            stream=draft.stream,
            version=draft.version,
            type="task.submitted",
            schema=1,
            at=FIRST_AT + position,
            actor="key/tester",
            correlation="request-1",
            causation=0,
            epoch=head.epoch,
            data=draft.data,
            hash=b"",
        )
        previous_hash = record_hash(previous_hash, *record[:-1])
        records.append(record._replace(hash=previous_hash))
    return records


def batch_after(head: Head, *drafts: Draft, payloads: Sequence[PayloadRow] = ()) -> AppendBatch:
    """Return a batch that may be appended after `head`."""
    return AppendBatch(previous=head, records=chained(head, drafts), payloads=payloads)


def numbered(head: Head, count: int) -> AppendBatch:
    """Return a batch of `count` records, each the first of a stream of its own."""
    return batch_after(head, *(Draft(stream=f"task/{head.position + number}") for number in range(count)))


def head_after(batch: AppendBatch) -> Head:
    """Return the head that a successful append leaves."""
    last = batch.records[-1]
    return Head(last.position, last.hash, batch.previous.epoch)
