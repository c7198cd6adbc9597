"""Ask a remote for its branches, and fetch the commit that is wanted."""

import contextlib
import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from dulwich.client import GitClient, HttpGitClient, LocalGitClient
from dulwich.config import ConfigDict
from dulwich.errors import NotGitRepository
from dulwich.objects import ObjectID
from dulwich.repo import Repo

from ploinky.adapters.dulwich_sources_failures import Refusal
from ploinky.adapters.dulwich_sources_ssh import ssh_client
from ploinky.adapters.dulwich_sources_wish import DEFAULT_KEY, Refs, Wish, pick
from ploinky.domain.source_urls import Location, Transport
from ploinky.ports.sources import Credentials

HTTP_TIMEOUT_SECONDS = 20.0
HEADS = 10_000
WHOLE_DEPTH = 0x7FFF_FFFF
"""What git itself asks for to make a shallow clone whole."""

_LOCAL_HINT = "Make it one with `git init`, or start from `ploinky new agent`."


class Remote(NamedTuple):
    """A repository to fetch from, and what opens it."""

    location: Location
    credentials: Credentials
    known_hosts_file: str | None = None

    @property
    def address(self) -> str:
        """The place, without credentials."""
        return self.location.address

    @property
    def is_local(self) -> bool:
        """Whether it is read from this machine's own disk."""
        return self.location.is_local

    def fetch(self, target: Repo, wish: Wish, depth: int | None, report: Callable[[str], None]) -> ObjectID | None:
        """Bring the wanted commit into `target` and return it (or the tag that names it); None when no ref tells it.

        Raises `Refusal` for what this remote cannot give, and whatever dulwich raises.
        """
        picked: list[ObjectID | None] = []

        def wants(refs: Refs, depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001 - dulwich passes it
            picked.append(pick(refs, wish))
            return [] if picked[-1] is None or picked[-1] in target.object_store else [picked[-1]]

        says = _progress(report)
        self._fetch(target, wants, depth, says)
        return picked[-1]

    def fetch_everything(self, target: Repo, report: Callable[[str], None]) -> None:
        """Bring every branch and tag with its history, for a commit that the server does not give by its id."""

        def wants(refs: Refs, depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001 - dulwich passes it
            return [
                sha
                for ref, sha in refs.items()
                if sha and ref.startswith((b"refs/heads/", b"refs/tags/")) and not ref.endswith(b"^{}")
            ]

        self._fetch(target, wants, WHOLE_DEPTH, _progress(report))

    def heads(self) -> dict[str, str]:
        """Ask for the branches by name; the default one also as `HEAD`."""
        with self._client() as (client, path):
            refs = client.get_refs(path.encode()).refs
        known = {ref: sha for ref, sha in refs.items() if sha is not None}
        heads = {
            ref.removeprefix(b"refs/heads/").decode("utf-8", "replace"): sha.decode()
            for ref, sha in sorted(known.items())
            if ref.startswith(b"refs/heads/")
        }
        found = pick(known, Wish()) if heads else None
        return dict(islice(heads.items(), HEADS)) | ({DEFAULT_KEY: found.decode()} if found else {})

    def _fetch(
        self,
        target: Repo,
        wants: Callable[..., list[ObjectID]],
        depth: int | None,
        progress: Callable[[bytes], None],
    ) -> None:
        with self._client() as (client, path):
            client.fetch(path, target, determine_wants=wants, progress=progress, depth=depth)

    @contextlib.contextmanager
    def _client(self) -> Iterator[tuple[GitClient, str]]:
        # An empty configuration: neither the user's nor the repository's may redirect us or run anything.
        if self.is_local:
            self._check_is_repository()
            yield LocalGitClient(config=ConfigDict()), self.address
            return
        if self.location.transport is Transport.SSH:
            with ssh_client(self.address, self.credentials.ssh_key, self.known_hosts_file) as (client, path):
                yield client, path
            return
        has_password = bool(self.credentials.password)
        yield (
            HttpGitClient(
                self.address,
                config=ConfigDict(),
                username=self.credentials.username if has_password else None,
                password=self.credentials.password if has_password else None,
                timeout=HTTP_TIMEOUT_SECONDS,
            ),
            self.address,
        )

    def _check_is_repository(self) -> None:
        if not os.path.isdir(self.address):
            raise Refusal("invalid", f"There is no directory {self.address}", "Check the path.")
        try:
            Repo(self.address).close()
        except PermissionError as error:
            hint = "The server's user needs to read it."
            raise Refusal("invalid", f"{self.address} may not be read", hint) from error
        except NotGitRepository as error:
            raise Refusal("invalid", f"{self.address} is no git repository", self._local_hint()) from error

    def _local_hint(self) -> str:
        above = os.path.dirname(self.address)
        while above != "/":
            if os.path.exists(os.path.join(above, ".git")):
                return f"The repository is {above}; name that, and the folder as the agent."
            above = os.path.dirname(above)
        return _LOCAL_HINT


def _progress(report: Callable[[str], None]) -> Callable[[bytes], None]:
    """Pass on what the server says by whole lines; its counters, which rewrite one line, only when they are done."""

    def progress(message: bytes) -> None:
        for line in message.decode("utf-8", "replace").split("\n"):
            last = line.rpartition("\r")[2].strip()
            if last and not line.endswith("\r"):
                report(last)

    return progress
