"""A repository known by a name."""

import msgspec

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Decider, Decision, refuse_unknown
from ploinky.domain.errors import RepositoryExists, RepositoryNotFound
from ploinky.domain.indexes import Indexes


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one name."""

    url: str = ""
    """Empty while the name is free."""
    branch: str | None = None


def decide(command: c.Command, state: Repository, _indexes: Indexes) -> Decision:
    """Decide on a repository's command."""
    match command:
        case c.AddRepository():
            if not state.url:
                return [e.RepositoryAdded(url=command.url, branch=command.branch)]
            if (state.url, state.branch) == (command.url, command.branch):
                return []
            raise RepositoryExists(repository=command.subject_id, url=state.url)
        case c.RemoveRepository():
            if not state.url:
                raise RepositoryNotFound(repository=command.subject_id)
            return [e.RepositoryRemoved()]
        case _:
            return refuse_unknown(command)


def evolve(state: Repository, event: e.Event) -> Repository:
    """Fold one event in."""
    match event:
        case e.RepositoryAdded():
            return Repository(url=event.url, branch=event.branch)
        case e.RepositoryRemoved():
            return Repository()
        case _:
            return state


REPOSITORY = Decider("repository", Repository(), decide, evolve)
