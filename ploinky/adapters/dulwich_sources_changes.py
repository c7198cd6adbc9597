"""Notice that a work tree has changes nobody committed: what is deployed is the commit."""

import os
import stat
from collections.abc import Iterator

from dulwich.errors import NotGitRepository
from dulwich.index import Index, IndexEntry
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit
from dulwich.refs import Ref
from dulwich.repo import Repo

FILES = 20_000
COMPARED_BYTES = 1_048_576


def uncommitted_changes(directory: str, commit: str) -> list[str]:
    """List changed and staged files of a work tree that stands at `commit`; files git does not know yet are not seen.

    A courtesy: what cannot be read, is bare, stands elsewhere or has too many files gives an empty list.
    """
    try:
        with Repo(directory) as repo:
            if repo.bare or repo.refs.read_ref(Ref(b"HEAD")) is None or repo.head() != commit.encode():
                return []
            index = repo.open_index()
            if len(index) > FILES:
                return []
            return sorted({os.fsdecode(path) for path in _changed(repo, index, directory)})
    except (OSError, KeyError, ValueError, AssertionError, NotGitRepository):
        return []


def _changed(repo: Repo, index: Index, directory: str) -> Iterator[bytes]:
    head = repo[repo.head()]
    if not isinstance(head, Commit):
        return
    committed = {entry.path: entry.sha for entry in iter_tree_contents(repo.object_store, head.tree)}
    for path, entry in index.items():
        if not isinstance(entry, IndexEntry):
            yield path  # in conflict
        elif committed.pop(path, None) != entry.sha or _differs(os.path.join(os.fsencode(directory), path), entry):
            yield path
    yield from committed  # removed from the index


def _differs(file: bytes, entry: IndexEntry) -> bool:
    """Compare as git does: by size and time, by content only when those leave a doubt."""
    try:
        status = os.lstat(file)
        if not stat.S_ISREG(status.st_mode):
            return False
        if status.st_size != entry.size:
            return True
        if _nanoseconds(entry) == status.st_mtime_ns or status.st_size > COMPARED_BYTES:
            return False
        with open(file, "rb") as opened:
            return Blob.from_string(opened.read(COMPARED_BYTES)).id != entry.sha
    except FileNotFoundError:
        return True


def _nanoseconds(entry: IndexEntry) -> int:
    if isinstance(entry.mtime, tuple):
        seconds, nanoseconds = entry.mtime
        return seconds * 1_000_000_000 + nanoseconds
    return int(entry.mtime * 1_000_000_000)
