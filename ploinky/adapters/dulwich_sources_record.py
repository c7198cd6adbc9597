"""`cache.json`: what is known of one repository's cache, for people and for deciding whether to ask again."""

import json
import os
import time
from collections.abc import Sequence

import msgspec

from ploinky.ports.sources import CacheRecord

RECORD_FILE = "cache.json"
RECORD_BYTES = 1_048_576
HEADS = 1_000
ERROR_CHARACTERS = 300


class Head(msgspec.Struct, kw_only=True, rename="camel"):
    """The newest commit known for one thing that was asked for. Instants are seconds since 1970."""

    commit: str
    asked_at: float
    """When the server was asked; what is newer than a request's own beginning answers it too."""
    fetched_at: float


class Record(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """The file's content. A damaged one reads as empty: nothing in it is needed to fetch."""

    url: str = ""
    last_fetch_at: float | None = None
    ttl_seconds: float = 0.0
    size_bytes: int = 0
    heads: dict[str, Head] = {}
    """By what was asked for: a branch, tag or commit, or `HEAD`."""
    last_error: str = ""
    last_error_at: float | None = None

    def note_head(self, key: str, commit: str, asked_at: float) -> None:
        """Remember what the server said; the oldest entries go when there are too many."""
        self.last_fetch_at = time.time()
        self.last_error, self.last_error_at = "", None
        self.heads.pop(key, None)
        self.heads[key] = Head(commit=commit, asked_at=asked_at, fetched_at=self.last_fetch_at)
        while len(self.heads) > HEADS:
            del self.heads[next(iter(self.heads))]

    def note_error(self, message: str) -> None:
        """Remember why the server could not be asked. `message` holds no credentials."""
        self.last_error, self.last_error_at = message[:ERROR_CHARACTERS], time.time()

    def shown(self) -> CacheRecord | None:
        """Return what the port shows."""
        if not self.url:
            return None
        heads = {key: head.commit for key, head in self.heads.items()}
        return CacheRecord(self.url, self.last_fetch_at, heads, self.ttl_seconds, self.size_bytes, self.last_error)


def read_record(directory: str) -> Record:
    """Read a cache's record."""
    try:
        with open(os.path.join(directory, RECORD_FILE), "rb") as file:
            return msgspec.json.decode(file.read(RECORD_BYTES), type=Record)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return Record()


def write_record(directory: str, record: Record) -> None:
    """Replace a cache's record whole. The caller holds the repository's lock."""
    record.size_bytes = size_of(directory)
    path = os.path.join(directory, RECORD_FILE)
    aside = f"{path}.new"
    with open(aside, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    os.rename(aside, path)


def size_of(directory: str) -> int:
    """Add up the disk blocks of git's own folder: a few packs. Checkouts are counted by who cleans them up."""
    total = 0
    for folder, _, names in os.walk(os.path.join(directory, "bare.git")):
        for name in names:
            total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def write_warnings(directory: str, commit: str, warnings: Sequence[str]) -> None:
    """Keep what is to be said of a checkout beside it, so that it is said each time."""
    if warnings:
        notes = os.path.join(directory, "warnings")
        os.makedirs(notes, exist_ok=True)
        with open(os.path.join(notes, commit), "w", encoding="utf-8") as file:
            json.dump([*warnings], file)


def read_warnings(directory: str, commit: str) -> list[str]:
    """Read what was kept of a checkout."""
    try:
        with open(os.path.join(directory, "warnings", commit), encoding="utf-8") as file:
            return [str(warning) for warning in json.loads(file.read(RECORD_BYTES))]
    except (FileNotFoundError, ValueError):
        return []
