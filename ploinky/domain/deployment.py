"""A deployment: what is wanted at a route, what serves there, and how far the rollout is that brings them together.

What it can be asked, and what then happens, is decided in `deployment_wishes` and `deployment_rollout`.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from ploinky.domain import events as e
from ploinky.domain.specs import DeploymentSpec, Evidence, PinnedImage, Release

HISTORY_LIMIT_RELEASES = 10
"""How many releases that served are kept to go back to, the present one included."""


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
    VERIFY = "verify"
    """It serves; what served before is kept for a while, to go back to it at once."""


class Reason(StrEnum):
    """Why there is a new generation."""

    DEPLOY = "deploy"
    UPDATE = "update"
    ROLLBACK = "rollback"
    START = "start"
    RESTART = "restart"
    RECOVERY = "recovery"
    """What served has ended by itself."""
    WAKE = "wake"
    """It was stopped while nobody needed it."""


CHANGES = frozenset({Reason.DEPLOY, Reason.UPDATE, Reason.ROLLBACK})
"""Reasons for which a rollout follows the present wish; all others start again what served last, unchanged."""


class Outcome(StrEnum):
    """How a rollout ended."""

    SUCCEEDED = "succeeded"
    REVERTED = "reverted"
    """It had started and was taken back; what served before serves."""
    FAILED = "failed"
    """It never started, or nothing serves."""


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout under way."""

    generation: int
    reason: str
    step: Step
    spec: DeploymentSpec = DeploymentSpec(agent="", repository="")
    """What it is made from: the wish, or what served last."""
    release: Release | None = None
    runtime: str = ""
    image: str = ""
    dependencies: str = ""
    """The digest that names the folder of what was installed."""
    verify_until: datetime | None = None

    @property
    def is_change(self) -> bool:
        """Whether something else than before is rolled out."""
        return self.reason in CHANGES


class RolloutEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How the newest ended rollout ended."""

    generation: int
    outcome: Outcome
    step: str = ""
    code: str = ""
    message: str = ""
    hint: str = ""
    evidence: Evidence = Evidence()

    @property
    def is_success(self) -> bool:
        """Whether what was wanted serves."""
        return self.outcome is Outcome.SUCCEEDED


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A release that serves or served."""

    generation: int
    reason: str
    spec: DeploymentSpec
    release: Release
    runtime: str
    image: str
    dependencies: str
    switched_at: datetime


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one deployment."""

    desired: Desired = Desired.ABSENT
    domain: str = ""
    path: str = ""
    spec: DeploymentSpec = DeploymentSpec(agent="", repository="")
    secret_versions: tuple[str, ...] = ()
    """All that were ever bound to it; they go when it goes."""
    last_generation: int = 0
    history: tuple[Served, ...] = ()
    """What served, oldest first; the last one is what serves now, or should."""
    rollout: Rollout | None = None
    last_end: RolloutEnd | None = None
    restart_due_at: datetime | None = None
    failures: int = 0
    is_idle: bool = False
    """Stopped because nobody needed it; the next request starts it again."""
    is_discarding: bool = False
    is_gone: bool = False

    @property
    def active(self) -> Served | None:
        """What serves, or should; None before the first switch."""
        return self.history[-1] if self.history else None

    @property
    def active_generation(self) -> int:
        """The generation that serves; 0 before the first switch."""
        return self.history[-1].generation if self.history else 0

    @property
    def active_release(self) -> Release | None:
        """The release that serves."""
        return self.history[-1].release if self.history else None

    @property
    def is_warm(self) -> bool:
        """Whether what nobody needs is frozen instead of stopped."""
        return self.active_release is not None and self.active_release.warm_instances > 0

    @property
    def switched_at(self) -> datetime | None:
        """When it began to serve."""
        return self.history[-1].switched_at if self.history else None

    @property
    def previous(self) -> Served | None:
        """What served before and is kept until the present rollout has proved itself."""
        is_kept = self.rollout is not None and self.rollout.step is Step.VERIFY and len(self.history) > 1
        return self.history[-2] if is_kept else None

    def spec_of(self, generation: int) -> DeploymentSpec:
        """Return what a generation is made from; the present wish for one that is no longer known."""
        if self.rollout is not None and self.rollout.generation == generation:
            return self.rollout.spec
        served = (one.spec for one in reversed(self.history) if one.generation == generation)
        return next(served, self.spec)


LONGEST_RESTART_DELAY_SECONDS = 300
QUIET_RUN = timedelta(seconds=60)
"""A generation that served this long has not failed in a row with the one before."""
SHUTDOWN_CODE = "SHUTDOWN"
"""Why a rollout failed that the server's own stop cut short."""


