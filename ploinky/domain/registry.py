"""A registry of images that has to be told who asks; its host is its id."""

import msgspec

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Decider, Decision, refuse_unknown
from ploinky.domain.errors import RegistryNotFound
from ploinky.domain.indexes import Indexes


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one registry."""

    username: str = ""
    """Empty while nothing is known of it."""
    secret: str = ""
    """The id of the password's version."""


def decide(command: c.Command, state: Registry, _indexes: Indexes) -> Decision:
    """Decide on a registry's command."""
    match command:
        case c.AddRegistry():
            is_known = (state.username, state.secret) == (command.username, command.secret)
            return [] if is_known else [e.RegistryAdded(username=command.username, secret=command.secret)]
        case c.RemoveRegistry() if not state.username:
            raise RegistryNotFound(registry=command.subject_id)
        case c.RemoveRegistry():
            return [e.RegistryRemoved()]
        case _:
            return refuse_unknown(command)


def evolve(state: Registry, event: e.Event) -> Registry:
    """Fold one event in."""
    match event:
        case e.RegistryAdded():
            return Registry(username=event.username, secret=event.secret)
        case e.RegistryRemoved():
            return Registry()
        case _:
            return state


REGISTRY = Decider("registry", Registry(), decide, evolve)
