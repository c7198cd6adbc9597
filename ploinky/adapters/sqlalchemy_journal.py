"""The journal in one SQLite file, written by one thread and read by any."""

import sqlite3

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ploinky.adapters.journal_ballast import Ballast
from ploinky.adapters.sqlalchemy_journal_connections import driver_connection
from ploinky.adapters.sqlalchemy_journal_errors import as_write_error
from ploinky.adapters.sqlalchemy_journal_reader import HEAD, SqlalchemyJournalReader, head_of
from ploinky.domain.errors import Fenced, JournalBroken, JournalConflict
from ploinky.ports.failpoints import reach
from ploinky.ports.journal_store import READ_LIMIT_ROWS, AppendBatch, Head, PayloadRow, Record

# Written with plain tuples: building these statements for each batch would cost a third of the rate.
_INSERT_EVENTS = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_PAYLOADS = "INSERT INTO payloads VALUES (?, ?, ?, ?, ?)"
_MOVE_HEAD = "UPDATE head SET position = ?, hash = ? WHERE id = 1 AND epoch = ? AND position = ? AND hash = ?"
_RAISE_EPOCH = "UPDATE head SET epoch = epoch + 1 WHERE id = 1"


class SqlalchemyJournalStore:
    """Implement `ploinky.ports.journal_store.JournalStore`. Made by `open_journal`."""

    def __init__(self, path: str, writing: Connection, ballast: Ballast) -> None:
        """Take over the connection that writes `path`, whose schema is current."""
        self._writing: Connection | None = writing
        self._reader = SqlalchemyJournalReader(path)
        self._ballast = ballast

    @property
    def journal_id(self) -> str:
        """Name this journal for ever."""
        return self._reader.journal_id

    def take_epoch(self) -> Head:
        """Raise the epoch by one and return the head."""
        writing = self._open_connection()
        try:
            writing.exec_driver_sql("BEGIN IMMEDIATE")
            writing.exec_driver_sql(_RAISE_EPOCH)
            head = head_of(writing.exec_driver_sql(HEAD).all())
            writing.exec_driver_sql("COMMIT")
        except (DBAPIError, sqlite3.Error) as error:
            self._roll_back(writing)
            raise as_write_error(error) from error
        return head

    def append(self, batch: AppendBatch) -> None:
        """Make the batch durable, all of it or nothing."""
        writing = self._open_connection()
        # Statements without rows or results need nothing of SQLAlchemy; it would add some per cent to each commit.
        driver = driver_connection(writing)
        reach("journal.append.begin")
        try:
            driver.execute("BEGIN IMMEDIATE")
            self._insert(writing, batch)
            reach("journal.append.commit")
            driver.execute("COMMIT")
        except (DBAPIError, sqlite3.Error) as error:
            self._roll_back(writing)
            raise as_write_error(error) from error
        except BaseException:
            self._roll_back(writing)
            raise
        reach("journal.append.done")

    @staticmethod
    def _insert(writing: Connection, batch: AppendBatch) -> None:
        previous, records, payloads = batch
        last = records[-1] if records else previous
        if last.position - previous.position != len(records):
            raise JournalConflict("The positions of the batch leave a gap", position=previous.position + 1)
        moved = writing.exec_driver_sql(
            _MOVE_HEAD, (last.position, last.hash, previous.epoch, previous.position, previous.hash)
        )
        if moved.rowcount != 1:
            raise Fenced(epoch=previous.epoch, position=previous.position)
        if records:
            writing.exec_driver_sql(_INSERT_EVENTS, list(records))
        if payloads:
            writing.exec_driver_sql(_INSERT_PAYLOADS, list(payloads))

    @staticmethod
    def _roll_back(writing: Connection) -> None:
        """Leave the transaction, which SQLite may have left by itself after an I/O error."""
        driver = driver_connection(writing)
        if driver.in_transaction:
            try:
                driver.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise JournalBroken(f"The journal could not leave a failed transaction: {error}") from error

    def head(self) -> Head:
        """Return the committed head."""
        return self._reader.head()

    def read(self, after: int, limit: int = READ_LIMIT_ROWS) -> list[Record]:
        """Return committed records with positions above `after`, in order."""
        return self._reader.read(after, limit)

    def read_stream(self, stream: str, after_version: int = 0, limit: int = READ_LIMIT_ROWS) -> list[Record]:
        """Return one stream's committed records with versions above `after_version`, in order."""
        return self._reader.read_stream(stream, after_version, limit)

    def payload(self, position: int, name: str) -> PayloadRow | None:
        """Return a payload's row, or None when there is none."""
        return self._reader.payload(position, name)

    def checkpoint(self) -> None:
        """Fold the write-ahead log back as far as readers allow."""
        writing = self._open_connection()
        try:
            writing.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()
        except (DBAPIError, sqlite3.Error) as error:
            raise as_write_error(error) from error

    def release_ballast(self) -> bool:
        """Give the reserved disk space back."""
        return self._ballast.release()

    def close(self) -> None:
        """Close all connections; the last one folds the write-ahead log back."""
        self._reader.close()
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.close()

    def _open_connection(self) -> Connection:
        if self._writing is None:
            raise JournalBroken("The journal is closed")
        return self._writing
