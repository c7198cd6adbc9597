"""What is accepted, what is recognised, and who gets it."""

import math
from datetime import timedelta
from typing import Any

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Attached
from ploinky.domain.errors import (
    DeploymentNotFound,
    DeploymentNotReady,
    IdempotencyConflict,
    Invalid,
    Overloaded,
    PloinkyError,
    TransitionInvalid,
)
from ploinky.domain.indexes import IDEMPOTENCY_RETENTION
from ploinky.domain.specs import Release, RetryPolicy
from ploinky.domain.task import LONGEST_TIME_LIMIT_SECONDS, WAITING_LIMIT_TASKS
from tests.domain.samples import (
    DEPLOYMENT,
    FIRST,
    SECOND,
    SECOND_REPLICA,
    TASK,
    attempt,
    failed,
    payload,
    prepared,
    ready,
    requested,
    running,
    serving,
    serving_instance,
    submit,
    submitted,
    switched,
)
from tests.domain.specification import START, Past, World, given


def test_starts_at_once_when_a_slot_is_free() -> None:
    """Acceptance and the first attempt are one decision; the deadline counts from now."""
    now = START + 5 * SECOND
    first = e.AttemptStarted(
        attempt=1, instance_id="d1.1.0", transport="file", deadline_at=now + timedelta(seconds=300)
    )
    world = given(serving_instance()).at(now).when(submit()).then(submitted()[1], first)
    assert world.indexes.running == {"d1.1.0": 1}
    assert world.indexes.deployments["d1"].waiting == 0


@pytest.mark.parametrize(
    "past",
    [
        requested(),
        serving(),
        [*serving(), *running()],
        [*serving_instance(), (FIRST, e.InstancePaused())],
        [*serving_instance(), (FIRST, e.InstanceStopRequested(reason="x", grace_seconds=1))],
        [*serving(), *ready("instance/d1.2.0", 2)],
    ],
    ids=["rolling out", "no instance", "not ready", "paused", "stopping", "of another generation"],
)
def test_waits_when_no_instance_can_take_it(past: Past) -> None:
    """Accepted is accepted: without a ready instance of the serving generation the task waits."""
    world = given(past).when(submit()).then_types(e.TaskSubmitted)
    assert world.indexes.deployments["d1"].waiting == 1


def test_params_and_metadata_travel_beside_the_event() -> None:
    """The event holds their digests, the payloads hold their bytes."""
    params, metadata = payload(b'["secret"]'), payload(b"{}")
    decision = World(serving_instance()).decide(submit(params=params, metadata=metadata))
    assert isinstance(decision, list)
    first = decision[0]
    assert isinstance(first, Attached)
    assert first.payloads == {"params": params, "metadata": metadata}
    assert isinstance(first.event, e.TaskSubmitted)
    assert (first.event.params, first.event.metadata) == (params.reference, metadata.reference)


