"""Time and identity: the two things a pure domain cannot make."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tell the time."""

    def now(self) -> datetime:
        """Return aware UTC. May step backwards with the system's clock; the dispatcher never records that."""

    def monotonic(self) -> float:
        """Return seconds that only grow, for measuring silence."""


class Ids(Protocol):
    """Mint identifiers."""

    def mint(self) -> str:
        """Return 20 characters of `0-9a-v` (base32hex), ordered by time of minting, then 50 random bits."""

    def salt(self) -> bytes:
        """Return 16 unpredictable bytes."""
