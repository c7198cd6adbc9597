"""What follows for tasks: who gets a free slot, and who has waited or run in vain."""

from datetime import timedelta

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.commands import Command
from ploinky.domain.specs import Release
from ploinky.policies import tasks as policy
from ploinky.policies.reaction import look
from ploinky.views.due_times import DEADLINE_GRACE, WAITING_LIMIT
from tests.views.histories import History


def queue(history: History, after: timedelta = timedelta(0)) -> list[Command]:
    return look(("queue", "d1"), history.views, history.now + after)


def task(history: History, after: timedelta = timedelta(0)) -> list[Command]:
    return look(("task", "t1"), history.views, history.now + after)


def starts(*task_ids: str) -> list[Command]:
    return [c.StartAttempt(subject_id=task_id) for task_id in task_ids]


def serving(waiting: int, running: int = 0) -> History:
    """A deployment with two slots, of which some are taken."""
    history = History()
    history.serve()
    for number in range(running):
        history.submit(f"r{number}")
        history.attempt(f"r{number}")
    for number in range(waiting):
        history.submit(f"w{number}")
    return history


@pytest.mark.parametrize(("running", "free"), [(0, 2), (1, 1), (2, 0)])
def test_free_slots_are_filled_oldest_first(running: int, free: int) -> None:
    """As many tasks are started as there are slots, in the order of their submission."""
    assert queue(serving(3, running)) == starts("w0", "w1", "w2")[:free]


def test_no_more_than_wait_are_started() -> None:
    """Slots without a task stay free."""
    assert queue(serving(1)) == starts("w0")
    assert queue(serving(0)) == []


@pytest.mark.parametrize(
    "event", [e.InstancePaused(), e.InstanceStopRequested(reason="x", grace_seconds=1), e.InstanceStopped(reason="x")]
)
def test_what_cannot_take_tasks_has_no_slots(event: e.Event) -> None:
    """A paused, stopping or ended instance gets nothing."""
    history = serving(1)
    history.add("instance/d1.1.0", event)
    assert queue(history) == []


def test_only_the_serving_generation_takes_tasks() -> None:
    """An instance that drains gets nothing; the one that took over does."""
    history = serving(3)
    history.add("deployment/d1", e.RolloutRequested(generation=2, reason="restart"))
    history.roll_out("d1", 2)
    assert queue(history) == starts("w0", "w1")


def test_a_task_that_is_not_due_lets_others_pass() -> None:
    """A repetition waits for its time without holding up the queue, and takes its turn then."""
    history = serving(0, running=1)
    history.expire("r0", delay_seconds=10)
    history.submit("w1")
    assert queue(history) == starts("w1")
    assert queue(history, timedelta(seconds=10)) == starts("r0", "w1")


def removed() -> History:
    history = serving(2)
    history.add("deployment/d1", e.RemovalRequested())
    return history


def gone() -> History:
    history = removed()
    history.add("deployment/d1", e.DiscardRequested(), e.DeploymentRemoved())
    return history


def never_ready() -> History:
    history = History()
    history.deploy("d1")
    history.submit("w0")
    history.submit("w1")
    history.add("deployment/d1", e.RolloutFailed(generation=1, step="source", code="X", message="no"))
    return history


def now_a_web_server() -> History:
    history = History()
    history.deploy("d1")
    history.submit("w0")
    history.submit("w1")
    history.roll_out("d1", release=Release(commit="c1", http_port=80, takes_tasks=False))
    return history


@pytest.mark.parametrize(
    ("history", "word"),
    [(removed(), "removed"), (gone(), "removed"), (never_ready(), "failed"), (now_a_web_server(), "web server")],
    ids=["removed", "gone", "never ready", "a web server"],
)
def test_hopeless_tasks_are_ended(history: History, word: str) -> None:
    """Tasks that nothing will ever execute are ended and told why."""
    commands = queue(history)
    assert [command.subject_id for command in commands] == ["w0", "w1"]
    assert all(isinstance(command, c.AbandonTask) and word in command.reason for command in commands)


