"""Who asks private registries of images."""

import re

from ploinky.control.commander import Commander
from ploinky.control.pools import Pools
from ploinky.domain import commands as c
from ploinky.domain.errors import Invalid, RegistryNotFound
from ploinky.domain.registry import Registry
from ploinky.journal.dispatcher import Context
from ploinky.ports.secrets import SecretStore
from ploinky.usecases.vault import Vault
from ploinky.views.views import Views

HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?(:[0-9]{1,5})?")
USERNAME_CHARACTERS = 255
PASSWORD_CHARACTERS = 16_384


class Registries:
    """Registries, for people."""

    def __init__(self, views: Views, commander: Commander, secrets: SecretStore, pools: Pools) -> None:
        """Take the machinery."""
        self._views = views
        self._commander = commander
        self._secrets = secrets
        self._vault = Vault(secrets, pools)
        self._pools = pools

    def list(self) -> list[tuple[str, Registry]]:
        """Return the hosts with who asks there, by host."""
        return sorted((host, row.state) for host, row in self._views.registries.items())

    async def add(self, host: str, username: str, password: str, context: Context) -> None:
        """Say who asks a registry from now on. Raises `Invalid`."""
        if not HOST.fullmatch(host):
            raise Invalid(f"{host[:100]!r} is no registry's host", hint="Write images.example.com, or host:5000.")
        if not (0 < len(username) <= USERNAME_CHARACTERS and username.isprintable()):
            raise Invalid(f"A user name has between 1 and {USERNAME_CHARACTERS} printable characters")
        if not (0 < len(password) <= PASSWORD_CHARACTERS and password.isprintable()):
            raise Invalid(f"A password has between 1 and {PASSWORD_CHARACTERS} printable characters")
        before = self._views.registries.get(host)
        async with self._vault.keep({"password": password}) as versions:
            command = c.AddRegistry(subject_id=host, username=username, secret=versions["password"])
            await self._commander.execute(command, context)
        await self._forget(before)

    async def remove(self, host: str, context: Context) -> None:
        """Forget who asks a registry. Raises `RegistryNotFound`."""
        before = self._views.registries.get(host)
        if before is None:
            raise RegistryNotFound(registry=host)
        await self._commander.execute(c.RemoveRegistry(subject_id=host), context)
        await self._forget(before)

    async def _forget(self, before: Registry | None) -> None:
        if before is not None:
            await self._pools.slow(lambda: self._secrets.remove(before.secret))
