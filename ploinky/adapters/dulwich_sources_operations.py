"""What the child process can be asked: fetch, check out, list heads, compare."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any

from ploinky.adapters.dulwich_sources_cache import Cache
from ploinky.adapters.dulwich_sources_changes import uncommitted_changes
from ploinky.adapters.dulwich_sources_failures import Refusal, refusal_of
from ploinky.adapters.dulwich_sources_record import read_warnings
from ploinky.adapters.dulwich_sources_remote import Remote
from ploinky.adapters.dulwich_sources_submodules import SUBMODULE_DEPTH, SUBMODULES, Submodule, located
from ploinky.adapters.dulwich_sources_wish import Wish
from ploinky.domain.source_urls import Location, parse_location
from ploinky.ports.sources import Checkout, Credentials

Report = Callable[[str], None]
Answer = dict[str, Any]


def answer_to(request: dict[str, Any], report: Report) -> Answer:
    """Serve one request. Raises `Refusal`."""
    operations = Operations(request, report)
    try:
        match request["operation"]:
            case "fetch":
                return operations.fetch()
            case "checkout":
                return operations.checkout(request["commit"])
            case "changes":
                return operations.changes(request["before"], request["after"])
            case _:
                return {"heads": operations.remote.heads()}
    except Refusal:
        raise
    except Exception as error:
        raise refusal_of(error) from error


class Operations:
    """The operations on one repository, and on those it has as submodules."""

    def __init__(self, request: dict[str, Any], report: Report) -> None:
        """Take a request as `DulwichSources` writes it."""
        self._request = request
        self._report = report
        self._location = parse_location(request["url"])
        self._credentials = Credentials(**(request["credentials"] or {}))
        self._submodules = 0
        self.remote = Remote(self._location, self._credentials, request["known_hosts_file"])

    def fetch(self) -> Answer:
        """Fetch what is wanted and write its folder."""
        request = self._request
        wish = Wish(request["branch"], request["revision"], request["is_fresh"], request["asked_at"])
        with self._cache(self._location) as cache:
            found = cache.fetched(self.remote, wish)
        commit = found.commit.decode()
        directory = self._folder(self._location, commit, 0, is_offline=False)
        if self._location.is_local:
            _tell_changes(uncommitted_changes(self._location.address, commit), self._report)
        warnings = tuple(read_warnings(self._directory(self._location), commit))
        cached = (found.is_from_cache, found.age_seconds, found.reason)
        return Checkout(commit, directory, *cached, warnings)._asdict()

    def checkout(self, commit: str) -> Answer:
        """Write the folder of a commit that was fetched before, asking nobody."""
        directory = self._folder(self._location, commit, 0, is_offline=True)
        return Checkout(commit, directory, is_from_cache=False)._asdict()

    def changes(self, before: str, after: str) -> Answer:
        """Compare two commits that were fetched before."""
        with self._cache(self._location) as cache:
            return {"changes": cache.changes(before, after)}

    def _folder(self, location: Location, commit: str, depth: int, *, is_offline: bool) -> str:
        """Return the folder of a commit in the cache, with its submodules in it.

        No lock is held while a submodule is fetched, so that repositories which contain each other cannot wait for
        each other; a commit cannot contain itself.
        """
        directory = os.path.join(self._directory(location), "checkouts", commit)
        if os.path.isdir(directory):
            return directory
        with self._cache(location) as cache:
            submodules = cache.submodules(commit)
            if not submodules:
                return cache.checked_out(commit, {})
        folders = {
            submodule.path: self._submodule(location, submodule, depth + 1, is_offline=is_offline)
            for submodule in submodules
        }
        warnings = [
            f"{submodule.shown}: {warning}"
            for submodule in submodules
            for warning in read_warnings(_cache_of(folders[submodule.path]), submodule.commit)
        ]
        with self._cache(location) as cache:
            return cache.checked_out(commit, folders, warnings)

    def _submodule(self, parent: Location, submodule: Submodule, depth: int, *, is_offline: bool) -> str:
        self._submodules += 1
        if depth > SUBMODULE_DEPTH or self._submodules > SUBMODULES:
            message = f"The repository's submodules go deeper than {SUBMODULE_DEPTH}, or are more than {SUBMODULES}"
            raise Refusal("invalid", message)
        location = located(submodule, parent, self._request["submodule_hosts"])
        # Credentials belong to the place they were given for.
        is_same_place = location.origin == self._location.origin
        remote = self.remote._replace(
            location=location, credentials=self._credentials if is_same_place else Credentials()
        )
        try:
            if not is_offline:
                self._report(f"submodule {submodule.shown}")
                with self._cache(location) as cache:
                    cache.fetched(remote, Wish(revision=submodule.commit))
            return self._folder(location, submodule.commit, depth, is_offline=is_offline)
        except Refusal as refusal:
            message = f"Submodule {submodule.shown} from {location.address}: {refusal.message}"
            raise Refusal(refusal.kind, message, refusal.hint) from refusal

    def _directory(self, location: Location) -> str:
        return os.path.join(self._request["repos"], location.cache_name)

    @contextlib.contextmanager
    def _cache(self, location: Location) -> Iterator[Cache]:
        directory = self._directory(location)
        with locked(directory, self._report):
            yield Cache(directory, location.address, self._report, self._request["ttl_seconds"])


def _cache_of(checkout: str) -> str:
    """Return the cache that a checkout's folder is in."""
    return os.path.dirname(os.path.dirname(checkout))


def _tell_changes(paths: list[str], report: Report) -> None:
    if paths:
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        report(f"not deployed, since not committed: {paths[0]}{others}")


@contextlib.contextmanager
def locked(directory: str, report: Report) -> Iterator[None]:
    """Hold a repository's lock; it is freed by the system however this process ends."""
    os.makedirs(directory, exist_ok=True)
    descriptor = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another fetch of this repository")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