REFUSALS: dict[str, tuple[Past, type[PloinkyError]]] = {
    "no deployment": ([], DeploymentNotFound),
    "first rollout failed": ([*requested(), failed()], DeploymentNotReady),
    "stopped": ([*serving_instance(), (DEPLOYMENT, e.DeploymentStopRequested())], DeploymentNotReady),
    "removing": ([*serving_instance(), (DEPLOYMENT, e.RemovalRequested())], DeploymentNotReady),
    "removed": (
        [*serving(), (DEPLOYMENT, e.RemovalRequested()), (DEPLOYMENT, e.DeploymentRemoved())],
        DeploymentNotFound,
    ),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_refuses_what_will_not_run(why: str) -> None:
    """Nothing is accepted for a deployment that is not there or not wanted to run."""
    past, error = REFUSALS[why]
    given(past).when(submit()).then_refused(error)


def test_accepts_while_an_update_fails_or_is_under_way() -> None:
    """What serves goes on taking tasks, whatever the next generation does."""
    updating = [*serving_instance(), (DEPLOYMENT, e.RolloutRequested(generation=2, reason="update"))]
    given(updating).when(submit()).then_types(e.TaskSubmitted, e.AttemptStarted)
    given([*updating, failed(2)]).when(submit()).then_types(e.TaskSubmitted, e.AttemptStarted)


def accepted(release: Release | None, **changes: Any) -> e.TaskSubmitted:
    past = serving(release) if release else requested()
    event = given(past).when(submit(**changes)).then_types(e.TaskSubmitted).history[-1][1]
    assert isinstance(event, e.TaskSubmitted)
    return event


def test_takes_limit_and_retries_from_the_release() -> None:
    """What the caller leaves out, the serving release says."""
    release = Release(commit="c", time_limit_seconds=7.0, retries=RetryPolicy(lost=1, failed=2, backoff_seconds=0.5))
    event = accepted(release)
    assert (event.time_limit_seconds, event.lost_retries, event.failed_retries) == (7.0, 1, 2)
    assert event.backoff_seconds == 0.5


def test_has_defaults_before_the_first_release() -> None:
    """A task accepted during the first rollout gets five minutes and three repetitions of a lost attempt."""
    event = accepted(None)
    assert (event.time_limit_seconds, event.lost_retries, event.failed_retries) == (300.0, 3, 0)
    assert event.backoff_seconds == 1.0


@pytest.mark.parametrize("seconds", [0.001, 1.0, LONGEST_TIME_LIMIT_SECONDS])
def test_a_caller_may_choose_the_time_limit(seconds: float) -> None:
    """Shorter or longer than the deployment's own."""
    assert accepted(Release(commit="c"), time_limit_seconds=seconds).time_limit_seconds == seconds


@pytest.mark.parametrize("seconds", [0.0, -1.0, LONGEST_TIME_LIMIT_SECONDS + 1, math.inf, math.nan])
def test_refuses_a_time_limit_out_of_range(seconds: float) -> None:
    """No time at all, more than a day, and what is no number is refused."""
    given(serving_instance()).when(submit(time_limit_seconds=seconds)).then_refused(Invalid)


KEY = {"idempotency": "k", "request_digest": "r1"}


def test_recognises_a_repeated_request() -> None:
    """The same key with the same request answers with the task of the first time."""
    past = [*serving_instance(), submitted(**KEY)]
    given(past).when(submit("t2", **KEY)).then_repeated("t1")


def test_refuses_a_key_used_for_another_request() -> None:
    """A key stands for one request."""
    past = [*serving_instance(), submitted(**KEY)]
    other = submit("t2", idempotency="k", request_digest="r2")
    assert given(past).when(other).then_refused(IdempotencyConflict).details == {"task": "t1"}
    without = submit("t2", idempotency="k")
    given(past).when(without).then_refused(IdempotencyConflict)


@pytest.mark.parametrize("age", [timedelta(0), IDEMPOTENCY_RETENTION - timedelta(microseconds=1)])
def test_remembers_a_key_for_a_day(age: timedelta) -> None:
    """Within the retention the repetition is recognised, also after the task ended."""
    past = [*serving_instance(), submitted(**KEY), (TASK, e.TaskCancelled())]
    given(past).at(START + age).when(submit("t2", **KEY)).then_repeated("t1")


def test_forgets_a_key_after_a_day() -> None:
    """From then on the key may stand for another request."""
    past = [*serving_instance(), submitted(**KEY), (TASK, e.TaskCancelled())]
    other = submit("t2", idempotency="k", request_digest="r2")
    world = given(past).at(START + IDEMPOTENCY_RETENTION).when(other).then_types(e.TaskSubmitted, e.AttemptStarted)
    world.indexes.now += timedelta(hours=23)
    assert world.indexes.idempotency["k"].task_id == "t2"
    given([*past, START + IDEMPOTENCY_RETENTION, submitted("t2", **KEY)]).when(submit("t3", **KEY)).then_repeated("t2")


def test_recognises_a_repetition_when_nothing_new_is_accepted() -> None:
    """Whoever repeats a request hears of its task, also while the deployment is stopped or full."""
    stopped = [*serving_instance(), submitted(**KEY), (DEPLOYMENT, e.DeploymentStopRequested())]
    given(stopped).when(submit("t2", **KEY)).then_repeated("t1")
    full = given([*serving_instance(), submitted(**KEY)])
    full.world.indexes.deployments["d1"].waiting = WAITING_LIMIT_TASKS
    full.when(submit("t2", **KEY)).then_repeated("t1")


def test_requests_without_a_key_are_all_different() -> None:
    """No key, no recognition."""
    given([*serving_instance(), submitted(), attempt()]).when(submit("t2")).then_types(
        e.TaskSubmitted, e.AttemptStarted
    )


def test_refuses_when_too_many_wait() -> None:
    """Up to the limit tasks wait, the next one is refused as something to try again."""
    specification = given(requested())
    specification.world.indexes.deployments["d1"].waiting = WAITING_LIMIT_TASKS - 1
    specification.when(submit()).then_types(e.TaskSubmitted)
    assert specification.when(submit("t2")).then_refused(Overloaded, "OVERLOADED").is_retryable


def test_does_not_overtake_those_who_wait() -> None:
    """While others wait, a new task waits too, even if a slot has just become free."""
    given([*serving_instance(), submitted()]).when(submit("t2")).then_types(e.TaskSubmitted)


def chosen(world: World, task_id: str) -> str:
    event = world.execute(submit(task_id))[-1]
    assert isinstance(event, e.AttemptStarted), event
    return event.instance_id


def test_chooses_the_least_busy_instance() -> None:
    """Slots are filled evenly, up to the release's concurrency on each."""
    world = World([*serving(), *ready(), *ready(SECOND_REPLICA, number=1)])
    assert [chosen(world, f"t{number}") for number in range(4)] == ["d1.1.0", "d1.1.1", "d1.1.0", "d1.1.1"]
    assert [type(event) for event in world.execute(submit("t4"))] == [e.TaskSubmitted]
    world.record("task/t1", e.TaskCancelled())
    assert world.indexes.free_instance("d1") == "d1.1.1"


@pytest.mark.parametrize("out", [e.InstancePaused(), e.InstanceStopped(reason="exited")], ids=["paused", "stopped"])
def test_passes_over_an_instance_that_is_out(out: e.Event) -> None:
    """An idle instance that is frozen or gone gets nothing while another one is ready."""
    world = World([*serving(), *ready(), *ready(SECOND_REPLICA, number=1), (FIRST, out)])
    assert {chosen(world, "t1"), chosen(world, "t2")} == {"d1.1.1"}
    assert world.indexes.free_instance("d1") is None


def test_gives_nothing_to_a_generation_before_its_switch() -> None:
    """The new generation is ready, but the serving one gets the tasks until the switch."""
    rollout = (DEPLOYMENT, e.RolloutRequested(generation=2, reason="update"))
    world = World([*serving_instance(), rollout, *prepared(2), *ready("instance/d1.2.0", 2)])
    assert chosen(world, "t1") == "d1.1.0"
    world.record(
        DEPLOYMENT, e.DeploymentSwitched(generation=2, release=Release(commit="c2"), runtime="", switched_at=START)
    )
    assert chosen(world, "t2") == "d1.2.0"


WEB = Release(commit="c1", http_port=8080, takes_tasks=False)


def test_is_refused_by_a_web_server() -> None:
    """An agent that answers HTTP itself has nobody who would take a task from its queue."""
    refusal = given(serving_instance(WEB)).when(submit()).then_refused(TransitionInvalid)
    assert "`mode` file" in refusal.advice


def test_is_taken_by_a_web_server_with_a_runner() -> None:
    """With agentcore beside the web server a task is executed as anywhere else."""
    both = Release(commit="c1", http_port=8080)
    given(serving_instance(both)).when(submit()).then_types(e.TaskSubmitted, e.AttemptStarted)


def test_is_never_given_to_a_web_server() -> None:
    """A task from before the deployment became a web server waits for its end, not for that server."""
    past = [*requested(), submitted(), *prepared(release=WEB), *switched(release=WEB), *ready()]
    given(past).when(c.StartAttempt(subject_id="t1")).then_nothing()
