"""Repositories that are a list of commits in memory, with a server that can be away."""

import hashlib
from collections.abc import Mapping

from ploinky.domain.errors import SourceInvalid, SourceUnavailable
from ploinky.domain.source_urls import parse_location
from ploinky.ports.sources import CHANGES_LIMIT, CacheRecord, Checkout, Credentials, Progress, Source

SHORTEST_PREFIX_DIGITS = 4
COMMIT_DIGITS = 40

Tree = dict[str, bytes]


class MemorySources:
    """The `Sources` port in memory.

    A checkout's `directory` is a name in `trees`, where `MemoryAgentFolders` finds its files.
    """

    def __init__(self) -> None:
        self.is_away = False
        """Fault injection: no server answers while this is true."""
        self.needed: dict[str, Credentials] = {}
        """What a private repository asks for, by URL."""
        self.trees: dict[str, Tree] = {}
        self._branches: dict[tuple[str, str], str] = {}
        self._tags: dict[tuple[str, str], str] = {}
        self._default_branches: dict[str, str] = {}
        self._commits: dict[tuple[str, str], Tree] = {}
        self._fetched: dict[tuple[str, str], str] = {}
        self._cached: set[tuple[str, str]] = set()
        self._errors: dict[str, str] = {}

    def commit(self, url: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Make a repository's next commit and return its id. The first branch committed to is the default one."""
        url = parse_location(url).address
        parent = self._branches.get((url, branch), "")
        content = "".join(f"{path}\0{hashlib.sha1(files[path]).hexdigest()}\0" for path in sorted(files))  # noqa: S324
        commit = hashlib.sha1(f"{url}\0{parent}\0{content}".encode()).hexdigest()  # noqa: S324 - git's own
        self._branches[url, branch] = commit
        self._default_branches.setdefault(url, branch)
        self._commits[url, commit] = dict(files)
        return commit

    def tag(self, url: str, name: str, commit: str) -> None:
        """Name a commit."""
        self._tags[parse_location(url).address, name] = commit

    def fetch(self, source: Source, progress: Progress, *, is_fresh: bool = False) -> Checkout:
        url, key = parse_location(source.url).address, source.revision or source.branch or "HEAD"
        is_known = source.revision is not None and (url, source.revision) in self._cached
        if self.is_away and not is_known:
            return self._from_cache(url, key)
        progress(f"fetching {key}{' anew' if is_fresh else ''}")
        commit = self._named(source, url)
        self._fetched[url, key] = commit
        self._errors.pop(url, None)
        return self._checked_out(url, commit, is_from_cache=False)

    def checkout(self, url: str, commit: str) -> Checkout:
        url = parse_location(url).address
        if (url, commit) not in self._cached:
            raise SourceInvalid(f"Commit {commit[:80]} is not in the cache", hint="Update the repository.")
        return self._checked_out(url, commit, is_from_cache=False)

    def heads(self, source: Source) -> Mapping[str, str]:
        url = parse_location(source.url).address
        if self.is_away:
            raise SourceUnavailable("The repository's server does not answer", hint="Try again.")
        default = self._named(Source(source.url, credentials=source.credentials), url)
        branches = {branch: commit for (known, branch), commit in self._branches.items() if known == url}
        return {**branches, "HEAD": default}

    def changes(self, url: str, before: str, after: str) -> tuple[str, ...]:
        url = parse_location(url).address
        for commit in (before, after):
            if (url, commit) not in self._cached:
                raise SourceInvalid(f"Commit {commit[:80]} is not in the cache", hint="Update the repository.")
        old, new = self._commits[url, before], self._commits[url, after]
        paths = sorted(path for path in {*old, *new} if old.get(path) != new.get(path))
        signs = ("~" if path in old and path in new else "-" if path in old else "+" for path in paths)
        return tuple(f"{sign} {path}" for sign, path in zip(signs, paths, strict=True))[:CHANGES_LIMIT]

    def record(self, url: str) -> CacheRecord | None:
        url = parse_location(url).address
        heads = {key: commit for (known, key), commit in self._fetched.items() if known == url}
        error = self._errors.get(url, "")
        return CacheRecord(url, 0.0 if heads else None, heads, 0.0, 0, error) if heads or error else None

    def close(self) -> None:
        """Do nothing: nothing is kept."""

    def _named(self, source: Source, url: str) -> str:
        if url not in self._default_branches:
            raise self._refused(url, "There is no repository at this URL", "Check the URL.")
        if url in self.needed and source.credentials != self.needed[url]:
            raise self._refused(url, "The repository's server asks for credentials", "Give them with the repository.")
        if source.revision is None:
            branch = source.branch or self._default_branches[url]
            commit = self._branches.get((url, branch))
            if commit is None:
                raise self._refused(url, f"The repository has no branch {branch!r}", "See its branches.")
            return commit
        if (url, source.revision) in self._tags:
            return self._tags[url, source.revision]
        digits = len(source.revision)
        found = [commit for known, commit in self._commits if known == url and commit.startswith(source.revision)]
        if not SHORTEST_PREFIX_DIGITS <= digits <= COMMIT_DIGITS or len(found) != 1:
            problem = "names more than one commit" if len(found) > 1 else "is no tag or commit"
            raise self._refused(url, f"{source.revision!r} {problem}", "Name a tag or a commit.")
        return found[0]

    def _refused(self, url: str, message: str, hint: str) -> SourceInvalid:
        self._errors[url] = message
        return SourceInvalid(message, hint=hint)

    def _from_cache(self, url: str, key: str) -> Checkout:
        self._errors[url] = reason = "The repository's server does not answer"
        commit = self._fetched.get((url, key))
        if commit is None:
            raise SourceUnavailable(reason, hint="Try again.")
        return self._checked_out(url, commit, is_from_cache=True)._replace(age_seconds=0.0, reason=reason)

    def _checked_out(self, url: str, commit: str, *, is_from_cache: bool) -> Checkout:
        directory = f"/memory/checkouts/{hashlib.sha256(url.encode()).hexdigest()[:8]}/{commit}"
        self._cached.add((url, commit))
        self.trees.setdefault(directory, dict(self._commits[url, commit]))
        return Checkout(commit, directory, is_from_cache)
