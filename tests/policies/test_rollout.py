"""What follows for a deployment, situation by situation."""

from datetime import timedelta

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.commands import Command
from ploinky.domain.specs import Evidence
from ploinky.policies.reaction import look
from ploinky.policies.serving import STOP_GRACE_SECONDS
from ploinky.views.due_times import DRAIN_LIMIT, START_LIMIT
from tests.views.histories import PINNED, RELEASE, History

EVIDENCE = Evidence(exit_code=3, log_tail="Traceback")


def follows(history: History, after: timedelta = timedelta(0)) -> list[Command]:
    return look(("deployment", "d1"), history.views, history.now + after)


def stop(instance: str, reason: str) -> c.StopInstance:
    return c.StopInstance(subject_id=instance, reason=reason, grace_seconds=STOP_GRACE_SECONDS)


def rolling_out() -> History:
    """A first rollout whose instance is wanted."""
    history = History()
    history.deploy("d1")
    history.prepare("d1")
    return history


def replaced() -> tuple[History, str, str]:
    """A second generation that took over from the first, with both instances."""
    history = History()
    first = history.serve()
    history.add("deployment/d1", e.RolloutRequested(generation=2, reason="restart", release=RELEASE))
    return history, first, history.roll_out("d1", 2)


@pytest.mark.parametrize("is_fetched", [False, True])
def test_nothing_before_there_is_an_image(is_fetched: bool) -> None:
    """Source and image are effects of their own: the policy waits for them."""
    history = History()
    history.deploy("d1")
    if is_fetched:
        history.add("deployment/d1", e.SourceFetched(generation=1, release=RELEASE))
    assert follows(history, START_LIMIT * 2) == []


def test_creates_the_instance_of_the_generation() -> None:
    """With image and release known, the generation's instance is created, named so that an engine takes the name."""
    assert follows(rolling_out()) == [
        c.CreateInstance(
            subject_id="d1.1.0",
            deployment_id="d1",
            generation=1,
            number=0,
            runtime="memory",
            name="ploinky-d1-1-0",
            image="echo:1",
            release=PINNED,
        )
    ]


@pytest.mark.parametrize("is_started", [False, True])
def test_waits_for_the_instance_to_be_ready(is_started: bool) -> None:
    """Before the limit an instance that is not ready yet is left alone."""
    history = rolling_out()
    instance = history.create("d1")
    if is_started:
        history.add(f"instance/{instance}", e.InstanceStarted(engine_id="e", queue_identity="q"), after_seconds=0)
    assert follows(history, START_LIMIT - timedelta(seconds=0.1)) == []


def test_switches_to_what_is_ready() -> None:
    """A ready instance of the coming generation gets the requests."""
    history = rolling_out()
    history.start(history.create("d1"))
    assert follows(history) == [c.Switch(subject_id="d1", generation=1)]


def test_a_paused_instance_is_neither_ready_nor_late() -> None:
    """Who froze an instance does not want its rollout to fail, nor requests to go there."""
    history = rolling_out()
    instance = history.create("d1")
    history.start(instance)
    history.add(f"instance/{instance}", e.InstancePaused())
    assert follows(history, START_LIMIT * 2) == []


def test_a_failed_start_fails_the_rollout() -> None:
    """What the engine said becomes the rollout's failure."""
    history = rolling_out()
    failed = e.InstanceStartFailed(code="IMAGE_UNAVAILABLE", message="no such image", hint="pull it")
    history.add(f"instance/{history.create('d1')}", failed)
    assert follows(history) == [
        c.FailRollout(
            subject_id="d1",
            generation=1,
            step="start",
            code="IMAGE_UNAVAILABLE",
            message="no such image",
            hint="pull it",
        )
    ]


@pytest.mark.parametrize(
    ("evidence", "message", "hint"),
    [
        (EVIDENCE, "The agent exited with code 3 before it was ready", "Its last lines are attached."),
        (Evidence(), "The agent exited before it was ready", ""),
        (
            Evidence(exit_code=137, is_out_of_memory=True),
            "The agent exited with code 137 before it was ready: ran out of memory and was killed",
            "",
        ),
    ],
)
def test_an_early_exit_fails_the_rollout(evidence: Evidence, message: str, hint: str) -> None:
    """An agent that ended before it was ready is the reason, with its code and its last lines as evidence."""
    history = rolling_out()
    instance = history.create("d1")
    history.add(f"instance/{instance}", e.InstanceStarted(engine_id="e", queue_identity="q"))
    history.add(f"instance/{instance}", e.InstanceStopped(reason="exited", evidence=evidence))
    (command,) = follows(history)
    assert command == c.FailRollout(
        subject_id="d1", generation=1, step="start", code="AGENT_EXITED", message=message, hint=hint, evidence=evidence
    )


