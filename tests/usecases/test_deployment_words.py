"""What people see of a deployment in one word, and which addresses a repository may have."""

import pytest

from ploinky.domain.deployment import Deployment, Desired, Rollout, Step
from ploinky.domain.errors import Invalid
from ploinky.usecases.deployments import parse_repository, summarise_state


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


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/agents.git",
        "http://localhost:8080/a/b",
        "https://git.example.com/a@b",
        "file:///srv/agents",
        "/srv/agents",
    ],
)
def test_takes_addresses_of_repositories(url: str) -> None:
    """HTTP, `file://` and absolute paths are addresses."""
    assert parse_repository(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "agents",
        "../agents",
        "file://host/agents",
        "ssh://git@example.com/agents",
        "git@example.com:agents.git",
        "https://user:secret@git.example.com/agents.git",
        "https://token@git.example.com/agents.git",
        "https://git.example.com/a\nb",
        "/srv/\0agents",
    ],
)
def test_refuses_other_addresses(url: str) -> None:
    """Relative paths, other schemes, credentials and control characters are refused, and no secret is repeated."""
    with pytest.raises(Invalid) as caught:
        parse_repository(url)
    assert "secret" not in caught.value.message
