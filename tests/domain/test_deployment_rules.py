"""Routes, generations and rollouts of a deployment."""

import msgspec
import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Attached
from ploinky.domain.deployment import SHUTDOWN_CODE, Deployment, Desired, Rollout, Served, Step, evolve
from ploinky.domain.errors import RouteTaken, TransitionInvalid
from ploinky.domain.routing import Route
from ploinky.domain.specs import DeploymentSpec, Evidence, PinnedImage
from tests.domain.samples import (
    DEPLOYMENT,
    FIRST,
    ID,
    NEEDY,
    NEWER,
    RELEASE,
    SPEC,
    failed,
    payload,
    prepared,
    requested,
    serving,
    serving_instance,
    switched,
)
from tests.domain.specification import START, World, given

OTHER_SPEC = DeploymentSpec(agent="other", repository="https://git.example.com/agents.git")
UNDEPLOY = c.Undeploy(subject_id=ID)


def deploy(deployment_id: str = "d2", domain: str = "localhost", path: str = "/hello") -> c.Deploy:
    return c.Deploy(subject_id=deployment_id, domain=domain, path=path, spec=SPEC)


def update(spec: DeploymentSpec = OTHER_SPEC) -> c.UpdateDeployment:
    return c.UpdateDeployment(subject_id=ID, spec=spec)


def test_deploys_at_a_free_route() -> None:
    """The wish is recorded, the route is owned, and the first generation is rolled out."""
    world = (
        given()
        .when(deploy("d1"))
        .then(
            e.DeploymentRequested(domain="localhost", path="/hello", spec=SPEC),
            e.RolloutRequested(generation=1, reason="deploy"),
        )
    )
    state: Deployment = world.state(DEPLOYMENT)
    assert (state.domain, state.path, state.spec, state.desired) == ("localhost", "/hello", SPEC, Desired.RUNNING)
    assert state.rollout == Rollout(generation=1, reason="deploy", step=Step.SOURCE, spec=SPEC)
    assert world.indexes.routes == {Route("localhost", "/hello"): ID}


def test_refuses_a_route_that_is_taken() -> None:
    """A route has one owner, who is named."""
    refusal = given(requested("/hello")).when(deploy()).then_refused(RouteTaken, "ROUTE_TAKEN")
    assert refusal.details == {"domain": "localhost", "path": "/hello", "deployment": ID}


@pytest.mark.parametrize(
    ("domain", "path"), [("example.com", "/hello"), ("localhost", "/hello/more"), ("localhost", "/")]
)
def test_other_routes_are_free(domain: str, path: str) -> None:
    """Only the same domain and path are taken; below and above is free."""
    given(requested("/hello")).when(deploy("d2", domain, path)).then_types(e.DeploymentRequested, e.RolloutRequested)


def test_a_route_is_free_as_soon_as_removal_is_wanted() -> None:
    """Nobody waits for instances to be stopped before a route can be used again, and nothing is freed later."""
    world = given(serving_instance()).when(UNDEPLOY).then(e.RemovalRequested())
    assert world.indexes.routes == {}
    world.execute(deploy("d2"))
    world.record(FIRST, e.InstanceRemoved())
    for command in (c.RequestDiscard(subject_id=ID), c.RecordDiscarded(subject_id=ID)):
        assert len(world.execute(command)) == 1
    assert world.indexes.routes == {Route("localhost", "/hello"): "d2"}
    assert set(world.indexes.deployments) == {"d2"}


def test_a_failed_rollout_keeps_the_route() -> None:
    """The owner of a route is whoever asked for it, running or not."""
    given([*requested("/hello"), failed()]).when(deploy()).then_refused(RouteTaken)
    given([*requested("/hello"), (DEPLOYMENT, e.DeploymentStopRequested())]).when(deploy()).then_refused(RouteTaken)


def test_keeps_values_of_the_environment_beside_the_event() -> None:
    """The event holds the digest of environment values; the values travel as a payload."""
    values = payload(b'{"TOKEN":"secret"}')
    command = c.Deploy(subject_id=ID, domain="localhost", path="/hello", spec=SPEC, environment=values)
    decision = World().decide(command)
    assert isinstance(decision, list)
    first = decision[0]
    assert isinstance(first, Attached)
    assert first.payloads == {"environment": values}
    assert isinstance(first.event, e.DeploymentRequested)
    assert first.event.environment == values.reference
    assert b"secret" not in msgspec.json.encode(first.event)


def test_an_update_may_bring_a_new_environment() -> None:
    """Values given with an update travel with it; without any, the event says nothing of them."""
    values = payload(b"{}")
    world = World(serving())
    decision = world.decide(c.UpdateDeployment(subject_id=ID, spec=SPEC, environment=values))
    assert isinstance(decision, list)
    assert isinstance(decision[0], Attached)
    assert decision[0].payloads == {"environment": values}
    given(serving()).when(update()).then(
        e.DeploymentUpdated(spec=OTHER_SPEC), e.RolloutRequested(generation=2, reason="update")
    )


