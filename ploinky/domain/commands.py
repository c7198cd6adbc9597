"""Everything the system can be asked, one class per command.

A command names the aggregate it is for; the dispatcher finds the stream from `KIND` and `subject_id`. Commands come
from people (through `usecases`), from policies, and from `control` as the outcome of an effect.
"""

from ploinky.domain.command import Command
from ploinky.domain.payload import Payload
from ploinky.domain.specs import DeploymentSpec, Evidence, Release, SourceAccess
from ploinky.domain.task_commands import (
    AbandonTask,
    CancelTask,
    ExpireAttempt,
    RecordClaimed,
    RecordFailed,
    RecordQuarantined,
    RecordSucceeded,
    StartAttempt,
    SubmitTask,
    TaskCommand,
)

__all__ = [
    "AbandonTask",
    "CancelTask",
    "Command",
    "ExpireAttempt",
    "RecordClaimed",
    "RecordFailed",
    "RecordQuarantined",
    "RecordSucceeded",
    "StartAttempt",
    "SubmitTask",
    "TaskCommand",
]
"""What is kept elsewhere and found here too."""


# --- deployment -----------------------------------------------------------------------------------------------------


class DeploymentCommand(Command, frozen=True, kw_only=True):
    """For one deployment."""

    KIND = "deployment"


class Deploy(DeploymentCommand, frozen=True, kw_only=True):
    """Put an agent at a route that nobody owns."""

    domain: str
    path: str
    spec: DeploymentSpec
    environment: Payload | None = None


class UpdateDeployment(DeploymentCommand, frozen=True, kw_only=True):
    """Change what is wanted and roll it out; the same wish again fetches the newest commit."""

    spec: DeploymentSpec
    environment: Payload | None = None


class RollBack(DeploymentCommand, frozen=True, kw_only=True):
    """Bring back a release that served before: its image, its spec, its environment."""

    to_generation: int
    environment: Payload | None = None
    """As it was for that generation."""


class ScaleDeployment(DeploymentCommand, frozen=True, kw_only=True):
    """Change how many instances serve, without touching those that go on."""

    replicas: int


class IdleDeployment(DeploymentCommand, frozen=True, kw_only=True):
    """Nobody has needed it for long: stop what runs, keep the route."""


class WakeDeployment(DeploymentCommand, frozen=True, kw_only=True):
    """Somebody needs it again."""


class RestartDeployment(DeploymentCommand, frozen=True, kw_only=True):
    """Start the serving release again as a new generation."""


class StopDeployment(DeploymentCommand, frozen=True, kw_only=True):
    """Stop what runs; keep the route."""


class StartDeployment(DeploymentCommand, frozen=True, kw_only=True):
    """Start it again after a stop."""


class Undeploy(DeploymentCommand, frozen=True, kw_only=True):
    """Take it off its route and remove everything that runs."""


class RecordSource(DeploymentCommand, frozen=True, kw_only=True):
    """The source is on disk."""

    generation: int
    release: Release
    is_from_cache: bool
    cache_age_seconds: float | None = None
    cache_reason: str = ""


class RecordImage(DeploymentCommand, frozen=True, kw_only=True):
    """The image is there."""

    generation: int
    runtime: str
    image: str
    digest: str
    repository_digest: str = ""


class RecordDependencies(DeploymentCommand, frozen=True, kw_only=True):
    """What the agent needs is installed."""

    generation: int
    digest: str
    is_cached: bool
    seconds: float


class FailRollout(DeploymentCommand, frozen=True, kw_only=True):
    """A step of the rollout cannot be done."""

    generation: int
    step: str
    code: str
    message: str
    hint: str = ""
    evidence: Evidence = Evidence()


class Switch(DeploymentCommand, frozen=True, kw_only=True):
    """The new generation is ready: send requests there."""

    generation: int


class ConfirmRollout(DeploymentCommand, frozen=True, kw_only=True):
    """The new generation has served well for long enough."""

    generation: int


class ScheduleRestart(DeploymentCommand, frozen=True, kw_only=True):
    """The serving generation ended by itself."""

    generation: int
    is_immediate: bool
    """True when its end was no fault of its own: the server or the machine was stopped."""


class RestartNow(DeploymentCommand, frozen=True, kw_only=True):
    """A scheduled restart is due."""


class RequestDiscard(DeploymentCommand, frozen=True, kw_only=True):
    """The last instance of a deployment to be removed is gone."""


class RecordDiscarded(DeploymentCommand, frozen=True, kw_only=True):
    """Its folders are gone."""


