"""The releases of a deployment that can be gone back to, and who asked for each."""

from typing import NamedTuple

import msgspec

from ploinky.control.pools import Pools
from ploinky.domain.deployment import Deployment, Served
from ploinky.domain.errors import DeploymentNotFound
from ploinky.domain.events import RolloutRequested
from ploinky.ports.journal_store import JournalStore
from ploinky.views.rows import Row
from ploinky.views.views import Views

LOOKED_THROUGH_LIMIT_EVENTS = 5_000
"""Of the deployment's newest events: who asked for what was begun before stays untold."""


class KeptRelease(NamedTuple):
    """A release that serves or served."""

    served: Served
    is_active: bool
    actor: str
    """Who asked for it; empty when that is too long ago."""


class _Begin(msgspec.Struct):
    generation: int


class ReleaseHistory:
    """What served, newest first."""

    def __init__(self, views: Views, store: JournalStore, pools: Pools) -> None:
        """Take what is kept, and the journal that says who asked for it."""
        self._views = views
        self._store = store
        self._pools = pools

    async def of(self, deployment_id: str) -> list[KeptRelease]:
        """Return the releases that a deployment keeps. Raises `DeploymentNotFound`."""
        row = self._views.deployments.rows.get(deployment_id)
        if row is None:
            raise DeploymentNotFound(deployment=deployment_id)
        history = row.state.history
        actors = await self._pools.slow(lambda: self._actors(deployment_id, row))
        return [KeptRelease(one, one is history[-1], actors.get(one.generation, "")) for one in reversed(history)]

    def _actors(self, deployment_id: str, row: Row[Deployment]) -> dict[int, str]:
        """Return who asked for each generation. Slow: reads the journal."""
        actors: dict[int, str] = {}
        version = max(0, row.version - LOOKED_THROUGH_LIMIT_EVENTS)
        while records := self._store.read_stream(f"deployment/{deployment_id}", version):
            for record in records:
                version = record.version
                if record.type == RolloutRequested.TYPE:
                    actors[msgspec.json.decode(record.data, type=_Begin).generation] = record.actor
        return actors
