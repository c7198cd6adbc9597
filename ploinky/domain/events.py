"""Everything that can happen, one class per event.

An event belongs to the stream it is recorded in and does not repeat the stream's own id. Schemas only grow: a field is
added with a default, never renamed or removed; `tests/journal/golden/` keeps one sample of every type and version.
Types are hand-written names; a trailing `?` would mark one that an older reader may skip.
"""

from ploinky.domain.deployment_events import (
    DependenciesReady,
    DeploymentIdled,
    DeploymentRemoved,
    DeploymentRequested,
    DeploymentReverted,
    DeploymentScaled,
    DeploymentStopRequested,
    DeploymentSwitched,
    DeploymentUpdated,
    DeploymentWoken,
    DiscardRequested,
    ImageReady,
    RemovalRequested,
    ReplacementStarted,
    RestartScheduled,
    RolloutFailed,
    RolloutRequested,
    RolloutSucceeded,
    SourceFetched,
)
from ploinky.domain.event import Event
from ploinky.domain.instance_events import (
    ExecRequested,
    InstanceCreated,
    InstanceObservedAgain,
    InstancePaused,
    InstancePauseRequested,
    InstanceReady,
    InstanceRemoved,
    InstanceRemoveRequested,
    InstanceResumed,
    InstanceResumeRequested,
    InstanceStarted,
    InstanceStartFailed,
    InstanceStopped,
    InstanceStopRequested,
    InstanceUnobservable,
    OrphanFound,
)
from ploinky.domain.registry_events import RegistryAdded, RegistryRemoved
from ploinky.domain.specs import SourceAccess
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
    "DependenciesReady",
    "DeploymentIdled",
    "DeploymentRemoved",
    "DeploymentRequested",
    "DeploymentReverted",
    "DeploymentScaled",
    "DeploymentStopRequested",
    "DeploymentSwitched",
    "DeploymentUpdated",
    "DeploymentWoken",
    "DiscardRequested",
    "Event",
    "ExecRequested",
    "ImageReady",
    "InstanceCreated",
    "InstanceObservedAgain",
    "InstancePauseRequested",
    "InstancePaused",
    "InstanceReady",
    "InstanceRemoveRequested",
    "InstanceRemoved",
    "InstanceResumeRequested",
    "InstanceResumed",
    "InstanceStartFailed",
    "InstanceStarted",
    "InstanceStopRequested",
    "InstanceStopped",
    "InstanceUnobservable",
    "OrphanFound",
    "RegistryAdded",
    "RegistryRemoved",
    "RemovalRequested",
    "ReplacementStarted",
    "RestartScheduled",
    "ResultLate",
    "ResultQuarantined",
    "RolloutFailed",
    "RolloutRequested",
    "RolloutSucceeded",
    "SourceFetched",
    "TaskCancelled",
    "TaskClaimed",
    "TaskDead",
    "TaskFailed",
    "TaskSubmitted",
    "TaskSucceeded",
]
"""What is kept elsewhere and found here too."""

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