def evolve(state: Deployment, event: e.Event) -> Deployment:
    """Fold one event in."""
    replace = msgspec.structs.replace
    match event:
        case e.DeploymentRequested():
            first = Deployment(desired=Desired.RUNNING, domain=event.domain, path=event.path)
            return _with_spec(first, event.spec)
        case e.DeploymentUpdated():
            return _with_spec(state, event.spec)
        case e.DeploymentScaled():
            return replace(state, spec=replace(state.spec, replicas=event.replicas))
        case e.DeploymentStopRequested():
            return replace(state, desired=Desired.STOPPED, restart_due_at=None)
        case e.DeploymentWoken():
            return replace(state, is_idle=False)
        case e.DeploymentIdled():
            return replace(state, is_idle=True, restart_due_at=None)
        case e.RemovalRequested():
            return replace(state, desired=Desired.REMOVED, restart_due_at=None)
        case e.RestartScheduled():
            return replace(state, restart_due_at=event.due_at, failures=event.failures)
        case e.ReplacementStarted():
            return replace(state, restart_due_at=None)
        case e.DiscardRequested():
            return replace(state, is_discarding=True)
        case e.DeploymentRemoved():
            return replace(state, is_gone=True)
        case _:
            return _evolve_rollout(state, event)


def _with_spec(state: Deployment, spec: DeploymentSpec) -> Deployment:
    own = [spec.source_access.secret] if spec.source_access else []
    versions = dict.fromkeys((*state.secret_versions, *spec.secrets.values(), *own))
    return msgspec.structs.replace(state, spec=spec, secret_versions=tuple(versions))


def _evolve_rollout(state: Deployment, event: e.Event) -> Deployment:
    replace = msgspec.structs.replace
    rollout = state.rollout
    match event:
        case e.RolloutRequested():
            return _begin(state, event)
        case e.SourceFetched() if rollout:
            return replace(state, rollout=replace(rollout, step=Step.IMAGE, release=event.release))
        case e.ImageReady() if rollout:
            return replace(state, rollout=_with_image(rollout, event))
        case e.DependenciesReady() if rollout:
            return replace(state, rollout=replace(rollout, step=Step.START, dependencies=event.digest))
        case e.DeploymentSwitched() if rollout:
            return _switch(state, rollout, event)
        case e.DeploymentReverted():
            return replace(state, history=state.history[:-1])
        case e.RolloutSucceeded():
            end = RolloutEnd(generation=event.generation, outcome=Outcome.SUCCEEDED)
            return replace(state, rollout=None, last_end=end)
        case e.RolloutFailed():
            end = RolloutEnd(
                generation=event.generation,
                outcome=Outcome.REVERTED if event.is_reverted else Outcome.FAILED,
                step=event.step,
                code=event.code,
                message=event.message,
                hint=event.hint,
                evidence=event.evidence,
            )
            return replace(state, rollout=None, last_end=end)
        case _:
            return state


def _begin(state: Deployment, event: e.RolloutRequested) -> Deployment:
    is_again = event.reason not in CHANGES and state.active is not None
    rollout = Rollout(
        generation=event.generation,
        reason=event.reason,
        step=Step.IMAGE if event.release else Step.SOURCE,
        spec=state.active.spec if state.active and is_again else state.spec,
        release=event.release,
    )
    return msgspec.structs.replace(
        state,
        desired=Desired.RUNNING,
        rollout=rollout,
        last_generation=event.generation,
        restart_due_at=None,
        is_idle=False,
    )


def _with_image(rollout: Rollout, event: e.ImageReady) -> Rollout:
    """Go on with the image; from here on the release says which one it is, wherever it is started again."""
    replace = msgspec.structs.replace
    release = rollout.release
    if release is not None:
        pin = PinnedImage(runtime=event.runtime, digest=event.digest, repository_digest=event.repository_digest)
        release = replace(release, pin=pin)
    step = Step.INSTALL if release is not None and release.dependencies else Step.START
    return replace(rollout, step=step, release=release, runtime=event.runtime, image=event.image)


def _switch(state: Deployment, rollout: Rollout, event: e.DeploymentSwitched) -> Deployment:
    served = Served(
        generation=event.generation,
        reason=rollout.reason,
        spec=rollout.spec,
        release=event.release,
        runtime=event.runtime,
        image=event.image,
        dependencies=rollout.dependencies,
        switched_at=event.switched_at,
    )
    # The same release started again takes the place of its earlier start: crashes must not push others out.
    earlier = state.history if rollout.is_change else state.history[:-1]
    history = (*earlier, served)[-HISTORY_LIMIT_RELEASES:]
    verifying = msgspec.structs.replace(rollout, step=Step.VERIFY, verify_until=event.verify_until)
    return msgspec.structs.replace(state, history=history, rollout=verifying)
