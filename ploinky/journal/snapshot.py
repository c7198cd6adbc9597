"""One file with all views at one position, so that a start reads only the journal's tail.

The file is a line with the SHA-256 of what follows in hex, then the snapshot as JSON. Disposable: a snapshot that is
missing, damaged, of another journal, ahead of it, or made by other folds is ignored and the views are built from the
first event.
"""

import contextlib
import os
from hashlib import sha256
from pathlib import Path

import msgspec

from ploinky.ports.failpoints import reach
from ploinky.ports.journal_store import Head, JournalStore

FORMAT = 1


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All views at one position."""

    format: int = FORMAT
    journal_id: str
    position: int
    hash: bytes
    """Of the record at `position`: proof that it belongs to this history."""
    last_at: int
    folds: str
    """A digest of what the folds make of a golden history; another digest means other folds."""
    views: msgspec.Raw


_decode = msgspec.json.Decoder(Snapshot).decode


def save(path: Path, snapshot: Snapshot) -> None:
    """Write durably, replacing the one before."""
    temporary = path.with_suffix(".tmp")
    content = msgspec.json.encode(snapshot)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_digest(content) + b"\n" + content)
        file.flush()
        os.fsync(file.fileno())
    reach("snapshot.written")
    temporary.replace(path)
    reach("snapshot.saved")


def load(path: Path, store: JournalStore, head: Head, folds: str) -> Snapshot | None:
    """Return the snapshot if it can be trusted for this journal, else None."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        digest, _, content = path.read_bytes().partition(b"\n")
        if digest != _digest(content):
            return None
        snapshot = _decode(content)
        is_ours = (snapshot.format, snapshot.journal_id, snapshot.folds) == (FORMAT, store.journal_id, folds)
        if not is_ours or not 0 < snapshot.position <= head.position:
            return None
        records = store.read(snapshot.position - 1, 1)
        if records and records[0].hash == snapshot.hash:
            return snapshot
    return None


def _digest(content: bytes) -> bytes:
    return sha256(content).hexdigest().encode()
