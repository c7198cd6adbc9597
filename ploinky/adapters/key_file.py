"""Make and read the files that hold this installation's keys."""

import contextlib
import os
import secrets
import stat

from ploinky.domain.errors import DirectoryUnusable

KEY_BYTES = 32


def has_key(path: str) -> bool:
    """Tell whether the key was made before."""
    return os.path.lexists(path)


def read_or_make_key(path: str) -> bytes:
    """Return the key's 32 bytes, making them when there is no such file yet. Raises `DirectoryUnusable`.

    The file appears whole or not at all, so that a crash leaves no half a key, and of two makers one wins.
    """
    try:
        if not has_key(path):
            _make(path)
        return _read(path)
    except OSError as error:
        raise DirectoryUnusable(f"The key file {path} cannot be used ({error.strerror})") from error


def _make(path: str) -> None:
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    aside = f"{path}.{secrets.token_hex(8)}.tmp"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)  # unlike a rename, a link replaces nothing
    finally:
        os.unlink(aside)
    sync_directory(directory)


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DirectoryUnusable(f"The key file {path} is no file")
        if status.st_mode & 0o077:
            hint = f"Make new keys if others may have read it; else `chmod 600 {path}`."
            raise DirectoryUnusable(f"The key file {path} may be used by others", hint=hint)
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        hint = "Restore the `keys` folder that belongs to this data directory."
        raise DirectoryUnusable(f"The key file {path} does not hold {KEY_BYTES} bytes", hint=hint)
    return key


def sync_directory(directory: str) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
