"""Deploy, look, and take off; what else can be asked is in `wishes`."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ploinky.control.commander import Commander
from ploinky.domain import commands as c
from ploinky.domain.deployment import Deployment, Desired
from ploinky.domain.errors import Conflict, DeploymentNotFound, RouteTaken
from ploinky.domain.payload import Payload
from ploinky.domain.routing import Route, parse_route
from ploinky.domain.specs import DeploymentSpec
from ploinky.journal.dispatcher import Context
from ploinky.ports.clock import Ids
from ploinky.usecases.deployment_checks import check_spec, check_variables, environment_payload, locate_source
from ploinky.usecases.repositories import GivenAccess, check_access
from ploinky.usecases.vault import Vault
from ploinky.views.rows import Row
from ploinky.views.views import Views

ACCESS = "repository access"
"""No variable has a name with a blank."""


class Given(NamedTuple):
    """What a deployer gives beside the spec; None = as before."""

    plain: Mapping[str, str] | None = None
    """Variables of the agent's environment."""
    secret: Mapping[str, str] | None = None
    """The same, encrypted at rest."""
    access: GivenAccess | None = None
    """Opens the repository."""
    replicas: int | None = None


NOTHING_GIVEN = Given()


class Deployments:
    """Deployments, for people."""

    def __init__(
        self,
        views: Views,
        commander: Commander,
        ids: Ids,
        vault: Vault,
        max_containers: int,
        *,
        allow_local: bool = False,
    ) -> None:
        """Take the machinery, the configured limit, and whether everybody may name paths of this machine."""
        self._allow_local = allow_local
        self._vault = vault
        self._views = views
        self._commander = commander
        self._ids = ids
        self._max_containers = max_containers
        self.turn = asyncio.Lock()
        """Held from reading a wish until it is replaced, so that of two changes at a time none is lost."""

    async def deploy(self, route: Route, spec: DeploymentSpec, given: Given, context: Context) -> str:
        """Put an agent at a route, or roll the same agent out again there; return the deployment's id.

        Raises `Invalid`, or `RouteTaken` when another agent answers at the route.
        """
        spec = self._validated(spec, given, context)
        payload = environment_payload(given.plain, self._ids) if given.plain is not None else None
        values = {**check_variables(given.secret or {}), **({ACCESS: given.access.secret} if given.access else {})}
        async with self.turn, self._vault.keep(values) as versions:
            known = self._views.find_deployment(route.domain, route.path)
            if known is not None:
                spec = _as_before(spec, self.get(known).state.spec, given)
            if given.access is not None:
                spec = msgspec.structs.replace(spec, source_access=given.access.kept(versions.pop(ACCESS)))
            if versions:
                spec = msgspec.structs.replace(spec, secrets=versions)
            return await self._deploy(route, known, spec, payload, context)

    async def _deploy(
        self, route: Route, known: str | None, spec: DeploymentSpec, payload: Payload | None, context: Context
    ) -> str:
        if known is not None:
            present = self.get(known).state
            # What never served may be replaced by anything: usually it was a typing mistake.
            if present.active_generation and present.spec.agent != spec.agent:
                raise RouteTaken(domain=route.domain, path=route.path, deployment=known)
            update = c.UpdateDeployment(subject_id=known, spec=spec, environment=payload)
            return (await self._commander.execute(update, context)).subject_id
        limit = int(self._views.setting("maxContainers") or self._max_containers)
        if len(self._views.deployments.rows) >= limit:
            raise Conflict(
                f"There are {limit} deployments already, the most allowed",
                hint="Undeploy one, or raise `maxContainers`.",
            )
        deploy = c.Deploy(
            subject_id=self._ids.mint(), domain=route.domain, path=route.path, spec=spec, environment=payload
        )
        return (await self._commander.execute(deploy, context)).subject_id

    async def command(self, deployment_id: str, wish: type[c.DeploymentCommand], context: Context) -> None:
        """Give a command that needs no more than the deployment: start, stop, restart, undeploy."""
        self.get(deployment_id)
        await self._commander.execute(wish(subject_id=deployment_id), context, is_urgent=True)

    def get(self, deployment_id: str) -> Row[Deployment]:
        """Return a deployment. Raises `DeploymentNotFound`."""
        row = self._views.deployments.rows.get(deployment_id)
        if row is None:
            raise DeploymentNotFound(deployment=deployment_id)
        return row

    def find(self, domain: str, path: str) -> str:
        """Return the id of the deployment at a route. Raises `DeploymentNotFound`."""
        route = parse_route(domain, path)
        found = self._views.find_deployment(route.domain, route.path)
        if found is None:
            raise DeploymentNotFound(domain=route.domain, path=route.path)
        return found

    def list(self, domain: str | None, path: str | None) -> list[tuple[str, Row[Deployment]]]:
        """Return the deployments, those being removed included, by route."""
        rows = [
            (key, row)
            for key, row in self._views.deployments.items()
            if (domain is None or row.state.domain == domain) and (path is None or row.state.path == path)
        ]
        return sorted(rows, key=lambda item: (item[1].state.domain, item[1].state.path, item[0]))

    def _validated(self, spec: DeploymentSpec, given: Given, context: Context) -> DeploymentSpec:
        if given.replicas is not None:
            spec = msgspec.structs.replace(spec, replicas=given.replicas)
        check_spec(spec)
        named = self._views.repositories.get(spec.repository)
        if named is not None:
            branch = spec.branch if spec.branch or spec.revision else named.branch
            spec = msgspec.structs.replace(spec, repository=named.url, branch=branch, repository_name=spec.repository)
        location = locate_source(spec.repository, context.actor, allow_local=self._allow_local)
        if given.access is not None:
            check_access(given.access, location)
        return spec


def _as_before(spec: DeploymentSpec, present: DeploymentSpec, given: Given) -> DeploymentSpec:
    """Take over what was not given this time."""
    is_same = (present.repository, present.repository_name) == (spec.repository, spec.repository_name)
    return msgspec.structs.replace(
        spec,
        secrets=present.secrets if given.secret is None else {},
        source_access=present.source_access if is_same else None,
        replicas=present.replicas if given.replicas is None else given.replicas,
    )


def summarise_state(state: Deployment, *, is_serving: bool) -> str:
    """Return a deployment's state in one word, as people see it.

    `is_serving` tells whether an instance of the active generation takes requests.
    """
    if state.desired is Desired.REMOVED:
        return "removing"
    if state.rollout is not None:
        return "deploying" if state.rollout.is_change else "restarting"
    if state.desired is Desired.STOPPED:
        return "stopped"
    if state.is_idle:
        return "idle"
    if is_serving:
        return "running"
    return "restarting" if state.active_generation else "failed"
