"""A deployment: what is wanted at a route, and the rollouts that bring it there."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Attached, Decider, Decision, refuse_unknown
from ploinky.domain.errors import DeploymentNotFound, RouteTaken, TransitionInvalid
from ploinky.domain.indexes import Indexes
from ploinky.domain.payload import Payload
from ploinky.domain.routing import Route
from ploinky.domain.specs import DeploymentSpec, Evidence, PinnedImage, Release

QUIET_RUN = timedelta(seconds=60)
"""A generation that served this long has not failed in a row with the one before."""
LONGEST_RESTART_DELAY_SECONDS = 300
SHUTDOWN_CODE = "SHUTDOWN"
"""Why a rollout failed that the server's own stop cut short."""


class Desired(StrEnum):
    """What should be."""

    ABSENT = "absent"
    RUNNING = "running"
    STOPPED = "stopped"
    REMOVED = "removed"


class Step(StrEnum):
    """How far a rollout is."""

    SOURCE = "source"
    IMAGE = "image"
    INSTALL = "install"
    START = "start"


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout under way."""

    generation: int
    reason: str
    step: Step
    release: Release | None = None
    runtime: str = ""
    image: str = ""
    dependencies: str = ""
    """The digest that names the folder of what was installed."""


class RolloutEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How the newest ended rollout ended."""

    generation: int
    is_success: bool
    step: str = ""
    code: str = ""
    message: str = ""
    hint: str = ""
    evidence: Evidence = Evidence()


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one deployment."""

    desired: Desired = Desired.ABSENT
    domain: str = ""
    path: str = ""
    spec: DeploymentSpec = DeploymentSpec(agent="", repository="")
    secret_versions: tuple[str, ...] = ()
    """All that were ever bound to it; they go when it goes."""
    last_generation: int = 0
    active_generation: int = 0
    """The generation that serves; 0 before the first switch."""
    active_release: Release | None = None
    active_runtime: str = ""
    active_image: str = ""
    switched_at: datetime | None = None
    rollout: Rollout | None = None
    last_end: RolloutEnd | None = None
    restart_due_at: datetime | None = None
    failures: int = 0
    is_discarding: bool = False
    is_gone: bool = False


def decide(command: c.Command, state: Deployment, indexes: Indexes) -> Decision:
    """Decide on a deployment's command."""
    match command:
        case c.Deploy():
            return _deploy(command, state, indexes)
        case _ if state.desired is Desired.ABSENT or state.is_gone:
            raise DeploymentNotFound(deployment=command.subject_id)
        case c.UpdateDeployment() | c.RestartDeployment() | c.StopDeployment() | c.StartDeployment() | c.Undeploy():
            return _wish(command, state)
        case c.RecordSource() | c.RecordImage() | c.RecordDependencies() | c.FailRollout() | c.Switch():
            return _advance(command, state, indexes)
        case c.ScheduleRestart():
            return _schedule_restart(command, state, indexes)
        case c.RestartNow():
            is_due = state.restart_due_at is not None and state.restart_due_at <= indexes.now
            return [_rollout_again(state, "recovery")] if is_due else []
        case c.RequestDiscard():
            may_go = state.desired is Desired.REMOVED and not indexes.has_instances(command.subject_id)
            return [e.DiscardRequested()] if may_go and not state.is_discarding else []
        case c.RecordDiscarded():
            if not state.is_discarding:
                raise TransitionInvalid("The deployment's folders are still needed")
            return [e.DeploymentRemoved()]
        case _:
            return refuse_unknown(command)


def _deploy(command: c.Deploy, state: Deployment, indexes: Indexes) -> Decision:
    if state.desired is not Desired.ABSENT:
        raise TransitionInvalid("This deployment exists already", deployment=command.subject_id)
    owner = indexes.routes.get(Route(command.domain, command.path))
    if owner is not None:
        raise RouteTaken(domain=command.domain, path=command.path, deployment=owner)
    reference = command.environment.reference if command.environment else None
    requested = e.DeploymentRequested(
        domain=command.domain, path=command.path, spec=command.spec, environment=reference
    )
    return [_with_environment(requested, command.environment), e.RolloutRequested(generation=1, reason="deploy")]


