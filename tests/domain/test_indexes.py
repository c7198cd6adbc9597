"""The look-up tables across aggregates, where no single decision shows them."""

from datetime import timedelta

import pytest

from ploinky.domain import events as e
from ploinky.domain import indexes as indexes_module
from ploinky.domain.indexes import EPOCH, IDEMPOTENCY_LIMIT_KEYS, IDEMPOTENCY_RETENTION, IdempotencyEntry, Indexes
from ploinky.domain.specs import Release
from tests.domain.samples import DEPLOYMENT, FIRST, TASK, attempt, expired, serving, serving_instance, submitted
from tests.domain.specification import World


def entry(number: int, age: timedelta = timedelta(0)) -> IdempotencyEntry:
    return IdempotencyEntry(f"t{number}", "r", EPOCH + age)


def test_starts_empty_and_before_everything() -> None:
    """Nothing is owned, nothing runs, and no decision is earlier."""
    indexes = Indexes()
    assert indexes.now == EPOCH
    assert not indexes.is_initialised
    assert not indexes.has_instances("d1")
    assert indexes.find_idempotent("k") is None


def test_keeps_so_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest keys go when there are more than the limit."""
    assert IDEMPOTENCY_LIMIT_KEYS == 100_000
    monkeypatch.setattr(indexes_module, "IDEMPOTENCY_LIMIT_KEYS", 3)
    indexes = Indexes()
    for number in range(5):
        indexes.remember_idempotent(f"k{number}", entry(number))
    assert list(indexes.idempotency) == ["k2", "k3", "k4"]


def test_a_key_used_anew_is_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was remembered again stays longer than what was not."""
    monkeypatch.setattr(indexes_module, "IDEMPOTENCY_LIMIT_KEYS", 2)
    indexes = Indexes()
    for key in ("k1", "k2", "k1", "k3"):
        indexes.remember_idempotent(key, entry(1))
    assert list(indexes.idempotency) == ["k1", "k3"]


def test_keys_past_their_retention_go_with_the_next_one() -> None:
    """Old keys take no room until the limit, and a young one stops the sweep."""
    indexes = Indexes()
    indexes.remember_idempotent("old", entry(1))
    indexes.remember_idempotent("older than a day soon", entry(2, timedelta(hours=1)))
    indexes.remember_idempotent("new", entry(3, IDEMPOTENCY_RETENTION))
    assert list(indexes.idempotency) == ["older than a day soon", "new"]


def test_a_slot_is_freed_once() -> None:
    """Ending a task that holds none changes nothing."""
    indexes = Indexes()
    indexes.occupy("t1", "d1.1.0")
    indexes.occupy("t2", "d1.1.0")
    assert indexes.vacate("t1") == "d1.1.0"
    assert indexes.vacate("t1") is None
    assert indexes.running == {"d1.1.0": 1}
    assert indexes.vacate("t2") == "d1.1.0"
    assert indexes.running == {}


def test_leaving_the_queue_twice_counts_once() -> None:
    """A task that waits no more is not taken off again."""
    indexes = World([*serving(), submitted(), submitted("t2")]).indexes
    indexes.leave_waiting("t1")
    indexes.leave_waiting("t1")
    assert indexes.deployments["d1"].waiting == 1


def test_a_lost_attempt_goes_back_to_its_deployments_queue() -> None:
    """The slot is free and the task waits again."""
    indexes = World([*serving_instance(), submitted(), attempt(), expired()]).indexes
    assert indexes.running == {}
    assert indexes.waiting_deployments == {"t1": "d1"}
    assert indexes.deployments["d1"].waiting == 1


def test_open_attempts_outlast_their_instance() -> None:
    """An attempt ends when it is proven lost, not when the engine forgets its instance."""
    world = World([*serving_instance(), submitted(), attempt(), (FIRST, e.InstanceRemoved())])
    assert world.indexes.running == {"d1.1.0": 1}
    assert not world.indexes.has_instances("d1")
    world.record(TASK, e.TaskDead(code="TASK_LOST", message="m"))
    assert world.indexes.running == {}


def test_afterthoughts_on_a_removed_deployment_change_nothing() -> None:
    """Its tasks and instances may be spoken of later; there is nothing to keep up to date."""
    gone = [(DEPLOYMENT, e.RemovalRequested()), (DEPLOYMENT, e.DeploymentRemoved())]
    world = World([*serving_instance(), submitted(), attempt(), submitted("t2"), *gone])
    for stream, event in (
        (FIRST, e.InstanceReady()),
        (FIRST, e.InstanceStopped(reason="exited")),
        expired(),
        (TASK, e.TaskCancelled()),
        ("task/t2", e.TaskCancelled()),
        (DEPLOYMENT, e.DeploymentRemoved()),
    ):
        world.record(stream, event)
    assert world.indexes.deployments == {}
    assert world.indexes.waiting_deployments == {}
    assert world.indexes.running == {}


def test_the_release_that_serves_says_how_many_slots_there_are() -> None:
    """A switch to a release with other slots counts from there on."""
    world = World([*serving_instance(Release(commit="c", concurrency=1)), submitted(), attempt()])
    assert world.indexes.free_instance("d1") is None
    more = e.DeploymentSwitched(
        generation=1, release=Release(commit="c", concurrency=2), runtime="", switched_at=world.indexes.now
    )
    world.record(DEPLOYMENT, more)
    assert world.indexes.free_instance("d1") == "d1.1.0"


def test_other_events_change_nothing() -> None:
    """What no rule across aggregates needs is not kept."""
    indexes = Indexes()
    indexes.apply("t1", e.TaskClaimed(attempt=1))
    assert vars(indexes) == vars(Indexes())
