"""`/management/api/repositories`."""

from litestar import Controller, delete, get, post

from ploinky.api.paging import PageNumber, PerPage, paged
from ploinky.api.schemas import Page, RepositoryRequest, RepositoryShape
from ploinky.api.services import AnyRequest, Injected, context_of
from ploinky.domain.commands import AddRepository, RemoveRepository
from ploinky.usecases.deployments import parse_repository

PATH = "/management/api/repositories"


class RepositoryRoutes(Controller):
    """Names for repositories."""

    path = PATH
    tags = ("repositories",)

    @get()
    async def list_repositories(
        self, services: Injected, page: PageNumber = 1, per_page: PerPage = 50
    ) -> Page[RepositoryShape]:
        """List them by name."""
        shapes = [
            RepositoryShape(name=key, url=row.state.url, branch=row.state.branch)
            for key, row in sorted(services.views.repositories.items())
        ]
        return paged(shapes, page, per_page, PATH, {})

    @post()
    async def add(self, request: AnyRequest, services: Injected, data: RepositoryRequest) -> RepositoryShape:
        """Give a repository a name. Idempotent for the same URL and branch."""
        command = AddRepository(subject_id=data.name, url=parse_repository(data.url), branch=data.branch)
        await services.commander.execute(command, context_of(request))
        return RepositoryShape(name=data.name, url=data.url, branch=data.branch)

    @delete("/{name:str}", status_code=204)
    async def remove(self, request: AnyRequest, services: Injected, name: str) -> None:
        """Free a name; deployments keep the URL they were made with."""
        await services.commander.execute(RemoveRepository(subject_id=name), context_of(request))
