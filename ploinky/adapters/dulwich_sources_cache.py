"""One repository's cache: a shallow bare clone, and immutable folders of its commits."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from dulwich.errors import GitProtocolError
from dulwich.objects import Commit, ObjectID, Tag
from dulwich.refs import Ref
from dulwich.repo import Repo

from ploinky.adapters.dulwich_sources_failures import Away, Refusal, refusal_of
from ploinky.adapters.dulwich_sources_record import read_record, write_record, write_warnings
from ploinky.adapters.dulwich_sources_redaction import redacted
from ploinky.adapters.dulwich_sources_remote import Remote
from ploinky.adapters.dulwich_sources_submodules import Submodule, submodules_of
from ploinky.adapters.dulwich_sources_tree import TreeWriter
from ploinky.adapters.dulwich_sources_wish import COMMIT_DIGITS, DEFAULT_KEY, Wish
from ploinky.adapters.durable_folders import sync_file_system
from ploinky.ports.sources import CHANGES_LIMIT

TAG_CHAIN = 5
# Each fetch adds a pack, and reading slows with their number.
PACKS = 32

SHOWN_DIGITS = 12
NAMED_COMMITS = 5

_TEMPORARY = ".tmp-"


class Found(NamedTuple):
    """A commit that the cache holds now."""

    commit: ObjectID
    is_from_cache: bool = False
    age_seconds: float | None = None
    reason: str = ""


class Cache:
    """Serve one repository from its folder. The caller holds its lock.

    A clone is made aside and renamed into place, and so is each checkout: what is there is whole, unless the disk
    damaged it, which is found when reading fails and answered by a fresh clone.
    """

    def __init__(self, directory: str, address: str, report: Callable[[str], None], ttl_seconds: float = 0.0) -> None:
        self._bare = os.path.join(directory, "bare.git")
        self._checkouts = os.path.join(directory, "checkouts")
        self._directory = directory
        self._report = report
        os.makedirs(self._checkouts, exist_ok=True)
        self._tidy()
        self._record = read_record(directory)
        self._record.url, self._record.ttl_seconds = address, ttl_seconds

    def fetched(self, remote: Remote, wish: Wish) -> Found:
        """Return the wanted commit, which can be read whole. Raises `Refusal`."""
        try:
            found = self._found(remote, wish)
        except Refusal as refusal:
            self._record.note_error(redacted(refusal.message, remote.credentials))
            raise
        finally:
            write_record(self._directory, self._record)
        return found

    def _found(self, remote: Remote, wish: Wish) -> Found:
        if self._is_usable():
            try:
                return self._fetched(self._bare, remote, wish)
            except Refusal:
                raise
            except Exception as error:
                refusal = refusal_of(error)
                if isinstance(refusal, Away) or refusal.kind == "full":
                    raise refusal from error
                self._report("the cache cannot be used; fetching the repository anew")
        fresh = tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._directory)
        with _removed_on_failure(fresh):
            Repo.init_bare(fresh).close()
            try:
                found = self._fetched(fresh, remote, wish)
            except Exception as error:
                raise refusal_of(error) from error
        shutil.rmtree(self._bare, ignore_errors=True)
        os.rename(fresh, self._bare)
        return found

    def submodules(self, commit: str) -> list[Submodule]:
        """List the submodules of a commit that was fetched before. Raises `Refusal`."""
        with self._reading(commit) as repo:
            return submodules_of(repo.object_store, _commit(repo, commit).tree)

    def checked_out(self, commit: str, submodules: Mapping[bytes, str], warnings: Sequence[str] = ()) -> str:
        """Return the folder of a commit that was fetched before. Raises `Refusal`.

        `submodules` are the folders to put at the paths of this commit's submodules, `warnings` what is to be said of
        those.
        """
        with self._reading(commit) as repo:
            return self._materialised(repo, ObjectID(commit.encode()), submodules, warnings)

    def changes(self, before: str, after: str) -> list[str]:
        """Compare two commits that were fetched before. Raises `Refusal`."""
        with self._reading(before) as repo:
            trees = [_commit(repo, commit).tree for commit in (before, after)]
            changes = repo.object_store.tree_changes(trees[0], trees[1])
            lines = {_change(old, new) for (old, new), _, _ in islice(changes, CHANGES_LIMIT)}
        return sorted(lines, key=lambda line: line[2:])

    @contextlib.contextmanager
    def _reading(self, commit: str) -> Iterator[Repo]:
        try:
            with Repo(self._bare) as repo:
                yield repo
        except Refusal:
            raise
        except Exception as error:
            refusal = refusal_of(error)
            if refusal.kind == "full":
                raise refusal from error
            hint = "Update the repository, then deploy its newest commit."
            raise Refusal("invalid", f"Commit {commit} is not in the cache", hint) from error

    def _is_usable(self) -> bool:
        try:
            packs = [name for name in os.listdir(os.path.join(self._bare, "objects", "pack")) if name.endswith(".pack")]
        except FileNotFoundError:
            return False
        if len(packs) >= PACKS:
            try:
                with Repo(self._bare) as repo:
                    repo.object_store.repack()
            except Exception as error:
                if refusal_of(error).kind == "full":
                    raise refusal_of(error) from error
                return False
        return True

    def _fetched(self, bare: str, remote: Remote, wish: Wish) -> Found:
        with Repo(bare) as repo:
            known = self._known(repo, remote, wish)
            if known is not None:
                self._make_readable(repo, known.commit)
                return known
            asked_at = time.time()
            try:
                commit = self._update(repo, remote, wish)
            except Exception as error:
                refusal = refusal_of(error)
                remembered = _remembered_as(wish)
                if not isinstance(refusal, Away) or remembered not in repo.refs:
                    raise
                self._report(f"{refusal.message}; using the commit fetched last")
                self._record.note_error(redacted(refusal.message, remote.credentials))
                commit = ObjectID(repo.refs[remembered])
                self._make_readable(repo, commit)
                return Found(commit, True, self._age_seconds(wish, commit), refusal.message)
            repo.refs[_remembered_as(wish)] = commit
            self._make_readable(repo, commit)
            self._record.note_head(wish.key, commit.decode(), asked_at)
            return Found(commit)

    def _known(self, repo: Repo, remote: Remote, wish: Wish) -> Found | None:
        """Return what needs no question to the server: a commit never changes, and an answer may be young enough."""
        full = wish.commit_prefix
        if full is not None and len(full) == COMMIT_DIGITS and ObjectID(full.encode()) in repo.object_store:
            return Found(ObjectID(full.encode()))
        remembered = _remembered_as(wish)
        if full is not None and remembered in repo.refs:
            return Found(ObjectID(repo.refs[remembered]))  # A short id, told apart before.
        head, now = self._record.heads.get(wish.key), time.time()
        if head is None or ObjectID(head.commit.encode()) not in repo.object_store or head.fetched_at > now:
            return None
        if wish.asked_at <= head.asked_at:
            return Found(ObjectID(head.commit.encode()))  # Whoever held the lock before has asked for us too.
        age_seconds = now - head.fetched_at
        if wish.is_fresh or remote.is_local or age_seconds >= self._record.ttl_seconds:
            return None
        reason = f"the server was asked {age_seconds:.0f} s ago, less than cacheTime"
        return Found(ObjectID(head.commit.encode()), True, age_seconds, reason)

    def _age_seconds(self, wish: Wish, commit: ObjectID) -> float | None:
        head = self._record.heads.get(wish.key)
        if head is None or head.commit != commit.decode():
            return None
        return max(0.0, time.time() - head.fetched_at)

    def _update(self, repo: Repo, remote: Remote, wish: Wish) -> ObjectID:
        self._report(f"fetching {wish.shown} from {remote.address}")
        prefix = wish.commit_prefix
        try:
            picked = remote.fetch(repo, wish, 1, self._report)
            if picked is not None:
                return _peeled(repo, picked)
        except (GitProtocolError, KeyError, ValueError):
            if prefix is None:
                raise
        # Servers may refuse commits by id (`uploadpack.allowAnySHA1InWant`), and know no short ones.
        self._report("looking for the commit in all branches")
        remote.fetch_everything(repo, self._report)
        return _by_prefix(repo, prefix or "")

    def _make_readable(self, repo: Repo, commit: ObjectID) -> None:
        """Write the commit's folder, unless it needs others first: so that damage shows while it can be repaired."""
        if not submodules_of(repo.object_store, _commit(repo, commit.decode()).tree):
            self._materialised(repo, commit, {})

    def _materialised(
        self, repo: Repo, commit_id: ObjectID, submodules: Mapping[bytes, str], warnings: Sequence[str] = ()
    ) -> str:
        directory = os.path.join(self._checkouts, commit_id.decode())
        if os.path.isdir(directory):
            return directory
        commit = _commit(repo, commit_id.decode())
        aside = tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._checkouts)
        with _removed_on_failure(aside):
            os.chmod(aside, 0o755)  # noqa: S103 - the user inside a container reads it
            writer = TreeWriter(repo.object_store, aside, self._report, submodules)
            writer.write(commit.tree)
            sync_file_system(aside)
            write_warnings(self._directory, commit_id.decode(), [*writer.warnings, *warnings])
            os.rename(aside, directory)
        return directory

    def _tidy(self) -> None:
        """Remove what a killed fetch left behind; under the lock, whatever is unfinished is nobody's."""
        for directory in (self._directory, self._checkouts):
            for entry in os.scandir(directory):
                if entry.name.startswith(_TEMPORARY):
                    shutil.rmtree(entry.path, ignore_errors=True)
        packs = os.path.join(self._bare, "objects", "pack")
        for folder, folders, names in os.walk(self._bare):
            if folder.endswith("objects"):
                folders[:] = ["pack"]
            for name in names:
                if name.endswith(".lock") or (folder == packs and not name.startswith("pack-")):
                    os.unlink(os.path.join(folder, name))


