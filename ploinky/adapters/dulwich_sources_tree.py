"""Write one commit's tree into a folder, trusting nothing in it."""

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, ObjectID, Tree, parse_tree

from ploinky.adapters.dulwich_sources_failures import Refusal

ENTRIES = 100_000
CONTENT_BYTES = 1_073_741_824
DEPTH = 64
NAME_BYTES = 255
LINK_BYTES = 4_096

_DIRECTORY_MODE = 0o040000
_LINK_MODE = 0o120000
_SUBMODULE_MODE = 0o160000
# Unicode that some file systems ignore in names, so that a name around it still means `.git` there.
# Source: git's utf8.c, is_hfs_dotgit.
_IGNORED_CHARACTERS = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


class Node(NamedTuple):
    """One entry of a tree; `path` is below the root."""

    path: bytes
    mode: int
    id: ObjectID


class TreeWriter:
    """Write a tree into an existing empty directory. Raises `Refusal` naming the path that is not acceptable."""

    def __init__(self, objects: BaseObjectStore, root: str, report: Callable[[str], None]) -> None:
        self._objects = objects
        self._root = os.fsencode(root)
        self._report = report
        self._entries = 0
        self._bytes = 0
        self._links: list[bytes] = []

    def write(self, tree_id: ObjectID) -> None:
        """Write folders and files first, then the links, so that nothing is ever written through a link."""
        targets: list[tuple[bytes, bytes]] = []
        for node in self._walk(b"", tree_id, 0):
            if stat.S_IFMT(node.mode) == _LINK_MODE:
                targets.append((node.path, self._link_target(node)))
            else:
                self._place(node)
        for path, target in targets:
            with _naming(path):
                os.symlink(target, os.path.join(self._root, path))
        for path, _ in targets:
            self._check_stays_inside(path)
        self._report(f"wrote {self._entries} files and folders")

    def _walk(self, prefix: bytes, tree_id: ObjectID, depth: int) -> Iterator[Node]:
        if depth > DEPTH:
            raise _refused(prefix, f"is more than {DEPTH} folders deep")
        tree = self._objects[tree_id]
        if not isinstance(tree, Tree):
            raise _refused(prefix, "is no folder")
        # Read by hand: a Tree object keeps only the last of two entries of one name, which other tools may not.
        for name, mode, sha in parse_tree(tree.as_raw_string(), tree.object_format.oid_length):
            _check_name(prefix, name)
            self._entries += 1
            if self._entries > ENTRIES:
                raise Refusal("invalid", f"The repository has more than {ENTRIES} files and folders")
            node = Node(os.path.join(prefix, name), mode, ObjectID(sha))
            yield node
            if stat.S_IFMT(mode) == _DIRECTORY_MODE:
                yield from self._walk(node.path, node.id, depth + 1)

    def _place(self, node: Node) -> None:
        kind = stat.S_IFMT(node.mode)
        target = os.path.join(self._root, node.path)
        with _naming(node.path):
            if kind == _SUBMODULE_MODE:
                self._report(f"submodule {_shown(node.path)} is left empty")
                os.mkdir(target, 0o755)
            elif kind == _DIRECTORY_MODE:
                os.mkdir(target, 0o755)
            elif kind == stat.S_IFREG:
                self._write_file(node, target)
            else:
                raise _refused(node.path, f"has an unknown mode {node.mode:o}")

    def _write_file(self, node: Node, target: bytes) -> None:
        content = self._content(node)
        mode = 0o755 if node.mode & 0o111 else 0o644
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]

    def _content(self, node: Node) -> bytes:
        blob = self._objects[node.id]
        if not isinstance(blob, Blob):
            raise _refused(node.path, "is no file")
        content = blob.as_raw_string()
        self._bytes += len(content)
        if self._bytes > CONTENT_BYTES:
            raise Refusal("invalid", f"The repository's files have more than {CONTENT_BYTES} bytes together")
        return content

    def _link_target(self, node: Node) -> bytes:
        target = self._content(node)
        if not 0 < len(target) < LINK_BYTES or b"\0" in target:
            raise _refused(node.path, "is a link to nowhere")
        if target.startswith(b"/"):
            raise _refused(node.path, "is a link with an absolute target")
        return target

    def _check_stays_inside(self, path: bytes) -> None:
        root = os.path.realpath(self._root)
        reached = os.path.realpath(os.path.join(root, path))
        if reached != root and not reached.startswith(root + b"/"):
            raise _refused(path, "is a link that leaves the repository")


class _naming:  # noqa: N801 - reads as a statement
    """Turn a name that is there twice, or too long for the file system, into a refusal of its path."""

    def __init__(self, path: bytes) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            raise _refused(self._path, "is there twice") from error


def _check_name(prefix: bytes, name: bytes) -> None:
    if name in {b"", b".", b".."} or b"/" in name or b"\0" in name or len(name) > NAME_BYTES:
        raise _refused(os.path.join(prefix, name.replace(b"/", b"\\")), "has a name that is no file name")
    plain = name.decode("utf-8", "replace").translate(_IGNORED_CHARACTERS).lower()
    # Spellings of `.git` on file systems that fold case, drop trailing dots and blanks, or keep short names.
    plain = plain.partition(":")[0].partition("\\")[0].rstrip(". ")
    if plain in {".git", "git~1"}:
        raise _refused(os.path.join(prefix, name), "is named like git's own folder")


def _refused(path: bytes, reason: str) -> Refusal:
    hint = "Remove it from the repository and commit."
    return Refusal("invalid", f"{_shown(path) or 'The root'} {reason}", hint)


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")[:200]
