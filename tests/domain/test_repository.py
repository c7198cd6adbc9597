"""Repositories known by a name."""

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.errors import RepositoryExists, RepositoryNotFound
from ploinky.domain.repository import Repository, evolve
from tests.domain.specification import given

STREAM = "repository/agents"
URL = "https://git.example.com/agents.git"
ADDED = (STREAM, e.RepositoryAdded(url=URL, branch="main"))
REMOVE = c.RemoveRepository(subject_id="agents")


def add(url: str = URL, branch: str | None = "main") -> c.AddRepository:
    return c.AddRepository(subject_id="agents", url=url, branch=branch)


def test_gives_a_repository_a_name() -> None:
    """URL and branch are kept under the name."""
    world = given().when(add()).then(e.RepositoryAdded(url=URL, branch="main"))
    assert world.state(STREAM) == Repository(url=URL, branch="main")


def test_adding_the_same_again_decides_nothing() -> None:
    """It is so already."""
    given([ADDED]).when(add()).then_nothing()


@pytest.mark.parametrize("other", [add("https://git.example.com/other.git"), add(branch=None), add(branch="next")])
def test_refuses_another_repository_of_the_same_name(other: c.AddRepository) -> None:
    """A name stands for one URL and branch; the refusal says for which."""
    assert given([ADDED]).when(other).then_refused(RepositoryExists).details["url"] == URL


def test_removes_what_is_there() -> None:
    """Afterwards the name is free for another one."""
    world = given([ADDED]).when(REMOVE).then(e.RepositoryRemoved())
    assert world.state(STREAM) == Repository()
    assert len(world.execute(add("https://git.example.com/other.git"))) == 1


def test_refuses_to_remove_when_already_removed() -> None:
    """What was never there and what is gone cannot be removed."""
    given().when(REMOVE).then_refused(RepositoryNotFound)
    given([ADDED, (STREAM, e.RepositoryRemoved())]).when(REMOVE).then_refused(RepositoryNotFound)


def test_other_events_change_nothing() -> None:
    """An event of another aggregate leaves the state as it is."""
    assert evolve(Repository(url=URL), e.KeyRevoked()) == Repository(url=URL)
