"""Blobs in memory."""

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from ploinky.domain.errors import BlobNotFound, StorageFull
from ploinky.ports.payloads import BlobReferenced


class _Blob(NamedTuple):
    content: bytes
    stored_at_seconds: float


class MemoryBlobStore:
    """Implement `ploinky.ports.payloads.BlobStore` in a dict."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic, capacity_bytes: int | None = None) -> None:
        """Measure ages by `monotonic`; beyond `capacity_bytes` the disk is full."""
        self._monotonic = monotonic
        self._capacity_bytes = capacity_bytes
        self._blobs: dict[str, _Blob] = {}

    def put(self, content: bytes) -> str:
        """Keep the content under a new name."""
        used_bytes = sum(len(blob.content) for blob in self._blobs.values())
        if self._capacity_bytes is not None and used_bytes + len(content) > self._capacity_bytes:
            raise StorageFull
        name = secrets.token_hex(16)
        self._blobs[name] = _Blob(bytes(content), self._monotonic())
        return name

    def get(self, name: str) -> bytes:
        """Return the content."""
        try:
            return self._blobs[name].content
        except KeyError:
            raise BlobNotFound(name=name) from None

    def collect(self, is_referenced: BlobReferenced, minimum_age_seconds: float = 3600.0) -> int:
        """Forget blobs that are old enough and that nothing refers to."""
        newest = self._monotonic() - minimum_age_seconds
        unneeded = [
            name
            for name, blob in list(self._blobs.items())
            if blob.stored_at_seconds <= newest and not is_referenced(name)
        ]
        for name in unneeded:
            del self._blobs[name]
        return len(unneeded)