@contextlib.contextmanager
def _removed_on_failure(directory: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _change(old: bytes | None, new: bytes | None) -> str:
    sign = "~" if old and new else "-" if old else "+"
    return f"{sign} {(new or old or b'').decode('utf-8', 'backslashreplace')}"


def _commit(repo: Repo, commit_id: str) -> Commit:
    found = repo.object_store[ObjectID(commit_id.encode())]
    if not isinstance(found, Commit):
        raise Refusal("invalid", f"{commit_id} is no commit")
    return found


def _by_prefix(repo: Repo, prefix: str) -> ObjectID:
    """Find the one commit whose id begins so, among all that the repository has."""
    found: list[ObjectID] = []
    for object_id in repo.object_store.iter_prefix(prefix.encode()):
        # An even number of digits is looked for; a store may have packed an object twice.
        is_new = object_id.startswith(prefix.encode()) and object_id not in found
        if is_new and isinstance(repo.object_store[object_id], Commit):
            found.append(object_id)
    if not found:
        raise Refusal("invalid", f"The repository has no commit {prefix}", "Is it pushed?")
    if len(found) > 1:
        shown = ", ".join(sorted(object_id.decode()[:SHOWN_DIGITS] for object_id in found[:NAMED_COMMITS]))
        raise Refusal("invalid", f"{prefix} stands for {len(found)} commits", f"Give more of its digits: {shown}.")
    return found[0]


def _peeled(repo: Repo, object_id: ObjectID) -> ObjectID:
    """Follow annotated tags to their commit."""
    for _ in range(TAG_CHAIN):
        found = repo.object_store[object_id]
        if isinstance(found, Commit):
            return object_id
        if not isinstance(found, Tag):
            break
        object_id = ObjectID(found.object[1])
    raise Refusal("invalid", f"{object_id.decode()} is no commit")


def _remembered_as(wish: Wish) -> Ref:
    """Name the ref that remembers a branch: a digest, since `a` and `a/b` cannot both be files in a folder of refs."""
    key = "default" if wish.key == DEFAULT_KEY else f"branch {wish.key}"
    return Ref(b"refs/heads/" + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32].encode())
