"""Repositories that are a list of commits in memory, with a server that can be away."""

import hashlib
from collections.abc import Mapping

from ploinky.domain.errors import SourceInvalid, SourceUnavailable
from ploinky.ports.sources import Checkout, Progress

Tree = dict[str, bytes]


class MemorySources:
    """The `Sources` port in memory.

    A checkout's `directory` is a name in `trees`, where `MemoryAgentFolders` finds its files.
    """

    def __init__(self) -> None:
        self.is_away = False
        """Fault injection: no server answers while this is true."""
        self.trees: dict[str, Tree] = {}
        self._branches: dict[tuple[str, str], str] = {}
        self._default_branches: dict[str, str] = {}
        self._commits: dict[tuple[str, str], Tree] = {}
        self._fetched: dict[tuple[str, str | None], str] = {}
        self._cached: set[tuple[str, str]] = set()

    def commit(self, url: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Make a repository's next commit and return its id. The first branch committed to is the default one."""
        parent = self._branches.get((url, branch), "")
        content = "".join(f"{path}\0{hashlib.sha1(files[path]).hexdigest()}\0" for path in sorted(files))  # noqa: S324
        commit = hashlib.sha1(f"{url}\0{parent}\0{content}".encode()).hexdigest()  # noqa: S324 - git's own
        self._branches[url, branch] = commit
        self._default_branches.setdefault(url, branch)
        self._commits[url, commit] = dict(files)
        return commit

    def fetch(self, url: str, branch: str | None, progress: Progress) -> Checkout:
        if self.is_away:
            return self._from_cache(url, branch)
        progress(f"fetching {branch or 'the default branch'}")
        if url not in self._default_branches:
            raise SourceInvalid("There is no repository at this URL", hint="Check the URL.")
        commit = self._branches.get((url, branch or self._default_branches[url]))
        if commit is None:
            raise SourceInvalid(f"The repository has no branch {branch!r}", hint="See its branches.")
        self._fetched[url, branch] = commit
        return self._checked_out(url, commit, is_from_cache=False)

    def checkout(self, url: str, commit: str) -> Checkout:
        if (url, commit) not in self._cached:
            raise SourceInvalid(f"Commit {commit[:80]} is not in the cache", hint="Update the repository.")
        return self._checked_out(url, commit, is_from_cache=False)

    def _from_cache(self, url: str, branch: str | None) -> Checkout:
        commit = self._fetched.get((url, branch))
        if commit is None:
            raise SourceUnavailable("The repository's server does not answer", hint="Try again.")
        return self._checked_out(url, commit, is_from_cache=True)

    def _checked_out(self, url: str, commit: str, *, is_from_cache: bool) -> Checkout:
        directory = f"/memory/checkouts/{hashlib.sha256(url.encode()).hexdigest()[:8]}/{commit}"
        self._cached.add((url, commit))
        self.trees.setdefault(directory, dict(self._commits[url, commit]))
        return Checkout(commit, directory, is_from_cache)
