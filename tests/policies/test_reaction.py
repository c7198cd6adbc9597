"""Which subjects an event makes somebody look at."""

import pytest

from ploinky.domain import events as e
from ploinky.policies.reaction import all_subjects, subjects_of
from tests.views.histories import PAYLOAD, History


def touched(history: History, count: int = 1) -> set[tuple[str, str]]:
    """Return what the newest events make somebody look at."""
    return set(subjects_of(history.recorded[-count:], history.views))


def test_an_instance_concerns_its_deployment_and_its_queue() -> None:
    """What happens to an instance may need a restart, free a slot, or lose attempts."""
    history = History()
    history.serve()
    history.stop("d1.1.0")
    assert touched(history) == {("instance", "d1.1.0"), ("deployment", "d1"), ("queue", "d1")}


def test_a_deployment_concerns_its_queue() -> None:
    """A switch brings slots, a removal takes hope away."""
    history = History()
    history.deploy("d1")
    assert touched(history) == {("deployment", "d1"), ("queue", "d1")}


@pytest.mark.parametrize(
    ("event", "is_looked_at"),
    [
        (e.TaskSucceeded(attempt=1, result=PAYLOAD), True),
        (e.TaskDead(code="X", message="no"), True),
        (e.TaskClaimed(attempt=1), False),
    ],
)
@pytest.mark.parametrize("is_somebody_waiting", [False, True])
def test_an_end_concerns_those_who_wait(event: e.Event, is_looked_at: bool, is_somebody_waiting: bool) -> None:
    """The queue is looked at when a task of it may go on: an end frees a slot, a claim does not."""
    history = History()
    history.serve()
    history.submit("t1")
    history.attempt("t1")
    if is_somebody_waiting:
        history.submit("t2")
    history.add("task/t1", event)
    assert touched(history) == ({("queue", "d1")} if is_looked_at and is_somebody_waiting else set())


def test_a_submitted_task_concerns_its_queue() -> None:
    """A task that found no slot when it was submitted is looked at once it is committed."""
    history = History()
    history.serve()
    history.submit("t1")
    assert touched(history) == {("queue", "d1")}


def test_an_end_on_a_draining_instance_concerns_its_deployment() -> None:
    """The last task of a predecessor lets it be stopped."""
    history = History()
    history.serve()
    history.submit("t1")
    history.attempt("t1")
    history.add("deployment/d1", e.RolloutRequested(generation=2, reason="restart"))
    history.roll_out("d1", 2)
    history.succeed("t1")
    assert touched(history) == {("deployment", "d1")}


def test_the_newest_event_is_the_cause() -> None:
    """Of several events of a batch on one subject, the last is named as the reason."""
    history = History()
    history.deploy("d1")
    causes = subjects_of(history.recorded, history.views)
    assert causes["deployment", "d1"].position == 2


@pytest.mark.parametrize("event", [e.KeyRevoked(), e.SettingChanged(name="taskTimeout", value=1.0)])
def test_nobody_looks_at_the_rest(event: e.Event) -> None:
    """Keys, settings and repositories have no consequences."""
    history = History()
    history.add(f"{event.TYPE.partition('.')[0]}/x", event)
    assert touched(history) == set()


def test_everything_alive_is_looked_at_after_a_start() -> None:
    """Deployments, instances, waiting tasks, and instances that are gone while attempts were with them."""
    history = History()
    history.serve()
    history.submit("t1")
    history.attempt("t1", "lost.1.0")
    history.submit("t2")
    assert set(all_subjects(history.views)) == {
        ("instance", "d1.1.0"),
        ("instance", "lost.1.0"),
        ("deployment", "d1"),
        ("queue", "d1"),
    }
