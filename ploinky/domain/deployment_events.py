"""Everything that can happen to a deployment. Read through `ploinky.domain.events`, where all events are."""

from datetime import datetime

from ploinky.domain.event import Event
from ploinky.domain.payload import PayloadReference
from ploinky.domain.specs import DeploymentSpec, Evidence, Release


class DeploymentRequested(Event, frozen=True, kw_only=True):
    """Somebody wants an agent at a route."""

    TYPE = "deployment.requested"
    domain: str
    path: str
    spec: DeploymentSpec
    environment: PayloadReference | None = None


class DeploymentUpdated(Event, frozen=True, kw_only=True):
    """The wish changed; a rollout follows. Without `environment` the earlier values stay."""

    TYPE = "deployment.updated"
    spec: DeploymentSpec
    environment: PayloadReference | None = None


class RolloutRequested(Event, frozen=True, kw_only=True):
    """A new generation is wanted. Intent: fetch the source, or, with a release, make its image ready."""

    TYPE = "deployment.rollout_requested"
    generation: int
    reason: str
    """`deploy`, `update`, `rollback`, `restart`, `start`, `recovery` or `wake`."""
    release: Release | None = None
    """Given when an earlier release is started again, unchanged."""
    to_generation: int = 0
    """The generation whose release, spec and environment a rollback brings back."""


class SourceFetched(Event, frozen=True, kw_only=True):
    """The commit is on disk. Intent: make the image ready."""

    TYPE = "deployment.source_fetched"
    generation: int
    release: Release
    is_from_cache: bool = False
    cache_age_seconds: float | None = None
    """How long ago the server named the commit that serves from the cache; None when nobody knows."""
    cache_reason: str = ""
    """Why the cache serves: what the server's failure was, or that it was asked a moment ago."""


class ImageReady(Event, frozen=True, kw_only=True):
    """The runtime is chosen and can start the release."""

    TYPE = "deployment.image_ready"
    generation: int
    runtime: str
    image: str = ""
    digest: str = ""
    """The engine's content id."""
    repository_digest: str = ""
    """By which a registry gives the same image again; empty for one that was built or loaded."""


class DependenciesReady(Event, frozen=True, kw_only=True):
    """What the agent needs is installed. Left out for a release that needs nothing."""

    TYPE = "deployment.dependencies_ready"
    generation: int
    digest: str
    """Names the folder: a digest of the image and of what says what is to be installed."""
    is_cached: bool = False
    """True when an earlier rollout had installed the same."""
    seconds: float = 0.0


class DeploymentSwitched(Event, frozen=True, kw_only=True):
    """From here on requests go to this generation."""

    TYPE = "deployment.switched"
    generation: int
    release: Release
    runtime: str
    image: str = ""
    switched_at: datetime
    verify_until: datetime | None = None
    """Until then what served before is kept to go back to; None when there is nothing to go back to."""


class DeploymentReverted(Event, frozen=True, kw_only=True):
    """The new generation turned out unhealthy: requests go to the one before again, which still runs."""

    TYPE = "deployment.reverted"
    generation: int
    to_generation: int


class RolloutSucceeded(Event, frozen=True, kw_only=True):
    """The rollout ended well."""

    TYPE = "deployment.rollout_succeeded"
    generation: int


class RolloutFailed(Event, frozen=True, kw_only=True):
    """The rollout ended; what served before goes on serving."""

    TYPE = "deployment.rollout_failed"
    generation: int
    step: str
    """`source`, `image`, `install`, `start`, `readiness` or `verify`."""
    code: str
    message: str
    hint: str = ""
    evidence: Evidence = Evidence()
    is_reverted: bool = False
    """True when it had started and was taken back, and what served before serves."""


class RestartScheduled(Event, frozen=True, kw_only=True):
    """The serving generation ended by itself and is started again later, each time later."""

    TYPE = "deployment.restart_scheduled"
    due_at: datetime
    failures: int
    """Ends in a row, this one included; a long quiet run starts anew at 1."""


class ReplacementStarted(Event, frozen=True, kw_only=True):
    """One of several instances had ended and is replaced now, beside those that serve."""

    TYPE = "deployment.replacement_started"
    generation: int


class DeploymentScaled(Event, frozen=True, kw_only=True):
    """Another number of instances should serve."""

    TYPE = "deployment.scaled"
    replicas: int


class DeploymentIdled(Event, frozen=True, kw_only=True):
    """Nobody needed it for long: nothing of it runs until somebody does."""

    TYPE = "deployment.idled"


class DeploymentWoken(Event, frozen=True, kw_only=True):
    """Somebody needs it again, and its frozen instances go on."""

    TYPE = "deployment.woken"


class DeploymentStopRequested(Event, frozen=True, kw_only=True):
    """Nothing of it should run until it is started again."""

    TYPE = "deployment.stop_requested"


class RemovalRequested(Event, frozen=True, kw_only=True):
    """The route is free at once; instances are stopped and removed."""

    TYPE = "deployment.removal_requested"


class DiscardRequested(Event, frozen=True, kw_only=True):
    """Nothing runs any more. Intent: remove the releases' folders."""

    TYPE = "deployment.discard_requested"


class DeploymentRemoved(Event, frozen=True, kw_only=True):
    """It is gone; its history stays."""

    TYPE = "deployment.removed"
