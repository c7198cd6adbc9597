"""Where installed dependencies lie: one folder for each digest, shared by all releases that need the same."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Workplace(NamedTuple):
    """A folder being filled."""

    directory: str
    """Empty but for the files given and a `.tmp` folder; whoever installs may write it."""
    log_path: str
    """Where a runtime without logs of its own writes the installer's output."""


class DependencyFolders(Protocol):
    """Keep folders of installed dependencies. Blocking; call from a pool.

    A folder exists whole or not at all: it is filled at a workplace, then renamed. Digests are of `[0-9a-f]`.

    **Errors**: `InstallFailed` for content that is refused, `StorageFull`, `DirectoryUnusable`.
    """

    def find(self, digest: str) -> str | None:
        """Return the folder; None when it is not there."""

    def begin(self, digest: str, owner: str, files: Mapping[str, bytes], user_id: int | None) -> Workplace:
        """Make an empty workplace, whatever an earlier attempt left there.

        `owner` tells those apart who fill the same folder at the same time. The workplace belongs to `user_id`, or to
        the server's own user when that is None.
        """

    def measure(self, digest: str, owner: str) -> int:
        """Return how many bytes a workplace holds by now. It may be written meanwhile."""

    def finish(self, digest: str, owner: str) -> str:
        """Put what was filled in its place, belonging to the server and readable for all; return the folder.

        Nothing may write there any more. Idempotent in effect: when somebody else was faster, theirs stays. Raises
        `InstallFailed` when it holds too much, or what is neither file, folder nor link.
        """

    def abandon(self, digest: str, owner: str) -> None:
        """Remove a workplace. Idempotent."""

    def digests(self) -> list[str]:
        """Return the digests of all folders there are."""

    def remove(self, digest: str) -> int:
        """Remove a folder and return how many bytes it held. Idempotent."""
