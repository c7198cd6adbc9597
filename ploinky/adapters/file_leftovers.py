"""Folders of releases and checkouts in the data directory, for whoever cleans up."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator

from ploinky.domain.errors import DirectoryUnusable
from ploinky.ports.leftovers import DiskSpace, Leftover, LeftoverKind

_RELEASE = re.compile(r"[0-9A-Za-z_-]{1,64}/[0-9]{1,10}")
_CHECKOUT = re.compile(r"[^/\x00]{1,255}/[0-9a-f]{40}")
_ASIDE = ".tmp-removed-"
"""Begins like what an interrupted fetch or copy leaves behind, which its own owner clears away too."""


class FileLeftovers:
    """The `Leftovers` port over `releases/{deployment}/{generation}` and `repos/{cache}/checkouts/{commit}`."""

    def __init__(self, *, releases_directory: str | os.PathLike[str], repos_directory: str | os.PathLike[str]) -> None:
        self._releases = os.path.abspath(releases_directory)
        self._repos = os.path.abspath(repos_directory)

    def space(self) -> DiskSpace:
        found = os.statvfs(os.path.dirname(self._repos))
        return DiskSpace(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)

    def found(self) -> list[Leftover]:
        releases = (
            Leftover(LeftoverKind.RELEASE, f"{deployment}/{number}")
            for deployment in _folders(self._releases)
            for number in _folders(os.path.join(self._releases, deployment))
        )
        checkouts = (
            Leftover(LeftoverKind.CHECKOUT, f"{cache}/{commit}")
            for cache in _folders(self._repos)
            for commit in _folders(os.path.join(self._repos, cache, "checkouts"))
        )
        return [found for found in (*releases, *checkouts) if _pattern(found.kind).fullmatch(found.name)]

    def remove(self, leftover: Leftover) -> int:
        path = self._path(leftover)
        aside = os.path.join(os.path.dirname(path), f"{_ASIDE}{os.path.basename(path)}")
        try:
            _remove(aside)
            os.rename(path, aside)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise DirectoryUnusable(f"{path} cannot be removed ({error.strerror})") from error
        size = sum(_sizes(aside))
        _remove(aside)
        with contextlib.suppress(OSError):
            if leftover.kind is LeftoverKind.RELEASE:
                os.rmdir(os.path.dirname(path))  # only if it was the last one
        return size

    def _path(self, leftover: Leftover) -> str:
        if not _pattern(leftover.kind).fullmatch(leftover.name) or ".." in leftover.name.split("/"):
            raise DirectoryUnusable(f"{leftover.name[:100]!r} is no {leftover.kind}")
        first, _, second = leftover.name.partition("/")
        if leftover.kind is LeftoverKind.RELEASE:
            return os.path.join(self._releases, first, second)
        return os.path.join(self._repos, first, "checkouts", second)


def _pattern(kind: LeftoverKind) -> re.Pattern[str]:
    return _RELEASE if kind is LeftoverKind.RELEASE else _CHECKOUT


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sizes(path: str) -> Iterator[int]:
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield os.lstat(os.path.join(folder, name)).st_size


def _remove(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)
