"""`/management/api/deployments`, and what runs for them."""

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.params import QueryParameter

from ploinky.api.paging import PageNumber, PerPage, paged
from ploinky.api.repositories import given_access
from ploinky.api.schemas import DeploymentShape, DeployRequest, InstanceShape, Page, RouteShape
from ploinky.api.services import AnyRequest, Injected, Services, context_of
from ploinky.api.shapes import deployment_shape, instance_shape
from ploinky.domain import commands as c
from ploinky.domain.deployment import Desired
from ploinky.domain.routing import parse_route
from ploinky.domain.specs import DeploymentSpec, RuntimeChoice
from ploinky.usecases.deployments import Given

PATH = "/management/api/deployments"

DomainFilter = Annotated[str | None, QueryParameter(name="domain")]
RoutePath = Annotated[str, QueryParameter(name="path")]
PathFilter = Annotated[str | None, QueryParameter(name="path")]


class DeploymentRoutes(Controller):
    """All of them: list, deploy, take off by route."""

    path = PATH
    tags = ("deployments",)

    @get()
    async def list_deployments(
        self,
        services: Injected,
        page: PageNumber = 1,
        per_page: PerPage = 50,
        domain: DomainFilter = None,
        route_path: PathFilter = None,
    ) -> Page[DeploymentShape]:
        """List deployments by route."""
        rows = services.deployments.list(domain, route_path)
        shapes = [deployment_shape(services, key, row) for key, row in rows]
        return paged(shapes, page, per_page, PATH, {"domain": domain, "path": route_path})

    @post(status_code=202)
    async def deploy(self, request: AnyRequest, services: Injected, data: DeployRequest) -> DeploymentShape:
        """Put an agent at a route; for the same agent at the same route, roll it out again."""
        spec = DeploymentSpec(
            agent=data.agent,
            repository=data.repository,
            branch=data.branch,
            revision=data.revision,
            subfolder=data.subfolder.strip("/"),
            runtime=RuntimeChoice(data.runtime),
            image=data.image,
            access=data.access,
            concurrency=data.concurrency,
            time_limit_seconds=data.timeout_seconds,
        )
        deployment_id = await services.deployments.deploy(
            parse_route(data.domain, data.path),
            spec,
            Given(data.env, data.secrets, given_access(data.credentials), data.replicas),
            context_of(request),
        )
        return shape_of(services, deployment_id)

    @delete(status_code=202)
    async def undeploy_route(
        self,
        request: AnyRequest,
        services: Injected,
        domain: str,
        route_path: Annotated[str, QueryParameter(name="path")],
    ) -> DeploymentShape:
        """Take the deployment at a route off."""
        deployment_id = services.deployments.find(domain, route_path)
        return await take_off(services, deployment_id, request)


class InstanceRoutes(Controller):
    """What runs, and where it answers."""

    path = "/management/api"
    tags = ("deployments",)

    @get(["/instances", "/containers"])
    async def list_instances(
        self, services: Injected, page: PageNumber = 1, per_page: PerPage = 50
    ) -> Page[InstanceShape]:
        """List the containers and processes of all deployments."""
        shapes = [instance_shape(key, row) for key, row in services.views.instances.items()]
        return paged(shapes, page, per_page, "/management/api/instances", {})

    @get("/routes")
    async def list_routes(self, services: Injected, page: PageNumber = 1, per_page: PerPage = 50) -> Page[RouteShape]:
        """List which deployment answers where."""
        shapes = [
            RouteShape(domain=row.state.domain, path=row.state.path, deployment=key)
            for key, row in services.deployments.list(None, None)
            if row.state.desired is not Desired.REMOVED
        ]
        return paged(shapes, page, per_page, "/management/api/routes", {})


def shape_of(services: Services, deployment_id: str) -> DeploymentShape:
    """Show one deployment. Raises `DeploymentNotFound`."""
    return deployment_shape(services, deployment_id, services.deployments.get(deployment_id))


async def take_off(services: Services, deployment_id: str, request: AnyRequest) -> DeploymentShape:
    """Undeploy, and show the deployment as it was."""
    row = services.deployments.get(deployment_id)
    await services.deployments.command(deployment_id, c.Undeploy, context_of(request))
    return deployment_shape(services, deployment_id, row)
