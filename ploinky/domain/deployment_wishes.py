"""What a deployment can be asked: by people, by its own rollout, and by what watches it."""

import msgspec

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Attached, Decider, Decision, refuse_unknown
from ploinky.domain.deployment import Deployment, Desired, Reason, Step, evolve
from ploinky.domain.deployment_rollout import advance, give_up, restart_now, roll_out_again, schedule_restart
from ploinky.domain.errors import DeploymentNotFound, ReleaseNotFound, RouteTaken, TransitionInvalid
from ploinky.domain.indexes import Indexes
from ploinky.domain.payload import Payload
from ploinky.domain.routing import Route
from ploinky.domain.specs import DeploymentSpec


def decide(command: c.Command, state: Deployment, indexes: Indexes) -> Decision:
    """Decide on a deployment's command."""
    match command:
        case c.Deploy():
            return _deploy(command, state, indexes)
        case _ if state.desired is Desired.ABSENT or state.is_gone:
            raise DeploymentNotFound(deployment=command.subject_id)
        case (
            c.RecordSource()
            | c.RecordImage()
            | c.RecordDependencies()
            | c.FailRollout()
            | c.Switch()
            | c.ConfirmRollout()
        ):
            return advance(command, state, indexes)
        case c.ScheduleRestart():
            return schedule_restart(command, state, indexes)
        case c.RestartNow():
            return restart_now(command.subject_id, state, indexes)
        case c.IdleDeployment() | c.WakeDeployment():
            return _doze(command, state, indexes)
        case c.RequestDiscard():
            may_go = state.desired is Desired.REMOVED and not indexes.has_instances(command.subject_id)
            return [e.DiscardRequested()] if may_go and not state.is_discarding else []
        case c.RecordDiscarded():
            if not state.is_discarding:
                raise TransitionInvalid("The deployment's folders are still needed")
            return [e.DeploymentRemoved()]
        case _:
            return _wish(command, state)


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
    rollout = e.RolloutRequested(generation=1, reason=Reason.DEPLOY)
    return [_with_environment(requested, command.environment), rollout]


def _wish(command: c.Command, state: Deployment) -> Decision:
    if state.desired is Desired.REMOVED:
        if isinstance(command, c.Undeploy):
            return []
        raise TransitionInvalid("The deployment is being removed", hint="Deploy it again once it is gone.")
    match command:
        case c.UpdateDeployment():
            rollout = e.RolloutRequested(generation=state.last_generation + 1, reason=Reason.UPDATE)
            return [*give_up(state, "superseded"), _updated(command.spec, command.environment), rollout]
        case c.RollBack():
            return _roll_back(command, state)
        case c.ScaleDeployment():
            is_same = command.replicas == state.spec.replicas
            return [] if is_same else [e.DeploymentScaled(replicas=command.replicas)]
        case c.RestartDeployment():
            if state.rollout is not None and state.rollout.step is not Step.VERIFY:
                raise TransitionInvalid("A rollout is under way", hint="Wait until it has ended.")
            return [*give_up(state, "superseded"), roll_out_again(state, Reason.RESTART)]
        case c.StopDeployment():
            is_done = state.desired is Desired.STOPPED
            return [] if is_done else [*give_up(state, "stopped"), e.DeploymentStopRequested()]
        case c.StartDeployment():
            return [roll_out_again(state, Reason.START)] if state.desired is Desired.STOPPED else []
        case c.Undeploy():
            return [*give_up(state, "undeployed"), e.RemovalRequested()]
        case _:
            return refuse_unknown(command)


def _roll_back(command: c.RollBack, state: Deployment) -> Decision:
    """Go back to a release that served, with its image, its spec and its environment, as a new generation."""
    known = {one.generation: one for one in state.history}
    target = known.get(command.to_generation)
    if target is None:
        kept = ", ".join(str(generation) for generation in known) or "none"
        raise ReleaseNotFound(
            f"Generation {command.to_generation} is not among those that served", hint=f"To go back to: {kept}."
        )
    # How many run is a matter of today's load, not of the release.
    spec = msgspec.structs.replace(target.spec, replicas=state.spec.replicas)
    rollout = e.RolloutRequested(
        generation=state.last_generation + 1,
        reason=Reason.ROLLBACK,
        release=target.release,
        to_generation=target.generation,
    )
    return [*give_up(state, "superseded"), _updated(spec, command.environment), rollout]


def _doze(command: c.Command, state: Deployment, indexes: Indexes) -> Decision:
    """Stop what nobody needs, and start it again for whoever comes."""
    if state.desired is not Desired.RUNNING or state.rollout is not None:
        return []
    if isinstance(command, c.WakeDeployment):
        if not state.is_idle:
            return []
        return [e.DeploymentWoken()] if state.is_warm else [roll_out_again(state, Reason.WAKE)]
    is_needed = state.is_idle or not state.active_generation or indexes.is_busy(command.subject_id)
    return [] if is_needed else [e.DeploymentIdled()]


def _updated(spec: DeploymentSpec, environment: Payload | None) -> e.Event | Attached:
    updated = e.DeploymentUpdated(spec=spec, environment=environment.reference if environment else None)
    return _with_environment(updated, environment)


def _with_environment(event: e.Event, environment: Payload | None) -> e.Event | Attached:
    return Attached(event, {"environment": environment}) if environment else event


DEPLOYMENT = Decider("deployment", Deployment(), decide, evolve)
