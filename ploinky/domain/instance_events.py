"""Everything that can happen to an instance. Read through `ploinky.domain.events`, where all events are."""

from datetime import datetime

from ploinky.domain.event import Event
from ploinky.domain.specs import Evidence, Release


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
