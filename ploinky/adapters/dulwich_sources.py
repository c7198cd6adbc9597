"""Fetch repositories with dulwich, in a child process: it is pure Python and would hold the interpreter lock."""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from ploinky.adapters.dulwich_sources_process import SpareChild, run_child
from ploinky.adapters.dulwich_sources_record import read_record
from ploinky.adapters.dulwich_sources_redaction import redacted
from ploinky.domain.errors import PloinkyError, SourceInvalid, SourceUnavailable, StorageFull
from ploinky.domain.source_urls import Location, parse_location
from ploinky.ports.sources import CacheRecord, Checkout, Credentials, Progress, Source

BRANCH_CHARACTERS = 255
PROGRESS_CHARACTERS = 300

_COMMIT = re.compile(r"[0-9a-f]{40}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_REFUSALS: dict[object, type[PloinkyError]] = {
    "unavailable": SourceUnavailable,
    "invalid": SourceInvalid,
    "full": StorageFull,
}

Redact = Callable[[str], str]


class DulwichSources:
    """The `Sources` port over a directory of caches, one folder per repository.

    `{repos}/{name}-{hash8}/bare.git` is the cache, `checkouts/{commit}` the immutable folders, `cache.json` what is
    known of it.
    """

    def __init__(
        self,
        repos_directory: str | os.PathLike[str],
        timeout_seconds: float = 300.0,
        *,
        ttl_seconds: float = 0.0,
        known_hosts_file: str | None = None,
        submodule_hosts: Sequence[str] = (),
        keeps_spare: bool = False,
    ) -> None:
        """Keep caches in a directory.

        Within `ttl_seconds` of the last answer a server is not asked again; local repositories always are. Hosts of
        ssh are known by `known_hosts_file`, else by the system's and the user's own files. Submodules come from their
        repository's host, and from `submodule_hosts`. With `keeps_spare` a process waits for the next
        request, until `close`.
        """
        self._repos = os.path.abspath(repos_directory)
        self._timeout_seconds = timeout_seconds
        self._spare = SpareChild() if keeps_spare else None
        self._settings = {
            "ttl_seconds": ttl_seconds,
            "known_hosts_file": known_hosts_file,
            "submodule_hosts": [*submodule_hosts],
        }

    def fetch(self, source: Source, progress: Progress, *, is_fresh: bool = False) -> Checkout:
        location = parse_location(source.url)
        for kind, name in (("branch", source.branch), ("revision", source.revision)):
            if name is not None and not 0 < len(name) <= BRANCH_CHARACTERS:
                raise SourceInvalid(f"A {kind}'s name has between 1 and {BRANCH_CHARACTERS} characters")
        wish = {"branch": source.branch, "revision": source.revision, "is_fresh": is_fresh, "asked_at": time.time()}
        answer = self._run(location, source.credentials, {"operation": "fetch", **wish}, progress)
        checkout = _checkout(answer)
        return checkout._replace(reason=redacted(checkout.reason, source.credentials))

    def checkout(self, url: str, commit: str) -> Checkout:
        location = parse_location(url)
        _check_commit(commit)
        directory = os.path.join(self._repos, location.cache_name, "checkouts", commit)
        if os.path.isdir(directory):  # renamed into place whole, so its existence is the proof
            return Checkout(commit, directory, is_from_cache=False)
        answer = self._run(location, None, {"operation": "checkout", "commit": commit}, _silent)
        return _checkout(answer)

    def heads(self, source: Source) -> Mapping[str, str]:
        answer = self._run(parse_location(source.url), source.credentials, {"operation": "heads"}, _silent)
        return msgspec.convert(answer["heads"], dict[str, str])

    def changes(self, url: str, before: str, after: str) -> tuple[str, ...]:
        for commit in (before, after):
            _check_commit(commit)
        request = {"operation": "changes", "before": before, "after": after}
        return msgspec.convert(self._run(parse_location(url), None, request, _silent)["changes"], tuple[str, ...])

    def record(self, url: str) -> CacheRecord | None:
        return read_record(os.path.join(self._repos, parse_location(url).cache_name)).shown()

    def close(self) -> None:
        if self._spare:
            self._spare.close()

    def _run(
        self, location: Location, credentials: Credentials | None, request: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        redact = partial(redacted, credentials=credentials)
        request |= self._settings | {
            "parent_pid": os.getpid(),
            "repos": self._repos,
            "url": location.address,
            "credentials": None if credentials is None else credentials._asdict(),
        }
        try:
            answer = run_child(
                msgspec.json.encode(request), self._timeout_seconds, _shown(redact, progress), self._spare
            )
        except PloinkyError as error:
            raise type(error)(redact(error.message), hint=redact(error.advice)) from None
        if "refusal" not in answer:
            return answer
        kind = _REFUSALS.get(answer["refusal"], SourceUnavailable)
        raise kind(redact(str(answer.get("message", ""))), hint=redact(str(answer.get("hint", ""))) or None)


def _checkout(answer: dict[str, Any]) -> Checkout:
    return msgspec.convert([answer[field] for field in Checkout._fields], Checkout)


def _check_commit(commit: str) -> None:
    if not _COMMIT.fullmatch(commit):
        raise SourceInvalid(f"{commit[:80]!r} is not a full commit id", hint="It has 40 hex digits.")


def _shown(redact: Redact, progress: Progress) -> Callable[[str], None]:
    """Make lines of a server fit for a terminal: no credentials, no control characters, short."""

    def show(line: str) -> None:
        progress(_UNPRINTABLE.sub(" ", redact(line)).strip()[:PROGRESS_CHARACTERS])

    return show


def _silent(line: str) -> None:
    """Show nothing."""