def _wish(command: c.Command, state: Deployment) -> Decision:
    if state.desired is Desired.REMOVED:
        if isinstance(command, c.Undeploy):
            return []
        raise TransitionInvalid("The deployment is being removed", hint="Deploy it again once it is gone.")
    match command:
        case c.UpdateDeployment():
            reference = command.environment.reference if command.environment else None
            updated = e.DeploymentUpdated(spec=command.spec, environment=reference)
            rollout = e.RolloutRequested(generation=state.last_generation + 1, reason="update")
            return [*_give_up(state, "superseded"), _with_environment(updated, command.environment), rollout]
        case c.RestartDeployment():
            if state.rollout is not None:
                raise TransitionInvalid("A rollout is under way", hint="Wait until it has ended.")
            return [_rollout_again(state, "restart")]
        case c.StopDeployment():
            is_done = state.desired is Desired.STOPPED
            return [] if is_done else [*_give_up(state, "stopped"), e.DeploymentStopRequested()]
        case c.StartDeployment():
            return [_rollout_again(state, "start")] if state.desired is Desired.STOPPED else []
        case _:
            return [*_give_up(state, "undeployed"), e.RemovalRequested()]


def _advance(command: c.Command, state: Deployment, indexes: Indexes) -> Decision:
    rollout = state.rollout
    generation = getattr(command, "generation", 0)
    if rollout is None or rollout.generation != generation:
        raise TransitionInvalid("This rollout is over", generation=generation)
    match command:
        case c.RecordSource() if rollout.step is Step.SOURCE:
            return [
                e.SourceFetched(
                    generation=generation,
                    release=command.release,
                    is_from_cache=command.is_from_cache,
                    cache_age_seconds=command.cache_age_seconds,
                    cache_reason=command.cache_reason,
                )
            ]
        case c.RecordImage() if rollout.step is Step.IMAGE:
            return [_image_ready(command)]
        case c.RecordDependencies() if rollout.step is Step.INSTALL:
            ready = e.DependenciesReady(
                generation=generation, digest=command.digest, is_cached=command.is_cached, seconds=command.seconds
            )
            return [ready]
        case c.FailRollout():
            return _fail(command, rollout)
        case c.Switch() if rollout.step is Step.START and rollout.release is not None:
            switched = e.DeploymentSwitched(
                generation=generation,
                release=rollout.release,
                runtime=rollout.runtime,
                image=rollout.image,
                switched_at=indexes.now,
            )
            return [switched, e.RolloutSucceeded(generation=generation)]
        case _:
            raise TransitionInvalid(f"The rollout is at another step: {rollout.step}", generation=generation)


def _image_ready(command: c.RecordImage) -> e.Event:
    return e.ImageReady(
        generation=command.generation,
        runtime=command.runtime,
        image=command.image,
        digest=command.digest,
        repository_digest=command.repository_digest,
    )


def _fail(command: c.FailRollout, rollout: Rollout) -> Decision:
    failed = e.RolloutFailed(
        generation=command.generation,
        step=command.step,
        code=command.code,
        message=command.message,
        hint=command.hint,
        evidence=command.evidence,
    )
    if command.code != SHUTDOWN_CODE:
        return [failed]
    # It says nothing about the release: the next start goes on with it, as another generation.
    again = e.RolloutRequested(generation=command.generation + 1, reason=rollout.reason, release=rollout.release)
    return [failed, again]


def _schedule_restart(command: c.ScheduleRestart, state: Deployment, indexes: Indexes) -> Decision:
    if state.desired is not Desired.RUNNING or state.rollout is not None or state.restart_due_at is not None:
        return []
    if command.generation not in {state.active_generation, state.last_generation} or not state.active_generation:
        return []
    if command.is_immediate:
        return [_rollout_again(state, "recovery")]
    was_quiet = (
        state.last_end is not None
        and state.last_end.is_success
        and state.switched_at is not None
        and indexes.now - state.switched_at >= QUIET_RUN
    )
    failures = 1 if was_quiet else state.failures + 1
    delay_seconds = min(2 ** min(failures - 1, 16), LONGEST_RESTART_DELAY_SECONDS)
    return [e.RestartScheduled(due_at=indexes.now + timedelta(seconds=delay_seconds), failures=failures)]