def test_rolls_out_step_by_step() -> None:
    """Source, image, start, switch: each step carries what the next one needs."""
    world = given().when(deploy("d1")).then_types(e.DeploymentRequested, e.RolloutRequested)
    world.execute(c.RecordSource(subject_id=ID, generation=1, release=RELEASE, is_from_cache=True))
    assert world.state(DEPLOYMENT).rollout.step is Step.IMAGE
    world.execute(c.RecordImage(subject_id=ID, generation=1, runtime="docker", image="i:1", digest="sha256:1"))
    assert world.state(DEPLOYMENT).rollout.step is Step.START
    release = msgspec.structs.replace(RELEASE, pin=PinnedImage(runtime="docker", digest="sha256:1"))
    assert world.execute(c.Switch(subject_id=ID, generation=1)) == [
        e.DeploymentSwitched(generation=1, release=release, runtime="docker", image="i:1", switched_at=START),
        e.RolloutSucceeded(generation=1),
    ]
    state: Deployment = world.state(DEPLOYMENT)
    assert (state.active_generation, state.active_release, state.rollout) == (1, release, None)
    assert state.active == Served(
        generation=1,
        reason="deploy",
        spec=SPEC,
        release=release,
        runtime="docker",
        image="i:1",
        dependencies="",
        switched_at=START,
    )
    assert state.last_end is not None
    assert state.last_end.is_success


def test_a_failed_update_leaves_what_serves() -> None:
    """The earlier generation goes on; the failure is on record with its evidence."""
    world = World([*serving(), (DEPLOYMENT, e.RolloutRequested(generation=2, reason="update"))])
    evidence = Evidence(exit_code=1, log_tail="Traceback")
    failure = c.FailRollout(
        subject_id=ID, generation=2, step="readiness", code="X", message="m", hint="h", evidence=evidence
    )
    world.execute(failure)
    state: Deployment = world.state(DEPLOYMENT)
    assert (state.active_generation, state.active_release, state.desired) == (1, RELEASE, Desired.RUNNING)
    assert state.last_end is not None
    assert (state.last_end.generation, state.last_end.is_success, state.last_end.step) == (2, False, "readiness")
    assert (state.last_end.code, state.last_end.message, state.last_end.hint) == ("X", "m", "h")
    assert state.last_end.evidence == evidence
    assert world.indexes.deployments[ID].is_accepting


def test_a_rollout_cut_short_by_the_servers_stop_begins_again() -> None:
    """It failed for no fault of its own: the same release is rolled out again as the next generation."""
    world = World([*requested(), *prepared()])
    cut = c.FailRollout(subject_id=ID, generation=1, step="start", code=SHUTDOWN_CODE, message="m")
    world.execute(cut)
    state: Deployment = world.state(DEPLOYMENT)
    assert state.last_end is not None
    assert state.last_end.code == SHUTDOWN_CODE
    assert state.rollout is not None
    assert (state.rollout.generation, state.rollout.step, state.rollout.reason) == (2, Step.IMAGE, "deploy")
    assert state.rollout.release is not None
    assert state.desired is Desired.RUNNING


@pytest.mark.parametrize(
    ("command", "code"),
    [(update(), "SUPERSEDED"), (c.StopDeployment(subject_id=ID), "STOPPED"), (UNDEPLOY, "UNDEPLOYED")],
)
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_wish_ends_the_rollout_under_way(command: c.Command, code: str, steps: int) -> None:
    """A rollout overtaken at any step ends as failed, before what replaces it, and says by what."""
    world = World([*requested(), *prepared()[:steps]])
    step = world.state(DEPLOYMENT).rollout.step
    end = world.execute(command)[0]
    assert isinstance(end, e.RolloutFailed)
    assert (end.generation, end.step, end.code) == (1, step, code)


def test_an_update_supersedes_the_update_before() -> None:
    """Each update is a generation of its own; outcomes of the overtaken one are refused."""
    world = World(serving())
    for generation in (2, 3, 4):
        world.execute(update())
        assert world.state(DEPLOYMENT).rollout.generation == generation
    late = c.RecordSource(subject_id=ID, generation=3, release=NEWER, is_from_cache=False)
    with pytest.raises(TransitionInvalid, match="over"):
        world.decide(late)
    assert world.state(DEPLOYMENT).spec == OTHER_SPEC


def test_generations_only_move_forward() -> None:
    """No number is used twice, whether its rollout succeeded, failed, or was given up."""
    world = World()
    world.execute(deploy("d1"))
    wishes = [
        update(),
        c.FailRollout(subject_id=ID, generation=2, step="source", code="X", message="m"),
        c.RestartDeployment(subject_id=ID),
        c.StopDeployment(subject_id=ID),
        c.StartDeployment(subject_id=ID),
        update(),
        c.StopDeployment(subject_id=ID),
        c.RestartDeployment(subject_id=ID),
    ]
    for wish in wishes:
        world.execute(wish)
    numbers = [event.generation for _, event in world.history if isinstance(event, e.RolloutRequested)]
    assert numbers == [1, 2, 3, 4, 5, 6]


