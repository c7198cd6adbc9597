"""Which deployments follow a pushed branch, and which are behind it."""

import pytest

from ploinky.domain.deployment import Deployment, Desired, Rollout, Served, Step
from ploinky.domain.specs import DeploymentSpec, Release
from ploinky.policies.pushes import DEFAULT_BRANCH, branch_of, is_behind
from tests.domain.specification import START

URL = "https://git.example.com/agents.git"


def deployment(desired: Desired = Desired.RUNNING, **fields: str) -> Deployment:
    return Deployment(desired=desired, spec=DeploymentSpec(agent="a", repository=URL, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "branch"),
    [
        (deployment(), DEFAULT_BRANCH),
        (deployment(branch="dev"), "dev"),
        (deployment(branch="refs/heads/dev"), "dev"),
        (deployment(revision="v1"), None),
        (deployment(branch="dev", revision="v1"), None),
        (deployment(Desired.STOPPED), None),
        (deployment(Desired.REMOVED, branch="dev"), None),
    ],
)
def test_follows_a_branch_unless_it_stays_or_rests(state: Deployment, branch: str | None) -> None:
    """A revision does not move, and nobody wakes what was stopped."""
    assert branch_of(state) == branch


def state(active: str = "", **changes: Rollout) -> Deployment:
    served = Served(
        generation=1,
        reason="deploy",
        spec=DeploymentSpec(agent="a", repository=URL),
        release=Release(commit=active),
        runtime="memory",
        image="",
        dependencies="",
        switched_at=START,
    )
    return Deployment(history=(served,) if active else (), **changes)  # type: ignore[arg-type]


def rolling(commit: str) -> Rollout:
    release = Release(commit=commit) if commit else None
    return Rollout(generation=2, reason="update", step=Step.IMAGE if release else Step.SOURCE, release=release)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (state("new"), False),
        (state("old"), True),
        (state(), False),
        (state("old", rollout=rolling("")), False),
        (state("old", rollout=rolling("new")), False),
        (state("new", rollout=rolling("old")), True),
    ],
)
def test_is_behind_when_another_commit_serves_or_comes(found: Deployment, expected: bool) -> None:
    """A rollout that has not fetched yet finds the newest by itself; what never served waits for its owner."""
    assert is_behind(found, "new") is expected
