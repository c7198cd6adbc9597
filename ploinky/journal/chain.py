"""The hash chain over the records, by which a changed, lost or inserted record shows.

**Layout** of what SHA-256 is taken over, all integers big-endian unsigned 64 bit; it can never change:

    32 bytes   the previous record's hash (zeros before the first record)
     8 bytes   each of: position, version, schema, at, causation, epoch
     8 bytes   each: the length in bytes of stream, type, actor, correlation, data
     n bytes   each of: stream, type, actor, correlation (UTF-8), data (as stored)

The eleven numbers come first, so that one `pack` makes the header of every record.
"""

import struct
from collections.abc import Iterable
from hashlib import sha256

from ploinky.domain.errors import JournalCorrupt
from ploinky.ports.journal_store import GENESIS_HASH, Head, Record

_pack_header = struct.Struct(">32s11Q").pack

GENESIS = Head(position=0, hash=GENESIS_HASH, epoch=0)
"""The head of a journal without records."""


def record_hash(  # noqa: PLR0913, PLR0917 - every column is an argument; this is called once per event, on the event loop
    previous_hash: bytes,
    position: int,
    stream: str,
    version: int,
    type: str,
    schema: int,
    at: int,
    actor: str,
    correlation: str,
    causation: int,
    epoch: int,
    data: bytes,
) -> bytes:
    """Return the 32 bytes that chain a record to the one before it."""
    stream_bytes = stream.encode()
    type_bytes = type.encode()
    actor_bytes = actor.encode()
    correlation_bytes = correlation.encode()
    header = _pack_header(
        previous_hash,
        position,
        version,
        schema,
        at,
        causation,
        epoch,
        len(stream_bytes),
        len(type_bytes),
        len(actor_bytes),
        len(correlation_bytes),
        len(data),
    )
    return sha256(b"".join((header, stream_bytes, type_bytes, actor_bytes, correlation_bytes, data))).digest()


def verify(records: Iterable[Record], head: Head, after: Head = GENESIS) -> None:
    """Check that `records` lead from `after` to `head` without a gap or a change.

    Ask for the head first, and end the records there: one above it is damage, too. `after.epoch` is that of the last
    record before them. Where `after` is not the beginning, a stream may start at any
    version. Raises `JournalCorrupt` with the position and what is wrong there.
    """
    previous = after
    versions: dict[str, int] = {}
    last_at = 0
    for record in records:
        if record.position > head.position:
            raise _corrupt(record.position, f"it is above the head at {head.position}", "ABOVE_HEAD")
        _check_place(record, previous, versions, last_at, is_from_genesis=after.position == 0)
        _check_hash(record, previous.hash)
        versions[record.stream] = record.version
        last_at = record.at
        previous = Head(record.position, record.hash, record.epoch)
    if previous.position != head.position:
        raise _corrupt(previous.position + 1, f"records end before the head at {head.position}", "RECORDS_MISSING")
    if previous.hash != head.hash:
        raise _corrupt(head.position, "the head has another hash than the last record", "HEAD_HASH")
    if previous.epoch > head.epoch:
        raise _corrupt(head.position, f"epoch {previous.epoch} is above the head's {head.epoch}", "HEAD_EPOCH")


def _check_place(
    record: Record, previous: Head, versions: dict[str, int], last_at: int, *, is_from_genesis: bool
) -> None:
    if record.position != previous.position + 1:
        raise _corrupt(previous.position + 1, f"the next record has position {record.position}", "POSITION_GAP")
    known = versions.get(record.stream, 0 if is_from_genesis else None)
    expected = record.version if known is None else known + 1
    if record.version != expected or record.version < 1:
        raise _corrupt(
            record.position,
            f"stream {record.stream!r} has version {record.version} where {max(expected, 1)} belongs",
            "VERSION_GAP",
        )
    if record.at < last_at:
        raise _corrupt(record.position, "its time is before the previous record's", "TIME_BACKWARDS")
    if record.epoch < previous.epoch:
        raise _corrupt(record.position, f"epoch {record.epoch} follows {previous.epoch}", "EPOCH_BACKWARDS")


def _check_hash(record: Record, previous_hash: bytes) -> None:
    try:
        expected = record_hash(previous_hash, *record[:-1])
    except (struct.error, AttributeError, TypeError, UnicodeError) as error:
        raise _corrupt(record.position, f"a column has an impossible value: {error}", "COLUMN_INVALID") from error
    if record.hash != expected:
        raise _corrupt(record.position, "its hash does not follow from its content", "HASH_MISMATCH")


def _corrupt(position: int, what: str, reason: str) -> JournalCorrupt:
    return JournalCorrupt(f"The journal is damaged at position {position}: {what}", position=position, reason=reason)
