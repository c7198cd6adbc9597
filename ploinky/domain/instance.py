"""An instance: one container or process of a generation. CREATED -> RUNNING <-> PAUSED -> STOPPED -> REMOVED.

It is never started twice: a restart is a new generation of its deployment. What the engine cannot tell
(`is_unobservable`) stands beside the status, which keeps what was last seen.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Decider, Decision, refuse_unknown
from ploinky.domain.errors import DeploymentNotFound, InstanceNotFound, TransitionInvalid
from ploinky.domain.indexes import Indexes
from ploinky.domain.specs import Evidence, Release


class Status(StrEnum):
    """Where an instance is in its life."""

    ABSENT = "absent"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    REMOVED = "removed"


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one instance."""

    status: Status = Status.ABSENT
    deployment_id: str = ""
    """Empty for an orphan."""
    generation: int = 0
    number: int = 0
    runtime: str = ""
    name: str = ""
    image: str = ""
    release: Release | None = None
    dependencies: str = ""
    engine_id: str = ""
    queue_identity: str = ""
    is_ready: bool = False
    is_unobservable: bool = False
    unobservable_since: datetime | None = None
    is_pause_requested: bool = False
    """Should be frozen; the engine may not have done it yet."""
    is_resume_requested: bool = False
    is_stop_requested: bool = False
    stop_reason: str = ""
    """Why it was asked to stop, or how it was seen to have ended."""
    grace_seconds: float = 0.0
    is_remove_requested: bool = False
    failure: str = ""
    """The error code of a start that failed."""
    failure_message: str = ""
    failure_hint: str = ""
    evidence: Evidence = Evidence()


LIVE = frozenset({Status.RUNNING, Status.PAUSED})
OVER = frozenset({Status.STOPPED, Status.REMOVED})
NOT_ITS_FAULT = frozenset({"shutdown", "vanished", "queue_lost", "scaled"})
"""Why an instance was stopped, or had ended, when that says nothing about its release."""


def decide(command: c.Command, state: Instance, indexes: Indexes) -> Decision:
    """Decide on an instance's command. A repetition of what is already so decides nothing."""
    match command:
        case c.CreateInstance():
            return _create(command, state, indexes)
        case c.ReportOrphan():
            is_known = state.status not in {Status.ABSENT, Status.REMOVED}
            return [] if is_known else [e.OrphanFound(runtime=command.runtime, name=command.name)]
        case _ if state.status is Status.ABSENT:
            raise InstanceNotFound(instance=command.subject_id)
        case c.RecordStarted() | c.RecordStartFailed() | c.RecordReady() | c.RecordPaused() | c.RecordResumed():
            return _progress(command, state)
        case c.PauseInstance() | c.ResumeInstance():
            return _rest(command, state, indexes)
        case c.StopInstance() | c.RecordStopped() | c.RemoveInstance() | c.RecordRemoved():
            return _end(command, state)
        case c.RecordExec():
            if state.status is not Status.RUNNING:
                raise _not_now(command, state)
            return [e.ExecRequested(program=command.program, argument_count=command.argument_count)]
        case c.RecordUnobservable():
            is_news = state.status is not Status.REMOVED and not state.is_unobservable
            return [e.InstanceUnobservable(reason=command.reason, since=indexes.now)] if is_news else []
        case c.RecordObservedAgain():
            return [e.InstanceObservedAgain()] if state.is_unobservable else []
        case _:
            return refuse_unknown(command)


def _create(command: c.CreateInstance, state: Instance, indexes: Indexes) -> Decision:
    if state.status is not Status.ABSENT:
        return []
    deployment = indexes.deployments.get(command.deployment_id)
    if deployment is None:
        raise DeploymentNotFound(deployment=command.deployment_id)
    is_wanted = deployment.is_wanted and not deployment.is_idle
    grows = deployment.rollout or (deployment.active_generation if is_wanted else 0)
    if not grows or command.generation != grows:
        raise TransitionInvalid(
            "Instances are only added to the generation being rolled out, or else to the one that serves",
            generation=command.generation,
        )
    if command.number != deployment.next_numbers.get(command.generation, 0):
        raise TransitionInvalid("Instances of a generation are numbered one after the other", number=command.number)
    return [
        e.InstanceCreated(
            deployment_id=command.deployment_id,
            generation=command.generation,
            number=command.number,
            runtime=command.runtime,
            name=command.name,
            image=command.image,
            release=command.release,
            dependencies=command.dependencies,
        )
    ]


def _progress(command: c.Command, state: Instance) -> Decision:
    match command, state.status:
        case c.RecordStarted(), Status.CREATED if not state.is_remove_requested and not state.failure:
            return [e.InstanceStarted(engine_id=command.engine_id, queue_identity=command.queue_identity)]
        case c.RecordStarted(), Status.RUNNING | Status.PAUSED if state.engine_id == command.engine_id:
            return []
        case c.RecordStartFailed(), Status.CREATED if not state.is_remove_requested:
            if state.failure:
                return []
            return [e.InstanceStartFailed(code=command.code, message=command.message, hint=command.hint)]
        case c.RecordReady(), Status.RUNNING if state.deployment_id:
            return [] if state.is_ready or state.is_stop_requested else [e.InstanceReady()]
        case c.RecordPaused(), Status.RUNNING:
            return [e.InstancePaused()]
        case c.RecordPaused(), Status.PAUSED:
            return []
        case c.RecordResumed(), Status.PAUSED:
            # Only what was ready before and is not to stop takes tasks again.
            is_available = state.is_ready and not state.is_stop_requested
            return [e.InstanceResumed(), e.InstanceReady()] if is_available else [e.InstanceResumed()]
        case c.RecordResumed(), Status.RUNNING:
            return []
        case _:
            raise _not_now(command, state)


