"""`/management/api/repositories`."""

from datetime import UTC, datetime

from litestar import Controller, delete, get, post

from ploinky.api.paging import PageNumber, PerPage, paged
from ploinky.api.repository_schemas import (
    AgentShape,
    CacheShape,
    RepositoryRequest,
    RepositoryShape,
    RepositoryUpdateShape,
)
from ploinky.api.schemas import CredentialsRequest, Page
from ploinky.api.services import AnyRequest, Injected, context_of
from ploinky.domain.errors import Invalid
from ploinky.domain.repository import Repository
from ploinky.domain.specs import AccessKind
from ploinky.ports.sources import CacheRecord
from ploinky.usecases.repositories import GivenAccess, NewRepository

PATH = "/management/api/repositories"


class RepositoryRoutes(Controller):
    """Names for repositories."""

    path = PATH
    tags = ("repositories",)

    @get()
    async def list_repositories(
        self, services: Injected, page: PageNumber = 1, per_page: PerPage = 50
    ) -> Page[RepositoryShape]:
        """List them by name, with what is known of their caches."""
        records = await services.repositories.records()
        shapes = [
            _shape(name, row.state, records.get(name)) for name, row in sorted(services.views.repositories.items())
        ]
        return paged(shapes, page, per_page, PATH, {})

    @post()
    async def add(self, request: AnyRequest, services: Injected, data: RepositoryRequest) -> RepositoryShape:
        """Give a repository a name; again for the same URL and branch, change what is given besides."""
        new = NewRepository(
            data.name, data.url, data.branch, given_access(data.credentials), data.webhook_secret, data.poll_seconds
        )
        await services.repositories.add(new, context_of(request))
        return _shape(data.name, services.repositories.get(data.name), None)

    @delete("/{name:str}", status_code=204)
    async def remove(self, request: AnyRequest, services: Injected, name: str) -> None:
        """Free a name and forget its secrets; deployments keep the URL they were made with."""
        await services.repositories.remove(name, context_of(request))

    @post("/{name:str}/update", status_code=200)
    async def update(self, services: Injected, name: str) -> RepositoryUpdateShape:
        """Fetch the newest commit now and show what changed; nothing is deployed."""
        update = await services.repositories.update(name)
        checkout = update.checkout
        return RepositoryUpdateShape(
            name=name,
            before=update.before,
            commit=checkout.commit,
            is_from_cache=checkout.is_from_cache,
            age_seconds=checkout.age_seconds,
            reason=checkout.reason,
            changes=[*update.changes],
            warnings=[*checkout.warnings],
        )

    @get("/{name:str}/agents")
    async def list_agents(
        self, services: Injected, name: str, page: PageNumber = 1, per_page: PerPage = 50
    ) -> Page[AgentShape]:
        """Read the manifest of every agent in the repository; a broken one is shown with its error."""
        accounts = await services.repositories.agents(name)
        shapes = [AgentShape(name=a.name, about=a.about, commands=[*a.commands], error=a.error) for a in accounts]
        return paged(shapes, page, per_page, f"{PATH}/{name}/agents", {})


def given_access(data: CredentialsRequest | None) -> GivenAccess | None:
    """Read credentials. Raises `Invalid` unless they are of exactly one kind."""
    if data is None:
        return None
    kinds = {AccessKind.BASIC: data.password, AccessKind.TOKEN: data.token, AccessKind.SSH_KEY: data.ssh_key}
    given = [(kind, secret) for kind, secret in kinds.items() if secret is not None]
    if len(given) != 1:
        raise Invalid("Credentials are a password, a token or an ssh key: exactly one of them")
    kind, secret = given[0]
    return GivenAccess(kind, secret, data.username)


def _shape(name: str, state: Repository, record: CacheRecord | None) -> RepositoryShape:
    return RepositoryShape(
        name=name,
        url=state.url,
        branch=state.branch,
        credentials=state.access.kind.value if state.access else "none",
        username=state.access.username if state.access else "",
        has_webhook_secret=bool(state.webhook_secret),
        poll_seconds=state.poll_seconds,
        cache=None if record is None else _cache(record),
    )


def _cache(record: CacheRecord) -> CacheShape:
    at = record.last_fetch_at
    return CacheShape(
        last_fetch_at=None if at is None else datetime.fromtimestamp(at, UTC),
        heads={**record.heads},
        ttl_seconds=record.ttl_seconds,
        size_bytes=record.size_bytes,
        last_error=record.last_error,
    )
