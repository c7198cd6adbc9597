"""Ask a remote for its branches and pick the commit that is wanted."""

import os
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dulwich.client import FetchPackResult, HttpGitClient, LocalGitClient
from dulwich.config import ConfigDict
from dulwich.errors import NotGitRepository
from dulwich.objects import ObjectID
from dulwich.refs import Ref, check_ref_format
from dulwich.repo import Repo

from ploinky.adapters.dulwich_sources_failures import Refusal

HTTP_TIMEOUT_SECONDS = 20.0
NAMED_BRANCHES = 10

_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOCAL_HINT = "Make it one with `git init`, or start from `ploinky new agent`."

Refs = Mapping[Ref, ObjectID | None]


class Remote(NamedTuple):
    """A repository to fetch from."""

    address: str
    is_local: bool
    username: str | None
    password: str | None

    def fetch(self, target: Repo, branch: str | None, depth: int | None, report: Callable[[str], None]) -> ObjectID:
        """Bring the wanted commit into `target` and return it (or the tag that names it).

        Raises `Refusal` for what this remote cannot give, and whatever dulwich raises.
        """
        picked: list[ObjectID] = []

        def wants(refs: Refs, depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001 - dulwich passes it
            picked.append(pick(refs, branch))
            return [] if picked[-1] in target.object_store else [picked[-1]]

        says = _progress(report)
        self._fetch(target, wants, depth, says)
        return picked[-1]

    def fetch_everything(self, target: Repo, report: Callable[[str], None]) -> None:
        """Bring every branch and tag, for a commit that the server does not give by its id."""

        def wants(refs: Refs, depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001 - dulwich passes it
            return [
                sha
                for ref, sha in refs.items()
                if sha and ref.startswith((b"refs/heads/", b"refs/tags/")) and not ref.endswith(b"^{}")
            ]

        self._fetch(target, wants, None, _progress(report))

    def _fetch(
        self,
        target: Repo,
        wants: Callable[..., list[ObjectID]],
        depth: int | None,
        progress: Callable[[bytes], None],
    ) -> FetchPackResult:
        # An empty configuration: neither the user's nor the repository's may redirect us or run anything.
        if self.is_local:
            self._check_is_repository()
            local = LocalGitClient(config=ConfigDict())
            return local.fetch(self.address, target, determine_wants=wants, progress=progress, depth=depth)
        client = HttpGitClient(
            self.address,
            config=ConfigDict(),
            username=self.username,
            password=self.password,
            timeout=HTTP_TIMEOUT_SECONDS,
        )
        return client.fetch(self.address, target, determine_wants=wants, progress=progress, depth=depth)

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


def pick(refs: Refs, branch: str | None) -> ObjectID:
    """Choose the commit of a branch, tag, full ref name or commit id; the remote's default branch when None."""
    known = {ref: sha for ref, sha in refs.items() if sha is not None and not ref.endswith(b"^{}")}
    branches = sorted(ref.removeprefix(b"refs/heads/") for ref in known if ref.startswith(b"refs/heads/"))
    if branch is None:
        return _default(known, branches)
    name = branch.encode("utf-8", "surrogateescape")
    if _COMMIT.fullmatch(branch):
        return ObjectID(name)
    if not check_ref_format(Ref(b"refs/heads/" + name)):
        raise Refusal("invalid", f"{branch!r} is no possible branch name")
    for ref in (b"refs/heads/" + name, b"refs/tags/" + name, name):
        if ref in known:
            return known[Ref(ref)]
    raise Refusal("invalid", f"The repository has no branch {branch!r}", _naming(branches))


def _default(known: Mapping[Ref, ObjectID], branches: list[bytes]) -> ObjectID:
    head = known.get(Ref(b"HEAD"))
    if head is not None:
        return head
    for name in [b"main", b"master", *(branches if len(branches) == 1 else [])]:
        if name in branches:
            return known[Ref(b"refs/heads/" + name)]
    if not branches:
        raise Refusal("invalid", "The repository has no commits yet", "Commit something first.")
    raise Refusal("invalid", "The repository has no default branch", _naming(branches))


def _naming(branches: list[bytes]) -> str:
    shown = ", ".join(name.decode("utf-8", "replace") for name in branches[:NAMED_BRANCHES])
    return f"It has: {shown}{', ...' if len(branches) > NAMED_BRANCHES else ''}." if branches else "It has none yet."


def _progress(report: Callable[[str], None]) -> Callable[[bytes], None]:
    """Pass on what the server says by whole lines; its counters, which rewrite one line, only when they are done."""

    def progress(message: bytes) -> None:
        for line in message.decode("utf-8", "replace").split("\n"):
            last = line.rpartition("\r")[2].strip()
            if last and not line.endswith("\r"):
                report(last)

    return progress
