"""Agents' source code: from a git repository to an immutable folder per commit."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

Progress = Callable[[str], None]
"""Receives one short line of progress at a time, from the calling thread."""


class Credentials(NamedTuple):
    """What opens a private repository. Never part of a text, a URL or a file."""

    username: str = ""
    """For http(s), beside the password or token."""
    password: str = ""
    ssh_key: str = ""
    """A private key in OpenSSH's or PEM form, without a passphrase."""

    def __repr__(self) -> str:
        """Show nothing."""
        return "Credentials(***)"


class Source(NamedTuple):
    """What to fetch, and what opens it."""

    url: str
    """http(s)://, ssh://, user@host:path, file:// or an absolute local path; without credentials."""
    branch: str | None = None
    """A branch, tag, full ref name or commit id; None = the default branch."""
    revision: str | None = None
    """A tag or a commit id, which may be shortened as long as it is unambiguous. Wins over the branch."""
    credentials: Credentials | None = None


class Checkout(NamedTuple):
    """One commit, materialised."""

    commit: str
    """40 hex digits."""
    directory: str
    """An absolute path; the folder's content never changes."""
    is_from_cache: bool
    """True when the server was not or could not be asked, and the commit fetched last serves."""
    age_seconds: float | None = None
    """How long ago the server named this commit; None when it just did, or when nobody knows."""
    reason: str = ""
    """Why the cache serves."""
    warnings: tuple[str, ...] = ()
    """What of the commit is not in the folder as its author sees it."""


class CacheRecord(NamedTuple):
    """What is known of a repository's cache."""

    url: str
    last_fetch_at: float | None
    """Seconds since 1970."""
    heads: Mapping[str, str]
    """The commit fetched last for each branch or revision that was asked for; `HEAD` is the default branch."""
    ttl_seconds: float
    size_bytes: int
    last_error: str


class Sources(Protocol):
    """Fetch repositories. Slow and blocking; call from a pool.

    **Errors**: `SourceUnavailable` (no answer, refused, timed out; retryable), `SourceInvalid` (no such branch, not a
    repository, a tree that would leave its folder, too large), both with a hint, never with credentials in the text.
    """

    def fetch(self, source: Source, progress: Progress, *, is_fresh: bool = False) -> Checkout:
        """Return a checkout of the newest commit of what is asked for. Idempotent per commit.

        With `is_fresh` the server is asked, however short ago it was asked before.
        """

    def checkout(self, url: str, commit: str) -> Checkout:
        """Return the folder of a commit fetched before, materialising it again if it is gone. Asks no server."""

    def heads(self, source: Source) -> Mapping[str, str]:
        """Ask the server for its branches by name, the default one also as `HEAD`, without fetching anything."""

    def changes(self, url: str, before: str, after: str) -> tuple[str, ...]:
        """Compare two fetched commits: `+ path`, `- path` or `~ path`, sorted, at most `CHANGES_LIMIT`."""

    def record(self, url: str) -> CacheRecord | None:
        """Return what is known of the repository's cache; None before the first fetch."""

    def close(self) -> None:
        """Let go of what is kept between requests. Idempotent; requests may still come."""


CHANGES_LIMIT = 200

AGENT_SIGNS = ("manifest.json", "agent.py", "handlers", "index.js")
"""What a repository's root has at least one of when it is an agent itself."""


class AgentFolder(NamedTuple):
    """An agent found in a checkout."""

    directory: str
    manifest: bytes | None
    """The content of its `manifest.json`; None when it has none."""
    dependency_files: Mapping[str, bytes] = MappingProxyType({})
    """The content of those of `DEPENDENCY_FILES` that it has."""
    has_dockerfile: bool = False


class FoundAgent(NamedTuple):
    """An agent found while looking through a checkout."""

    folder: str
    """Below the root; empty for the root itself."""
    manifest: bytes | None
    handlers: tuple[str, ...]
    """The commands its `handlers` folder has a file for, sorted."""
    error: str = ""
    """Why its manifest cannot be read."""


AGENTS_LIMIT = 500
AGENT_FOLDER_DEPTH = 3
"""How far below the root agents are looked for."""


class AgentFolders(Protocol):
    """Find agents in checkouts and prepare the copy that one release runs from."""

    def find(self, checkout: str, agent: str, subfolder: str = "") -> AgentFolder:
        """Find the folder of `agent`: the root when its manifest has that name or there is no such folder.

        With a subfolder, that stands for the root. Raises `SourceInvalid` when a name leaves the checkout or the folder
        is a link, `AgentNotFound` when there is no such folder and the root is no agent either: it has none of
        `AGENT_SIGNS`.
        """

    def agents(self, checkout: str) -> list[FoundAgent]:
        """List the agents of a checkout by folder, at most `AGENTS_LIMIT`.

        An agent's folder has at least one of `AGENT_SIGNS`, and no name that begins with a dot; within one nobody
        looks further, except within the root.
        """

    def prepare(self, source: str, release: str, owner_user_id: int | None = None) -> str:
        """Copy an agent's folder to the release's own writable folder and return its path. Idempotent.

        The copy belongs to `owner_user_id`, or to the server's own user when that is None.

        `release` is `{deploymentId}/{number}`. Links are copied as links, never followed; `.git` is left out; the copy
        has an empty `.ploinky/queue` to mount on.
        """

    def volume(self, deployment_id: str, name: str, owner_user_id: int | None = None) -> str:
        """Make a deployment's folder that outlives its generations, and return its absolute path. Idempotent."""

    def discard_volumes(self, deployment_id: str) -> None:
        """Remove all of a deployment's folders. Idempotent."""

    def discard(self, release: str) -> None:
        """Remove a release's folder. Idempotent."""
