"""Every command of a deployment in every state it can be in."""

from datetime import timedelta

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.deployment import Deployment
from ploinky.domain.errors import DeploymentNotFound, ReleaseNotFound, TransitionInvalid
from tests.domain.samples import (
    DEPLOYMENT,
    FIRST,
    ID,
    NEEDY,
    NEWER,
    SPEC,
    failed,
    prepared,
    requested,
    serving,
    serving_instance,
)
from tests.domain.specification import START, Past, given
from tests.domain.table import Expectation, cells, check

UPDATING = [
    (DEPLOYMENT, e.DeploymentUpdated(spec=SPEC)),
    (DEPLOYMENT, e.RolloutRequested(generation=2, reason="update")),
]
SCHEDULED = (DEPLOYMENT, e.RestartScheduled(due_at=START + timedelta(seconds=1), failures=1))
REMOVING = (DEPLOYMENT, e.RemovalRequested())
DISCARDING = (DEPLOYMENT, e.DiscardRequested())

PROBATION = (
    DEPLOYMENT,
    e.DeploymentSwitched(
        generation=2,
        release=NEWER,
        runtime="process",
        switched_at=START,
        verify_until=START + timedelta(seconds=5),
    ),
)

STATES: dict[str, Past] = {
    "absent": [],
    "fetch": requested(),
    "prep": [*requested(), prepared()[0]],
    "needs": [*requested(), *prepared(release=NEEDY)],
    "start": [*requested(), *prepared()],
    "serve": serving(),
    "broken": [*requested(), failed()],
    "update": [*serving(), *UPDATING],
    "verify": [*serving_instance(), *UPDATING, *prepared(2, NEWER), PROBATION],
    "idle": [*serving(), (DEPLOYMENT, e.DeploymentIdled())],
    "later": [*serving(), SCHEDULED],
    "due": [*serving(), SCHEDULED, START + timedelta(seconds=1)],
    "stop": [*serving(), (DEPLOYMENT, e.DeploymentStopRequested())],
    "remov": [*serving_instance(), REMOVING],
    "empty": [*serving_instance(), REMOVING, (FIRST, e.InstanceRemoved())],
    "disc": [*serving(), REMOVING, DISCARDING],
    "gone": [*serving(), REMOVING, DISCARDING, (DEPLOYMENT, e.DeploymentRemoved())],
}

LEGEND: dict[str, Expectation] = {
    "404": DeploymentNotFound,
    "no": TransitionInvalid,
    "new": (e.DeploymentRequested, e.RolloutRequested),
    "upd": (e.DeploymentUpdated, e.RolloutRequested),
    "f+upd": (e.RolloutFailed, e.DeploymentUpdated, e.RolloutRequested),
    "roll": (e.RolloutRequested,),
    "stop": (e.DeploymentStopRequested,),
    "f+stop": (e.RolloutFailed, e.DeploymentStopRequested),
    "rem": (e.RemovalRequested,),
    "f+rem": (e.RolloutFailed, e.RemovalRequested),
    "src": (e.SourceFetched,),
    "img": (e.ImageReady,),
    "deps": (e.DependenciesReady,),
    "fail": (e.RolloutFailed,),
    "sw": (e.DeploymentSwitched, e.RolloutSucceeded),
    "sched": (e.RestartScheduled,),
    "ok": (e.RolloutSucceeded,),
    "ok+upd": (e.RolloutSucceeded, e.DeploymentUpdated, e.RolloutRequested),
    "ok+roll": (e.RolloutSucceeded, e.RolloutRequested),
    "ok+stop": (e.RolloutSucceeded, e.DeploymentStopRequested),
    "ok+rem": (e.RolloutSucceeded, e.RemovalRequested),
    "back": (e.DeploymentReverted, e.RolloutFailed),
    "sc": (e.DeploymentScaled,),
    "idle": (e.DeploymentIdled,),
    "none": ReleaseNotFound,
    "disc": (e.DiscardRequested,),
    "gone": (e.DeploymentRemoved,),
}

