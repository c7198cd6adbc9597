"""The append-only journal: ordered records, a fenced head, and the payloads written beside them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

GENESIS_HASH = bytes(32)
"""The hash before the first record."""

READ_LIMIT_ROWS = 1_000
"""The most rows one read returns: a reader must not hold a WAL snapshot for long."""


class Record(NamedTuple):
    """One event as stored. A plain tuple in column order, so that a batch goes to the database as it is."""

    position: int
    """Global, gapless, from 1; the identity of the event."""
    stream: str
    """The aggregate, as `kind/id`."""
    version: int
    """The place in the stream, gapless, from 1."""
    type: str
    """A hand-written name such as `task.submitted`. A trailing `?` says that a reader may skip it when unknown."""
    schema: int
    """The version of the type's data."""
    at: int
    """UTC microseconds since 1970, never below the previous record's."""
    actor: str
    correlation: str
    causation: int
    """The position of the event that caused this one; 0 when none did."""
    epoch: int
    """The lease number of the writer."""
    data: bytes
    hash: bytes
    """SHA-256 over the previous hash, the header and the data; see `ploinky.journal.chain`."""


class PayloadRow(NamedTuple):
    """A payload of one event. It is outside the hashed data, so that it can be deleted."""

    position: int
    name: str
    """What it is to the event: `params`, `result`, `metadata`, `environment`, ..."""
    salt: bytes
    content: bytes | None
    """The bytes, or None when they lie in the blob file named by `blob`."""
    blob: str | None


class Head(NamedTuple):
    """Where the journal ends and who may append."""

    position: int
    hash: bytes
    epoch: int


class AppendBatch(NamedTuple):
    """What one commit appends, all of it or nothing."""

    previous: Head
    """The head this batch was built on; `previous.epoch` is the writer's own."""
    records: Sequence[Record]
    payloads: Sequence[PayloadRow]


class JournalStore(Protocol):
    """Store records in order. One thread appends; any thread may read what is committed.

    **Errors**, all from `ploinky.domain.errors`: `Fenced` when the head is not the batch's `previous` (another writer
    took over, or appended); `JournalConflict` when a stream's version is taken or leaves a gap; `JournalFull` when the
    disk is full (nothing was written, the store goes on); `JournalBroken` for any other I/O error (whether the batch is
    durable is unknown: leave the process and read the head again, never retry).
    """

    @property
    def journal_id(self) -> str:
        """Name this journal for ever: 12 letters and digits, minted when it was created."""

    def take_epoch(self) -> Head:
        """Raise the epoch by one, fencing every earlier writer, and return the head. Durable on return."""

    def head(self) -> Head:
        """Return the committed head."""

    def append(self, batch: AppendBatch) -> None:
        """Make the batch durable. Not idempotent: a repeat is `Fenced`."""

    def read(self, after: int, limit: int = READ_LIMIT_ROWS) -> list[Record]:
        """Return committed records with positions above `after`, in order, at most `limit` of them."""

    def read_stream(self, stream: str, after_version: int = 0, limit: int = READ_LIMIT_ROWS) -> list[Record]:
        """Return one stream's committed records with versions above `after_version`, in order."""

    def payload(self, position: int, name: str) -> PayloadRow | None:
        """Return a payload's row, or None when there is none (never was, or deleted)."""

    def checkpoint(self) -> None:
        """Fold the write-ahead log back without blocking readers. Idempotent; only the writing thread calls it."""

    def release_ballast(self) -> bool:
        """Give disk space back after `JournalFull`, so that stopping and cancelling can be recorded. True if it did."""

    def close(self) -> None:
        """Release everything. Idempotent."""
