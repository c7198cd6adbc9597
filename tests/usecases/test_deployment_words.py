"""What people see of a deployment in one word, and which addresses a repository may have."""

import pytest

from ploinky.domain.deployment import Deployment, Desired, Rollout, Step
from ploinky.usecases.deployments import summarise_state


def rollout(reason: str) -> Rollout:
    return Rollout(generation=2, reason=reason, step=Step.SOURCE)


@pytest.mark.parametrize(
    ("state", "is_serving", "word"),
    [
        (Deployment(desired=Desired.RUNNING, rollout=rollout("deploy")), False, "deploying"),
        (Deployment(desired=Desired.RUNNING, rollout=rollout("update"), active_generation=1), True, "deploying"),
        (Deployment(desired=Desired.RUNNING, rollout=rollout("restart"), active_generation=1), True, "restarting"),
        (Deployment(desired=Desired.RUNNING, rollout=rollout("recovery"), active_generation=1), False, "restarting"),
        (Deployment(desired=Desired.RUNNING, active_generation=1), True, "running"),
        (Deployment(desired=Desired.RUNNING, active_generation=1), False, "restarting"),
        (Deployment(desired=Desired.RUNNING), False, "failed"),
        (Deployment(desired=Desired.STOPPED, active_generation=1), False, "stopped"),
        (Deployment(desired=Desired.STOPPED, active_generation=1), True, "stopped"),
        (Deployment(desired=Desired.REMOVED, active_generation=1), True, "removing"),
        (Deployment(desired=Desired.REMOVED, rollout=rollout("deploy")), False, "removing"),
    ],
)
def test_says_in_one_word_how_it_is(state: Deployment, is_serving: bool, word: str) -> None:
    """The word follows what is wanted first, then what is under way, then what serves."""
    assert summarise_state(state, is_serving=is_serving) == word
