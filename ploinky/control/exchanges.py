"""What passes through to the agents' own web servers right now: counted, bounded, and drained before an end."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from ploinky.domain.errors import Overloaded

EXCHANGES_LIMIT = 1_024
"""Requests and WebSockets at the same time, per instance."""
TURNS_LIMIT = 10_000
CUT_LIMIT_SECONDS = 5.0
"""How long an exchange may take to end once it is cut."""


class Exchange:
    """One request with its response, or one WebSocket."""

    __slots__ = ("cut", "instance_id")

    def __init__(self, instance_id: str, cut: Callable[[], None]) -> None:
        """Take what ends it early; it is called at most once, and may come late."""
        self.instance_id = instance_id
        self.cut = cut


class Exchanges:
    """All exchanges by instance. Lives on the event loop."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: dict[str, set[Exchange]] = {}
        self._last_turn: dict[str, int] = {}
        self._turn = 0
        self._ended = asyncio.Event()

    def choose(self, candidates: Sequence[str]) -> str | None:
        """Return the least busy of these instances, among equals the one whose turn is longest ago; None of none."""
        return min(candidates, key=lambda key: (self.count(key), self._last_turn.get(key, 0)), default=None)

    def begin(self, instance_id: str, cut: Callable[[], None]) -> Exchange:
        """Count an exchange from here on. Raises `Overloaded` above the limit."""
        exchanges = self._open.setdefault(instance_id, set())
        if len(exchanges) >= EXCHANGES_LIMIT:
            raise Overloaded(f"{EXCHANGES_LIMIT} requests are with this agent already")
        if len(self._last_turn) > TURNS_LIMIT:
            self._last_turn.clear()  # most are of instances that are long gone; who is next does not matter much
        self._turn += 1
        self._last_turn[instance_id] = self._turn
        exchange = Exchange(instance_id, cut)
        exchanges.add(exchange)
        return exchange

    def end(self, exchange: Exchange) -> None:
        """Count it no more."""
        exchanges = self._open.get(exchange.instance_id, set())
        exchanges.discard(exchange)
        if not exchanges:
            self._open.pop(exchange.instance_id, None)
        self._ended.set()

    def last_turn(self, instance_id: str) -> int:
        """Return the number of the newest exchange with an instance, counted over all; 0 when it had none."""
        return self._last_turn.get(instance_id, 0)

    def count(self, instance_id: str) -> int:
        """Return how many there are with an instance."""
        return len(self._open.get(instance_id, ()))

    async def drain(self, instance_id: str, limit_seconds: float) -> None:
        """Wait until an instance has none, cutting those that take longer. Nothing new may be led to it meanwhile."""
        await self._drain([instance_id], limit_seconds)

    async def drain_all(self, limit_seconds: float) -> None:
        """Do the same for all instances at once."""
        await self._drain(None, limit_seconds)

    async def _drain(self, instance_ids: Iterable[str] | None, limit_seconds: float) -> None:
        if not await self._is_over(instance_ids, limit_seconds):
            for exchange in self._of(instance_ids):
                exchange.cut()
            await self._is_over(instance_ids, CUT_LIMIT_SECONDS)

    async def _is_over(self, instance_ids: Iterable[str] | None, limit_seconds: float) -> bool:
        try:
            async with asyncio.timeout(limit_seconds):
                while self._of(instance_ids):
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            return not self._of(instance_ids)
        return True

    def _of(self, instance_ids: Iterable[str] | None) -> list[Exchange]:
        keys = self._open if instance_ids is None else instance_ids
        return [exchange for key in keys for exchange in self._open.get(key, ())]
