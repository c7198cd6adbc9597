"""One repository's cache: a shallow bare clone, and immutable folders of its commits."""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator

from dulwich.errors import GitProtocolError
from dulwich.objects import Commit, ObjectID, Tag
from dulwich.refs import Ref
from dulwich.repo import Repo

from ploinky.adapters.dulwich_sources_failures import Away, Refusal, refusal_of
from ploinky.adapters.dulwich_sources_remote import Remote
from ploinky.adapters.dulwich_sources_tree import TreeWriter
from ploinky.adapters.durable_folders import sync_file_system

TAG_CHAIN = 5
# Each fetch adds a pack, and reading slows with their number; a fresh shallow clone is one.
PACKS = 32

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TEMPORARY = ".tmp-"


class Cache:
    """Serve one repository from its folder. The caller holds its lock.

    A clone is made aside and renamed into place, and so is each checkout: what is there is whole, unless the disk
    damaged it, which is found when reading fails and answered by a fresh clone.
    """

    def __init__(self, directory: str, report: Callable[[str], None]) -> None:
        self._bare = os.path.join(directory, "bare.git")
        self._checkouts = os.path.join(directory, "checkouts")
        self._directory = directory
        self._report = report
        os.makedirs(self._checkouts, exist_ok=True)
        self._tidy()

    def fetched(self, remote: Remote, branch: str | None) -> tuple[str, str, bool]:
        """Return commit, folder and whether it came from the cache because nobody answered. Raises `Refusal`."""
        if self._is_usable():
            try:
                return self._fetched(self._bare, remote, branch)
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
            answer = self._fetched(fresh, remote, branch)
        shutil.rmtree(self._bare, ignore_errors=True)
        os.rename(fresh, self._bare)
        return answer

    def checked_out(self, commit: str) -> str:
        """Return the folder of a commit that was fetched before. Raises `Refusal`."""
        try:
            with Repo(self._bare) as repo:
                return self._materialised(repo, ObjectID(commit.encode()))
        except Refusal:
            raise
        except Exception as error:
            hint = "Update the repository, then deploy its newest commit."
            raise Refusal("invalid", f"Commit {commit} is not in the cache", hint) from error

    def _is_usable(self) -> bool:
        try:
            packs = [name for name in os.listdir(os.path.join(self._bare, "objects", "pack")) if name.endswith(".pack")]
            return len(packs) < PACKS
        except FileNotFoundError:
            return False

    def _fetched(self, bare: str, remote: Remote, branch: str | None) -> tuple[str, str, bool]:
        with Repo(bare) as repo:
            remembered = _remembered_as(branch)
            if branch is not None and _COMMIT.fullmatch(branch) and ObjectID(branch.encode()) in repo.object_store:
                return branch, self._materialised(repo, ObjectID(branch.encode())), False
            try:
                commit = self._update(repo, remote, branch)
            except Exception as error:
                refusal = refusal_of(error)
                if not isinstance(refusal, Away) or remembered not in repo.refs:
                    raise
                self._report(f"{refusal.message}; using the commit fetched last")
                commit = ObjectID(repo.refs[remembered])
                return commit.decode(), self._materialised(repo, commit), True
            repo.refs[remembered] = commit
            return commit.decode(), self._materialised(repo, commit), False

    def _update(self, repo: Repo, remote: Remote, branch: str | None) -> ObjectID:
        self._report(f"fetching {branch or 'the default branch'} from {remote.address}")
        try:
            return _peeled(repo, remote.fetch(repo, branch, 1, self._report))
        except (GitProtocolError, KeyError, ValueError):
            if branch is None or not _COMMIT.fullmatch(branch):
                raise
        # Servers may refuse commits by id (`uploadpack.allowAnySHA1InWant`); all branches may hold it.
        self._report("looking for the commit in all branches")
        remote.fetch_everything(repo, self._report)
        if ObjectID(branch.encode()) not in repo.object_store:
            raise Refusal("invalid", f"The repository has no commit {branch}", "Is it pushed?")
        return _peeled(repo, ObjectID(branch.encode()))

    def _materialised(self, repo: Repo, commit_id: ObjectID) -> str:
        directory = os.path.join(self._checkouts, commit_id.decode())
        if os.path.isdir(directory):
            return directory
        commit = repo.object_store[commit_id]
        if not isinstance(commit, Commit):
            raise Refusal("invalid", f"{commit_id.decode()} is no commit")
        aside = tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._checkouts)
        with _removed_on_failure(aside):
            os.chmod(aside, 0o755)  # noqa: S103 - the user inside a container reads it
            TreeWriter(repo.object_store, aside, self._report).write(commit.tree)
            sync_file_system(aside)
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


def _remembered_as(branch: str | None) -> Ref:
    """Name the ref that remembers a branch: a digest, since `a` and `a/b` cannot both be files in a folder of refs."""
    key = "default" if branch is None else f"branch {branch}"
    return Ref(b"refs/heads/" + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32].encode())