TABLE = """
          absent fetch  prep   needs  start  serve broken update verify  idle later due  stop remov empty disc gone
Deploy    new    no     no     no     no     no    no     no     no      no   no    no   no   no    no    no   no
Update    404    f+upd  f+upd  f+upd  f+upd  upd   upd    f+upd  ok+upd  upd  upd   upd  upd  no    no    no   404
Rollback  404    none   none   none   none   upd   none   f+upd  ok+upd  upd  upd   upd  upd  no    no    no   404
Scale     404    sc     sc     sc     sc     sc    sc     sc     sc      sc   sc    sc   sc   no    no    no   404
Restart   404    no     no     no     no     roll  roll   no     ok+roll roll roll  roll roll no    no    no   404
Stop      404    f+stop f+stop f+stop f+stop stop  stop   f+stop ok+stop stop stop  stop .    no    no    no   404
Start     404    .      .      .      .      .     .      .      .       .    .     .    roll no    no    no   404
Undeploy  404    f+rem  f+rem  f+rem  f+rem  rem   rem    f+rem  ok+rem  rem  rem   rem  rem  .     .     .    404
Source    404    src    no     no     no     no    no     src    no      no   no    no   no   no    no    no   404
Image     404    no     img    no     no     no    no     no     no      no   no    no   no   no    no    no   404
Install   404    no     no     deps   no     no    no     no     no      no   no    no   no   no    no    no   404
Fail      404    fail   fail   fail   fail   no    no     fail   back    no   no    no   no   no    no    no   404
Switch    404    no     no     no     sw     no    no     no     no      no   no    no   no   no    no    no   404
Confirm   404    no     no     no     no     no    no     no     ok      no   no    no   no   no    no    no   404
Schedule  404    .      .      .      .      sched .      .      .       .    .     .    .    .     .     .    404
Now       404    .      .      .      .      .     .      .      .       .    .     roll .    .     .     .    404
Idle      404    .      .      .      .      idle  .      .      .       .    idle  idle .    .     .     .    404
Wake      404    .      .      .      .      .     .      .      .       roll .     .    .    .     .     .    404
Discard   404    .      .      .      .      .     .      .      .       .    .     .    .    .     disc  .    404
Discarded 404    no     no     no     no     no    no     no     no      no   no    no   no   no    no    gone 404
"""


def command(word: str, state: Deployment) -> c.Command:
    generation = state.last_generation
    outcomes: dict[str, c.Command] = {
        "Deploy": c.Deploy(subject_id=ID, domain="localhost", path="/other", spec=SPEC),
        "Update": c.UpdateDeployment(subject_id=ID, spec=SPEC),
        "Restart": c.RestartDeployment(subject_id=ID),
        "Stop": c.StopDeployment(subject_id=ID),
        "Start": c.StartDeployment(subject_id=ID),
        "Undeploy": c.Undeploy(subject_id=ID),
        "Source": c.RecordSource(subject_id=ID, generation=generation, release=NEWER, is_from_cache=False),
        "Install": c.RecordDependencies(
            subject_id=ID, generation=generation, digest="f1", is_cached=False, seconds=1.0
        ),
        "Image": c.RecordImage(subject_id=ID, generation=generation, runtime="docker", image="i", digest="d"),
        "Fail": c.FailRollout(subject_id=ID, generation=generation, step="image", code="X", message="m"),
        "Switch": c.Switch(subject_id=ID, generation=generation),
        "Schedule": c.ScheduleRestart(subject_id=ID, generation=generation, is_immediate=False),
        "Now": c.RestartNow(subject_id=ID),
        "Confirm": c.ConfirmRollout(subject_id=ID, generation=generation),
        "Rollback": c.RollBack(subject_id=ID, to_generation=1),
        "Scale": c.ScaleDeployment(subject_id=ID, replicas=2),
        "Idle": c.IdleDeployment(subject_id=ID),
        "Wake": c.WakeDeployment(subject_id=ID),
        "Discard": c.RequestDiscard(subject_id=ID),
        "Discarded": c.RecordDiscarded(subject_id=ID),
    }
    return outcomes[word]


@pytest.mark.parametrize(("word", "state", "expected"), cells(TABLE))
def test_decides_as_the_table_says(word: str, state: str, expected: str) -> None:
    """Each command in each state leads to the events, the silence or the refusal of its cell."""
    world = given(STATES[state])
    check(world.when(command(word, world.world.state(DEPLOYMENT))), expected, LEGEND)


def test_the_table_has_every_command_of_a_deployment() -> None:
    """No command for deployments is missing from the table's rows."""
    rows = {line.split()[0] for line in TABLE.strip().splitlines()[1:]}
    assert {type(command(word, Deployment())) for word in rows} == set(c.DeploymentCommand.__subclasses__())


@pytest.mark.parametrize("word", ["Source", "Image", "Install", "Fail", "Switch", "Confirm"])
@pytest.mark.parametrize("state", ["fetch", "prep", "needs", "start", "update", "verify"])
def test_refuses_the_outcome_of_another_generation(word: str, state: str) -> None:
    """What a superseded rollout reports changes nothing of the one under way."""
    specification = given(STATES[state])
    newest = specification.world.state(DEPLOYMENT).last_generation
    for generation in (newest - 1, newest + 1):
        stale = command(word, Deployment(last_generation=generation))
        specification.when(stale).then_refused(TransitionInvalid, "INVALID_STATE")
