"""The journal in one SQLite file, written by one thread and read by any."""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ploinky.adapters.journal_ballast import Ballast
from ploinky.adapters.sqlalchemy_journal_connections import driver_connection
from ploinky.adapters.sqlalchemy_journal_errors import as_write_error
from ploinky.adapters.sqlalchemy_journal_reader import HEAD, SqlalchemyJournalReader, head_of
from ploinky.domain.errors import Fenced, JournalBroken, JournalConflict
from ploinky.ports.failpoints import reach
from ploinky.ports.journal_store import READ_LIMIT_ROWS, AppendBatch, Head, PayloadRow, Record

ROWS_PER_STATEMENT = 8
"""Rows inserted by one statement: a tenth faster than one by one, and SQLite works that long without the interpreter's
lock. Of more rows the gain is no greater, and fewer batches have that many."""

# Written with plain tuples: building these statements for each batch would cost a third of the rate.
_INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_PAYLOAD = "INSERT INTO payloads VALUES (?, ?, ?, ?, ?)"
_MORE_EVENTS = ", (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" * (ROWS_PER_STATEMENT - 1)
_MORE_PAYLOADS = ", (?, ?, ?, ?, ?)" * (ROWS_PER_STATEMENT - 1)
_MOVE_HEAD = "UPDATE head SET position = ?, hash = ? WHERE id = 1 AND epoch = ? AND position = ? AND hash = ?"
_FIND_VERSION = "SELECT 1 FROM events WHERE stream = ? AND version = ?"
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
        # Nothing here needs SQLAlchemy's work on statements and results, which adds some per cent to each commit.
        driver = driver_connection(writing)
        reach("journal.append.begin")
        try:
            driver.execute("BEGIN IMMEDIATE")
            self._insert(driver, batch)
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
    def _insert(driver: sqlite3.Connection, batch: AppendBatch) -> None:
        previous, records, payloads = batch
        last = records[-1] if records else previous
        if last.position - previous.position != len(records):
            raise JournalConflict("The positions of the batch leave a gap", position=previous.position + 1)
        moved = driver.execute(_MOVE_HEAD, (last.position, last.hash, previous.epoch, previous.position, previous.hash))
        if moved.rowcount != 1:
            raise Fenced(epoch=previous.epoch, position=previous.position)
        if records:
            _refuse_version_gaps(driver, records)
            _insert_rows(driver, _INSERT_EVENT, _MORE_EVENTS, records)
        if payloads:
            _insert_rows(driver, _INSERT_PAYLOAD, _MORE_PAYLOADS, payloads)

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


def _insert_rows(driver: sqlite3.Connection, statement: str, more: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, several by one statement with `more` behind it as long as there are enough."""
    alone = len(rows) % ROWS_PER_STATEMENT
    for start in range(0, len(rows) - alone, ROWS_PER_STATEMENT):
        driver.execute(statement + more, tuple(chain.from_iterable(rows[start : start + ROWS_PER_STATEMENT])))
    if alone:
        driver.executemany(statement, rows[-alone:])


def _refuse_version_gaps(driver: sqlite3.Connection, records: Sequence[Record]) -> None:
    """Raise `JournalConflict` for a version whose predecessor is missing; the unique index refuses one that is taken.

    Here and not in a trigger, which would slow each insert down: nearly every predecessor is in the same batch.
    """
    newest: dict[str, int] = {}
    for record in records:
        stream, earlier = record.stream, record.version - 1
        if (
            earlier
            and newest.get(stream) != earlier
            and driver.execute(_FIND_VERSION, (stream, earlier)).fetchone() is None
        ):
            raise JournalConflict(f"Version {record.version} leaves a gap in its stream", stream=stream)
        newest[stream] = record.version
