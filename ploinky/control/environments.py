"""The environment a deployer gave, kept as a payload and never in an event."""

import msgspec

from ploinky.control.orders import Orders
from ploinky.domain.errors import BlobNotFound
from ploinky.views.views import Views


class Environments:
    """Read deployments' environments: the variables that were given, empty when there were none.

    All raise `BlobNotFound` when what was given is no longer kept: to go on without it would be to make it up.
    """

    def __init__(self, views: Views, orders: Orders) -> None:
        """Take where payloads are read."""
        self._views = views
        self._orders = orders

    async def of(self, deployment_id: str, generation: int) -> dict[str, str]:
        """Return the variables that a generation is started with."""
        return await self._at(self._views.environments.position(deployment_id, generation))

    async def newest(self, deployment_id: str) -> dict[str, str]:
        """Return the variables as they were asked for last."""
        return await self._at(self._views.environments.newest(deployment_id))

    async def _at(self, position: int) -> dict[str, str]:
        if not position:
            return {}
        content = await self._orders.stored(position, "environment")
        if content is None:
            raise BlobNotFound("The variables that were given for this are no longer kept")
        return msgspec.json.decode(content, type=dict[str, str])
