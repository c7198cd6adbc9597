"""Deploy, change, and take off."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ploinky.control.commander import Commander
from ploinky.domain import commands as c
from ploinky.domain.deployment import Deployment, Desired
from ploinky.domain.errors import Conflict, DeploymentNotFound, Invalid, RouteTaken, SourceInvalid
from ploinky.domain.payload import Payload, inline_payload
from ploinky.domain.routing import Route, parse_route
from ploinky.domain.source_urls import Location
from ploinky.domain.specs import DeploymentSpec
from ploinky.journal.dispatcher import Context
from ploinky.ports.clock import Ids
from ploinky.usecases.admission import locate
from ploinky.usecases.repositories import GivenAccess, check_access
from ploinky.usecases.vault import Vault
from ploinky.views.rows import Row
from ploinky.views.views import Views

AGENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
RESERVED_VARIABLES = re.compile(r"PLOINKY_.*|AGENT_DIR")
ENVIRONMENT_LIMIT_BYTES = 32 * 1024
CONCURRENCY_LIMIT = 1_000
SUBFOLDER = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[^/\x00-\x1f]{1,200}(?:/[^/\x00-\x1f]{1,200}){0,20}")
ACCESS = "repository access"
"""No variable has a name with a blank."""


class Variables(NamedTuple):
    """What an agent finds in its environment; None = as before."""

    plain: Mapping[str, str] | None = None
    secret: Mapping[str, str] | None = None


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

    async def deploy(
        self,
        route: Route,
        spec: DeploymentSpec,
        variables: Variables,
        context: Context,
        access: GivenAccess | None = None,
    ) -> str:
        """Put an agent at a route, or roll the same agent out again there; return the deployment's id.

        `access` opens the repository. Variables and access that are left out (None) stay as they were. Raises
        `Invalid`, or `RouteTaken` when another agent answers at the route.
        """
        spec = self._validated(spec, access, context)
        payload = self._environment(variables.plain) if variables.plain is not None else None
        known = self._views.find_deployment(route.domain, route.path)
        if known is not None:
            present = self.get(known).state.spec
            is_same = (present.repository, present.repository_name) == (spec.repository, spec.repository_name)
            spec = msgspec.structs.replace(
                spec,
                secrets=present.secrets if variables.secret is None else {},
                source_access=present.source_access if is_same else None,
            )
        values = {**_checked(variables.secret or {}), **({ACCESS: access.secret} if access else {})}
        async with self._vault.keep(values) as versions:
            if access is not None:
                spec = msgspec.structs.replace(spec, source_access=access.kept(versions.pop(ACCESS)))
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

    async def update(self, deployment_id: str, context: Context) -> None:
        """Fetch the newest commit and roll it out."""
        spec = self.get(deployment_id).state.spec
        await self._commander.execute(c.UpdateDeployment(subject_id=deployment_id, spec=spec), context)

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

    def _validated(self, spec: DeploymentSpec, access: GivenAccess | None, context: Context) -> DeploymentSpec:
        if not AGENT_NAME.fullmatch(spec.agent):
            raise Invalid(f"{spec.agent!r} is not an agent's name", hint="Letters, digits, dots, dashes, underscores.")
        if spec.concurrency is not None and not 1 <= spec.concurrency <= CONCURRENCY_LIMIT:
            raise Invalid(f"concurrency must be between 1 and {CONCURRENCY_LIMIT}, not {spec.concurrency}")
        if spec.branch is not None and spec.revision is not None:
            raise Invalid("A deployment follows a branch or stays at a revision, not both")
        if spec.subfolder and not SUBFOLDER.fullmatch(spec.subfolder):
            raise Invalid(f"{spec.subfolder!r} is no folder of a repository", hint="Like `services/agents`.")
        named = self._views.repositories.get(spec.repository)
        if named is not None:
            branch = spec.branch if spec.branch or spec.revision else named.branch
            spec = msgspec.structs.replace(spec, repository=named.url, branch=branch, repository_name=spec.repository)
        location = self._located(spec.repository, context)
        if access is not None:
            check_access(access, location)
        return spec

    def _located(self, repository: str, context: Context) -> Location:
        try:
            return locate(repository, context.actor, allow_local=self._allow_local)
        except SourceInvalid as error:
            if ":" in repository or "/" in repository:
                raise
            hint = "Use https://, ssh://, file:// or an absolute path, or a name from `ploinky repo list`."
            raise Invalid(f"{repository!r} is neither a git URL nor a known repository", hint=hint) from error

    def _environment(self, environment: Mapping[str, str]) -> Payload:
        content = msgspec.json.encode(_checked(environment), order="sorted")
        if len(content) > ENVIRONMENT_LIMIT_BYTES:
            raise Invalid(f"The environment is larger than {ENVIRONMENT_LIMIT_BYTES} bytes")
        return inline_payload(content, self._ids.salt())


def _checked(environment: Mapping[str, str]) -> dict[str, str]:
    for name, value in environment.items():
        if "\0" in value:
            raise Invalid(f"The value of {name} holds a null character, which no variable can")
        if not VARIABLE_NAME.fullmatch(name):
            raise Invalid(f"{name!r} cannot be the name of a variable")
        if RESERVED_VARIABLES.fullmatch(name):
            raise Invalid(f"{name} is reserved", hint="Names beginning with PLOINKY_ and AGENT_DIR are set by Ploinky.")
    return dict(environment)


def summarise_state(state: Deployment, *, is_serving: bool) -> str:
    """Return a deployment's state in one word, as people see it.

    `is_serving` tells whether an instance of the active generation takes requests.
    """
    if state.desired is Desired.REMOVED:
        return "removing"
    if state.rollout is not None:
        return "deploying" if state.rollout.reason in {"deploy", "update"} else "restarting"
    if state.desired is Desired.STOPPED:
        return "stopped"
    if is_serving:
        return "running"
    return "restarting" if state.active_generation else "failed"
