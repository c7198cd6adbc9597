"""What an instance remembers, and when it takes tasks."""

from contextlib import suppress

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.errors import DeploymentNotFound, TransitionInvalid
from ploinky.domain.instance import Instance, Status, evolve
from ploinky.domain.specs import Evidence
from tests.domain.samples import (
    DEPLOYMENT,
    FIRST,
    RELEASE,
    created,
    failed,
    prepared,
    ready,
    requested,
    running,
    serving,
    serving_instance,
)
from tests.domain.specification import START, Past, World, given

STARTING = [*requested(), *prepared()]
REPLACE = c.StopInstance(subject_id="d1.1.0", reason="replaced", grace_seconds=10.0)


def create(generation: int, deployment_id: str = "d1", number: int = 0) -> c.CreateInstance:
    return c.CreateInstance(
        subject_id=f"{deployment_id}.{generation}.{number}",
        deployment_id=deployment_id,
        generation=generation,
        number=number,
        runtime="docker",
        name="ploinky-d1",
        image="agents/hello:1",
        release=RELEASE,
    )


def test_creates_as_asked() -> None:
    """An instance keeps everything that its start will need."""
    world = given(STARTING).when(create(1)).then_types(e.InstanceCreated)
    state: Instance = world.state("instance/d1.1.0")
    assert (state.status, state.deployment_id, state.generation, state.number) == (Status.CREATED, "d1", 1, 0)
    assert (state.runtime, state.name, state.image) == ("docker", "ploinky-d1", "agents/hello:1")
    assert state.release == RELEASE


def test_refuses_an_instance_of_no_deployment() -> None:
    """An instance belongs to a deployment that exists."""
    given(STARTING).when(create(1, "d9")).then_refused(DeploymentNotFound)


@pytest.mark.parametrize("generation", [0, 1, 2, 3])
def test_adds_only_to_the_generation_being_rolled_out(generation: int) -> None:
    """While generation 2 is rolled out, instances of another one are refused."""
    outcome = given([*serving(), (DEPLOYMENT, e.RolloutRequested(generation=2, reason="restart"))]).when(
        create(generation)
    )
    if generation == 2:
        outcome.then_types(e.InstanceCreated)
    else:
        outcome.then_refused(TransitionInvalid)


@pytest.mark.parametrize("wish", [e.DeploymentStopRequested(), e.DeploymentIdled()])
@pytest.mark.parametrize("generation", [0, 1])
def test_adds_none_to_what_should_not_run(wish: e.Event, generation: int) -> None:
    """After a failed first rollout, a stop or an idle time nothing is added, generation 0 included."""
    given([*requested(), failed()]).when(create(generation)).then_refused(TransitionInvalid)
    given([*serving(), (DEPLOYMENT, wish)]).when(create(generation)).then_refused(TransitionInvalid)


def test_adds_to_the_serving_generation_one_number_after_the_other() -> None:
    """Beside what serves only the next number is taken: none is used twice, and none is left out."""
    given(serving_instance()).when(create(1, number=2)).then_refused(TransitionInvalid)
    given([*serving_instance(), (FIRST, e.InstanceRemoved())]).when(create(1, number=1)).then_types(e.InstanceCreated)
    given(serving_instance()).when(create(1, number=0)).then()


def test_remembers_by_what_the_engine_knows_it() -> None:
    """The engine's id and the queue's identity are on record, and the same start again is no news."""
    started = c.RecordStarted(subject_id="d1.1.0", engine_id="e1", queue_identity="q1")
    world = given([*STARTING, created()]).when(started).then(e.InstanceStarted(engine_id="e1", queue_identity="q1"))
    assert (world.state(FIRST).engine_id, world.state(FIRST).queue_identity) == ("e1", "q1")


def test_remembers_why_it_could_not_start() -> None:
    """A failed start keeps code, message and hint; the instance stays created until it is removed."""
    failure = c.RecordStartFailed(subject_id="d1.1.0", code="IMAGE_UNAVAILABLE", message="No image", hint="Build it.")
    world = given([*STARTING, created()]).when(failure).then_types(e.InstanceStartFailed)
    state: Instance = world.state(FIRST)
    assert (state.failure, state.failure_message, state.failure_hint) == ("IMAGE_UNAVAILABLE", "No image", "Build it.")
    assert state.status is Status.CREATED
    assert world.execute(c.RemoveInstance(subject_id="d1.1.0")) == [e.InstanceRemoveRequested()]
    assert world.execute(c.RecordRemoved(subject_id="d1.1.0")) == [e.InstanceRemoved()]


def test_keeps_why_it_was_asked_to_stop() -> None:
    """How a requested stop is seen to end does not replace the reason; the evidence is kept."""
    world = (
        given([*STARTING, *ready()]).when(REPLACE).then(e.InstanceStopRequested(reason="replaced", grace_seconds=10))
    )
    evidence = Evidence(exit_code=143, log_tail="bye")
    world.execute(c.RecordStopped(subject_id="d1.1.0", reason="exited", evidence=evidence))
    state: Instance = world.state(FIRST)
    assert (state.status, state.stop_reason, state.evidence) == (Status.STOPPED, "replaced", evidence)
    assert state.grace_seconds == 10.0
    assert not state.is_ready


