"""`/management/api/deployments/{id}`: look at a deployment and what it was, change it, take it off."""

from collections.abc import Mapping
from typing import Any

from litestar import Controller, delete, get, post, put
from msgspec import UNSET

from ploinky.api.deployments import PATH, shape_of, take_off
from ploinky.api.repositories import given_access
from ploinky.api.schemas import DeploymentShape
from ploinky.api.services import AnyRequest, Injected, context_of, expected_of
from ploinky.api.shapes import last_rollout_shape
from ploinky.api.wish_schemas import ChangeRequest, HistoryShape, ReleaseShape, RollbackRequest, ScaleRequest
from ploinky.domain import commands as c
from ploinky.domain.specs import RuntimeChoice
from ploinky.usecases.release_history import KeptRelease
from ploinky.usecases.wishes import NO_CHANGE, Change


class WishRoutes(Controller):
    """One of them: look, start, stop, change, go back, take off."""

    path = f"{PATH}/{{deployment_id:str}}"
    tags = ("deployments",)

    @get()
    async def get_deployment(self, services: Injected, deployment_id: str) -> DeploymentShape:
        """Show one deployment."""
        return shape_of(services, deployment_id)

    @delete(status_code=202)
    async def undeploy(self, request: AnyRequest, services: Injected, deployment_id: str) -> DeploymentShape:
        """Take a deployment off its route and remove everything that runs for it."""
        return await take_off(services, deployment_id, request)

    @put(status_code=202)
    async def change(
        self, request: AnyRequest, services: Injected, deployment_id: str, data: ChangeRequest
    ) -> DeploymentShape:
        """Change what is said, fetch the newest commit and roll it out; `replicas` alone only scales."""
        change = _change(data)
        await services.wishes.update(deployment_id, change, context_of(request), expected_of(request))
        return shape_of(services, deployment_id)

    @post("/update", status_code=202)
    async def update(self, request: AnyRequest, services: Injected, deployment_id: str) -> DeploymentShape:
        """Fetch the newest commit and roll it out."""
        await services.wishes.update(deployment_id, NO_CHANGE, context_of(request), expected_of(request))
        return shape_of(services, deployment_id)

    @post("/scale", status_code=202)
    async def scale(
        self, request: AnyRequest, services: Injected, deployment_id: str, data: ScaleRequest
    ) -> DeploymentShape:
        """Let so many instances serve; those that go on are not touched."""
        await services.wishes.scale(deployment_id, data.replicas, context_of(request), expected_of(request))
        return shape_of(services, deployment_id)

    @post("/rollback", status_code=202)
    async def roll_back(
        self, request: AnyRequest, services: Injected, deployment_id: str, data: RollbackRequest | None = None
    ) -> DeploymentShape:
        """Bring back an earlier release with its image, settings and environment, as a new generation."""
        target = data.to_generation if data else None
        await services.wishes.roll_back(deployment_id, target, context_of(request), expected_of(request))
        return shape_of(services, deployment_id)

    @get("/history")
    async def history(self, services: Injected, deployment_id: str) -> HistoryShape:
        """Show the releases that can be gone back to, and how the newest rollout ended."""
        kept = await services.history.of(deployment_id)
        end = services.deployments.get(deployment_id).state.last_end
        return HistoryShape(data=[_release_shape(one) for one in kept], last_rollout=last_rollout_shape(end))

    @post("/start", status_code=202)
    async def start(self, request: AnyRequest, services: Injected, deployment_id: str) -> DeploymentShape:
        """Start it again after a stop."""
        await services.deployments.command(deployment_id, c.StartDeployment, context_of(request))
        return shape_of(services, deployment_id)

    @post("/stop", status_code=202)
    async def stop(self, request: AnyRequest, services: Injected, deployment_id: str) -> DeploymentShape:
        """Stop what runs; the route stays."""
        await services.deployments.command(deployment_id, c.StopDeployment, context_of(request))
        return shape_of(services, deployment_id)

    @post("/restart", status_code=202)
    async def restart(self, request: AnyRequest, services: Injected, deployment_id: str) -> DeploymentShape:
        """Start the serving release again as a new generation, then stop the old one."""
        await services.deployments.command(deployment_id, c.RestartDeployment, context_of(request))
        return shape_of(services, deployment_id)


def _change(data: ChangeRequest) -> Change:
    said: Mapping[str, Any] = {
        "branch": data.branch,
        "revision": data.revision,
        "subfolder": data.subfolder if data.subfolder is UNSET else data.subfolder.strip("/"),
        "runtime": data.runtime if data.runtime is UNSET else RuntimeChoice(data.runtime),
        "image": data.image,
        "access": data.access,
        "concurrency": data.concurrency,
        "time_limit_seconds": data.timeout_seconds,
        "replicas": data.replicas,
    }
    spec = {name: value for name, value in said.items() if value is not UNSET}
    return Change(spec, data.env or {}, data.secrets or {}, given_access(data.credentials))


def _release_shape(kept: KeptRelease) -> ReleaseShape:
    served = kept.served
    spec, release = served.spec, served.release
    return ReleaseShape(
        generation=served.generation,
        is_active=kept.is_active,
        reason=served.reason,
        actor=kept.actor,
        switched_at=served.switched_at,
        commit=release.commit,
        branch=spec.branch,
        revision=spec.revision,
        runtime=served.runtime,
        image=served.image,
        digest=release.pin.digest if release.pin else "",
        access=release.access,
        concurrency=release.concurrency,
        replicas=spec.replicas,
    )
