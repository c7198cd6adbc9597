"""The right to be the one writer of a data directory."""

from typing import Protocol


class Lease(Protocol):
    """Hold a data directory exclusively.

    **Errors**: `DirectoryBusy` when another process holds it (with its pid where known), `DirectoryUnusable` when it
    cannot be made, read or locked, or lies on a network file system.
    """

    def acquire(self) -> None:
        """Take the lease or raise at once; it is kept until `release` or the end of the process."""

    def release(self) -> None:
        """Give it up. Idempotent."""
