"""Folders of dependencies in memory."""

import re
from collections.abc import Mapping

from ploinky.domain.errors import InstallFailed
from ploinky.ports.dependencies import Workplace

_DIGEST = re.compile(r"[0-9a-f]{8,64}")


class MemoryDependencyFolders:
    """The `DependencyFolders` port in memory: what is installed are the files given, and what a test puts there."""

    def __init__(self) -> None:
        self.filled: dict[str, dict[str, bytes]] = {}
        self.workplaces: dict[tuple[str, str], dict[str, bytes]] = {}

    def find(self, digest: str) -> str | None:
        directory = _directory(digest)
        return directory if digest in self.filled else None

    def begin(self, digest: str, owner: str, files: Mapping[str, bytes], user_id: int | None) -> Workplace:
        directory = _directory(digest)
        self.workplaces[digest, owner] = dict(files)
        return Workplace(f"{directory}-{owner}", f"{directory}-{owner}.log")

    def measure(self, digest: str, owner: str) -> int:
        return sum(map(len, self.workplaces.get((digest, owner), {}).values()))

    def finish(self, digest: str, owner: str) -> str:
        self.filled.setdefault(digest, self.workplaces.pop((digest, owner)))
        return _directory(digest)

    def abandon(self, digest: str, owner: str) -> None:
        self.workplaces.pop((digest, owner), None)

    def digests(self) -> list[str]:
        return sorted(self.filled)

    def remove(self, digest: str) -> int:
        return sum(map(len, self.filled.pop(digest, {}).values()))


def _directory(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise InstallFailed(f"{digest[:80]!r} is no digest of dependencies")
    return f"/memory/dependencies/{digest}"
