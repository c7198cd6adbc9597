"""What lies about on disk because something once needed it."""

from enum import StrEnum
from typing import NamedTuple, Protocol


class LeftoverKind(StrEnum):
    """What it was for."""

    RELEASE = "release"
    """A generation's copy of its agent's folder; named `{deploymentId}/{generation}`."""
    CHECKOUT = "checkout"
    """A commit's files, which can be made again from the cache; named `{cache}/{commit}`."""


class Leftover(NamedTuple):
    """One folder that may be needed or not: who asks has to know."""

    kind: LeftoverKind
    name: str


class DiskSpace(NamedTuple):
    """A file system, as one without privileges may use it."""

    free_bytes: int
    total_bytes: int


class Leftovers(Protocol):
    """Look for folders, and remove those of which somebody proved that nothing needs them. Blocking."""

    def space(self) -> DiskSpace:
        """Measure the file system that they are on."""

    def found(self) -> list[Leftover]:
        """Return all there are."""

    def remove(self, leftover: Leftover) -> int:
        """Remove one and return how many bytes it held. Idempotent; out of sight at once, so a crash leaves no half."""
