"""Put secret values away before anything speaks of them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ploinky.control.pools import Pools
from ploinky.ports.secrets import SecretStore


class Vault:
    """Secrets on their way in: from here on they are known by version id only."""

    def __init__(self, secrets: SecretStore, pools: Pools) -> None:
        """Keep them in a store; it is slow, so not on the event loop."""
        self._secrets = secrets
        self._pools = pools

    @asynccontextmanager
    async def keep(self, values: Mapping[str, str]) -> AsyncIterator[dict[str, str]]:
        """Store values and give their version ids by name; forget them again when the block fails.

        Raises `StorageFull`.
        """
        versions: dict[str, str] = {}
        try:
            for name, value in values.items():
                versions[name] = await self._pools.slow(lambda value=value: self._secrets.put(value.encode()))  # type: ignore[misc]
            yield versions
        except BaseException:
            for version in versions.values():
                self._secrets.remove(version)
            raise