def test_keeps_how_it_ended_by_itself() -> None:
    """Without a request, what was seen is the reason."""
    evidence = Evidence(exit_code=137, is_out_of_memory=True)
    stopped = c.RecordStopped(subject_id="d1.1.0", reason="exited", evidence=evidence)
    world = given([*STARTING, *ready()]).when(stopped).then(e.InstanceStopped(reason="exited", evidence=evidence))
    assert world.state(FIRST).stop_reason == "exited"


def test_cannot_be_seen_and_is_what_it_was() -> None:
    """An engine that does not answer leaves the status as it was last seen."""
    unobservable = c.RecordUnobservable(subject_id="d1.1.0", reason="no answer")
    world = (
        given([*STARTING, *ready()]).when(unobservable).then(e.InstanceUnobservable(reason="no answer", since=START))
    )
    assert (world.state(FIRST).status, world.state(FIRST).is_unobservable) == (Status.RUNNING, True)
    assert world.state(FIRST).unobservable_since == START
    world.execute(c.RecordObservedAgain(subject_id="d1.1.0"))
    assert not world.state(FIRST).is_unobservable
    assert world.state(FIRST).unobservable_since is None


def test_an_end_that_is_seen_is_an_observation() -> None:
    """Stopping clears that it could not be observed, and so does removal."""
    state = evolve(Instance(is_unobservable=True), e.InstanceStopped(reason="exited"))
    assert not state.is_unobservable
    assert not evolve(Instance(is_unobservable=True), e.InstanceRemoved()).is_unobservable


def available(world: World) -> str | None:
    """Serve generation 1 and return who would get a task."""
    world.record(
        DEPLOYMENT, e.DeploymentSwitched(generation=1, release=RELEASE, runtime="", switched_at=world.indexes.now)
    )
    return world.indexes.free_instance("d1")


PAUSE = (FIRST, e.InstancePaused())
RESUME = c.RecordResumed(subject_id="d1.1.0")


def test_a_ready_instance_takes_tasks() -> None:
    """From the moment the agent watches its queue, and not before."""
    world = given([*STARTING, *running()]).world
    assert available(world) is None
    world.execute(c.RecordReady(subject_id="d1.1.0"))
    assert available(world) == "d1.1.0"


def test_a_paused_instance_takes_none_until_it_is_resumed() -> None:
    """Freezing takes an instance out, going on puts it back."""
    world = given([*STARTING, *ready(), PAUSE]).world
    assert available(world) is None
    world.execute(RESUME)
    assert available(world) == "d1.1.0"


def test_resuming_makes_nobody_ready() -> None:
    """An instance that was frozen before it was ready takes no task when it goes on; it has to say so first."""
    world = given([*STARTING, *running(), PAUSE]).world
    world.execute(RESUME)
    assert available(world) is None
    world.execute(c.RecordReady(subject_id="d1.1.0"))
    assert available(world) == "d1.1.0"


@pytest.mark.parametrize(
    "late",
    [c.RecordReady(subject_id="d1.1.0"), RESUME, c.RecordPaused(subject_id="d1.1.0")],
    ids=["ready", "go", "stop"],
)
@pytest.mark.parametrize("past", [running(), ready(), [*ready(), PAUSE]], ids=["running", "ready", "paused"])
def test_takes_none_once_it_is_asked_to_stop(past: Past, late: c.Command) -> None:
    """Whatever is observed after a stop was requested, the instance gets nothing new."""
    world = given([*STARTING, *past]).world
    world.execute(REPLACE)
    with suppress(TransitionInvalid):
        world.execute(late)
    assert available(world) is None


@pytest.mark.parametrize("end", [c.RecordStopped(subject_id="d1.1.0", reason="exited"), REPLACE])
def test_takes_none_after_its_end(end: c.Command) -> None:
    """An instance that ended, or is to end, gets nothing new."""
    world = given(serving_instance()).world
    assert world.indexes.free_instance("d1") == "d1.1.0"
    world.execute(end)
    assert world.indexes.free_instance("d1") is None


def test_an_orphan_takes_no_tasks() -> None:
    """Something unknown to the journal is not asked to work, even if it says that it is ready."""
    world = (
        given(STARTING)
        .when(c.ReportOrphan(subject_id="d1.1.0", runtime="process", name="n"))
        .then(e.OrphanFound(runtime="process", name="n"))
    )
    assert world.state(FIRST).status is Status.RUNNING
    with pytest.raises(TransitionInvalid):
        world.decide(c.RecordReady(subject_id="d1.1.0"))
    assert available(world) is None
    assert not world.indexes.has_instances("d1")


def test_an_orphan_is_stopped_and_removed_like_any_other() -> None:
    """From being found to being gone, and it may be found anew."""
    world = given(STARTING).world
    report = c.ReportOrphan(subject_id="d1.1.0", runtime="process", name="n")
    for command in (
        report,
        c.StopInstance(subject_id="d1.1.0", reason="orphan", grace_seconds=1.0),
        c.RecordStopped(subject_id="d1.1.0", reason="exited"),
        c.RemoveInstance(subject_id="d1.1.0"),
        c.RecordRemoved(subject_id="d1.1.0"),
        report,
    ):
        assert len(world.execute(command)) == 1
    assert world.state(FIRST) == Instance(status=Status.RUNNING, runtime="process", name="n")


def test_other_events_change_nothing() -> None:
    """An event of another aggregate leaves the state as it is."""
    assert evolve(Instance(), e.CancelRequested()) == Instance()
