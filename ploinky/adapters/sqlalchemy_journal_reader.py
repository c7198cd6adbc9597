"""Reading a journal, for the store itself and for tools that only look."""

from collections.abc import Sequence
from typing import Any

from ploinky.adapters.sqlalchemy_journal_connections import ReadingConnections
from ploinky.adapters.sqlalchemy_journal_schema import events, head, payloads
from ploinky.domain.errors import JournalCorrupt
from ploinky.ports.journal_store import READ_LIMIT_ROWS, Head, PayloadRow, Record

_EVENT_COLUMNS = ", ".join(column.name for column in events.columns)
_PAYLOAD_COLUMNS = ", ".join(column.name for column in payloads.columns)

_READ = f"SELECT {_EVENT_COLUMNS} FROM events WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608 - own names
_READ_STREAM = f"SELECT {_EVENT_COLUMNS} FROM events WHERE stream = ? AND version > ? ORDER BY version LIMIT ?"  # noqa: S608
_PAYLOAD = f"SELECT {_PAYLOAD_COLUMNS} FROM payloads WHERE position = ? AND name = ?"  # noqa: S608 - own names
HEAD = f"SELECT position, hash, epoch FROM {head.name} WHERE id = 1"  # noqa: S608 - own names
_JOURNAL_ID = f"SELECT journal_id FROM {head.name} WHERE id = 1"  # noqa: S608 - own names


def head_of(rows: Sequence[Sequence[Any]]) -> Head:
    """Return the head from the rows that the query `HEAD` gave. Raises `JournalCorrupt` when there is none."""
    if not rows:
        raise JournalCorrupt("The journal has no head row")
    return Head._make(rows[0])


class SqlalchemyJournalReader:
    """Read a journal that exists, whoever writes it. Never checkpoints, not even on close."""

    def __init__(self, path: str) -> None:
        """Open `path` read-only. Raises `DirectoryUnusable` or `JournalCorrupt` when it is no readable journal."""
        self._connections = ReadingConnections(path)
        rows = self._connections.query(_JOURNAL_ID)
        if not rows:
            raise JournalCorrupt("The journal has no head row")
        self.journal_id: str = rows[0][0]

    def head(self) -> Head:
        """Return the committed head."""
        return head_of(self._connections.query(HEAD))

    def read(self, after: int, limit: int = READ_LIMIT_ROWS) -> list[Record]:
        """Return committed records with positions above `after`, in order."""
        return self._records(_READ, (after, _bounded(limit)))

    def read_stream(self, stream: str, after_version: int = 0, limit: int = READ_LIMIT_ROWS) -> list[Record]:
        """Return one stream's committed records with versions above `after_version`, in order."""
        return self._records(_READ_STREAM, (stream, after_version, _bounded(limit)))

    def payload(self, position: int, name: str) -> PayloadRow | None:
        """Return a payload's row, or None when there is none."""
        rows = self._connections.query(_PAYLOAD, (position, name))
        return PayloadRow._make(rows[0]) if rows else None

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._connections.close()

    def _records(self, statement: str, parameters: Sequence[object]) -> list[Record]:
        return [Record._make(row) for row in self._connections.query(statement, parameters)]


def _bounded(limit: int) -> int:
    """Return the limit that applies: to SQLite a negative one would mean none."""
    return max(0, min(limit, READ_LIMIT_ROWS))
