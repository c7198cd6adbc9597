"""Installed dependencies in folders of the data directory."""

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping

from ploinky.adapters.durable_folders import sync_file_system
from ploinky.domain.errors import DirectoryUnusable, InstallFailed, StorageFull
from ploinky.ports.dependencies import Workplace

CONTENT_BYTES = 2 << 30
ENTRIES = 200_000

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_OWNER = re.compile(r"[0-9A-Za-z_-]{1,100}")
_PREFIX = ".filling-"
_REMOVED = ".removed-"
_CONTENT, _LOG = "content", "output.log"
_TEMPORARY = ".tmp"
"""In a workplace: where installers keep what they need for themselves."""


class FileDependencyFolders:
    """The `DependencyFolders` port over `{directory}/{digest}`; workplaces are `.filling-{digest}-{owner}/content`."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = os.path.abspath(directory)
        with _translated(self._directory):
            os.makedirs(self._directory, mode=0o711, exist_ok=True)

    def find(self, digest: str) -> str | None:
        path = self._path(digest)
        return path if os.path.isdir(path) else None

    def begin(self, digest: str, owner: str, files: Mapping[str, bytes], user_id: int | None) -> Workplace:
        place = self._workplace(digest, owner)
        content = os.path.join(place, _CONTENT)
        with _translated(place):
            _remove(place)
            os.makedirs(os.path.join(content, _TEMPORARY))
            os.chmod(place, 0o711)  # noqa: S103 - whoever installs goes through, and sees nothing else
            for name, text in files.items():
                with open(os.path.join(content, name), "xb") as file:
                    file.write(text)
            if user_id is not None:
                for path in (content, *(os.path.join(content, name) for name in (_TEMPORARY, *files))):
                    os.chown(path, user_id, user_id)
        return Workplace(content, os.path.join(place, _LOG))

    def measure(self, digest: str, owner: str) -> int:
        return _bytes_in(os.path.join(self._workplace(digest, owner), _CONTENT))

    def finish(self, digest: str, owner: str) -> str:
        place, target = self._workplace(digest, owner), self._path(digest)
        content = os.path.join(place, _CONTENT)
        with _translated(place):
            _remove(os.path.join(content, _TEMPORARY))
            _take_over(content)
            sync_file_system(content)
            try:
                os.rename(content, target)
            except OSError:
                if not os.path.isdir(target):
                    raise
            _remove(place)
        return target

    def abandon(self, digest: str, owner: str) -> None:
        with _translated(self._directory):
            _remove(self._workplace(digest, owner))

    def digests(self) -> list[str]:
        return sorted(name for name in os.listdir(self._directory) if _DIGEST.fullmatch(name))

    def remove(self, digest: str) -> int:
        target = self._path(digest)
        aside = os.path.join(self._directory, f"{_REMOVED}{digest}")
        with _translated(self._directory):
            _remove(aside)  # left by a crash
            try:
                os.rename(target, aside)  # first out of sight: half a folder must never be found
            except FileNotFoundError:
                return 0
            size = _bytes_in(aside)
            _remove(aside)
        return size

    def _path(self, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise InstallFailed(f"{digest[:80]!r} is no digest of dependencies")
        return os.path.join(self._directory, digest)

    def _workplace(self, digest: str, owner: str) -> str:
        if not _OWNER.fullmatch(owner):
            raise InstallFailed(f"{owner[:80]!r} cannot own a workplace")
        return os.path.join(self._directory, f"{_PREFIX}{os.path.basename(self._path(digest))}-{owner}")


def _take_over(content: str) -> None:
    """Make everything the server's own, readable for all, writable for nobody else.

    Whoever filled it is not trusted: what could lead out of the folder, or change something outside, is refused.
    """
    entries, size = 0, 0
    root = os.lstat(content)
    filler = root.st_uid
    _take_over_one(content, "the folder", root)
    for folder, folders, names in os.walk(content):
        # Folders too, so that each can be read once the walk goes into it.
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            found = os.lstat(path)
            shown = os.path.relpath(path, content)
            entries, size = entries + 1, size + found.st_size
            if entries > ENTRIES or size > CONTENT_BYTES:
                raise InstallFailed(f"The dependencies are more than {CONTENT_BYTES} bytes or {ENTRIES} files")
            if found.st_uid != filler:
                raise InstallFailed(f"{shown} among the dependencies belongs to somebody else")
            _take_over_one(path, shown, found)


def _take_over_one(path: str, shown: str, found: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(path, 0, 0, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        return
    if not stat.S_ISDIR(found.st_mode) and (not stat.S_ISREG(found.st_mode) or found.st_nlink > 1):
        raise InstallFailed(f"{shown} among the dependencies is neither a file of its own nor a folder nor a link")
    # Drops what would give rights away: set-user-id, and writing for others.
    os.chmod(path, 0o755 if stat.S_ISDIR(found.st_mode) or found.st_mode & 0o111 else 0o644)


def _bytes_in(path: str) -> int:
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += os.lstat(os.path.join(folder, name)).st_size
    return size


def _remove(path: str) -> None:
    """Remove a folder, read-only folders in it included. Nothing there is fine."""
    if not os.path.lexists(path):
        return
    for folder, folders, _ in os.walk(path):
        os.chmod(folder, 0o700)
        for name in folders:
            inner = os.path.join(folder, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(path)


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull from error
        raise DirectoryUnusable(f"{path} cannot be used ({error.strerror})") from error
