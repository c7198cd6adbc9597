"""Whatever happened, once the world behaves everything comes to what is wanted, and to rest."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ploinky.domain import commands as c
from ploinky.domain.errors import PloinkyError
from ploinky.domain.task import ENDED
from ploinky.policies.reaction import all_subjects
from tests.journal import sample_commands as sample
from tests.journal.stepping import dumped, rebuilt
from tests.policies.world import World

TROUBLED_ROUNDS = 25


def troubled(seed: int, luck: float, full_share: float = 0.0) -> World:
    """Return a world after a time of wishes and bad luck."""
    world = World(seed, full_share=full_share)
    world.run(sample.deploy("d1", "/1"), sample.deploy("d2", "/2"))
    world.luck = luck
    for _ in range(TROUBLED_ROUNDS):
        for _ in range(3):
            world.wish()
        world.bring_about()
        world.live()
        world.pass_time(world.random.expovariate(0.2))
    return world


def check_ends(world: World) -> None:
    """Check that each task ended exactly once."""
    ended = {"task.succeeded", "task.failed", "task.cancelled", "task.dead"}
    ends = Counter(record.stream for record in world.store.contents.records if record.type in ended)
    submitted = {record.stream for record in world.store.contents.records if record.type == "task.submitted"}
    assert set(ends) == submitted
    assert set(ends.values()) <= {1}
    assert all(row.state.state in ENDED for row in world.views.tasks.recent.values())


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), luck=st.sampled_from([0.5, 0.8, 0.95]))
def test_everything_comes_to_rest(seed: int, luck: float) -> None:
    """After any trouble: what is wanted runs, what is not is gone, each task ended once, nothing follows for ever."""
    world = troubled(seed, luck)
    world.come_to_rest()
    world.check_rest()
    check_ends(world)
    assert dumped(world.views) == dumped(rebuilt(world.store))
    world.verify()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), luck=st.sampled_from([0.5, 0.8, 0.95]))
def test_a_restart_in_the_middle_comes_to_rest_too(seed: int, luck: float) -> None:
    """Policies remember nothing: after a crash one look at everything alive is enough."""
    before = troubled(seed, luck)
    world = World(seed, contents=before.store.contents, clock=before.clock)
    world.look_at(all_subjects(world.views))
    world.settle()
    world.come_to_rest()
    world.check_rest()
    check_ends(world)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), luck=st.sampled_from([0.8, 1.0]))
def test_full_disks_only_delay(seed: int, luck: float) -> None:
    """When whatever could not be recorded is looked at again, commits that failed leave nothing undone."""
    world = troubled(seed, luck, full_share=0.2)
    world.come_to_rest()
    world.check_rest()
    check_ends(world)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_looking_twice_changes_nothing(seed: int) -> None:
    """Whatever a policy asks for a second time is refused or decides nothing."""
    world = troubled(seed, 0.8)
    world.come_to_rest()
    for first, second in world.repeated:
        is_nothing = isinstance(second.answer, PloinkyError) or second.position == 0
        assert is_nothing, (first.command, first.answers, second.answers)


def test_the_simulation_meets_what_it_is_for() -> None:
    """Over some seeds there are failures, restarts, replacements, removals, lost attempts and orphans to react to."""
    asked: Counter[str] = Counter()
    for seed in range(40):
        world = troubled(seed, 0.9)
        world.come_to_rest()
        asked.update(type(first.command).__name__ for first, _ in world.repeated)
    assert set(asked) == {
        "AbandonTask",
        "ConfirmRollout",
        "CreateInstance",
        "ExpireAttempt",
        "FailRollout",
        "PauseInstance",
        "RemoveInstance",
        "RequestDiscard",
        "RestartNow",
        "ResumeInstance",
        "ScheduleRestart",
        "StartAttempt",
        "StopInstance",
        "Switch",
        "WakeDeployment",
    }


def test_looking_again_at_rest_asks_for_nothing() -> None:
    """In a world at rest one may look at everything any number of times."""
    world = World(1)
    world.run(sample.deploy("d1"), sample.deploy("d2"))
    world.come_to_rest()
    world.run(*(sample.submit(f"t{number}") for number in range(10)))
    world.come_to_rest()
    position, asked = world.dispatcher.head.position, len(world.repeated)
    for _ in range(3):
        world.look_at(all_subjects(world.views))
        world.settle()
    assert (world.dispatcher.head.position, len(world.repeated)) == (position, asked)


def test_an_agent_that_always_fails_is_restarted_ever_later() -> None:
    """Ends in a row are followed by longer and longer waits, not by a loop."""
    world = World(1)
    world.run(sample.deploy("d1"))
    world.come_to_rest()
    waits = []
    for _ in range(11):
        (key,) = world.views.by_deployment["d1"]
        world.run(c.RecordStopped(subject_id=key, reason="exited"))
        due_at = world.views.deployments.rows["d1"].state.restart_due_at
        assert due_at is not None
        waits.append((due_at - world.clock.now()).total_seconds())
        world.pass_time(waits[-1])
        while world.bring_about() or world.views.deployments.rows["d1"].state.rollout:
            world.live()
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize("silent_effect", ["start", "ready"])
def test_an_agent_that_never_gets_ready_is_given_up(silent_effect: str) -> None:
    """A first rollout whose instance is never started, or never ready, fails in bounded time and leaves nothing."""
    world = World(1)
    world.run(sample.deploy("d1"))
    world.bring_about()
    world.bring_about()
    if silent_effect == "ready":
        world.bring_about()
    world.pass_time(60.0)
    world.bring_about()
    world.bring_about()
    state = world.views.deployments.rows["d1"].state
    assert state.last_end is not None
    assert state.last_end.code == "READINESS_TIMEOUT"
    assert not world.views.instances.rows
    assert not world.views.intents.by_stream


def test_a_task_on_an_agent_that_hangs_is_tried_elsewhere() -> None:
    """An overdue attempt costs its instance; the task is repeated on the next one and succeeds."""
    world = World(1)
    world.run(sample.deploy("d1"))
    world.come_to_rest()
    world.run(sample.submit("t1"))
    world.pass_time(sample.release().time_limit_seconds + 10)
    world.come_to_rest()
    row = world.views.tasks.get("t1")
    assert row is not None
    assert (row.state.state, row.state.attempt, row.state.instance_id) == ("succeeded", 2, "d1.2.0")
