"""Attempts: started, lost, repeated, answered too late."""

import itertools
from contextlib import suppress
from datetime import timedelta

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.errors import TransitionInvalid
from ploinky.domain.task import (
    ENDED,
    FINAL_CODES,
    LONGEST_BACKOFF_SECONDS,
    MESSAGE_LIMIT_CHARACTERS,
    Task,
    TaskState,
    evolve,
)
from tests.domain.samples import (
    DEPLOYMENT,
    FIRST,
    SECOND,
    TASK,
    at_work,
    attempt,
    expire,
    expired,
    fail,
    payload,
    ready,
    serving_instance,
    submitted,
    succeed,
)
from tests.domain.specification import START, Past, World, given

START_ATTEMPT = c.StartAttempt(subject_id="t1")
CANCEL = c.CancelTask(subject_id="t1")


def test_starts_the_next_attempt_with_a_number_of_its_own() -> None:
    """Attempt numbers count up; each has its own deadline."""
    past = [*at_work(), (TASK, e.TaskClaimed(attempt=1)), expired(at=START + SECOND)]
    started = e.AttemptStarted(
        attempt=2, instance_id="d1.1.0", transport="file", deadline_at=START + timedelta(seconds=301)
    )
    world = given(past).at(START + SECOND).when(START_ATTEMPT).then(started)
    assert world.state(TASK).attempt == 2
    assert not world.state(TASK).is_claimed
    assert world.state(TASK).retry_at is None


def test_does_not_start_before_the_repetition_is_due() -> None:
    """The pause before a repetition is kept to the microsecond."""
    due_at = START + 4 * SECOND
    past = [*at_work(), expired(at=due_at)]
    given(past).at(due_at - timedelta(microseconds=1)).when(START_ATTEMPT).then_nothing()
    given(past).at(due_at).when(START_ATTEMPT).then_types(e.AttemptStarted)


@pytest.mark.parametrize(
    "event",
    [
        (FIRST, e.InstancePaused()),
        (FIRST, e.InstanceStopped(reason="exited")),
        (DEPLOYMENT, e.DeploymentStopRequested()),
        (DEPLOYMENT, e.RemovalRequested()),
        (DEPLOYMENT, e.DeploymentRemoved()),
    ],
    ids=["paused", "stopped", "stop wanted", "removal wanted", "removed"],
)
def test_goes_on_waiting_when_nobody_can_take_it(event: tuple[str, e.Event]) -> None:
    """Without a ready instance of a deployment that is wanted, a start decides nothing."""
    given([*serving_instance(), submitted(), event]).when(START_ATTEMPT).then_nothing()


def test_waits_for_a_slot() -> None:
    """A full instance takes the task as soon as another one has ended."""
    busy = [submitted("t2"), attempt(task_id="t2"), submitted("t3"), attempt(task_id="t3")]
    world = World([*serving_instance(), *busy, submitted()])
    assert world.execute(START_ATTEMPT) == []
    world.record("task/t3", e.TaskCancelled())
    assert [type(event) for event in world.execute(START_ATTEMPT)] == [e.AttemptStarted]


def lose(world: World) -> float | None:
    """Lose the running attempt; return the seconds until the next may start, or None at the end."""
    (event,) = world.execute(expire(world.state(TASK).attempt))
    if isinstance(event, e.TaskDead):
        return None
    assert isinstance(event, e.AttemptExpired)
    assert (event.reason, event.code) == ("instance_gone", "TASK_LOST")
    delay = (event.retry_at - world.indexes.now).total_seconds()
    world.indexes.now = event.retry_at
    world.execute(START_ATTEMPT)
    return delay


@pytest.mark.parametrize(
    ("retries", "delays"),
    [(0, [None]), (1, [0.0, None]), (3, [0.0, 1.0, 2.0, None]), (5, [0.0, 1.0, 2.0, 4.0, 8.0, None])],
)
def test_repeats_a_lost_attempt(retries: int, delays: list[float | None]) -> None:
    """The first repetition is at once, each further one waits twice as long; then the task is dead."""
    world = World(at_work(lost_retries=retries))
    assert [lose(world) for _ in delays] == delays
    state: Task = world.state(TASK)
    assert (state.state, state.attempt, state.losses, state.code) == (TaskState.DEAD, retries + 1, retries, "TASK_LOST")


def test_says_after_how_many_attempts_it_gave_up() -> None:
    """The message of a dead task tells how it was lost and how often it was tried."""
    world = World(at_work(lost_retries=1))
    lose(world)
    lose(world)
    assert world.state(TASK).message == "The attempt was lost: instance_gone after 2 attempts; no repetition is left"


def test_the_pause_is_bounded() -> None:
    """However often and however long: no pause is longer than five minutes."""
    world = World(at_work(lost_retries=40, backoff_seconds=100.0))
    delays = [lose(world) for _ in range(40)]
    assert delays == [0.0, 100.0, 200.0, *[LONGEST_BACKOFF_SECONDS] * 37]


