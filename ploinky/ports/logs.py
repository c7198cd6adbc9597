"""What instances print, kept after they are gone."""

from typing import NamedTuple, Protocol

LOG_FILES_LIMIT = 10


class LogBounds(NamedTuple):
    """How much is kept of what instances print."""

    file_bytes: int = 10 * 1024 * 1024
    file_count: int = 2
    """Of each instance, the one that is written included; at most `LOG_FILES_LIMIT`."""
    generations: int = 20
    """Of each deployment, the newest."""


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

    def prune(self, deployment_id: str, first_generation: int) -> None:
        """Remove the logs of all instances of earlier generations. Idempotent."""

    def discard(self, deployment_id: str) -> None:
        """Remove the logs of all instances of a deployment. Idempotent."""
