"""How a rollout goes on and ends: succeeded, reverted or failed, and what follows when an instance ends later."""

from datetime import timedelta

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Decision
from ploinky.domain.deployment import (
    LONGEST_RESTART_DELAY_SECONDS,
    QUIET_RUN,
    SHUTDOWN_CODE,
    Deployment,
    Desired,
    Reason,
    Rollout,
    Step,
)
from ploinky.domain.errors import TransitionInvalid
from ploinky.domain.indexes import Indexes


def advance(command: c.Command, state: Deployment, indexes: Indexes) -> Decision:
    """Decide on the outcome of a step. Raises `TransitionInvalid` for a rollout that is over or at another step."""
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
        case c.Switch() if rollout.step is Step.START and rollout.release is not None:
            return _switch(command.subject_id, state, rollout, indexes)
        case c.ConfirmRollout() if rollout.step is Step.VERIFY:
            return [e.RolloutSucceeded(generation=generation)]
        case c.FailRollout():
            return _fail(command, state, rollout, indexes)
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


def _switch(deployment_id: str, state: Deployment, rollout: Rollout, indexes: Indexes) -> Decision:
    if rollout.release is None:
        raise TransitionInvalid("There is nothing to switch to", generation=rollout.generation)
    window_seconds = rollout.release.revert_window_seconds
    # Only a change can turn out worse than what served before, and only what still runs can be gone back to.
    is_on_probation = (
        rollout.is_change and window_seconds > 0 and indexes.has_ready(deployment_id, state.active_generation)
    )
    switched = e.DeploymentSwitched(
        generation=rollout.generation,
        release=rollout.release,
        runtime=rollout.runtime,
        image=rollout.image,
        switched_at=indexes.now,
        verify_until=indexes.now + timedelta(seconds=window_seconds) if is_on_probation else None,
    )
    return [switched] if is_on_probation else [switched, e.RolloutSucceeded(generation=rollout.generation)]


def _fail(command: c.FailRollout, state: Deployment, rollout: Rollout, indexes: Indexes) -> Decision:
    previous = state.previous
    can_go_back = previous is not None and indexes.has_ready(command.subject_id, previous.generation)
    has_started = rollout.step is Step.START and state.active is not None
    failed = e.RolloutFailed(
        generation=command.generation,
        step=command.step,
        code=command.code,
        message=command.message,
        hint=command.hint,
        evidence=command.evidence,
        is_reverted=command.code != SHUTDOWN_CODE and (can_go_back or has_started),
    )
    if command.code == SHUTDOWN_CODE:
        # It says nothing about the release: the next start goes on with it, as another generation.
        release = rollout.release
        again = e.RolloutRequested(generation=command.generation + 1, reason=rollout.reason, release=release)
        return [failed, again]
    if previous is not None and can_go_back:
        return [e.DeploymentReverted(generation=command.generation, to_generation=previous.generation), failed]
    return [failed]


def give_up(state: Deployment, reason: str) -> list[e.Event]:
    """End the rollout under way because something else is wanted; one that serves already has succeeded."""
    rollout = state.rollout
    if rollout is None:
        return []
    if rollout.step is Step.VERIFY:
        return [e.RolloutSucceeded(generation=rollout.generation)]
    failed = e.RolloutFailed(
        generation=rollout.generation,
        step=rollout.step,
        code=reason.upper(),
        message=f"The rollout was {reason} before it ended",
    )
    return [failed]


def roll_out_again(state: Deployment, reason: Reason) -> e.Event:
    """Start what served last as a new generation; before the first switch, begin from the source."""
    return e.RolloutRequested(generation=state.last_generation + 1, reason=reason, release=state.active_release)


def schedule_restart(command: c.ScheduleRestart, state: Deployment, indexes: Indexes) -> Decision:
    """Decide when what ended by itself is started again: later with each end in a row."""
    if state.desired is not Desired.RUNNING or state.rollout is not None or state.restart_due_at is not None:
        return []
    if command.generation not in {state.active_generation, state.last_generation} or not state.active_generation:
        return []
    if state.is_idle:
        return []
    if command.is_immediate:
        return [roll_out_again(state, Reason.RECOVERY)]
    was_quiet = (
        state.last_end is not None
        and state.last_end.is_success
        and state.switched_at is not None
        and indexes.now - state.switched_at >= QUIET_RUN
    )
    failures = 1 if was_quiet else state.failures + 1
    delay_seconds = min(2 ** min(failures - 1, 16), LONGEST_RESTART_DELAY_SECONDS)
    return [e.RestartScheduled(due_at=indexes.now + timedelta(seconds=delay_seconds), failures=failures)]


def restart_now(deployment_id: str, state: Deployment, indexes: Indexes) -> Decision:
    """Decide how a restart that is due is made: beside others that serve one is replaced, else all begin anew."""
    if state.restart_due_at is None or state.restart_due_at > indexes.now:
        return []
    if indexes.has_ready(deployment_id, state.active_generation):
        return [e.ReplacementStarted(generation=state.active_generation)]
    return [roll_out_again(state, Reason.RECOVERY)]