def test_installs_what_a_release_needs_before_its_start() -> None:
    """A release with dependencies is started only once they are there, and its instances learn where."""
    world = given(requested()).world
    world.execute(c.RecordSource(subject_id=ID, generation=1, release=NEEDY, is_from_cache=False))
    world.execute(c.RecordImage(subject_id=ID, generation=1, runtime="docker", image="i:1", digest="sha256:1"))
    assert world.state(DEPLOYMENT).rollout.step is Step.INSTALL
    ready = c.RecordDependencies(subject_id=ID, generation=1, digest="f1", is_cached=True, seconds=0.5)
    assert world.execute(ready) == [e.DependenciesReady(generation=1, digest="f1", is_cached=True, seconds=0.5)]
    rollout = world.state(DEPLOYMENT).rollout
    assert (rollout.step, rollout.dependencies) == (Step.START, "f1")


def test_a_restart_uses_the_image_that_served() -> None:
    """What a reference stood for when the release was first started goes with it into every later rollout."""
    world = given(requested()).world
    for outcome in (
        c.RecordSource(subject_id=ID, generation=1, release=RELEASE, is_from_cache=False),
        c.RecordImage(
            subject_id=ID, generation=1, runtime="docker", image="i", digest="sha256:1", repository_digest="i@sha256:2"
        ),
        c.Switch(subject_id=ID, generation=1),
        c.RestartDeployment(subject_id=ID),
    ):
        world.execute(outcome)
    pin = PinnedImage(runtime="docker", digest="sha256:1", repository_digest="i@sha256:2")
    assert world.state(DEPLOYMENT).rollout.release.pin == pin


@pytest.mark.parametrize(("command", "reason"), [("restart", "restart"), ("start", "start")])
def test_starts_the_serving_release_again(command: str, reason: str) -> None:
    """A restart, and a start after a stop, run what served, not what a failed update wanted."""
    past = [*serving(), (DEPLOYMENT, e.DeploymentUpdated(spec=OTHER_SPEC)), failed(2)]
    if command == "start":
        world = given([*past, (DEPLOYMENT, e.DeploymentStopRequested())]).when(c.StartDeployment(subject_id=ID))
    else:
        world = given(past).when(c.RestartDeployment(subject_id=ID))
    after = world.then(e.RolloutRequested(generation=2, reason=reason, release=RELEASE))
    assert after.state(DEPLOYMENT).rollout == Rollout(
        generation=2, reason=reason, step=Step.IMAGE, spec=SPEC, release=RELEASE
    )


def test_starts_from_the_source_when_nothing_ever_served() -> None:
    """Without a serving release there is nothing to start again but the wish itself."""
    world = given([*requested(), failed()]).when(c.RestartDeployment(subject_id=ID)).then_types(e.RolloutRequested)
    assert world.state(DEPLOYMENT).rollout.step is Step.SOURCE


def test_an_update_starts_a_stopped_deployment() -> None:
    """Whoever changes a stopped deployment wants it to run."""
    past = [*serving(), (DEPLOYMENT, e.DeploymentStopRequested())]
    world = given(past).when(update()).then_types(e.DeploymentUpdated, e.RolloutRequested)
    assert world.state(DEPLOYMENT).desired is Desired.RUNNING
    assert world.indexes.deployments[ID].is_accepting


def test_is_discarded_only_when_its_instances_are_gone() -> None:
    """Folders are removed after the last instance, and only then is it gone."""
    discard, discarded = c.RequestDiscard(subject_id=ID), c.RecordDiscarded(subject_id=ID)
    world = World([*serving_instance(), (DEPLOYMENT, e.RemovalRequested())])
    assert world.execute(discard) == []
    with pytest.raises(TransitionInvalid):
        world.decide(discarded)
    world.record(FIRST, e.InstanceRemoved())
    assert world.execute(discard) == [e.DiscardRequested()]
    assert world.execute(discarded) == [e.DeploymentRemoved()]
    assert world.state(DEPLOYMENT).is_gone


def test_a_switch_replaces_what_serves() -> None:
    """The newest generation that was switched to serves, with its own release."""
    past = [*serving(), (DEPLOYMENT, e.RolloutRequested(generation=2, reason="update")), *prepared(2, NEWER)]
    world = World([*past, *switched(2, NEWER)])
    assert (world.state(DEPLOYMENT).active_generation, world.state(DEPLOYMENT).active_release) == (2, NEWER)
    assert world.indexes.deployments[ID].release == NEWER


def test_other_events_change_nothing() -> None:
    """Steps reported without a rollout, and events of other aggregates, leave the state as it is."""
    state = Deployment()
    for event in (
        e.SourceFetched(generation=1, release=RELEASE),
        e.ImageReady(generation=1, runtime="docker"),
        e.CancelRequested(),
    ):
        assert evolve(state, event) == state
