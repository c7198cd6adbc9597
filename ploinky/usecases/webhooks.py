"""Deploy on push: what git servers tell us, when it is signed."""

from collections.abc import Mapping
from typing import NamedTuple

from ploinky.control.pools import Pools
from ploinky.control.pushes import Pushes
from ploinky.domain.commands import RecordPush
from ploinky.domain.errors import NotFound, PloinkyError, SourceInvalid, Unauthenticated
from ploinky.domain.repository import Repository
from ploinky.domain.source_urls import parse_location
from ploinky.journal.dispatcher import Context
from ploinky.policies.pushes import DEFAULT_BRANCH, branch_of, followers
from ploinky.ports.secrets import SecretStore
from ploinky.usecases.webhook_forms import PROVIDERS, Headers, Provider, Push, read_push
from ploinky.views.views import Views

SIGNATURE_CHARACTERS = 16_384
"""The longest header that is looked at: GitLab's holds the secret itself."""


class Request(NamedTuple):
    """A delivery as it came in."""

    provider: str
    headers: Headers
    body: bytes
    repository: str | None
    """The name whose secret signed it, where the sender says; else all are tried, and its addresses decide."""
    request_id: str


class Acknowledgement(NamedTuple):
    """What became of a delivery. The same for each of its repetitions."""

    event: str
    delivery: str
    repositories: tuple[str, ...] = ()
    branch: str = ""
    commit: str = ""
    deployments: tuple[str, ...] = ()
    """Those that were told to follow."""
    ignored: str = ""
    """Why nothing was done; empty when it was."""


class Webhooks:
    """Deliveries, from anybody who can sign them."""

    def __init__(self, views: Views, pushes: Pushes, secrets: SecretStore, pools: Pools) -> None:
        """Take the machinery."""
        self._views = views
        self._pushes = pushes
        self._secrets = secrets
        self._pools = pools

    def check_is_signed(self, provider: str, headers: Headers) -> None:
        """Refuse what cannot be signed before its body is read. Raises `NotFound` or `Unauthenticated`."""
        known = PROVIDERS.get(provider)
        if known is None:
            raise NotFound(f"There is no webhook for {provider[:40]!r}", hint=f"There are {', '.join(PROVIDERS)}.")
        signature = headers.get(known.signature_header, "")
        if not 0 < len(signature) <= SIGNATURE_CHARACTERS or not self._candidates(None):
            raise _unsigned()

    async def take(self, request: Request) -> Acknowledgement:
        """Check the signature, then update what follows the pushed branch.

        Raises `Unauthenticated` when no repository's secret signed it, `Invalid` when it cannot be read.
        """
        self.check_is_signed(request.provider, request.headers)
        provider = PROVIDERS[request.provider]
        signed = await self._signed_by(provider, request)
        event, delivery = request.headers.get(provider.event_header, ""), provider.delivery(request.headers)
        if event != provider.push_event:
            return Acknowledgement(event[:100], delivery, ignored="only pushes are of interest")
        push = read_push(request.headers, request.body)
        if push is None:
            return Acknowledgement(event, delivery, ignored="nothing was pushed to a branch")
        names = [name for name, state in signed.items() if name == request.repository or _is_of(state, push)]
        if not names:
            return Acknowledgement(event, delivery, ignored="its secret is that of another repository")
        return await self._tell(names, push, event, delivery, request)

    async def _tell(self, names: list[str], push: Push, event: str, delivery: str, request: Request) -> Acknowledgement:
        following = followers(self._views.repositories.rows[names[0]].state.url, self._views)
        branches = {push.branch} | ({DEFAULT_BRANCH} if push.default_branch in {None, push.branch} else set())
        command = RecordPush(
            subject_id=names[0],
            origin=request.provider,
            branch=push.branch,
            commit=push.commit,
            delivery=f"{request.provider}:{delivery}",
        )
        told = await self._pushes.tell(
            names,
            command,
            [key for key, state in following.items() if branch_of(state) in branches],
            Context(f"webhook:{request.provider}", request.request_id),
        )
        return Acknowledgement(event, delivery, tuple(names), told.branch, told.commit, told.deployments)

    async def _signed_by(self, provider: Provider, request: Request) -> Mapping[str, Repository]:
        """Return the repositories whose secret signed a delivery. All are tried, however soon one fits."""
        candidates = self._candidates(request.repository)

        def work() -> dict[str, Repository]:
            return {
                name: state
                for name, state in candidates.items()
                if (secret := self._secret(state)) and provider.is_signed(request.headers, request.body, secret)
            }

        signed = await self._pools.slow(work)
        if not signed:
            raise _unsigned()
        return signed

    def _secret(self, repository: Repository) -> bytes:
        try:
            return self._secrets.get(repository.webhook_secret)
        except PloinkyError:
            return b""

    def _candidates(self, name: str | None) -> dict[str, Repository]:
        return {
            known: row.state
            for known, row in self._views.repositories.items()
            if row.state.webhook_secret and name in {None, known}
        }


def _is_of(repository: Repository, push: Push) -> bool:
    own = parse_location(repository.url).identity
    for url in push.urls:
        try:
            if parse_location(url).identity == own:
                return True
        except SourceInvalid:
            continue
    return False


def _unsigned() -> Unauthenticated:
    hint = "Give the repository the same secret here: `ploinky repo add --webhook-secret`."
    return Unauthenticated("The delivery is not signed with a secret of a repository here", hint=hint)
