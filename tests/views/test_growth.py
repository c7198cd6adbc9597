"""What one deployment costs does not grow with how many there are: counted in calls of functions, not in time."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from ploinky.control.reconcile import reconcile
from ploinky.domain import events as e
from ploinky.policies.reaction import look
from ploinky.ports.runtime import Observation, ObservedState
from tests.views.histories import PINNED, History

FEW, MANY = 5, 500
GROWTH_LIMIT = 1.1
"""Binary searches may take a step more."""


def world(deployments: int) -> History:
    """So many deployments, each serving with one instance."""
    history = History()
    for number in range(deployments):
        key, instance = f"d{number}", f"d{number}.1.0"
        history.deploy(key)
        created = e.InstanceCreated(
            deployment_id=key, generation=1, number=0, runtime="memory", name=instance, release=PINNED
        )
        started = e.InstanceStarted(engine_id=f"engine-{number}", queue_identity="q")
        history.add(f"deployment/{key}", e.SourceFetched(generation=1, release=PINNED))
        history.add(f"deployment/{key}", e.ImageReady(generation=1, runtime="memory", image=""))
        history.add(f"instance/{instance}", created, started, e.InstanceReady())
        switched = e.DeploymentSwitched(
            generation=1, release=PINNED, runtime="memory", image="", switched_at=history.now
        )
        history.add(f"deployment/{key}", switched, e.RolloutSucceeded(generation=1))
    return history


WORLDS = {count: world(count) for count in (FEW, 50, MANY)}


def calls_of(work: Callable[[History], object], history: History) -> int:
    """Count the calls of functions, C functions included, that something makes."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        work(history)
    finally:
        sys.setprofile(None)
    return count


def list_all(history: History) -> None:
    for key in history.views.deployments.rows:
        history.views.instances_of(key)
        history.views.serving_instances(key)
        history.views.free_slots(key)


def observed(name: str) -> Observation:
    return Observation(name=name, engine_id="engine", state=ObservedState.RUNNING, labels={})


def observe_all(history: History) -> None:
    instances = {key: row.state for key, row in history.views.instances.rows.items()}
    seen = {state.name: observed(state.name) for state in instances.values()}
    reconcile(instances, {"memory": seen}, ())


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda history: history.views.routes.match("any.example", "/d3/x"), id="finding a route"),
        pytest.param(lambda history: look(("deployment", "d3"), history.views, history.now), id="reacting to one"),
        pytest.param(
            lambda history: history.add("deployment/d3", e.DeploymentScaled(replicas=1)), id="folding an event"
        ),
    ],
)
def test_one_costs_the_same_among_many(work: Callable[[History], object]) -> None:
    """What concerns one deployment takes as many steps among 500 as among 5."""
    few, *more = (calls_of(work, history) for history in WORLDS.values())
    assert few > 0
    assert max(more) <= few * GROWTH_LIMIT


@pytest.mark.parametrize("work", [list_all, observe_all])
def test_all_cost_what_each_costs(work: Callable[[History], object]) -> None:
    """What concerns all of them takes as many steps for each of 500 as for each of 5."""
    each = {count: calls_of(work, history) / count for count, history in WORLDS.items()}
    assert max(each[50], each[MANY]) <= each[FEW] * GROWTH_LIMIT
