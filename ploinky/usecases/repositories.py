"""Names for repositories, what opens them, and what is in them."""

from collections.abc import Mapping
from typing import NamedTuple

from ploinky.control.commander import Commander
from ploinky.control.pools import Pools
from ploinky.control.source_access import repository_source
from ploinky.domain import commands as c
from ploinky.domain.errors import Invalid, PloinkyError, RepositoryNotFound
from ploinky.domain.manifest import parse_manifest
from ploinky.domain.repository import Repository
from ploinky.domain.source_urls import Location
from ploinky.domain.specs import AccessKind, SourceAccess
from ploinky.journal.dispatcher import Context
from ploinky.ports.secrets import SecretStore
from ploinky.ports.sources import AgentFolders, CacheRecord, Checkout, FoundAgent, Sources
from ploinky.usecases.admission import locate
from ploinky.usecases.vault import Vault
from ploinky.views.views import Views

CREDENTIAL_BYTES = 16_384
USERNAME_CHARACTERS = 255
WEBHOOK_SECRET_CHARACTERS = 16
"""The least: a signature is worth no more than its secret."""
SHORTEST_POLL_SECONDS = 30
LONGEST_POLL_SECONDS = 86_400


class GivenAccess(NamedTuple):
    """Credentials as somebody gave them, not yet put away."""

    kind: AccessKind
    secret: str
    username: str = ""

    def kept(self, version: str) -> SourceAccess:
        """Return what is known of them once the secret is put away."""
        return SourceAccess(kind=self.kind, secret=version, username=self.username)


class NewRepository(NamedTuple):
    """A name with what belongs to it; None = as before."""

    name: str
    url: str
    branch: str | None = None
    access: GivenAccess | None = None
    webhook_secret: str | None = None
    poll_seconds: int | None = None


class RepositoryUpdate(NamedTuple):
    """What a fetch brought."""

    before: str | None
    """The commit fetched before; None for the first time."""
    checkout: Checkout
    changes: tuple[str, ...]


class AgentAccount(NamedTuple):
    """An agent of a repository, as its author describes it."""

    name: str
    about: str
    commands: tuple[str, ...]
    error: str
    """Why its manifest cannot be used; empty when it can."""


class Repositories:
    """Repositories, for people."""

    def __init__(
        self,
        views: Views,
        commander: Commander,
        secrets: SecretStore,
        sources: Sources,
        folders: AgentFolders,
        pools: Pools,
        *,
        allow_local: bool,
    ) -> None:
        """Take the machinery, and whether everybody may name paths of this machine."""
        self._views = views
        self._commander = commander
        self._secrets = secrets
        self._vault = Vault(secrets, pools)
        self._sources = sources
        self._folders = folders
        self._pools = pools
        self._allow_local = allow_local

    def get(self, name: str) -> Repository:
        """Return what a name stands for. Raises `RepositoryNotFound`."""
        found = self._views.repositories.get(name)
        if found is None:
            raise RepositoryNotFound(repository=name)
        return found

    async def add(self, new: NewRepository, context: Context) -> None:
        """Give a repository a name, or change what belongs to it. Idempotent when no secret is given."""
        location = locate(new.url, context.actor, allow_local=self._allow_local)
        _check(new, location)
        given = {"access": new.access.secret if new.access else "", "webhook": new.webhook_secret or ""}
        before = self._views.repositories.get(new.name)
        async with self._vault.keep({name: value for name, value in given.items() if value}) as versions:
            command = c.AddRepository(
                subject_id=new.name,
                url=new.url,
                branch=new.branch,
                access=new.access.kept(versions["access"]) if new.access else None,
                webhook_secret=versions.get("webhook", new.webhook_secret),
                poll_seconds=new.poll_seconds,
            )
            await self._commander.execute(command, context)
        await self._forget(before, self._views.repositories.get(new.name))

    async def remove(self, name: str, context: Context) -> None:
        """Free a name and forget its secrets. Raises `RepositoryNotFound`."""
        before = self.get(name)
        await self._commander.execute(c.RemoveRepository(subject_id=name), context)
        await self._forget(before, self._views.repositories.get(name))

    async def _forget(self, before: Repository | None, after: Repository | None) -> None:
        unused = (before.secrets if before else set()) - (after.secrets if after else set())
        for version in unused:
            await self._pools.slow(lambda version=version: self._secrets.remove(version))  # type: ignore[misc]

    async def update(self, name: str) -> RepositoryUpdate:
        """Fetch the newest commit now, and compare it with the one fetched before."""
        repository = self.get(name)

        def work() -> RepositoryUpdate:
            source = repository_source(repository, self._secrets)
            record = self._sources.record(repository.url)
            before = record.heads.get(repository.branch or "HEAD") if record else None
            checkout = self._sources.fetch(source, _silent, is_fresh=True)
            if before is None or before == checkout.commit:
                return RepositoryUpdate(before, checkout, ())
            return RepositoryUpdate(before, checkout, self._sources.changes(source.url, before, checkout.commit))

        return await self._pools.engine(work)

    async def agents(self, name: str) -> list[AgentAccount]:
        """Read the manifest of every agent in a repository; a broken one is told with what is wrong."""
        repository = self.get(name)

        def work() -> list[FoundAgent]:
            checkout = self._sources.fetch(repository_source(repository, self._secrets), _silent)
            return self._folders.agents(checkout.directory)

        return [_account(found, name) for found in await self._pools.engine(work)]

    async def records(self) -> Mapping[str, CacheRecord | None]:
        """Return what is known of the cache of each named repository, by name."""
        urls = {name: row.state.url for name, row in self._views.repositories.items()}
        return await self._pools.slow(lambda: {name: self._sources.record(url) for name, url in urls.items()})


