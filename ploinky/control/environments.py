"""The environment a deployer gave, kept as a payload and never in an event."""

import msgspec

from ploinky.control.orders import Orders
from ploinky.views.views import Views


class Environments:
    """Read deployments' environments."""

    def __init__(self, views: Views, orders: Orders) -> None:
        """Take where payloads are read."""
        self._views = views
        self._orders = orders

    async def of(self, deployment_id: str, generation: int) -> dict[str, str]:
        """Return the variables given for a generation; empty when there were none."""
        position = self._views.environments.position(deployment_id, generation)
        if not position:
            return {}
        content = await self._orders.stored(position, "environment")
        return msgspec.json.decode(content, type=dict[str, str]) if content else {}
