"""`/management/api/registries`."""

from litestar import Controller, delete, get, post

from ploinky.api.paging import PageNumber, PerPage, paged
from ploinky.api.registry_schemas import RegistryRequest, RegistryShape
from ploinky.api.schemas import Page
from ploinky.api.services import AnyRequest, Injected, context_of

PATH = "/management/api/registries"


class RegistryRoutes(Controller):
    """Private registries of images."""

    path = PATH
    tags = ("registries",)

    @get()
    async def list_registries(
        self, services: Injected, page: PageNumber = 1, per_page: PerPage = 50
    ) -> Page[RegistryShape]:
        """List them by host, with who asks there; passwords are never shown."""
        shapes = [RegistryShape(host=host, username=state.username) for host, state in services.registries.list()]
        return paged(shapes, page, per_page, PATH, {})

    @post()
    async def add(self, request: AnyRequest, services: Injected, data: RegistryRequest) -> RegistryShape:
        """Say who asks a registry from now on; again for the same host to say it anew."""
        await services.registries.add(data.host, data.username, data.password, context_of(request))
        return RegistryShape(host=data.host, username=data.username)

    @delete("/{host:str}", status_code=204)
    async def remove(self, request: AnyRequest, services: Injected, host: str) -> None:
        """Forget who asks a registry, and the password."""
        await services.registries.remove(host, context_of(request))
