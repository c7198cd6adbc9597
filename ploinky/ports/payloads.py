"""Blob files: payloads too large for a journal row."""

from typing import Protocol

INLINE_LIMIT_BYTES = 64 * 1024
"""Payloads above this lie in a blob file."""


class BlobStore(Protocol):
    """Keep immutable byte strings by a name the store mints.

    **Errors**: `StorageFull` on a full disk, `BlobNotFound` for an unknown name.
    """

    def put(self, content: bytes) -> str:
        """Store durably (file and directory synced before return) and return the name. Each call makes a new one."""

    def get(self, name: str) -> bytes:
        """Return the content."""

    def collect(self, is_referenced: "BlobReferenced", minimum_age_seconds: float = 3600.0) -> int:
        """Remove blobs that are old enough and that nothing refers to. Returns how many. Idempotent."""


class BlobReferenced(Protocol):
    """Tell whether the journal still refers to a blob."""

    def __call__(self, name: str, /) -> bool:
        """Return True when it does."""
