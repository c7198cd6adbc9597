"""The copy of `agentcore` that instances run: it stays as it is while a newer server is installed."""

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ploinky.adapters.durable_folders import sync_file_system
from ploinky.domain.errors import DirectoryUnusable

PACKAGE = "agentcore"
DIGEST_CHARACTERS = 16
FOLDER_MODE = 0o755
FILE_MODE = 0o644
NESTING_LEVELS = 8

_COMPILED = "__pycache__"


def install_agentcore(data_directory: Path) -> Path:
    """Copy the package to `{data directory}/agentcore/{digest}/agentcore`; return the folder that contains it.

    Idempotent. The digest is of names and contents, so another version gets a folder of its own and instances that
    run keep theirs. A copy that does not match its name any more is put aside and made again. Whoever runs an agent
    may read it. Raises `DirectoryUnusable`.
    """
    sources = dict(_package_files(files(PACKAGE)))
    digest = content_digest(sources)
    place = data_directory / PACKAGE
    target = place / digest
    try:
        if _is_intact(target, sources):
            return target
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(FOLDER_MODE)
        _install(sources, target, digest)
    except OSError as error:
        raise DirectoryUnusable(f"{place} cannot hold the agents' runner ({error.strerror})") from error
    return target


def content_digest(sources: Mapping[str, bytes]) -> str:
    """Return a short digest of relative names and contents, whatever their order."""
    digest = sha256()
    for name, content in sorted(sources.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def _install(sources: Mapping[str, bytes], target: Path, digest: str) -> None:
    aside = Path(tempfile.mkdtemp(prefix=f".{digest}-", dir=target.parent))
    try:
        _write(sources, aside)
        sync_file_system(str(aside))
        if os.path.lexists(target):
            # Not removed: instances may have it mounted.
            target.rename(target.with_name(f"{digest}.damaged-{secrets.token_hex(4)}"))
        aside.rename(target)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        if not _is_intact(target, sources):  # else somebody was faster
            raise


def _write(sources: Mapping[str, bytes], directory: Path) -> None:
    directory.chmod(FOLDER_MODE)
    for name, content in sources.items():
        path = directory / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(FILE_MODE)
    for folder, _, _ in os.walk(directory):
        os.chmod(folder, FOLDER_MODE)


def _package_files(folder: Traversable, within: str = "", levels: int = NESTING_LEVELS) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        name = within + entry.name
        if entry.is_file():
            yield name, entry.read_bytes()
        elif entry.name != _COMPILED and levels:
            yield from _package_files(entry, f"{name}/", levels - 1)


def _is_intact(target: Path, sources: Mapping[str, bytes]) -> bool:
    """Tell whether a copy is what its name says: the same files, readable, and not one more; links are none."""
    package = target / PACKAGE
    if target.is_symlink() or package.is_symlink():
        return False
    found: set[str] = set()
    for folder, folders, names in os.walk(package):
        folders[:] = [name for name in folders if name != _COMPILED]
        if any(Path(folder, name).is_symlink() for name in folders):
            return False
        found.update(str(Path(folder, name).relative_to(package)) for name in names)
        if len(found) > len(sources):
            return False
    return found == sources.keys() and all(_holds(package / name, content) for name, content in sources.items())


def _holds(path: Path, content: bytes) -> bool:
    # By size first, so that nothing large is read.
    status = path.lstat()
    is_same_size = stat.S_ISREG(status.st_mode) and status.st_size == len(content)
    return is_same_size and status.st_mode & FILE_MODE == FILE_MODE and path.read_bytes() == content