def test_a_late_instance_is_stopped_before_the_rollout_fails() -> None:
    """At the limit the instance is asked to stop; its end gives the evidence, and only then the rollout fails."""
    history = rolling_out()
    instance = history.create("d1")
    history.add(f"instance/{instance}", e.InstanceStarted(engine_id="e", queue_identity="q"), after_seconds=0)
    assert follows(history, START_LIMIT) == [stop(instance, "not_ready")]
    history.add(f"instance/{instance}", e.InstanceStopRequested(reason="not_ready", grace_seconds=10))
    assert follows(history, START_LIMIT) == []
    history.add(f"instance/{instance}", e.InstanceStopped(reason="requested", evidence=EVIDENCE))
    (failed,) = follows(history, START_LIMIT)
    assert isinstance(failed, c.FailRollout)
    assert (failed.step, failed.code, failed.evidence) == ("readiness", "READINESS_TIMEOUT", EVIDENCE)


def test_an_instance_the_engine_never_started_fails_the_rollout() -> None:
    """When nothing was started until the limit there is nothing to stop."""
    history = rolling_out()
    history.create("d1")
    (failed,) = follows(history, START_LIMIT)
    assert isinstance(failed, c.FailRollout)
    assert (failed.code, failed.message) == ("READINESS_TIMEOUT", "The agent was not ready within 60 s")


@pytest.mark.parametrize("is_started", [False, True])
def test_what_is_left_of_a_failed_rollout_is_removed(is_started: bool) -> None:
    """After a failure nothing of the generation stays, whether it ran or not."""
    history = rolling_out()
    instance = history.create("d1")
    if is_started:
        history.start(instance)
    history.add("deployment/d1", e.RolloutFailed(generation=1, step="start", code="X", message="no"))
    expected = stop(instance, "replaced") if is_started else c.RemoveInstance(subject_id=instance)
    assert follows(history) == [expected]


def test_nothing_follows_for_what_serves() -> None:
    """A deployment that is as it should be is left alone, however often one looks."""
    history = History()
    history.serve()
    assert follows(history, timedelta(days=1)) == []


@pytest.mark.parametrize(
    ("reason", "is_immediate"), [("exited", False), ("queue_lost", False), ("vanished", False), ("shutdown", True)]
)
def test_restarts_what_ended_by_itself(reason: str, is_immediate: bool) -> None:
    """An end is followed by a restart: at once when the machine was stopped, else later; the ended one is kept."""
    history = History()
    history.stop(history.serve(), reason)
    assert follows(history) == [c.ScheduleRestart(subject_id="d1", generation=1, is_immediate=is_immediate)]


def test_restarts_later_when_the_last_rollout_failed() -> None:
    """After a restart that failed the next one is not immediate, whatever ended the generation before."""
    history = History()
    history.stop(history.serve(), "shutdown")
    history.add("deployment/d1", e.RolloutRequested(generation=2, reason="recovery", release=RELEASE))
    history.add("deployment/d1", e.RolloutFailed(generation=2, step="image", code="X", message="no"))
    assert follows(history) == [c.ScheduleRestart(subject_id="d1", generation=1, is_immediate=False)]


def test_restarts_what_has_no_instance_left() -> None:
    """A serving generation without any instance is started again, at once: nobody's fault shows."""
    history = History()
    instance = history.serve()
    history.stop(instance)
    history.add(f"instance/{instance}", e.InstanceRemoveRequested(), e.InstanceRemoved())
    assert follows(history) == [c.ScheduleRestart(subject_id="d1", generation=1, is_immediate=True)]


def test_a_scheduled_restart_happens_when_it_is_due() -> None:
    """Until then nothing follows, and nothing is scheduled twice."""
    history = History()
    history.stop(history.serve())
    scheduled = e.RestartScheduled(due_at=history.now + timedelta(seconds=9), failures=1)
    history.add("deployment/d1", scheduled)
    assert follows(history, timedelta(seconds=7)) == []
    assert follows(history, timedelta(seconds=8)) == [c.RestartNow(subject_id="d1")]


