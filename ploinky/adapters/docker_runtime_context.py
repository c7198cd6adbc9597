"""What an engine gets to build from: an agent's folder as an archive, and nothing from outside it."""

import contextlib
import os
import stat
import tarfile
import tempfile
from typing import IO

from docker.utils.build import exclude_paths

from ploinky.domain.errors import ImageUnavailable

CONTEXT_BYTES = 1 << 30
CONTEXT_ENTRIES = 100_000
IGNORE_FILE = ".dockerignore"
IGNORE_BYTES = 65_536
MEMORY_BYTES = 8 << 20
"""Of an archive that is kept in memory; a larger one lies in a temporary file."""


def pack_context(directory: str, dockerfile: str) -> IO[bytes]:
    """Return the archive of a folder without what `.dockerignore` and git keep out; the caller closes it.

    **Raises** `ImageUnavailable` for a link that leaves the folder, what is neither file, folder nor link, and for
    too much of it.
    """
    names = sorted(exclude_paths(directory, [".git", *_ignored(directory)], dockerfile))
    if len(names) > CONTEXT_ENTRIES:
        raise ImageUnavailable(f"the agent's folder has more than {CONTEXT_ENTRIES} files to build from")
    with contextlib.ExitStack() as opened:
        archive = opened.enter_context(tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES))
        _write(archive, directory, names)
        archive.seek(0)
        opened.pop_all()
    return archive


def _write(archive: IO[bytes], directory: str, names: list[str]) -> None:
    size = 0
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            path = os.path.join(directory, name)
            found = os.lstat(path)
            member = tarfile.TarInfo(name)
            member.mode = 0o755 if stat.S_ISDIR(found.st_mode) or found.st_mode & 0o111 else 0o644
            if stat.S_ISLNK(found.st_mode):
                _refuse_leaving(directory, path, name)
                member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
                tar.addfile(member)
            elif stat.S_ISDIR(found.st_mode):
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            elif stat.S_ISREG(found.st_mode):
                size += found.st_size
                if size > CONTEXT_BYTES:
                    raise ImageUnavailable(f"the agent's folder has more than {CONTEXT_BYTES} bytes to build from")
                with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as content:
                    member.size = found.st_size
                    tar.addfile(member, content)
            else:
                raise ImageUnavailable(f"{name} is neither a file nor a folder nor a link")


def _refuse_leaving(directory: str, path: str, name: str) -> None:
    root = os.path.realpath(directory)
    if os.path.isabs(os.readlink(path)) or not os.path.realpath(path).startswith(root + os.sep):
        hint = "Keep what the image needs inside the agent's folder."
        raise ImageUnavailable(f"{name} is a link that leaves the agent's folder", hint=hint)


def _ignored(directory: str) -> list[str]:
    """Read the patterns of `.dockerignore`. **Source**: the engine's documentation of that file."""
    try:
        descriptor = os.open(os.path.join(directory, IGNORE_FILE), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ImageUnavailable(f"{IGNORE_FILE} cannot be read ({error.strerror})", hint="Is it a link?") from error
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ImageUnavailable(f"{IGNORE_FILE} is no file")
        lines = file.read(IGNORE_BYTES).decode(errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
