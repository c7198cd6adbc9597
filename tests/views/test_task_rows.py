"""Who waits, who runs where, and which ended tasks are still known."""

import pytest

from ploinky.domain import events as e
from ploinky.views import tasks as tasks_module
from tests.views.histories import PAYLOAD, History


def test_a_task_waits_until_an_attempt_starts() -> None:
    """A submitted task is among its deployment's waiting ones, and a started one among its instance's running ones."""
    history = History()
    history.submit("t1")
    tasks = history.views.tasks
    assert (tasks.waiting, tasks.running) == ({"d1": {"t1": None}}, {})
    history.attempt("t1")
    assert (tasks.waiting, tasks.running) == ({}, {"d1.1.0": {"t1": None}})


def test_a_lost_attempt_waits_behind_the_others() -> None:
    """A task whose attempt was lost waits again, after those who waited before."""
    history = History()
    history.submit("t1")
    history.attempt("t1")
    history.submit("t2")
    history.expire("t1")
    assert list(history.views.tasks.waiting["d1"]) == ["t2", "t1"]
    history.attempt("t1", "d1.2.0", attempt=2)
    assert history.views.tasks.running == {"d1.2.0": {"t1": None}}


@pytest.mark.parametrize(
    "end",
    [
        e.TaskSucceeded(attempt=1, result=PAYLOAD),
        e.TaskFailed(attempt=1, code="X", message="no"),
        e.TaskCancelled(),
        e.TaskDead(code="X", message="no"),
    ],
)
@pytest.mark.parametrize("is_running", [False, True])
def test_an_ended_task_holds_no_place(end: e.Event, is_running: bool) -> None:
    """Each end frees the slot or the place in the queue, and is kept with where its result is."""
    history = History()
    history.submit("t1")
    if is_running:
        history.attempt("t1")
    position = history.add("task/t1", end)
    tasks = history.views.tasks
    assert not tasks.waiting
    assert not tasks.running
    assert not tasks.open
    row = tasks.get("t1")
    assert row is not None
    assert (row.submitted_position, row.ended_position, row.ended_at) == (1, position, history.now)


@pytest.mark.parametrize(
    "afterthought", [e.ResultLate(attempt=1), e.ResultQuarantined(attempt=1, reason="x"), e.TaskClaimed(attempt=1)]
)
def test_an_afterthought_does_not_end_a_task_again(afterthought: e.Event) -> None:
    """What is recorded after the end changes neither where the result is nor the order of the recent ones."""
    history = History()
    for task_id in ("t1", "t2"):
        history.submit(task_id)
        history.attempt(task_id)
        history.succeed(task_id)
    history.add("task/t1", afterthought)
    row = history.views.tasks.get("t1")
    assert row is not None
    assert (row.ended_position, row.version) == (3, 4)
    assert list(history.views.tasks.recent) == ["t1", "t2"]


def test_only_the_most_recent_ended_tasks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the one that ended first is forgotten; an afterthought on it changes nothing."""
    monkeypatch.setattr(tasks_module, "RECENT_LIMIT_TASKS", 2)
    history = History()
    for task_id in ("t1", "t2", "t3"):
        history.submit(task_id)
        history.attempt(task_id)
    for task_id in ("t2", "t1", "t3"):
        history.succeed(task_id)
    assert list(history.views.tasks.recent) == ["t1", "t3"]
    history.add("task/t2", e.ResultLate(attempt=1))
    assert history.views.tasks.get("t2") is None
    assert list(history.views.tasks.recent) == ["t1", "t3"]


def test_idempotency_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the oldest key is forgotten; a key that is used again counts as new."""
    monkeypatch.setattr(tasks_module, "IDEMPOTENCY_LIMIT_KEYS", 2)
    history = History()
    for number, key in enumerate(("a", "b", "a", "c")):
        history.submit(f"t{number}", key=key)
    assert {key: kept.task_id for key, kept in history.views.tasks.idempotency.items()} == {"a": "t2", "c": "t3"}


def test_keeps_the_request_of_a_task() -> None:
    """A row knows by which request its task came, and since when."""
    history = History()
    history.submit("t1")
    submitted_at = history.now
    history.attempt("t1")
    row = history.views.tasks.get("t1")
    assert row is not None
    assert (row.correlation, row.submitted_at, row.version) == ("request-1", submitted_at, 2)
