"""Change what is deployed: other settings, another number of instances, an earlier release."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ploinky.control.commander import Commander
from ploinky.control.environments import Environments
from ploinky.domain import commands as c
from ploinky.domain.deployment import Deployment, Served
from ploinky.domain.errors import ReleaseNotFound
from ploinky.domain.source_urls import parse_location
from ploinky.domain.specs import DeploymentSpec
from ploinky.journal.dispatcher import Context, Expected
from ploinky.ports.clock import Ids
from ploinky.usecases.deployment_checks import check_replicas, check_spec, check_variables, environment_payload
from ploinky.usecases.deployments import ACCESS, Deployments
from ploinky.usecases.repositories import GivenAccess, check_access
from ploinky.usecases.vault import Vault
from ploinky.views.views import Views

ONLY_REPLICAS = frozenset({"replicas"})


class Change(NamedTuple):
    """What should be different. Whatever is left out stays as it is."""

    spec: Mapping[str, Any] = {}
    """Fields of `DeploymentSpec` with their new values."""
    plain: Mapping[str, str | None] = {}
    """Variables to set; None takes one away."""
    secret: Mapping[str, str | None] = {}
    access: GivenAccess | None = None

    @property
    def is_only_scale(self) -> bool:
        """Whether it can be done without a new generation."""
        return self.spec.keys() == ONLY_REPLICAS and not (self.plain or self.secret or self.access)


NO_CHANGE = Change()
"""Fetches the newest commit, as every change does."""


class Wishes:
    """What people ask of a deployment that is there.

    `expected` is the version it must still have. All raise `DeploymentNotFound`, `VersionConflict`, and
    `TransitionInvalid` for one that is being removed.
    """

    def __init__(
        self,
        deployments: Deployments,
        views: Views,
        commander: Commander,
        environments: Environments,
        ids: Ids,
        vault: Vault,
    ) -> None:
        """Take the machinery."""
        self._deployments = deployments
        self._views = views
        self._commander = commander
        self._environments = environments
        self._ids = ids
        self._vault = vault

    async def update(
        self, deployment_id: str, change: Change, context: Context, expected: Expected | None = None
    ) -> None:
        """Change what is said, fetch the newest commit and roll it out; another number of instances alone is a scale.

        Raises `Invalid`.
        """
        if change.is_only_scale:
            await self.scale(deployment_id, change.spec["replicas"], context, expected)
            return
        given = check_variables({name: value for name, value in change.secret.items() if value is not None})
        values = {**given, **({ACCESS: change.access.secret} if change.access else {})}
        async with self._deployments.turn, self._vault.keep(values) as versions:
            present = self._deployments.get(deployment_id).state.spec
            spec = self._with_branch(_changed(present, change, versions), change)
            check_spec(spec)
            if change.access is not None:
                check_access(change.access, parse_location(spec.repository))
            before = await self._environments.newest(deployment_id)
            after = _merged(before, change)
            environment = environment_payload(after, self._ids) if after != before else None
            command = c.UpdateDeployment(subject_id=deployment_id, spec=spec, environment=environment)
            await self._commander.execute(command, context, expected=expected)

    async def scale(
        self, deployment_id: str, replicas: int, context: Context, expected: Expected | None = None
    ) -> None:
        """Let so many instances serve, without touching those that go on. Idempotent. Raises `Invalid`."""
        self._deployments.get(deployment_id)
        check_replicas(replicas)
        async with self._deployments.turn:
            command = c.ScaleDeployment(subject_id=deployment_id, replicas=replicas)
            await self._commander.execute(command, context, expected=expected)

    async def roll_back(
        self, deployment_id: str, to_generation: int | None, context: Context, expected: Expected | None = None
    ) -> None:
        """Bring back a release that served, with its image, its settings and its environment, as a new generation.

        None: what serves while a change is still on its way, else the newest kept one that differs from it. Raises
        `ReleaseNotFound` when there is no such release, `BlobNotFound` when its environment is no longer kept.
        """
        async with self._deployments.turn:
            state = self._deployments.get(deployment_id).state
            target = await self._before(deployment_id, state) if to_generation is None else to_generation
            is_kept = any(one.generation == target for one in state.history)
            # The decider refuses a generation that is not kept, and names those that are.
            given = await self._environments.of(deployment_id, target) if is_kept else {}
            command = c.RollBack(
                subject_id=deployment_id, to_generation=target, environment=environment_payload(given, self._ids)
            )
            await self._commander.execute(command, context, expected=expected, is_urgent=True)

    def _with_branch(self, spec: DeploymentSpec, change: Change) -> DeploymentSpec:
        """Follow the branch of the repository's name again when neither branch nor revision is said any more."""
        named = self._views.repositories.get(spec.repository_name)
        is_said = bool(spec.branch or spec.revision) or not {"branch", "revision"} & change.spec.keys()
        if is_said or named is None or named.url != spec.repository:
            return spec
        return msgspec.structs.replace(spec, branch=named.branch)

    async def _before(self, deployment_id: str, state: Deployment) -> int:
        """Return the generation that undoes the newest change."""
        active, rollout = state.active, state.rollout
        if active is None:
            raise ReleaseNotFound("Nothing has served here yet", hint="There is nothing to go back to.")
        if rollout is not None and rollout.is_change and rollout.generation != active.generation:
            return active.generation
        environment = await self._environments.of(deployment_id, active.generation)
        for one in reversed(state.history[:-1]):
            is_same = _content(one) == _content(active)
            if not is_same or await self._environments.of(deployment_id, one.generation) != environment:
                return one.generation
        raise ReleaseNotFound(
            "No kept release differs from the one that serves",
            hint="`ploinky history` shows what is kept; `--to` names a generation.",
        )


def _content(served: Served) -> tuple[object, object]:
    """Return what makes a release what it is: neither how many of it run, nor what there was to say of its source."""
    replace = msgspec.structs.replace
    return replace(served.spec, replicas=1), replace(served.release, warnings=())


def _changed(present: DeploymentSpec, change: Change, versions: Mapping[str, str]) -> DeploymentSpec:
    fields = dict(change.spec)
    # A branch is followed, a revision is stayed at: naming one gives the other one up.
    if fields.get("branch") is not None:
        fields.setdefault("revision", None)
    elif fields.get("revision") is not None:
        fields.setdefault("branch", None)
    if change.access is not None:
        fields["source_access"] = change.access.kept(versions[ACCESS])
    kept = {name: version for name, version in present.secrets.items() if name not in {*change.secret, *change.plain}}
    given = {name: version for name, version in versions.items() if name != ACCESS}
    spec: DeploymentSpec = msgspec.structs.replace(present, **fields, secrets={**kept, **given})
    return spec


def _merged(before: Mapping[str, str], change: Change) -> dict[str, str]:
    """Return the plain variables; one that becomes secret is plain no longer."""
    kept = {name: value for name, value in before.items() if name not in {*change.plain, *change.secret}}
    return {**kept, **{name: value for name, value in change.plain.items() if value is not None}}