def test_waits_for_the_end_of_what_is_being_stopped() -> None:
    """A serving instance that was asked to stop is not replaced before it has ended."""
    history = History()
    instance = history.serve()
    history.add(f"instance/{instance}", e.InstanceStopRequested(reason="overdue", grace_seconds=1))
    assert follows(history) == []
    history.stop(instance, "requested")
    assert follows(history) == [c.ScheduleRestart(subject_id="d1", generation=1, is_immediate=False)]


def test_keeps_what_ended_until_its_successor_serves() -> None:
    """The ended instance says why there is a rollout; it is removed after the switch."""
    history = History()
    first = history.serve()
    history.stop(first)
    history.add("deployment/d1", e.RolloutRequested(generation=2, reason="recovery", release=RELEASE))
    history.prepare("d1", 2)
    assert [type(command) for command in follows(history)] == [c.CreateInstance]
    history.start(history.create("d1", 2))
    history.switch("d1", 2)
    assert follows(history) == [c.RemoveInstance(subject_id=first)]


def test_an_idle_predecessor_is_stopped_at_once() -> None:
    """What serves no more and has nothing to do needs no time to drain."""
    history, first, _ = replaced()
    assert follows(history) == [stop(first, "replaced")]


def test_a_busy_predecessor_may_finish() -> None:
    """What still works on a task is stopped when that is done, or when it took too long."""
    history, first, _ = replaced()
    history.submit("t1")
    history.attempt("t1", first)
    switched_at = history.views.deployments.rows["d1"].state.switched_at
    assert switched_at is not None
    drained = switched_at + DRAIN_LIMIT - history.now
    assert follows(history, drained - timedelta(seconds=0.1)) == []
    assert follows(history, drained) == [stop(first, "replaced")]
    history.succeed("t1")
    assert follows(history) == [stop(first, "replaced")]


def test_a_frozen_predecessor_cannot_finish() -> None:
    """What is paused would not drain in any time."""
    history, first, _ = replaced()
    history.submit("t1")
    history.attempt("t1", first)
    history.add(f"instance/{first}", e.InstancePaused())
    assert follows(history) == [stop(first, "replaced")]


def test_a_predecessor_is_removed_step_by_step() -> None:
    """Asked to stop: wait. Ended: remove. Being removed: wait. Removed: nothing."""
    history, first, _ = replaced()
    history.add(f"instance/{first}", e.InstanceStopRequested(reason="replaced", grace_seconds=1))
    assert follows(history) == []
    history.stop(first)
    assert follows(history) == [c.RemoveInstance(subject_id=first)]
    history.add(f"instance/{first}", e.InstanceRemoveRequested())
    assert follows(history) == []
    history.add(f"instance/{first}", e.InstanceRemoved())
    assert follows(history) == []


@pytest.mark.parametrize(
    ("wish", "reason"), [(e.DeploymentStopRequested(), "stopped"), (e.RemovalRequested(), "removed")]
)
def test_what_is_not_wanted_any_more_is_stopped_though_busy(wish: e.Event, reason: str) -> None:
    """A stop or a removal does not wait for tasks."""
    history = History()
    instance = history.serve()
    history.submit("t1")
    history.attempt("t1", instance)
    history.add("deployment/d1", wish)
    assert follows(history) == [stop(instance, reason)]


def test_a_removed_deployment_is_discarded_last() -> None:
    """Folders are removed when the last instance is gone, and asked for once."""
    history = History()
    instance = history.serve()
    history.add("deployment/d1", e.RemovalRequested())
    history.stop(instance)
    assert follows(history) == [c.RemoveInstance(subject_id=instance)]
    history.add(f"instance/{instance}", e.InstanceRemoveRequested(), e.InstanceRemoved())
    assert follows(history) == [c.RequestDiscard(subject_id="d1")]
    history.add("deployment/d1", e.DiscardRequested())
    assert follows(history) == []
    history.add("deployment/d1", e.DeploymentRemoved())
    assert follows(history) == []


def test_a_stopped_deployment_is_not_discarded() -> None:
    """A stop leaves everything but the instances."""
    history = History()
    instance = history.serve()
    history.add("deployment/d1", e.DeploymentStopRequested())
    history.stop(instance)
    history.add(f"instance/{instance}", e.InstanceRemoveRequested(), e.InstanceRemoved())
    assert follows(history) == []


def test_nothing_follows_for_the_unknown() -> None:
    """A deployment that is gone, or never was, needs nothing."""
    assert follows(History()) == []