# --- instance -------------------------------------------------------------------------------------------------------


class InstanceCommand(Command, frozen=True, kw_only=True):
    """For one instance."""

    KIND = "instance"


class CreateInstance(InstanceCommand, frozen=True, kw_only=True):
    """Add an instance to a generation."""

    deployment_id: str
    generation: int
    number: int
    runtime: str
    name: str
    image: str
    release: Release
    dependencies: str = ""


class RecordStarted(InstanceCommand, frozen=True, kw_only=True):
    """The engine runs it."""

    engine_id: str
    queue_identity: str


class RecordStartFailed(InstanceCommand, frozen=True, kw_only=True):
    """The engine cannot start it."""

    code: str
    message: str
    hint: str = ""


class RecordReady(InstanceCommand, frozen=True, kw_only=True):
    """The agent has said that it is ready."""


class RecordPaused(InstanceCommand, frozen=True, kw_only=True):
    """The engine shows it frozen."""


class RecordResumed(InstanceCommand, frozen=True, kw_only=True):
    """The engine shows it running after it was frozen."""


class PauseInstance(InstanceCommand, frozen=True, kw_only=True):
    """Freeze it until it is needed; only one without a task."""


class ResumeInstance(InstanceCommand, frozen=True, kw_only=True):
    """Let it go on."""


class StopInstance(InstanceCommand, frozen=True, kw_only=True):
    """End it."""

    reason: str
    grace_seconds: float


class RecordStopped(InstanceCommand, frozen=True, kw_only=True):
    """The engine shows that it has ended."""

    reason: str
    evidence: Evidence = Evidence()


class RemoveInstance(InstanceCommand, frozen=True, kw_only=True):
    """Remove what ended, or what never started."""


class RecordRemoved(InstanceCommand, frozen=True, kw_only=True):
    """The engine has forgotten it."""


class RecordExec(InstanceCommand, frozen=True, kw_only=True):
    """Somebody is about to run a command inside it."""

    program: str
    argument_count: int


class RecordUnobservable(InstanceCommand, frozen=True, kw_only=True):
    """The engine cannot be asked."""

    reason: str


class RecordObservedAgain(InstanceCommand, frozen=True, kw_only=True):
    """The engine can be asked again."""


class ReportOrphan(InstanceCommand, frozen=True, kw_only=True):
    """The engine runs something of this journal that the journal does not know."""

    runtime: str
    name: str


# --- repository, access, settings -----------------------------------------------------------------------------------


class RepositoryCommand(Command, frozen=True, kw_only=True):
    """For one repository; its name is its id."""

    KIND = "repository"


class AddRepository(RepositoryCommand, frozen=True, kw_only=True):
    """Give a repository a name; again for the same URL and branch, change what is given besides."""

    url: str
    branch: str | None = None
    access: SourceAccess | None = None
    webhook_secret: str | None = None
    poll_seconds: int | None = None
    """0 = stop looking."""


class RemoveRepository(RepositoryCommand, frozen=True, kw_only=True):
    """Free the name; deployments keep the URL they were made with."""


class RecordPush(RepositoryCommand, frozen=True, kw_only=True):
    """A branch has a new commit, and these deployments were told to follow."""

    origin: str
    branch: str
    commit: str
    delivery: str = ""
    """By which a repetition is known; empty for a look of our own."""
    deployments: tuple[str, ...] = ()


class RegistryCommand(Command, frozen=True, kw_only=True):
    """For one registry of images; its host is its id."""

    KIND = "registry"


class AddRegistry(RegistryCommand, frozen=True, kw_only=True):
    """Say who asks a registry; again to say it anew."""

    username: str
    secret: str
    """The id of the password's version."""


class RemoveRegistry(RegistryCommand, frozen=True, kw_only=True):
    """Forget who asks it."""


class AccessCommand(Command, frozen=True, kw_only=True):
    """For one key."""

    KIND = "access"


class IssueKey(AccessCommand, frozen=True, kw_only=True):
    """Make an admin key."""

    name: str
    secret_sha256: str
    reason: str


class RevokeKey(AccessCommand, frozen=True, kw_only=True):
    """Close what it opened."""


class SettingsCommand(Command, frozen=True, kw_only=True):
    """For the settings; there is one stream, `main`."""

    KIND = "settings"


class ChangeSetting(SettingsCommand, frozen=True, kw_only=True):
    """Set one setting."""

    name: str
    value: str | int | float | bool
