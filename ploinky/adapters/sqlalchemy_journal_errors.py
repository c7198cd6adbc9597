"""What the database says, in the words of the domain."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from ploinky.domain.errors import (
    Broken,
    DirectoryUnusable,
    JournalBroken,
    JournalConflict,
    JournalCorrupt,
    JournalFull,
    PloinkyError,
)

_PRIMARY_CODE_MASK = 0xFF
"""SQLite's extended codes carry the primary code in the lowest byte. **Source**: sqlite.org/rescode.html."""

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNUSABLE = frozenset({sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH})


def translate(error: DBAPIError | sqlite3.Error) -> PloinkyError:
    """Return the domain's error for one of the database's."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.IntegrityError):
        return JournalConflict(f"The journal refused to append: {cause}")
    code = getattr(cause, "sqlite_errorcode", 0) & _PRIMARY_CODE_MASK
    if code == sqlite3.SQLITE_FULL:
        return JournalFull()
    if code in _CORRUPT:
        return JournalCorrupt(f"The journal is damaged: {cause}")
    if code in _UNUSABLE:
        return DirectoryUnusable(
            f"The journal cannot be opened or written: {cause}",
            hint="Check owner, mode and mount options of the data directory.",
        )
    return JournalBroken(f"The journal's database failed: {cause}")


def as_write_error(error: DBAPIError | sqlite3.Error) -> PloinkyError:
    """Return the error of a write that had begun: what leaves its outcome open is `JournalBroken`."""
    translation = translate(error)
    if isinstance(translation, Broken) and not isinstance(translation, JournalBroken):
        return JournalBroken(translation.message)
    return translation


@contextmanager
def translated() -> Iterator[None]:
    """Raise the domain's errors for those of the database."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        raise translate(error) from error
