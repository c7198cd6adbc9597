"""A journal in memory, with faults where a simulation wants them."""

from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple

from ploinky.domain.errors import Fenced, JournalBroken, JournalConflict, PloinkyError
from ploinky.ports.journal_store import GENESIS_HASH, READ_LIMIT_ROWS, AppendBatch, Head, PayloadRow, Record


class AppendFault(NamedTuple):
    """What goes wrong with one append."""

    append_number: int
    """Which one of this store's appends, counted from 1."""
    error: PloinkyError
    is_durable: bool = False
    """True when the batch is there all the same, as after a commit whose answer was lost."""


class JournalContents:
    """What survives a restart: hand it to the next store to reopen the journal."""

    def __init__(self, journal_id: str = "memory000001") -> None:
        """Make an empty journal."""
        self.journal_id = journal_id
        self.head = Head(0, GENESIS_HASH, 0)
        self.records: list[Record] = []
        self.streams: dict[str, list[Record]] = {}
        self.payloads: dict[tuple[int, str], PayloadRow] = {}
        self.lock = Lock()


class MemoryJournalStore:
    """Implement `ploinky.ports.journal_store.JournalStore` over `JournalContents`."""

    def __init__(self, contents: JournalContents | None = None, *, faults: Sequence[AppendFault] = ()) -> None:
        """Open `contents` (default: a new journal)."""
        self.contents = contents or JournalContents()
        self._faults = {fault.append_number: fault for fault in faults}
        self._append_count = 0
        self._has_ballast = True
        self._is_closed = False

    @property
    def journal_id(self) -> str:
        """Name this journal for ever."""
        return self.contents.journal_id

    def take_epoch(self) -> Head:
        """Raise the epoch by one and return the head."""
        contents = self._open_contents()
        with contents.lock:
            contents.head = contents.head._replace(epoch=contents.head.epoch + 1)
            return contents.head

    def head(self) -> Head:
        """Return the head."""
        return self._open_contents().head

    def append(self, batch: AppendBatch) -> None:
        """Add the batch, all of it or nothing."""
        contents = self._open_contents()
        self._append_count += 1
        fault = self._faults.get(self._append_count)
        if fault is None or fault.is_durable:
            with contents.lock:
                _check(contents, batch)
                _add(contents, batch)
        if fault is not None:
            raise fault.error

    def read(self, after: int, limit: int = READ_LIMIT_ROWS) -> list[Record]:
        """Return records with positions above `after`, in order."""
        start = max(0, after)
        return self._open_contents().records[start : start + _bounded(limit)]

    def read_stream(self, stream: str, after_version: int = 0, limit: int = READ_LIMIT_ROWS) -> list[Record]:
        """Return one stream's records with versions above `after_version`, in order."""
        start = max(0, after_version)
        return self._open_contents().streams.get(stream, [])[start : start + _bounded(limit)]

    def payload(self, position: int, name: str) -> PayloadRow | None:
        """Return a payload's row, or None when there is none."""
        return self._open_contents().payloads.get((position, name))

    def checkpoint(self) -> None:
        """Do nothing: memory has no log to fold back."""
        self._open_contents()

    def release_ballast(self) -> bool:
        """Say True the first time."""
        had_ballast, self._has_ballast = self._has_ballast, False
        return had_ballast

    def close(self) -> None:
        """Refuse everything from now on. Idempotent."""
        self._is_closed = True

    def _open_contents(self) -> JournalContents:
        if self._is_closed:
            raise JournalBroken("The journal is closed")
        return self.contents


def _bounded(limit: int) -> int:
    return max(0, min(limit, READ_LIMIT_ROWS))


def _check(contents: JournalContents, batch: AppendBatch) -> None:
    """Refuse what the database refuses."""
    if batch.records and batch.records[-1].position - batch.previous.position != len(batch.records):
        raise JournalConflict("The positions of the batch leave a gap", position=batch.previous.position + 1)
    if batch.previous != contents.head:
        raise Fenced(epoch=batch.previous.epoch, position=batch.previous.position)
    versions: dict[str, int] = {}
    for record in batch.records:
        version = versions.get(record.stream, len(contents.streams.get(record.stream, ())))
        if record.version != version + 1:
            raise JournalConflict(f"{record.stream} has version {version}, not the one before {record.version}")
        versions[record.stream] = record.version
    names = {(row.position, row.name) for row in batch.payloads}
    if len(names) != len(batch.payloads) or not names.isdisjoint(contents.payloads):
        raise JournalConflict("A payload of this name is there already")


def _add(contents: JournalContents, batch: AppendBatch) -> None:
    for record in batch.records:
        contents.streams.setdefault(record.stream, []).append(record)
        contents.records.append(record)
        contents.head = Head(record.position, record.hash, batch.previous.epoch)
    for row in batch.payloads:
        contents.payloads[row.position, row.name] = row
