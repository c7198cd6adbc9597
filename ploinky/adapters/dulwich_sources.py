"""Fetch repositories with dulwich, in a child process: it is pure Python and would hold the interpreter lock."""

import os
import re
from collections.abc import Callable

import msgspec

from ploinky.adapters.dulwich_sources_process import run_child
from ploinky.adapters.dulwich_sources_urls import Location, parse_location
from ploinky.domain.errors import PloinkyError, SourceInvalid, SourceUnavailable, StorageFull
from ploinky.ports.sources import Checkout, Progress

BRANCH_CHARACTERS = 255
PROGRESS_CHARACTERS = 300

_COMMIT = re.compile(r"[0-9a-f]{40}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_REFUSALS: dict[object, type[PloinkyError]] = {
    "unavailable": SourceUnavailable,
    "invalid": SourceInvalid,
    "full": StorageFull,
}


class DulwichSources:
    """The `Sources` port over a directory of caches, one folder per repository.

    `{repos}/{name}-{hash8}/bare.git` is the cache, `checkouts/{commit}` the immutable folders.
    """

    def __init__(self, repos_directory: str | os.PathLike[str], timeout_seconds: float = 300.0) -> None:
        self._repos = os.path.abspath(repos_directory)
        self._timeout_seconds = timeout_seconds

    def fetch(self, url: str, branch: str | None, progress: Progress) -> Checkout:
        location = parse_location(url)
        if branch is not None and not 0 < len(branch) <= BRANCH_CHARACTERS:
            raise SourceInvalid(f"A branch name has between 1 and {BRANCH_CHARACTERS} characters")
        return self._run(location, {"operation": "fetch", "branch": branch}, progress)

    def checkout(self, url: str, commit: str) -> Checkout:
        location = parse_location(url)
        if not _COMMIT.fullmatch(commit):
            raise SourceInvalid(f"{commit[:80]!r} is not a full commit id", hint="It has 40 hex digits.")
        directory = os.path.join(self._repos, location.cache_name, "checkouts", commit)
        if os.path.isdir(directory):  # renamed into place whole, so its existence is the proof
            return Checkout(commit, directory, is_from_cache=False)
        return self._run(location, {"operation": "checkout", "commit": commit}, _silent)

    def _run(self, location: Location, request: dict[str, object], progress: Progress) -> Checkout:
        request |= {
            "parent_pid": os.getpid(),
            "cache": os.path.join(self._repos, location.cache_name),
            "address": location.address,
            "is_local": location.is_local,
            "username": location.username,
            "password": location.password,
        }
        try:
            answer = run_child(msgspec.json.encode(request), self._timeout_seconds, _shown(location, progress))
        except PloinkyError as error:
            raise type(error)(location.redacted(error.message), hint=location.redacted(error.advice)) from None
        if "commit" in answer:
            return _checkout(answer)
        kind = _REFUSALS.get(answer.get("refusal"), SourceUnavailable)
        hint = location.redacted(str(answer.get("hint", ""))) or None
        raise kind(location.redacted(str(answer.get("message", ""))), hint=hint)


def _checkout(answer: dict[str, object]) -> Checkout:
    commit, directory = str(answer["commit"]), str(answer.get("directory"))
    return Checkout(commit, directory, is_from_cache=answer.get("is_from_cache") is True)


def _shown(location: Location, progress: Progress) -> Callable[[str], None]:
    """Make lines of a server fit for a terminal: no credentials, no control characters, short."""

    def show(line: str) -> None:
        progress(_UNPRINTABLE.sub(" ", location.redacted(line)).strip()[:PROGRESS_CHARACTERS])

    return show


def _silent(line: str) -> None:
    """Show nothing."""
