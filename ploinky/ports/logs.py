"""What instances print, kept after they are gone."""

from typing import Protocol


class LogStore(Protocol):
    """One log per instance.

    **Errors**: `StorageFull` on a full disk. A log that does not exist reads as empty.
    """

    def path(self, instance_id: str) -> str:
        """Return where a runtime without logs of its own writes an instance's output."""

    def save(self, instance_id: str, content: bytes) -> None:
        """Keep what an engine had of an instance before it is removed. Idempotent."""

    def tail(self, instance_id: str, lines: int) -> bytes:
        """Return the newest lines, at most 1 MiB."""

    def discard(self, deployment_id: str) -> None:
        """Remove the logs of all instances of a deployment. Idempotent."""