def test_a_died_worker_is_a_loss_not_a_failure() -> None:
    """The code by which an agent says that its worker died uses the repetitions of lost attempts."""
    (event,) = World(at_work(lost_retries=1, failed_retries=0)).execute(fail(code="WORKER_DIED", message="signal 9"))
    assert event == e.AttemptExpired(
        attempt=1, reason="worker_died", code="TASK_LOST", message="signal 9", retry_at=START
    )


def test_a_handlers_error_is_the_end_by_default() -> None:
    """Without repetitions for failures, the error ends the task."""
    given(at_work()).when(fail()).then(e.TaskFailed(attempt=1, code="TASK_EXECUTION_ERROR", message="boom"))


def test_repeats_a_failed_handler_as_often_as_asked() -> None:
    """Failures have a count and a pause of their own, which losses do not use up."""
    world = World(at_work(failed_retries=2, lost_retries=1))
    pauses = []
    for number in (1, 2):
        (event,) = world.execute(fail(number))
        assert isinstance(event, e.AttemptExpired)
        assert (event.reason, event.code, event.message) == ("failed", "TASK_EXECUTION_ERROR", "boom")
        pauses.append((event.retry_at - world.indexes.now).total_seconds())
        world.indexes.now = event.retry_at
        world.execute(START_ATTEMPT)
    assert pauses == [1.0, 2.0]
    assert lose(world) == 0.0
    assert [type(event) for event in world.execute(fail(4))] == [e.TaskFailed]
    assert (world.state(TASK).failures, world.state(TASK).losses) == (2, 1)


@pytest.mark.parametrize("code", sorted(FINAL_CODES))
def test_does_not_repeat_what_a_repetition_cannot_mend(code: str) -> None:
    """A missing command stays missing."""
    given(at_work(failed_retries=9)).when(fail(code=code)).then_types(e.TaskFailed)


def test_does_not_repeat_what_is_to_be_cancelled() -> None:
    """The error of a task that somebody wants to stop is its end."""
    given([*at_work(failed_retries=9), (TASK, e.CancelRequested())]).when(fail()).then_types(e.TaskFailed)


def test_a_long_message_is_cut() -> None:
    """An agent cannot fill the journal with a message."""
    (event,) = World(at_work()).execute(fail(message="x" * (MESSAGE_LIMIT_CHARACTERS + 1)))
    assert isinstance(event, e.TaskFailed)
    assert event.message == "x" * MESSAGE_LIMIT_CHARACTERS


def test_details_of_an_error_travel_beside_the_event() -> None:
    """They are a payload, like a result."""
    details = payload(b'{"stderr":"no"}')
    command = c.RecordFailed(subject_id="t1", attempt=1, code="X", message="m", error_details=details)
    decision = World(at_work()).decide(command)
    assert isinstance(decision, list)
    assert decision[0].payloads == {"error_details": details}
    assert decision[0].event.error_details == details.reference


def test_keeps_when_the_agent_began() -> None:
    """The claim of a short task goes into its end."""
    command = c.RecordSucceeded(subject_id="t1", attempt=1, result=payload(), claimed_at=START)
    decision = World(at_work()).decide(command)
    assert isinstance(decision, list)
    assert decision[0].event == e.TaskSucceeded(attempt=1, result=payload().reference, claimed_at=START)
    assert decision[0].payloads == {"result": payload()}


@pytest.mark.parametrize("answer", [succeed, fail], ids=["result", "error"])
@pytest.mark.parametrize("number", [-1, 0, 2, 99])
def test_refuses_an_answer_of_an_attempt_that_never_was(answer: type, number: int) -> None:
    """Attempts are given out by the journal only."""
    given(at_work()).when(answer(number)).then_refused(TransitionInvalid)


LATE: dict[str, Past] = {
    "lost and waiting": [*at_work(), expired()],
    "running again": [*at_work(), expired(), attempt(2)],
    "succeeded later": [
        *at_work(),
        expired(),
        attempt(2),
        (TASK, e.TaskSucceeded(attempt=2, result=payload().reference)),
    ],
    "cancelled": [*at_work(), expired(), (TASK, e.TaskCancelled())],
    "dead": [*at_work(), (TASK, e.TaskDead(code="TASK_LOST", message="m"))],
}


@pytest.mark.parametrize("past", LATE.values(), ids=LATE)
def test_a_late_result_is_recorded_once_and_changes_nothing(past: Past) -> None:
    """The first answer of an attempt that was over is noted, every further one is not."""
    world = World(past)
    before: Task = world.state(TASK)
    assert world.execute(succeed(1)) == [e.ResultLate(attempt=1)]
    assert world.execute(succeed(1)) == []
    assert world.execute(fail(1)) == []
    assert world.execute(c.RecordQuarantined(subject_id="t1", attempt=1, reason="a link")) == []
    after: Task = world.state(TASK)
    assert (after.state, after.attempt, after.retry_at) == (before.state, before.attempt, before.retry_at)


