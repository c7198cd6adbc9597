"""Who asks a registry of images."""

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.errors import RegistryNotFound
from ploinky.domain.registry import Registry
from tests.domain.specification import given

STREAM = "registry/images.example.com"
ADDED = (STREAM, e.RegistryAdded(username="robot", secret="s1"))
ADD = c.AddRegistry(subject_id="images.example.com", username="robot", secret="s1")
REMOVE = c.RemoveRegistry(subject_id="images.example.com")


def test_is_told_who_asks() -> None:
    """The event holds the name and the id of the password's version."""
    world = given().when(ADD).then(ADDED[1])
    assert world.state(STREAM) == Registry(username="robot", secret="s1")


def test_the_same_again_is_nothing_new() -> None:
    """A repetition decides nothing; another password is another version, and is recorded."""
    given([ADDED]).when(ADD).then()
    newer = c.AddRegistry(subject_id="images.example.com", username="robot", secret="s2")
    given([ADDED]).when(newer).then(e.RegistryAdded(username="robot", secret="s2"))


def test_is_forgotten() -> None:
    """Afterwards nothing is known of it, and it may be told anew."""
    world = given([ADDED]).when(REMOVE).then(e.RegistryRemoved())
    assert world.state(STREAM) == Registry()
    given([ADDED, (STREAM, e.RegistryRemoved())]).when(ADD).then(ADDED[1])


def test_refuses_to_forget_what_it_does_not_know() -> None:
    """Whoever removes learns that there was nothing."""
    given().when(REMOVE).then_refused(RegistryNotFound)
