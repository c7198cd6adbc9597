"""A repository known by a name."""

from collections.abc import Mapping

import msgspec

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Decider, Decision, refuse_unknown
from ploinky.domain.errors import RepositoryExists, RepositoryNotFound
from ploinky.domain.indexes import Indexes
from ploinky.domain.specs import SourceAccess

DELIVERIES = 200
"""Deliveries of webhooks that are known again."""
HEADS = 200


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery of a webhook, and what it caused."""

    id: str
    branch: str
    commit: str
    deployments: tuple[str, ...]


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one name."""

    url: str = ""
    """Empty while the name is free."""
    branch: str | None = None
    access: SourceAccess | None = None
    webhook_secret: str = ""
    """The version of the secret that signs deliveries; empty = none are taken."""
    poll_seconds: int = 0
    """Between two looks at its branches; 0 = nobody looks."""
    heads: Mapping[str, str] = {}
    """The newest commit that a push or a look told, by branch."""
    deliveries: tuple[Delivery, ...] = ()
    """The newest ones, oldest first."""

    @property
    def secrets(self) -> set[str]:
        """Return the versions of all secrets that belong to it."""
        return {self.webhook_secret, self.access.secret if self.access else ""} - {""}

    def delivery(self, delivery_id: str) -> Delivery | None:
        """Find an earlier delivery."""
        return next((known for known in self.deliveries if known.id == delivery_id), None)


def decide(command: c.Command, state: Repository, _indexes: Indexes) -> Decision:
    """Decide on a repository's command."""
    match command:
        case c.AddRepository():
            return _add(command, state)
        case c.RemoveRepository() | c.RecordPush() if not state.url:
            raise RepositoryNotFound(repository=command.subject_id)
        case c.RemoveRepository():
            return [e.RepositoryRemoved()]
        case c.RecordPush():
            return _push(command, state)
        case _:
            return refuse_unknown(command)


def _add(command: c.AddRepository, state: Repository) -> Decision:
    if not state.url:
        added = e.RepositoryAdded(
            url=command.url,
            branch=command.branch,
            access=command.access,
            webhook_secret=command.webhook_secret or "",
            poll_seconds=command.poll_seconds or 0,
        )
        return [added]
    if (state.url, state.branch) != (command.url, command.branch):
        raise RepositoryExists(repository=command.subject_id, url=state.url)
    changed = e.RepositoryChanged(
        access=command.access or state.access,
        webhook_secret=state.webhook_secret if command.webhook_secret is None else command.webhook_secret,
        poll_seconds=state.poll_seconds if command.poll_seconds is None else command.poll_seconds,
    )
    return [changed] if evolve(state, changed) != state else []


def _push(command: c.RecordPush, state: Repository) -> Decision:
    is_known = (
        state.delivery(command.delivery) is not None
        if command.delivery
        else state.heads.get(command.branch) == command.commit
    )
    if is_known:
        return []
    pushed = e.RepositoryPushed(
        origin=command.origin,
        delivery=command.delivery,
        branch=command.branch,
        commit=command.commit,
        deployments=command.deployments,
    )
    return [pushed]


def evolve(state: Repository, event: e.Event) -> Repository:
    """Fold one event in."""
    match event:
        case e.RepositoryAdded():
            return Repository(
                url=event.url,
                branch=event.branch,
                access=event.access,
                webhook_secret=event.webhook_secret,
                poll_seconds=event.poll_seconds,
            )
        case e.RepositoryChanged():
            return msgspec.structs.replace(
                state,
                access=event.access,
                webhook_secret=event.webhook_secret,
                poll_seconds=event.poll_seconds,
            )
        case e.RepositoryPushed():
            return _pushed(state, event)
        case e.RepositoryRemoved():
            return Repository()
        case _:
            return state


def _pushed(state: Repository, event: e.RepositoryPushed) -> Repository:
    heads = {branch: commit for branch, commit in state.heads.items() if branch != event.branch}
    heads |= {event.branch: event.commit}
    deliveries = state.deliveries
    if event.delivery:
        delivery = Delivery(id=event.delivery, branch=event.branch, commit=event.commit, deployments=event.deployments)
        deliveries = (*deliveries, delivery)[-DELIVERIES:]
    newest = dict(list(heads.items())[-HEADS:])
    return msgspec.structs.replace(state, heads=newest, deliveries=deliveries)


REPOSITORY = Decider("repository", Repository(), decide, evolve)
