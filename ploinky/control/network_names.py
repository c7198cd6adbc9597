"""Deployments' own networks: how they are called, and which may go."""

import logging
from collections.abc import Collection

from ploinky.control.world import World
from ploinky.domain.errors import PloinkyError
from ploinky.views.views import Views

log = logging.getLogger(__name__)


def network_name(deployment_id: str) -> str:
    """Name the network of a deployment; all of its instances share it."""
    return f"ploinky-{deployment_id}"


async def tidy_networks(views: Views, world: World, *, without: str = "") -> None:
    """Remove the networks of deployments that are gone, and of one that is going. Never raises for an engine's sake.

    Complete by being repeated: an engine that does not answer now is asked again with a later look.
    """
    await keep_networks(world, {network_name(key) for key in views.deployments.rows if key != without})


async def keep_networks(world: World, names: Collection[str]) -> None:
    """Remove all networks of this journal but those named. Never raises for an engine's sake."""
    for kind, runtime in world.runtimes.by_kind.items():
        try:
            await world.pools.engine(lambda runtime=runtime: runtime.keep_networks(world.site.journal_id, names))  # type: ignore[misc]
        except PloinkyError as error:
            log.debug("networks of %s cannot be tidied: %s", kind, error.message)
