"""Everything that can happen, one class per event.

An event belongs to the stream it is recorded in and does not repeat the stream's own id. Schemas only grow: a field is
added with a default, never renamed or removed; `tests/journal/golden/` keeps one sample of every type and version.
Types are hand-written names; a trailing `?` would mark one that an older reader may skip.
"""

from datetime import datetime

from ploinky.domain.event import Event
from ploinky.domain.payload import PayloadReference
from ploinky.domain.registry_events import RegistryAdded, RegistryRemoved
from ploinky.domain.specs import DeploymentSpec, Evidence, Release, SourceAccess
from ploinky.domain.task_events import (
    AttemptExpired,
    AttemptStarted,
    CancelRequested,
    ResultLate,
    ResultQuarantined,
    TaskCancelled,
    TaskClaimed,
    TaskDead,
    TaskFailed,
    TaskSubmitted,
    TaskSucceeded,
)

__all__ = [
    "AttemptExpired",
    "AttemptStarted",
    "CancelRequested",
    "Event",
    "RegistryAdded",
    "RegistryRemoved",
    "ResultLate",
    "ResultQuarantined",
    "TaskCancelled",
    "TaskClaimed",
    "TaskDead",
    "TaskFailed",
    "TaskSubmitted",
    "TaskSucceeded",
]
"""What is kept elsewhere and found here too."""

# --- deployment/<id>: what should run where -------------------------------------------------------------------------


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


# --- instance/<deployment>.<generation>.<number>: one container or process ------------------------------------------


class InstanceCreated(Event, frozen=True, kw_only=True):
    """An instance of a generation is wanted. Intent: create and start it."""

    TYPE = "instance.created"
    deployment_id: str
    generation: int
    number: int
    runtime: str
    name: str
    """What the engine knows it by."""
    image: str = ""
    release: Release
    dependencies: str = ""
    """The digest that names the folder of what is installed for it."""


class InstanceStarted(Event, frozen=True, kw_only=True):
    """The engine runs it; it has not said yet that it is ready."""

    TYPE = "instance.started"
    engine_id: str
    queue_identity: str
    """By which a replaced or emptied queue folder shows."""


class InstanceStartFailed(Event, frozen=True, kw_only=True):
    """It could not be started; it stays created until it is removed."""

    TYPE = "instance.start_failed"
    code: str
    message: str
    hint: str = ""


class InstanceReady(Event, frozen=True, kw_only=True):
    """The agent watches its queue."""

    TYPE = "instance.ready"


class InstancePaused(Event, frozen=True, kw_only=True):
    """The engine froze it; a frozen instance is never suspect."""

    TYPE = "instance.paused"


class InstanceResumed(Event, frozen=True, kw_only=True):
    """The engine let it go on."""

    TYPE = "instance.resumed"


class InstancePauseRequested(Event, frozen=True, kw_only=True):
    """It is not needed now, and should be again at once. Intent: freeze it."""

    TYPE = "instance.pause_requested"


class InstanceResumeRequested(Event, frozen=True, kw_only=True):
    """It is needed. Intent: let it go on."""

    TYPE = "instance.resume_requested"


class InstanceStopRequested(Event, frozen=True, kw_only=True):
    """It should end. Intent: stop it."""

    TYPE = "instance.stop_requested"
    reason: str
    grace_seconds: float


class InstanceStopped(Event, frozen=True, kw_only=True):
    """It has ended, asked or not."""

    TYPE = "instance.stopped"
    reason: str
    """`requested`, `exited`, `vanished` or `queue_lost`."""
    evidence: Evidence = Evidence()


class InstanceRemoveRequested(Event, frozen=True, kw_only=True):
    """Nothing of it is needed any more. Intent: remove it and its queue."""

    TYPE = "instance.remove_requested"


class InstanceRemoved(Event, frozen=True, kw_only=True):
    """The engine has forgotten it."""

    TYPE = "instance.removed"


class ExecRequested(Event, frozen=True, kw_only=True):
    """Somebody ran a command inside it. Neither arguments nor output are kept: both may hold secrets."""

    TYPE = "instance.exec_requested"
    program: str
    """The command's first word."""
    argument_count: int
    """How many words followed."""


class InstanceUnobservable(Event, frozen=True, kw_only=True):
    """The engine cannot be asked: its state is what was last seen."""

    TYPE = "instance.unobservable"
    reason: str
    since: datetime | None = None


class InstanceObservedAgain(Event, frozen=True, kw_only=True):
    """The engine answers again and the state is as it was."""

    TYPE = "instance.observed_again"


class OrphanFound(Event, frozen=True, kw_only=True):
    """The engine runs something with this journal's label that the journal does not know."""

    TYPE = "instance.orphan_found"
    runtime: str
    name: str


# --- repository/<name>, access/<key id>, settings/main --------------------------------------------------------------


class RepositoryAdded(Event, frozen=True, kw_only=True):
    """A repository got a name."""

    TYPE = "repository.added"
    url: str
    branch: str | None = None
    access: SourceAccess | None = None
    webhook_secret: str = ""
    """The version of the secret that signs deliveries."""
    poll_seconds: int = 0


class RepositoryChanged(Event, frozen=True, kw_only=True):
    """What belongs to it is from now on this."""

    TYPE = "repository.changed"
    access: SourceAccess | None = None
    webhook_secret: str = ""
    poll_seconds: int = 0


class RepositoryPushed(Event, frozen=True, kw_only=True):
    """A branch has a new commit."""

    TYPE = "repository.pushed"
    origin: str
    """`github`, `gitlab`, `gitea`, or `poll` when we saw it ourselves."""
    branch: str
    commit: str
    delivery: str = ""
    deployments: tuple[str, ...] = ()
    """Those that were told to follow."""


class RepositoryRemoved(Event, frozen=True, kw_only=True):
    """The name is free again."""

    TYPE = "repository.removed"


class KeyIssued(Event, frozen=True, kw_only=True):
    """A key was made. Its secret was shown once and is kept as a digest only."""

    TYPE = "access.key_issued"
    name: str
    secret_sha256: str
    reason: str
    """`init` (the first), `recovery` (on the machine itself) or `request`."""


class KeyRevoked(Event, frozen=True, kw_only=True):
    """The key opens nothing any more."""

    TYPE = "access.key_revoked"


class SettingChanged(Event, frozen=True, kw_only=True):
    """A setting differs from the configuration from here on."""

    TYPE = "settings.changed"
    name: str
    value: str | int | float | bool