def _rest(command: c.Command, state: Instance, indexes: Indexes) -> Decision:
    """Freeze what nobody needs now, and let it go on when somebody does."""
    is_leaving = state.is_stop_requested or state.is_remove_requested
    match command, state.status:
        case c.PauseInstance(), Status.RUNNING if state.is_ready and not is_leaving:
            if state.is_pause_requested:
                return []
            if indexes.running.get(command.subject_id):
                raise TransitionInvalid("The instance works on a task", instance=command.subject_id)
            return [e.InstancePauseRequested()]
        case c.ResumeInstance(), Status.PAUSED if not is_leaving:
            return [] if state.is_resume_requested else [e.InstanceResumeRequested()]
        case (c.PauseInstance(), Status.PAUSED) | (c.ResumeInstance(), Status.RUNNING):
            return []
        case _:
            raise _not_now(command, state)


def _end(command: c.Command, state: Instance) -> Decision:
    match command, state.status:
        case c.StopInstance(), Status.RUNNING | Status.PAUSED:
            if state.is_stop_requested:
                return []
            return [e.InstanceStopRequested(reason=command.reason, grace_seconds=command.grace_seconds)]
        case c.RecordStopped(), Status.RUNNING | Status.PAUSED:
            return [e.InstanceStopped(reason=command.reason, evidence=command.evidence)]
        case ((c.StopInstance() | c.RecordStopped()), Status.STOPPED | Status.REMOVED):
            return []
        case c.RemoveInstance(), Status.CREATED | Status.STOPPED:
            return [] if state.is_remove_requested else [e.InstanceRemoveRequested()]
        case c.RecordRemoved(), Status.CREATED | Status.STOPPED if state.is_remove_requested:
            return [e.InstanceRemoved()]
        case ((c.RemoveInstance() | c.RecordRemoved()), Status.REMOVED):
            return []
        case _:
            raise _not_now(command, state)


def _not_now(command: c.Command, state: Instance) -> TransitionInvalid:
    return TransitionInvalid(
        f"{type(command).__name__} is not possible while the instance is {state.status}", instance=command.subject_id
    )


def evolve(state: Instance, event: e.Event) -> Instance:
    """Fold one event in."""
    replace = msgspec.structs.replace
    match event:
        case e.InstanceCreated():
            return Instance(
                status=Status.CREATED,
                deployment_id=event.deployment_id,
                generation=event.generation,
                number=event.number,
                runtime=event.runtime,
                name=event.name,
                image=event.image,
                release=event.release,
                dependencies=event.dependencies,
            )
        case e.OrphanFound():
            return Instance(status=Status.RUNNING, runtime=event.runtime, name=event.name)
        case e.InstanceStarted():
            return replace(state, status=Status.RUNNING, engine_id=event.engine_id, queue_identity=event.queue_identity)
        case e.InstanceStartFailed():
            return replace(state, failure=event.code, failure_message=event.message, failure_hint=event.hint)
        case e.InstanceReady():
            return replace(state, is_ready=True)
        case e.InstancePaused():
            return replace(state, status=Status.PAUSED, is_pause_requested=False, is_resume_requested=False)
        case e.InstanceResumed():
            return replace(state, status=Status.RUNNING, is_pause_requested=False, is_resume_requested=False)
        case e.InstancePauseRequested():
            return replace(state, is_pause_requested=True)
        case e.InstanceResumeRequested():
            return replace(state, is_resume_requested=True)
        case _:
            return _evolve_end(state, event)


def _evolve_end(state: Instance, event: e.Event) -> Instance:
    replace = msgspec.structs.replace
    match event:
        case e.InstanceStopRequested():
            return replace(state, is_stop_requested=True, stop_reason=event.reason, grace_seconds=event.grace_seconds)
        case e.InstanceStopped():
            reason = state.stop_reason if state.is_stop_requested else event.reason
            return replace(
                state,
                status=Status.STOPPED,
                is_ready=False,
                is_unobservable=False,
                stop_reason=reason,
                evidence=event.evidence,
            )
        case e.InstanceRemoveRequested():
            return replace(state, is_remove_requested=True)
        case e.InstanceRemoved():
            return replace(state, status=Status.REMOVED, is_unobservable=False)
        case e.InstanceUnobservable():
            return replace(state, is_unobservable=True, unobservable_since=event.since)
        case e.InstanceObservedAgain():
            return replace(state, is_unobservable=False, unobservable_since=None)
        case _:
            return state


INSTANCE = Decider("instance", Instance(), decide, evolve)