def test_hopeless_tasks_are_ended_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """One look ends a bounded number of tasks; their ends cause the next look."""
    monkeypatch.setattr(policy, "ABANDON_LIMIT_TASKS", 1)
    assert [command.subject_id for command in queue(removed())] == ["w0"]


@pytest.mark.parametrize(
    "event",
    [
        e.DeploymentStopRequested(),
        e.RolloutRequested(generation=2, reason="update"),
        e.RestartScheduled(due_at=History().now, failures=1),
    ],
)
def test_tasks_wait_while_there_is_hope(event: e.Event) -> None:
    """A deployment that is stopped, rolled out or to be restarted may come back: its tasks wait."""
    history = serving(1)
    history.stop("d1.1.0")
    history.add("deployment/d1", event)
    assert queue(history) == []


def test_a_task_does_not_wait_for_ever() -> None:
    """After the limit a waiting task is ended; before it, a look only tries again."""
    history = serving(0)
    history.submit("t1")
    assert task(history, WAITING_LIMIT - timedelta(seconds=1)) == starts("t1")
    (abandoned,) = task(history, WAITING_LIMIT)
    assert isinstance(abandoned, c.AbandonTask)


def test_a_lost_task_does_not_wait_for_ever_either() -> None:
    """The wait is counted anew from when a lost task may be repeated."""
    history = serving(0)
    history.submit("t1")
    history.attempt("t1")
    history.expire("t1", delay_seconds=5)
    delay = timedelta(seconds=5)
    assert task(history, delay) == starts("t1")
    (abandoned,) = task(history, delay + WAITING_LIMIT)
    assert isinstance(abandoned, c.AbandonTask)


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_an_overdue_attempt_costs_its_instance(is_cancelled: bool) -> None:
    """An agent that does not end an attempt in time, cancelled or not, does not work: its instance is stopped."""
    history = serving(0)
    history.submit("t1")
    history.attempt("t1", limit_seconds=60)
    overdue = timedelta(seconds=60) + DEADLINE_GRACE
    if is_cancelled:
        history.add("task/t1", e.CancelRequested(), after_seconds=0)
    assert task(history, overdue - timedelta(seconds=0.1)) == []
    assert task(history, overdue) == [c.StopInstance(subject_id="d1.1.0", reason="overdue", grace_seconds=1.0)]


def test_an_overdue_attempt_of_a_removed_instance_needs_no_stop() -> None:
    """What is gone cannot be stopped; the attempt expires instead."""
    history = History()
    history.submit("t1")
    history.attempt("t1", "d1.1.0")
    assert task(history, timedelta(hours=1)) == []
    expired = c.ExpireAttempt(subject_id="t1", attempt=1, reason="instance_gone")
    assert look(("instance", "d1.1.0"), history.views, history.now) == [expired]


def test_attempts_of_an_ended_instance_expire() -> None:
    """All attempts that were with an instance are lost with it, and say how it ended."""
    history = serving(0, running=2)
    history.stop("d1.1.0", "exited")
    lost = [command for command in look(("instance", "d1.1.0"), history.views, history.now) if command.KIND == "task"]
    assert lost == [c.ExpireAttempt(subject_id=f"r{n}", attempt=1, reason="instance_exited") for n in range(2)]


@pytest.mark.parametrize(
    "event",
    [e.InstancePaused(), e.InstanceUnobservable(reason="away"), e.InstanceStopRequested(reason="x", grace_seconds=1)],
)
def test_attempts_of_what_may_still_run_do_not_expire(event: e.Event) -> None:
    """Only a proven end expires an attempt: not a pause, not an engine that does not answer, not a wish."""
    history = serving(0, running=1)
    history.add("instance/d1.1.0", event)
    assert [
        command for command in look(("instance", "d1.1.0"), history.views, history.now) if command.KIND == "task"
    ] == []


def test_nothing_follows_for_an_ended_task() -> None:
    """A task that is over, or unknown, needs nothing."""
    history = serving(0)
    assert task(history) == []
    history.submit("t1")
    history.attempt("t1")
    history.succeed("t1")
    assert task(history, WAITING_LIMIT) == []
