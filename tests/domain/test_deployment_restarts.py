"""How often, and how soon, a deployment that ends by itself is started again."""

from datetime import timedelta

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.deployment import LONGEST_RESTART_DELAY_SECONDS, QUIET_RUN
from tests.domain.samples import DEPLOYMENT, ID, RELEASE, SECOND, failed, prepared, requested, serving, switched
from tests.domain.specification import START, World, given


def ended(generation: int = 1, *, is_immediate: bool = False) -> c.ScheduleRestart:
    return c.ScheduleRestart(subject_id=ID, generation=generation, is_immediate=is_immediate)


def restart_and_serve(world: World) -> None:
    """Bring the next generation up as soon as it is due."""
    world.indexes.now = world.state(DEPLOYMENT).restart_due_at
    assert [type(event) for event in world.execute(c.RestartNow(subject_id=ID))] == [e.RolloutRequested]
    generation = world.state(DEPLOYMENT).last_generation
    world.record(DEPLOYMENT, e.ImageReady(generation=generation, runtime="process"))
    world.execute(c.Switch(subject_id=ID, generation=generation))


def schedule(world: World) -> e.RestartScheduled:
    (event,) = world.execute(ended(world.state(DEPLOYMENT).active_generation))
    assert isinstance(event, e.RestartScheduled)
    return event


def test_waits_one_second_then_twice_as_long_each_time() -> None:
    """Ends in a row are answered ever later, up to five minutes."""
    world = World([*serving(), START + SECOND])
    delays = []
    for number in range(1, 14):
        event = schedule(world)
        assert event.failures == number
        delays.append((event.due_at - world.indexes.now).total_seconds())
        restart_and_serve(world)
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    assert delays[-1] == LONGEST_RESTART_DELAY_SECONDS


def test_the_delay_is_bounded_after_very_many_failures() -> None:
    """No number of failures makes the delay overflow."""
    past = [*serving(), (DEPLOYMENT, e.RestartScheduled(due_at=START, failures=10**6)), *switched()]
    world = World([*past, (DEPLOYMENT, e.RolloutRequested(generation=2, reason="recovery")), *switched(2)])
    event = schedule(world)
    assert (event.due_at - START, event.failures) == (timedelta(seconds=300), 10**6 + 1)


@pytest.mark.parametrize(
    ("served", "failures"), [(QUIET_RUN, 1), (QUIET_RUN - timedelta(microseconds=1), 4), (timedelta(0), 4)]
)
def test_a_quiet_run_starts_the_count_anew(served: timedelta, failures: int) -> None:
    """Who served for a minute has not failed in a row with those before."""
    world = World(serving())
    for _ in range(3):
        schedule(world)
        restart_and_serve(world)
    world.indexes.now += served
    assert schedule(world).failures == failures


def test_a_restart_that_fails_counts_on() -> None:
    """When the recovery itself fails, the time since the last switch says nothing."""
    world = World([*serving(), START + 2 * QUIET_RUN])
    assert schedule(world).failures == 1
    world.indexes.now += SECOND
    world.execute(c.RestartNow(subject_id=ID))
    world.record(*failed(2, "start"))
    given(world.history).when(ended(2)).then_types(e.RestartScheduled)
    assert schedule(world).failures == 2


def test_is_started_at_once_when_it_was_not_its_fault() -> None:
    """After a shutdown of the server or the machine the serving release starts again without delay."""
    given(serving()).when(ended(is_immediate=True)).then(
        e.RolloutRequested(generation=2, reason="recovery", release=RELEASE)
    )


def test_nothing_is_scheduled_for_a_generation_that_serves_no_more() -> None:
    """The end of an earlier generation is how a rollout ends, not a failure."""
    past = [*serving(), (DEPLOYMENT, e.RolloutRequested(generation=2, reason="update")), *prepared(2), *switched(2)]
    given(past).when(ended(1)).then_nothing()
    given(past).when(ended(2)).then_types(e.RestartScheduled)


@pytest.mark.parametrize("is_immediate", [False, True])
def test_nothing_is_scheduled_before_the_first_switch(is_immediate: bool) -> None:
    """What never served is not started again by itself."""
    given([*requested(), failed()]).when(ended(1, is_immediate=is_immediate)).then_nothing()


@pytest.mark.parametrize("is_immediate", [False, True])
@pytest.mark.parametrize(
    "event",
    [
        e.DeploymentStopRequested(),
        e.RemovalRequested(),
        e.RolloutRequested(generation=2, reason="update"),
        e.RestartScheduled(due_at=START + SECOND, failures=1),
    ],
    ids=["stopped", "removing", "rolling", "scheduled"],
)
def test_nothing_is_scheduled_while_something_else_is_wanted(event: e.Event, is_immediate: bool) -> None:
    """A stopped, leaving, or already restarting deployment is left alone."""
    given([*serving(), (DEPLOYMENT, event)]).when(ended(1, is_immediate=is_immediate)).then_nothing()


def test_starts_again_when_due_and_not_before() -> None:
    """The restart happens at its instant, with the serving release and a new generation."""
    past = [*serving(), (DEPLOYMENT, e.RestartScheduled(due_at=START + 4 * SECOND, failures=3))]
    now = c.RestartNow(subject_id=ID)
    given(past).at(START + 4 * SECOND - timedelta(microseconds=1)).when(now).then_nothing()
    world = given(past).at(START + 4 * SECOND).when(now)
    after = world.then(e.RolloutRequested(generation=2, reason="recovery", release=RELEASE))
    assert after.state(DEPLOYMENT).failures == 3
    assert after.state(DEPLOYMENT).restart_due_at is None


@pytest.mark.parametrize(
    "event",
    [e.DeploymentStopRequested(), e.RemovalRequested(), e.RolloutRequested(generation=2, reason="restart")],
    ids=["stopped", "removing", "restarted"],
)
def test_a_wish_cancels_the_scheduled_restart(event: e.Event) -> None:
    """What people ask for replaces what was scheduled."""
    past = [*serving(), (DEPLOYMENT, e.RestartScheduled(due_at=START, failures=1)), (DEPLOYMENT, event)]
    given(past).at(START + SECOND).when(c.RestartNow(subject_id=ID)).then_nothing()