def _account(found: FoundAgent, repository_name: str) -> AgentAccount:
    name = found.folder or repository_name
    if found.error:
        return AgentAccount(name, "", found.handlers, found.error)
    try:
        manifest = parse_manifest(found.manifest)
    except PloinkyError as error:
        return AgentAccount(name, "", found.handlers, error.message)
    commands = tuple(sorted({*found.handlers, *manifest.commands}))
    return AgentAccount(found.folder or manifest.name or repository_name, manifest.about or "", commands, "")


def _check(new: NewRepository, location: Location) -> None:
    if new.access is not None:
        check_access(new.access, location)
    if new.webhook_secret and not WEBHOOK_SECRET_CHARACTERS <= len(new.webhook_secret) <= CREDENTIAL_BYTES:
        raise Invalid(f"A webhook's secret has at least {WEBHOOK_SECRET_CHARACTERS} characters")
    if new.poll_seconds and not SHORTEST_POLL_SECONDS <= new.poll_seconds <= LONGEST_POLL_SECONDS:
        limits = f"between {SHORTEST_POLL_SECONDS} and {LONGEST_POLL_SECONDS}"
        raise Invalid(f"pollSeconds is 0 (off) or {limits}, not {new.poll_seconds}")


def check_access(access: GivenAccess, location: Location) -> None:
    """Refuse credentials that cannot be used where the repository is. Raises `Invalid`."""
    if not access.secret or len(access.secret.encode()) > CREDENTIAL_BYTES:
        raise Invalid(f"Credentials have between 1 and {CREDENTIAL_BYTES} bytes")
    is_key = access.kind is AccessKind.SSH_KEY
    if location.transport != ("ssh" if is_key else "http"):
        usable = "an ssh key opens ssh:// only" if is_key else "a password or token opens http(s):// only"
        raise Invalid(f"These credentials do not fit the repository's URL: {usable}")
    texts = [access.username] if is_key else [access.username, access.secret]
    if any(not text.isprintable() for text in texts) or ":" in access.username:
        raise Invalid("A user name, password or token for git must be printable, the name without a colon")
    if len(access.username) > USERNAME_CHARACTERS or (access.kind is AccessKind.BASIC and not access.username):
        raise Invalid(f"A password needs a user name, of at most {USERNAME_CHARACTERS} characters")


def _silent(_line: str) -> None:
    """Show nothing."""
