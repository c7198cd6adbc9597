"""Blobs as files, each durable before its name is known to anybody."""

import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ploinky.domain.errors import BlobNotFound, DirectoryUnusable, PloinkyError, StorageFull
from ploinky.ports.payloads import BlobReferenced

_NAME = re.compile(r"[0-9a-f]{32}")
_SHARD = re.compile(r"[0-9a-f]{2}")
_UNFINISHED_SUFFIX = ".unfinished"
_NAME_RANDOM_BYTES = 16
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class FileBlobStore:
    """Implement `ploinky.ports.payloads.BlobStore` in a folder of its own.

    A name is random and not the content's hash: equal contents of two owners are two blobs, collected apart, and a name
    says nothing about the content.
    """

    def __init__(self, directory: str) -> None:
        """Make the folder (0700) when it is not there."""
        self._directory = directory
        with _translated():
            os.makedirs(directory, mode=0o700, exist_ok=True)

    def put(self, content: bytes) -> str:
        """Store durably and return the new name."""
        name = secrets.token_hex(_NAME_RANDOM_BYTES)
        path = self._path(name)
        unfinished = path + _UNFINISHED_SUFFIX
        with _translated():
            shard = self._make_shard(name)
            try:
                _write_synced(unfinished, content)
                os.rename(unfinished, path)
                _sync_directory(shard)
            except OSError:
                _remove(unfinished)
                raise
        return name

    def get(self, name: str) -> bytes:
        """Return the content. A name that cannot be one is unknown, too."""
        if not _NAME.fullmatch(name):
            raise BlobNotFound
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise BlobNotFound(name=name) from None
        except OSError as error:
            raise _translate(error) from error
        with _translated(), os.fdopen(descriptor, "rb") as file:
            return file.read()

    def collect(self, is_referenced: BlobReferenced, minimum_age_seconds: float = 3600.0) -> int:
        """Remove old blobs that nothing refers to, and what a crash left unfinished."""
        newest_at = time.time() - minimum_age_seconds
        count = 0
        with _translated():
            for entry in self._entries():
                # The age first: a blob that has just been written is not yet referred to.
                if entry.stat(follow_symlinks=False).st_mtime > newest_at:
                    continue
                if _NAME.fullmatch(entry.name):
                    if not is_referenced(entry.name):
                        _remove(entry.path)
                        count += 1
                elif entry.name.endswith(_UNFINISHED_SUFFIX):
                    _remove(entry.path)
        return count

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name[:2], name)

    def _make_shard(self, name: str) -> str:
        shard = os.path.join(self._directory, name[:2])
        try:
            os.mkdir(shard, mode=0o700)
        except FileExistsError:
            return shard
        _sync_directory(self._directory)
        return shard

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self._directory) as shards:
            names = [entry.name for entry in shards if _SHARD.fullmatch(entry.name)]
        for name in names:
            with os.scandir(os.path.join(self._directory, name)) as entries:
                yield from entries


@contextmanager
def _translated() -> Iterator[None]:
    """Raise the domain's errors for those of the file system."""
    try:
        yield
    except OSError as error:
        raise _translate(error) from error


def _translate(error: OSError) -> PloinkyError:
    if error.errno in _NO_SPACE:
        return StorageFull()
    return DirectoryUnusable(f"A payload file cannot be used: {error.strerror}", hint="Check the data directory.")


def _write_synced(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        remaining = memoryview(content)
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
