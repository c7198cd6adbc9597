"""What people see of a deployment in one word, and which addresses a repository may have."""

from datetime import UTC, datetime

import pytest

from ploinky.domain.deployment import Deployment, Desired, Rollout, Served, Step
from ploinky.domain.specs import DeploymentSpec, Release
from ploinky.usecases.deployments import summarise_state

SERVED = (
    Served(
        generation=1,
        reason="deploy",
        spec=DeploymentSpec(agent="a", repository="/a"),
        release=Release(commit="c1"),
        runtime="memory",
        image="",
        dependencies="",
        switched_at=datetime(2026, 1, 1, tzinfo=UTC),
    ),
)


def rollout(reason: str) -> Rollout:
    return Rollout(generation=2, reason=reason, step=Step.SOURCE)


@pytest.mark.parametrize(
    ("state", "is_serving", "word"),
    [
        (Deployment(desired=Desired.RUNNING, rollout=rollout("deploy")), False, "deploying"),
        (Deployment(desired=Desired.RUNNING, rollout=rollout("update"), history=SERVED), True, "deploying"),
        (Deployment(desired=Desired.RUNNING, rollout=rollout("restart"), history=SERVED), True, "restarting"),
        (Deployment(desired=Desired.RUNNING, rollout=rollout("recovery"), history=SERVED), False, "restarting"),
        (Deployment(desired=Desired.RUNNING, rollout=rollout("rollback"), history=SERVED), True, "deploying"),
        (Deployment(desired=Desired.RUNNING, history=SERVED), True, "running"),
        (Deployment(desired=Desired.RUNNING, history=SERVED, is_idle=True), False, "idle"),
        (Deployment(desired=Desired.RUNNING, history=SERVED, is_idle=True), True, "idle"),
        (Deployment(desired=Desired.STOPPED, history=SERVED, is_idle=True), False, "stopped"),
        (
            Deployment(desired=Desired.RUNNING, rollout=rollout("wake"), history=SERVED, is_idle=True),
            False,
            "restarting",
        ),
        (Deployment(desired=Desired.RUNNING, history=SERVED), False, "restarting"),
        (Deployment(desired=Desired.RUNNING), False, "failed"),
        (Deployment(desired=Desired.STOPPED, history=SERVED), False, "stopped"),
        (Deployment(desired=Desired.STOPPED, history=SERVED), True, "stopped"),
        (Deployment(desired=Desired.REMOVED, history=SERVED), True, "removing"),
        (Deployment(desired=Desired.REMOVED, rollout=rollout("deploy")), False, "removing"),
    ],
)
def test_says_in_one_word_how_it_is(state: Deployment, is_serving: bool, word: str) -> None:
    """The word follows what is wanted first, then what is under way, then what serves."""
    assert summarise_state(state, is_serving=is_serving) == word
