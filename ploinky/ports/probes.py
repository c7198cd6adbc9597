"""Ask an instance from outside whether it is well."""

from typing import NamedTuple, Protocol

from ploinky.ports.runtime import Address


class ProbeAnswer(NamedTuple):
    """What one look found."""

    is_passed: bool
    finding: str
    """What was found, as one clause for people: `GET /health answers 503`."""


class Probes(Protocol):
    """Look once. Runs on the event loop; never raises for what it looks at."""

    async def tcp(self, address: Address, timeout_seconds: float) -> ProbeAnswer:
        """Tell whether somebody accepts a connection there and keeps it.

        A forwarder that accepts for a port nobody listens on closes at once; that is no answer.
        """

    async def http(self, address: Address, path: str, timeout_seconds: float) -> ProbeAnswer:
        """Tell whether `GET path` is answered with 2xx or 3xx, complete status line and headers in time."""
