"""Open a journal: make or migrate it, and look at its end before anybody trusts it."""

import os
import sqlite3
from collections.abc import Iterable
from typing import Protocol

from sqlalchemy import Connection

from ploinky.adapters.journal_ballast import Ballast
from ploinky.adapters.sqlalchemy_journal import SqlalchemyJournalStore
from ploinky.adapters.sqlalchemy_journal_connections import connect_for_writing, driver_connection
from ploinky.adapters.sqlalchemy_journal_errors import translated
from ploinky.adapters.sqlalchemy_journal_schema import SCHEMA_REVISION
from ploinky.domain.errors import DirectoryUnusable, JournalBroken, JournalCorrupt, JournalFull
from ploinky.ports.journal_store import GENESIS_HASH, READ_LIMIT_ROWS, Head, JournalStore, Record

TAIL_CHECK_ROWS = READ_LIMIT_ROWS
"""How many of the last records are checked on each opening; `verify` on demand checks all."""


class Verify(Protocol):
    """The chain's rule: `ploinky.journal.chain.verify`, handed in because adapters do not know the journal."""

    def __call__(self, records: Iterable[Record], head: Head, after: Head) -> None:
        """Raise `JournalCorrupt` unless the records lead from `after` to `head`."""


def open_journal(path: str, verify: Verify) -> SqlalchemyJournalStore:
    """Return the store at `path`, made or migrated as needed.

    The caller holds the data directory's lease. Raises `DirectoryUnusable`, `JournalNewer` or `JournalCorrupt`.
    """
    ballast = Ballast(f"{path}.ballast")
    try:
        store = _open(path, verify, ballast)
    except (JournalFull, JournalBroken):
        # On a full disk even the shared memory beside the log cannot be made, which SQLite calls an I/O error.
        if not ballast.release():
            raise
        store = _open(path, verify, ballast)
    ballast.restore()
    return store


def _open(path: str, verify: Verify, ballast: Ballast) -> SqlalchemyJournalStore:
    _make_file(path)
    writing = connect_for_writing(path)
    try:
        with translated():
            _bring_up_to_date(writing, path)
        store = SqlalchemyJournalStore(path, writing, ballast)
        try:
            check_tail(store, verify)
        except BaseException:
            store.close()
            raise
    except BaseException:
        writing.close()
        raise
    return store


def check_tail(store: JournalStore, verify: Verify) -> None:
    """Compare the head with the last records. Raises `JournalCorrupt`."""
    head = store.head()
    after = Head(0, GENESIS_HASH, 0)
    records = store.read(max(0, head.position - TAIL_CHECK_ROWS), TAIL_CHECK_ROWS)
    if records and records[0].position > 1:
        # What comes before the first of them is not read, so this one is where the chain hangs.
        after = Head(records[0].position, records[0].hash, records[0].epoch)
        del records[0]
    verify(records, head, after)
    if store.read(head.position, 1):
        raise JournalCorrupt(f"The journal has records above its head at {head.position}", position=head.position + 1)


def _make_file(path: str) -> None:
    """Create an empty file that only its owner may read, or check that the one there can be used."""
    directory = os.path.dirname(path) or "."
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise DirectoryUnusable(f"{directory} cannot be read and written", hint="Check its owner, mode and mount.")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not os.access(path, os.R_OK | os.W_OK):
            raise DirectoryUnusable(f"{path} cannot be read and written", hint="Check its owner and mode.") from None
    except OSError as error:
        raise DirectoryUnusable(f"{path} cannot be made: {error.strerror}") from error
    else:
        _sync_directory(directory)


def _bring_up_to_date(connection: Connection, path: str) -> None:
    stored = _stored_revision(connection)
    if stored != SCHEMA_REVISION:
        _migrate(connection, path, stored)


def _stored_revision(connection: Connection) -> str | None:
    """Return the schema's revision, None in an empty file."""
    tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
    if not tables:
        return None
    if "alembic_version" in tables:
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if revision is not None:
            return str(revision)
    raise JournalCorrupt("The file is a database, but no journal")


def _migrate(connection: Connection, path: str, stored: str | None) -> None:
    from ploinky.adapters import alembic_journal  # noqa: PLC0415 - a third of a second, needed once per release

    if stored is not None:
        alembic_journal.refuse_unknown(stored)
        _copy(connection, f"{path}.before-{SCHEMA_REVISION}")
    alembic_journal.upgrade(connection)


def _copy(connection: Connection, path: str) -> None:
    """Write a complete copy under a temporary name, then give it its name."""
    unfinished = f"{path}.unfinished"
    if os.path.exists(unfinished):
        os.unlink(unfinished)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    target = sqlite3.connect(unfinished)
    try:
        driver_connection(connection).backup(target)
    finally:
        target.close()
    os.rename(unfinished, path)
    _sync_directory(os.path.dirname(path) or ".")


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
