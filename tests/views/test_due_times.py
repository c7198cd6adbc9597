"""Everything that needs a look although nothing happens to it is looked at, and nothing is kept for what is over."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.domain import events as e
from ploinky.views.due_times import (
    DEADLINE_GRACE,
    DRAIN_LIMIT,
    ORPHAN_GRACE,
    START_LIMIT,
    SWEEP_LEAST_ENTRIES,
    WAITING_LIMIT,
    DueTimes,
)
from tests.views.histories import START, History

FAR = START + timedelta(days=1)


def looks(history: History) -> list[tuple[timedelta, tuple[str, str]]]:
    """Take everything out, in order, as time from the newest event."""
    found = []
    due = history.views.due
    while (at := due.next_at()) is not None:
        found += [(at - history.now, subject) for subject in sorted(due.take(at))]
    return found


def test_takes_what_is_due_once() -> None:
    """What is due is given out in one go and forgotten; the rest stays."""
    due = DueTimes()
    due.place(("task", "a"), (START, FAR))
    due.place(("task", "b"), (START + timedelta(seconds=1),))
    assert due.next_at() == START
    assert due.take(START - timedelta(seconds=1)) == set()
    assert due.take(START + timedelta(seconds=1)) == {("task", "a"), ("task", "b")}
    assert due.take(START + timedelta(seconds=1)) == set()
    assert due.next_at() == FAR


def test_the_newest_word_counts() -> None:
    """What was due for a subject before is replaced, also when it is placed at the same instant again."""
    due = DueTimes()
    due.place(("task", "a"), (START,))
    due.place(("task", "a"), (FAR,))
    assert due.take(START) == set()
    due.place(("task", "a"), ())
    assert due.next_at() is None
    due.place(("task", "a"), (START,))
    due.place(("task", "a"), (START,))
    assert due.take(START) == {("task", "a")}
    assert due.next_at() is None


def test_stays_as_small_as_what_is_alive() -> None:
    """However many tasks come and go, what is kept for them does not grow."""
    due = DueTimes()
    due.place(("task", "stays"), (FAR,))
    for number in range(10_000):
        due.place(("task", str(number)), (FAR,))
        due.place(("task", str(number)), (FAR + timedelta(seconds=number),))
        due.place(("task", str(number)), ())
        assert len(due) <= SWEEP_LEAST_ENTRIES + 10
    assert due.take(FAR) == {("task", "stays")}


instants = st.integers(0, 5).map(lambda seconds: START + timedelta(seconds=seconds))
subjects = st.sampled_from([("task", "a"), ("task", "b"), ("deployment", "a")])
Step = tuple[str, tuple[str, str] | datetime, tuple[datetime, ...] | None]
placing = st.tuples(st.just("place"), subjects, st.lists(instants, max_size=2).map(tuple))
taking = st.tuples(st.just("take"), instants, st.none())


@given(st.lists(st.one_of(placing, taking), max_size=40))
def test_agrees_with_a_plain_table(
    steps: list[tuple[str, tuple[str, str] | datetime, tuple[datetime, ...] | None]],
) -> None:
    """Placing and taking in any order gives what a table without a heap would give."""
    due = DueTimes()
    table: dict[tuple[str, str], set[datetime]] = {}
    for _, key, placed in steps:
        if isinstance(key, datetime):
            expected = {subject for subject, when in table.items() if any(at <= key for at in when)}
            assert due.take(key) == expected
            table = {subject: {at for at in when if at > key} for subject, when in table.items()}
        else:
            due.place(key, placed or ())
            table[key] = set(placed or ())
        every = [at for when in table.values() for at in when]
        assert due.next_at() == (min(every) if every else None)


def test_a_waiting_task_is_looked_at_when_it_waited_too_long() -> None:
    """A task nobody can run is looked at after an hour."""
    history = History()
    history.submit("t1")
    assert looks(history) == [(WAITING_LIMIT, ("task", "t1"))]


def test_a_running_task_is_looked_at_after_its_deadline() -> None:
    """The agent gets a grace to end the attempt itself; the wait for a slot is over."""
    history = History()
    history.submit("t1")
    history.attempt("t1", limit_seconds=60)
    assert looks(history) == [(timedelta(seconds=60) + DEADLINE_GRACE, ("task", "t1"))]


def test_a_lost_task_is_looked_at_twice() -> None:
    """A task to be repeated is looked at when that may be, and again when no slot became free for long."""
    history = History()
    history.submit("t1")
    history.attempt("t1")
    history.expire("t1", delay_seconds=4)
    delay = timedelta(seconds=4)
    assert looks(history) == [(delay, ("task", "t1")), (delay + WAITING_LIMIT, ("task", "t1"))]


def test_an_ended_task_is_not_looked_at() -> None:
    """Nothing is kept for a task that is over."""
    history = History()
    history.submit("t1")
    history.attempt("t1")
    history.succeed("t1")
    assert looks(history) == []


@pytest.mark.parametrize("is_started", [False, True])
def test_a_starting_instance_is_looked_at(is_started: bool) -> None:
    """An instance that does not become ready is looked at, counted from its creation."""
    history = History()
    instance = history.create("d1")
    passed = timedelta(0)
    if is_started:
        history.add(f"instance/{instance}", e.InstanceStarted(engine_id="e", queue_identity="q"), after_seconds=5)
        passed = timedelta(seconds=5)
    assert looks(history) == [(START_LIMIT - passed, ("instance", instance))]


def test_a_ready_instance_is_not_looked_at() -> None:
    """Nothing is due for an instance that works."""
    history = History()
    history.start(history.create("d1"))
    assert looks(history) == []


def test_a_switch_is_looked_at_when_draining_is_over() -> None:
    """What still drains after a switch is ended in time although no event of it comes."""
    history = History()
    history.serve()
    assert looks(history) == [(DRAIN_LIMIT, ("deployment", "d1"))]


def test_a_scheduled_restart_is_looked_at() -> None:
    """A restart is due when it was said to be, and not any more when something else was decided."""
    history = History()
    history.deploy("d1")
    due_at = history.now + timedelta(seconds=9)
    history.add("deployment/d1", e.RestartScheduled(due_at=due_at, failures=1))
    assert history.views.due.next_at() == due_at
    history.add("deployment/d1", e.RemovalRequested())
    assert looks(history) == []


def test_an_orphan_is_looked_at_after_a_grace() -> None:
    """Something the journal does not know may go on for a while only."""
    history = History()
    history.add("instance/stray", e.OrphanFound(runtime="memory", name="stray"))
    assert looks(history) == [(ORPHAN_GRACE, ("instance", "stray"))]


def test_what_is_gone_is_not_looked_at() -> None:
    """A removed deployment and its removed instance leave nothing behind."""
    history = History()
    instance = history.serve()
    history.stop(instance)
    history.add(f"instance/{instance}", e.InstanceRemoveRequested(), e.InstanceRemoved())
    history.add("deployment/d1", e.RemovalRequested(), e.DiscardRequested(), e.DeploymentRemoved())
    assert looks(history) == []
