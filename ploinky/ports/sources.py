"""Agents' source code: from a git repository to an immutable folder per commit."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

Progress = Callable[[str], None]
"""Receives one short line of progress at a time, from the calling thread."""


class Checkout(NamedTuple):
    """One commit, materialised."""

    commit: str
    """40 hex digits."""
    directory: str
    """An absolute path; the folder's content never changes."""
    is_from_cache: bool
    """True when the server could not be asked and an earlier commit of the branch serves."""


class Sources(Protocol):
    """Fetch repositories. Slow and blocking; call from a pool.

    **Errors**: `SourceUnavailable` (no answer, refused, timed out; retryable), `SourceInvalid` (no such branch, not a
    repository, a tree that would leave its folder, too large), both with a hint, never with credentials in the text.
    """

    def fetch(self, url: str, branch: str | None, progress: Progress) -> Checkout:
        """Return a checkout of the branch's newest commit (the default branch when None). Idempotent per commit.

        `url` is http(s)://, file:// or an absolute local path.
        """

    def checkout(self, url: str, commit: str) -> Checkout:
        """Return the folder of a commit fetched before, materialising it again if it is gone. Asks no server."""


AGENT_SIGNS = ("manifest.json", "agent.py", "handlers", "index.js")
"""What a repository's root has at least one of when it is an agent itself."""


class AgentFolder(NamedTuple):
    """An agent found in a checkout."""

    directory: str
    manifest: bytes | None
    """The content of its `manifest.json`; None when it has none."""


class AgentFolders(Protocol):
    """Find agents in checkouts and prepare the copy that one release runs from."""

    def find(self, checkout: str, agent: str) -> AgentFolder:
        """Find the folder of `agent`: the root when its manifest has that name or there is no such folder.

        Raises `SourceInvalid` when the name leaves the checkout or the folder is a link, `AgentNotFound` when there is
        no such folder and the root is no agent either: it has none of `AGENT_SIGNS`.
        """

    def prepare(self, source: str, release: str, owner_user_id: int | None = None) -> str:
        """Copy an agent's folder to the release's own writable folder and return its path. Idempotent.

        The copy belongs to `owner_user_id`, or to the server's own user when that is None.

        `release` is `{deploymentId}/{number}`. Links are copied as links, never followed; `.git` is left out; the copy
        has an empty `.ploinky/queue` to mount on.
        """

    def discard(self, release: str) -> None:
        """Remove a release's folder. Idempotent."""
