"""Bare repositories whose trees no git client would make, written as raw objects."""

from pathlib import Path

from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

FILE = 0o100644
FOLDER = 0o040000
LINK = 0o120000
SUBMODULE = 0o160000

Entry = tuple[bytes, int, "bytes | list[Entry]"]


def hostile_repository(directory: Path, entries: list[Entry]) -> str:
    """Make a bare repository with one commit of these entries and return its path. Links are files with a target."""
    with Repo.init_bare(str(directory), mkdir=True) as repo:
        commit = Commit()
        commit.tree = _tree(repo.object_store, entries)
        commit.author = commit.committer = b"somebody <somebody@example>"
        commit.author_time = commit.commit_time = 1_900_000_000
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = b"hostile"
        repo.object_store.add_object(commit)
        repo.refs[Ref(b"refs/heads/master")] = commit.id
    return str(directory)


def _tree(store: BaseObjectStore, entries: list[Entry]) -> ObjectID:
    # Written by hand: the library sorts entries and merges those of one name.
    raw = b""
    for name, mode, content in entries:
        if mode == SUBMODULE:
            sha = b"1" * 40
        elif isinstance(content, list):
            sha = _tree(store, content)
        else:
            blob = Blob.from_string(content)
            store.add_object(blob)
            sha = blob.id
        raw += b"%o %s\0" % (mode, name) + bytes.fromhex(sha.decode())
    tree = ShaFile.from_raw_string(Tree.type_num, raw)
    store.add_object(tree)
    return tree.id
