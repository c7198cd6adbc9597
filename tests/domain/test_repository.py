"""Repositories known by a name."""

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.errors import RepositoryExists, RepositoryNotFound
from ploinky.domain.repository import DELIVERIES, HEADS, Repository, evolve
from ploinky.domain.specs import AccessKind, SourceAccess
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


TOKEN = SourceAccess(kind=AccessKind.TOKEN, secret="s1")


def test_keeps_what_belongs_to_a_repository() -> None:
    """Credentials and the webhook's secret are known by version, the interval in seconds."""
    command = c.AddRepository(subject_id="agents", url=URL, access=TOKEN, webhook_secret="s2", poll_seconds=60)
    world = given().when(command).then(e.RepositoryAdded(url=URL, access=TOKEN, webhook_secret="s2", poll_seconds=60))
    assert world.state(STREAM).secrets == {"s1", "s2"}


def test_adding_again_changes_what_is_given() -> None:
    """What is left out stays as it was; an empty secret and an interval of 0 switch off."""
    again = c.AddRepository(subject_id="agents", url=URL, branch="main", access=TOKEN)
    world = given([ADDED]).when(again).then(e.RepositoryChanged(access=TOKEN))
    world.execute(c.AddRepository(subject_id="agents", url=URL, branch="main", webhook_secret="s2", poll_seconds=60))
    state = world.state(STREAM)
    assert (state.url, state.branch, state.access, state.webhook_secret, state.poll_seconds) == (
        URL,
        "main",
        TOKEN,
        "s2",
        60,
    )
    world.execute(c.AddRepository(subject_id="agents", url=URL, branch="main", webhook_secret="", poll_seconds=0))
    assert world.state(STREAM).secrets == {"s1"}
    assert world.state(STREAM).poll_seconds == 0


def push(commit: str = "c1", delivery: str = "", branch: str = "main") -> c.RecordPush:
    return c.RecordPush(subject_id="agents", origin="github", branch=branch, commit=commit, delivery=delivery)


def test_a_delivery_counts_once() -> None:
    """The same delivery again decides nothing, another one of the same commit does."""
    world = (
        given([ADDED])
        .when(push(delivery="x"))
        .then(e.RepositoryPushed(origin="github", branch="main", commit="c1", delivery="x"))
    )
    assert world.execute(push(delivery="x")) == []
    assert len(world.execute(push(delivery="y"))) == 1
    assert world.state(STREAM).delivery("x").commit == "c1"
    assert world.state(STREAM).delivery("z") is None


def test_a_look_counts_when_the_branch_moved() -> None:
    """What a push has told already is no news."""
    world = (
        given([ADDED])
        .when(push(delivery="x"))
        .then(e.RepositoryPushed(origin="github", branch="main", commit="c1", delivery="x"))
    )
    assert world.execute(push()) == []
    assert len(world.execute(push("c2"))) == 1
    assert len(world.execute(push("c2", branch="dev"))) == 1
    assert dict(world.state(STREAM).heads) == {"main": "c2", "dev": "c2"}


def test_what_is_remembered_is_bounded() -> None:
    """The oldest deliveries and branches go."""
    world = (
        given([ADDED])
        .when(push(delivery="first"))
        .then(e.RepositoryPushed(origin="github", branch="main", commit="c1", delivery="first"))
    )
    for number in range(DELIVERIES + HEADS):
        world.execute(push(delivery=str(number), branch=f"b{number}"))
    state = world.state(STREAM)
    assert (len(state.deliveries), len(state.heads)) == (DELIVERIES, HEADS)
    assert state.delivery("first") is None


def test_nobody_pushes_to_what_is_not_there() -> None:
    """A name without a repository has no branches."""
    given().when(push()).then_refused(RepositoryNotFound)


def test_other_events_change_nothing() -> None:
    """An event of another aggregate leaves the state as it is."""
    assert evolve(Repository(url=URL), e.KeyRevoked()) == Repository(url=URL)
