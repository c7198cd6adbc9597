"""Connections to `journal.db`: one that writes, and a few that only read.

The file is touched through SQLite alone: a plain open and close of it in this process would drop SQLite's locks.
"""

import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from ploinky.adapters.sqlalchemy_journal_errors import translate, translated
from ploinky.domain.errors import JournalBroken

LOCK_WAIT_SECONDS = 5.0
"""How long a statement waits for another process that holds a lock, such as a backup."""

IDLE_READERS_LIMIT = 16
"""Reading connections kept open; one is in use per thread that reads at the same time."""

STATEMENT_CACHE_SIZE = 32


def connect(path: str, mode: str) -> Connection:
    """Open a connection that begins and ends transactions only when told. `mode` is `ro`, `rw` or `rwc`."""

    def creator() -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(path)}?mode={mode}",
            uri=True,
            timeout=LOCK_WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENT_CACHE_SIZE,
        )

    with translated():
        return create_engine("sqlite://", creator=creator, poolclass=NullPool).connect()


def driver_connection(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection, for statements that have to answer in microseconds."""
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


def connect_for_writing(path: str) -> Connection:
    """Open the one connection that writes, in write-ahead mode, each commit synced to the disk."""
    connection = connect(path, "rwc")
    try:
        with translated():
            mode = connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar()
            if mode != "wal":
                raise JournalBroken(f"The file system gives no write-ahead log, but {mode!r}")
            connection.exec_driver_sql("PRAGMA synchronous = FULL")
            # Folding back is the journal thread's decision, so that no append pays for it.
            connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 0")
    except BaseException:
        connection.close()
        raise
    return connection


class _Reader(NamedTuple):
    connection: Connection
    driver: sqlite3.Connection
    """The same, without the layers: a look at a stream that is not there may cost the event loop 5 us, not 25."""


class ReadingConnections:
    """Answer queries from any thread, each over a read-only connection that nobody else uses meanwhile."""

    def __init__(self, path: str) -> None:
        """Open nothing yet."""
        self._path = path
        self._idle: deque[_Reader] = deque()
        self._is_closed = False

    def query(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows; the statement bounds their number. The database's errors are translated."""
        reader = self._take()
        try:
            return reader.driver.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise translate(error) from error
        finally:
            self._put_back(reader)

    def _take(self) -> _Reader:
        if self._is_closed:
            raise JournalBroken("The journal is closed")
        try:
            return self._idle.pop()
        except IndexError:
            connection = connect(self._path, "ro")
            return _Reader(connection, driver_connection(connection))

    def _put_back(self, reader: _Reader) -> None:
        self._idle.append(reader)
        # Asked after the append: a close() that came in between has not seen this one.
        if self._is_closed:
            self.close()
        elif len(self._idle) > IDLE_READERS_LIMIT:
            self._idle.pop().connection.close()

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back. Idempotent."""
        self._is_closed = True
        while self._idle:
            try:
                self._idle.pop().connection.close()
            except IndexError:
                return
