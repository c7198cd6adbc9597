"""Probes of instances that do not exist: what they find is what a test said."""

from ploinky.ports.probes import ProbeAnswer
from ploinky.ports.runtime import Address


class MemoryProbes:
    """Everything answers well until a test says otherwise."""

    def __init__(self) -> None:
        self.closed: set[Address] = set()
        """Where nobody accepts a connection."""
        self.statuses: dict[Address, int] = {}
        """What HTTP requests are answered with; 200 where nothing is said."""

    async def tcp(self, address: Address, timeout_seconds: float) -> ProbeAnswer:
        if address in self.closed:
            return ProbeAnswer(is_passed=False, finding=f"nothing accepts connections on port {address.port}")
        return ProbeAnswer(is_passed=True, finding=f"port {address.port} is open")

    async def http(self, address: Address, path: str, timeout_seconds: float) -> ProbeAnswer:
        if address in self.closed:
            return ProbeAnswer(is_passed=False, finding=f"GET {path} on port {address.port} has no answer")
        status = self.statuses.get(address, 200)
        return ProbeAnswer(is_passed=200 <= status < 400, finding=f"GET {path} answers {status}")