def _rollout_again(state: Deployment, reason: str) -> e.Event:
    generation = state.last_generation + 1
    return e.RolloutRequested(generation=generation, reason=reason, release=state.active_release)


def _give_up(state: Deployment, reason: str) -> list[e.Event]:
    if state.rollout is None:
        return []
    failed = e.RolloutFailed(
        generation=state.rollout.generation,
        step=state.rollout.step,
        code=reason.upper(),
        message=f"The rollout was {reason} before it ended",
    )
    return [failed]


def _with_environment(event: e.Event, environment: Payload | None) -> e.Event | Attached:
    return Attached(event, {"environment": environment}) if environment else event


def evolve(state: Deployment, event: e.Event) -> Deployment:
    """Fold one event in."""
    match event:
        case e.DeploymentRequested():
            first = Deployment(desired=Desired.RUNNING, domain=event.domain, path=event.path)
            return _with_spec(first, event.spec)
        case e.DeploymentUpdated():
            return _with_spec(state, event.spec)
        case e.DeploymentStopRequested():
            return msgspec.structs.replace(state, desired=Desired.STOPPED, restart_due_at=None)
        case e.RemovalRequested():
            return msgspec.structs.replace(state, desired=Desired.REMOVED, restart_due_at=None)
        case e.RestartScheduled():
            return msgspec.structs.replace(state, restart_due_at=event.due_at, failures=event.failures)
        case e.DiscardRequested():
            return msgspec.structs.replace(state, is_discarding=True)
        case e.DeploymentRemoved():
            return msgspec.structs.replace(state, is_gone=True)
        case _:
            return _evolve_rollout(state, event)


def _with_spec(state: Deployment, spec: DeploymentSpec) -> Deployment:
    own = [spec.source_access.secret] if spec.source_access else []
    versions = dict.fromkeys((*state.secret_versions, *spec.secrets.values(), *own))
    return msgspec.structs.replace(state, spec=spec, secret_versions=tuple(versions))


def _evolve_rollout(state: Deployment, event: e.Event) -> Deployment:
    replace = msgspec.structs.replace
    match event:
        case e.RolloutRequested():
            rollout = Rollout(
                generation=event.generation,
                reason=event.reason,
                step=Step.IMAGE if event.release else Step.SOURCE,
                release=event.release,
            )
            return replace(
                state,
                desired=Desired.RUNNING,
                rollout=rollout,
                last_generation=event.generation,
                restart_due_at=None,
            )
        case e.SourceFetched() if state.rollout:
            return replace(state, rollout=replace(state.rollout, step=Step.IMAGE, release=event.release))
        case e.ImageReady() if state.rollout:
            return replace(state, rollout=_with_image(state.rollout, event))
        case e.DependenciesReady() if state.rollout:
            return replace(state, rollout=replace(state.rollout, step=Step.START, dependencies=event.digest))
        case e.DeploymentSwitched():
            return replace(
                state,
                active_generation=event.generation,
                active_release=event.release,
                active_runtime=event.runtime,
                active_image=event.image,
                switched_at=event.switched_at,
            )
        case e.RolloutSucceeded():
            end = RolloutEnd(generation=event.generation, is_success=True)
            return replace(state, rollout=None, last_end=end)
        case e.RolloutFailed():
            end = RolloutEnd(
                generation=event.generation,
                is_success=False,
                step=event.step,
                code=event.code,
                message=event.message,
                hint=event.hint,
                evidence=event.evidence,
            )
            return replace(state, rollout=None, last_end=end)
        case _:
            return state


def _with_image(rollout: Rollout, event: e.ImageReady) -> Rollout:
    """Go on with the image; from here on the release says which one it is, wherever it is started again."""
    replace = msgspec.structs.replace
    release = rollout.release
    if release is not None:
        pin = PinnedImage(runtime=event.runtime, digest=event.digest, repository_digest=event.repository_digest)
        release = replace(release, pin=pin)
    step = Step.INSTALL if release is not None and release.dependencies else Step.START
    return replace(rollout, step=step, release=release, runtime=event.runtime, image=event.image)


DEPLOYMENT = Decider("deployment", Deployment(), decide, evolve)
