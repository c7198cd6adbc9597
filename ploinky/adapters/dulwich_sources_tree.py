"""Write one commit's tree into a folder, trusting nothing in it."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, ObjectID, Tree, parse_tree

from ploinky.adapters.dulwich_sources_failures import Refusal

ENTRIES = 100_000
CONTENT_BYTES = 1_073_741_824
DEPTH = 64
NAME_BYTES = 255
LINK_BYTES = 4_096
NAMED_FILES = 20
POINTER_BYTES = 1_024
POINTER_BEGINNING = b"version https://git-lfs.github.com/spec/"
"""Source: git-lfs, docs/spec.md."""

_DIRECTORY_MODE = 0o040000
_LINK_MODE = 0o120000
SUBMODULE_MODE = 0o160000
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

    def __init__(
        self,
        objects: BaseObjectStore,
        root: str,
        report: Callable[[str], None],
        submodules: Mapping[bytes, str] = MappingProxyType({}),
    ) -> None:
        """Take where objects are read, where to write, and the folders to put at the paths of submodules."""
        self._objects = objects
        self._root = os.fsencode(root)
        self._report = report
        self._entries = 0
        self._bytes = 0
        self._submodules = submodules
        self._pointers: list[str] = []
        self._pointer_count = 0
        self._empty_submodules: list[str] = []

    @property
    def warnings(self) -> list[str]:
        """Say what is not in the folder as its author sees it."""
        warnings = []
        if self._pointer_count:
            more = self._pointer_count - len(self._pointers)
            names = ", ".join(self._pointers) + (f" and {more} more" if more else "")
            warnings.append(f"Git LFS keeps the content of {names} elsewhere; the files hold pointers only")
        if self._empty_submodules:
            names = ", ".join(self._empty_submodules[:NAMED_FILES])
            warnings.append(f"No .gitmodules says where submodule {names} is; its folder is empty")
        return warnings

    def write(self, tree_id: ObjectID) -> None:
        """Write folders and files first, then the links, so that nothing is ever written through a link."""
        targets: list[tuple[bytes, bytes]] = []
        for node in walk(self._objects, tree_id):
            if stat.S_IFMT(node.mode) == _LINK_MODE:
                self._count(1, 0)
                targets.append((node.path, self._link_target(node)))
            else:
                self._place(node)
        for path, target in targets:
            with _naming(path):
                os.symlink(target, os.path.join(self._root, path))
        for path, _ in targets:
            self._check_stays_inside(path)
        self._report(f"wrote {self._entries} files and folders")

    def _place(self, node: Node) -> None:
        self._count(1, 0)
        kind = stat.S_IFMT(node.mode)
        target = os.path.join(self._root, node.path)
        with _naming(node.path):
            if kind == SUBMODULE_MODE:
                self._place_submodule(node, target)
            elif kind == _DIRECTORY_MODE:
                os.mkdir(target, 0o755)
            elif kind == stat.S_IFREG:
                self._write_file(node, target)
            else:
                raise _refused(node.path, f"has an unknown mode {node.mode:o}")

    def _place_submodule(self, node: Node, target: bytes) -> None:
        folder = self._submodules.get(node.path)
        if folder is None:
            self._empty_submodules.append(_shown(node.path))
            os.mkdir(target, 0o755)
            return

        def linked(source: str, copy: str) -> None:
            # Both are folders that never change, so they may share their files.
            self._count(1, os.lstat(source).st_size)
            os.link(source, copy, follow_symlinks=False)

        shutil.copytree(folder, os.fsdecode(target), symlinks=True, copy_function=linked)

    def _count(self, entries: int, size_bytes: int) -> None:
        self._entries += entries
        self._bytes += size_bytes
        if self._entries > ENTRIES:
            raise Refusal("invalid", f"The repository has more than {ENTRIES} files and folders")
        if self._bytes > CONTENT_BYTES:
            raise Refusal("invalid", f"The repository's files have more than {CONTENT_BYTES} bytes together")

    def _write_file(self, node: Node, target: bytes) -> None:
        content = self._content(node)
        if len(content) <= POINTER_BYTES and content.startswith(POINTER_BEGINNING):
            self._pointer_count += 1
            if len(self._pointers) < NAMED_FILES:
                self._pointers.append(_shown(node.path))
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
        self._count(0, len(content))
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


def walk(objects: BaseObjectStore, tree_id: ObjectID) -> Iterator[Node]:
    """Yield everything below a tree, folders before what is in them. Raises `Refusal` for a name nobody may have."""
    count = 0
    folders = [(b"", tree_id, 0)]
    while folders:
        prefix, folder_id, depth = folders.pop()
        if depth > DEPTH:
            raise _refused(prefix, f"is more than {DEPTH} folders deep")
        tree = objects[folder_id]
        if not isinstance(tree, Tree):
            raise _refused(prefix, "is no folder")
        # Read by hand: a Tree object keeps only the last of two entries of one name, which other tools may not.
        for name, mode, sha in parse_tree(tree.as_raw_string(), tree.object_format.oid_length):
            _check_name(prefix, name)
            count += 1
            if count > ENTRIES:
                raise Refusal("invalid", f"The repository has more than {ENTRIES} files and folders")
            node = Node(os.path.join(prefix, name), mode, ObjectID(sha))
            yield node
            if stat.S_IFMT(mode) == _DIRECTORY_MODE:
                folders.append((node.path, node.id, depth + 1))


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
