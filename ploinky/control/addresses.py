"""Where instances' own web servers are reached, asked for once in an instance's life."""

import asyncio
from collections.abc import Sequence

from ploinky.control.world import World
from ploinky.domain import events as e
from ploinky.domain.errors import InstanceNotFound
from ploinky.domain.instance import Instance
from ploinky.journal.codec import Recorded
from ploinky.ports.runtime import Address
from ploinky.views.views import Views


class Addresses:
    """Ask the runtimes and keep their answers until the instance ends."""

    def __init__(self, views: Views, world: World) -> None:
        """Start with nothing known."""
        self._views = views
        self._world = world
        self._known: dict[str, dict[int, Address]] = {}
        self._asking: dict[tuple[str, int], asyncio.Task[Address]] = {}

    async def of(self, instance_id: str, port: int | None = None) -> Address:
        """Return where a port of an instance answers; None = that of its web server.

        Raises what `Runtime.address` does, and `InstanceNotFound`.
        """
        instance = self._views.instances.get(instance_id)
        wanted = port or (instance.release.http_port if instance and instance.release else None)
        if instance is None or wanted is None:
            raise InstanceNotFound(instance=instance_id)
        known = self._known.get(instance_id, {}).get(wanted)
        if known is not None:
            return known
        key = (instance_id, wanted)
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._ask(instance_id, instance, wanted))
            self._asking[key] = asking
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        # One of many who wait may give up; the others still want to know.
        return await asyncio.shield(asking)

    def follow(self, batch: Sequence[Recorded]) -> None:
        """Forget instances that have ended."""
        for recorded in batch:
            if isinstance(recorded.event, e.InstanceStopped | e.InstanceRemoved):
                self._known.pop(recorded.subject_id, None)

    async def _ask(self, instance_id: str, instance: Instance, port: int) -> Address:
        runtime = self._world.runtimes.get(instance.runtime)
        name = instance.name
        address = await self._world.pools.engine(lambda: runtime.address(name, port))
        if instance_id in self._views.instances.rows:
            self._known.setdefault(instance_id, {})[port] = address
        return address
