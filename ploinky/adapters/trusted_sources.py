"""Which repositories may run where an agent is not kept apart from the server and from other agents."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

LOCAL_SCHEME = "file://"


class TrustedSources:
    """Trust what the operator named, and folders of this machine that are the server's user's own.

    A folder is its own when nobody else could have put it there: it belongs to that user, everything above it to that
    user or root, and others may write nowhere on the way (but in sticky folders such as /tmp). What lies in the data
    directory came from somewhere, and is nobody's own.
    """

    def __init__(self, prefixes: Iterable[str], data_directory: Path) -> None:
        """Take the operator's prefixes, each a folder of a URL or of this machine."""
        self._prefixes = tuple(prefixes)
        self._data_directory = Path(os.path.realpath(data_directory))

    def __call__(self, repository: str) -> bool:
        """Tell whether a repository is trusted now."""
        return any(_lies_below(repository, prefix) for prefix in self._prefixes) or self._is_own(repository)

    def _is_own(self, repository: str) -> bool:
        path = repository.removeprefix(LOCAL_SCHEME)
        if not path.startswith("/"):
            return False
        # Without links: it is this very folder that counts, and those above it.
        folder = Path(os.path.realpath(path))
        if self._data_directory in (folder, *folder.parents):
            return False
        try:
            is_users = folder.stat().st_uid == os.geteuid()
            return is_users and all(_is_safe(part) for part in (folder, *folder.parents))
        except OSError:
            return False


def _is_safe(folder: Path) -> bool:
    status = folder.stat()
    is_closed = not status.st_mode & stat.S_IWOTH or bool(status.st_mode & stat.S_ISVTX)
    return is_closed and status.st_uid in {0, os.geteuid()}


def _lies_below(repository: str, prefix: str) -> bool:
    """Compare by whole segments, after refusing what could leave the folder again on its way."""
    given, wanted = (_parts(text) for text in (repository, prefix))
    if given is None or wanted is None:
        return False
    return given[0] == wanted[0] and given[1][: len(wanted[1])] == wanted[1]


def _parts(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Return scheme and host, and the path's segments; None for what is not plain."""
    try:
        address = urlsplit(text)
    except ValueError:
        return None
    segments = tuple(address.path.strip("/").split("/")) if address.path.strip("/") else ()
    if any(segment in {"", ".", ".."} or "%" in segment for segment in segments):
        return None
    scheme = "" if address.scheme == "file" else address.scheme.lower()
    return f"{scheme}://{address.netloc.lower()}", segments