def test_a_failure_that_is_repeated_is_no_late_result() -> None:
    """The answer that led to the next attempt may be found twice."""
    world = World(at_work(failed_retries=1))
    world.execute(fail())
    assert world.execute(fail()) == []
    world.indexes.now += SECOND
    world.execute(START_ATTEMPT)
    assert world.execute(fail()) == []


def test_a_quarantined_answer_leaves_the_attempt_running() -> None:
    """Something that cannot be a result ends nothing; a proper result still counts."""
    quarantine = c.RecordQuarantined(subject_id="t1", attempt=1, reason="a link")
    world = given(at_work()).when(quarantine).then(e.ResultQuarantined(attempt=1, reason="a link"))
    assert world.state(TASK).state is TaskState.RUNNING
    assert [type(event) for event in world.execute(succeed())] == [e.TaskSucceeded]


@pytest.mark.parametrize("number", [-1, 0, 2])
def test_quarantines_only_attempts_that_were(number: int) -> None:
    """An agent cannot fill the journal by inventing attempt numbers."""
    given(at_work()).when(c.RecordQuarantined(subject_id="t1", attempt=number, reason="x")).then_nothing()


@pytest.mark.parametrize("number", [0, 2])
def test_only_the_newest_attempt_is_claimed_or_lost(number: int) -> None:
    """What is said of another attempt is no news."""
    given(at_work()).when(c.RecordClaimed(subject_id="t1", attempt=number)).then_nothing()
    given(at_work()).when(expire(number)).then_nothing()


def test_a_waiting_task_is_cancelled_at_once() -> None:
    """Nobody works on it, so nobody has to be asked."""
    world = given([*serving_instance(), submitted()]).when(CANCEL).then(e.TaskCancelled())
    assert world.state(TASK).code == "CANCELLED"
    assert world.indexes.deployments["d1"].waiting == 0


def test_a_running_task_is_asked_to_stop_first() -> None:
    """Its slot stays taken until the agent has stopped it."""
    world = given(at_work()).when(CANCEL).then(e.CancelRequested())
    assert world.indexes.running == {"d1.1.0": 1}
    assert world.execute(fail(code="CANCELLED")) == [e.TaskCancelled()]
    assert world.indexes.running == {}


def test_a_result_that_comes_before_the_stop_counts() -> None:
    """The first end wins."""
    given([*at_work(), (TASK, e.CancelRequested())]).when(succeed()).then_types(e.TaskSucceeded)


def test_a_cancelled_task_is_not_repeated_when_lost() -> None:
    """Losing the attempt is as good as stopping it."""
    given([*at_work(), (TASK, e.CancelRequested())]).when(expire()).then(e.TaskCancelled())


def test_says_that_it_was_cancelled_though_nobody_asked() -> None:
    """An agent that claims a cancellation nobody wanted has failed."""
    given(at_work()).when(fail(code="CANCELLED")).then(e.TaskFailed(attempt=1, code="CANCELLED", message="boom"))


def test_a_task_nothing_will_run_is_dead() -> None:
    """It ends with the reason; a running one is left to its attempt."""
    abandon = c.AbandonTask(subject_id="t1", reason="The deployment was removed")
    ended = e.TaskDead(code="TASK_LOST", message="The deployment was removed")
    given([*serving_instance(), submitted()]).when(abandon).then(ended)
    given(at_work()).when(abandon).then_nothing()


END_EVENTS = (e.TaskSucceeded, e.TaskFailed, e.TaskCancelled, e.TaskDead)
ENDS: dict[str, c.Command] = {
    "result": succeed(),
    "error": fail(),
    "worker died": fail(code="WORKER_DIED"),
    "lost": expire(),
    "cancel": CANCEL,
    "stopped": fail(code="CANCELLED"),
    "abandoned": c.AbandonTask(subject_id="t1", reason="x"),
    "start": START_ATTEMPT,
}


@pytest.mark.parametrize("order", list(itertools.permutations(ENDS, 3)), ids="-".join)
def test_ends_at_most_once_in_any_order(order: tuple[str, ...]) -> None:
    """Whatever is reported in whatever order, and each twice, a task has one end and keeps it."""
    world = World([*at_work(lost_retries=1, failed_retries=1), *ready("instance/d1.1.1", number=1)])
    for name in (*order, *order):
        with suppress(TransitionInvalid):
            world.execute(ENDS[name])
    ends = [event for stream, event in world.history if stream == TASK and isinstance(event, END_EVENTS)]
    assert len(ends) == (world.state(TASK).state in ENDED)


def test_other_events_change_nothing() -> None:
    """An event of another aggregate leaves the state as it is."""
    assert evolve(Task(), e.InstanceReady()) == Task()
