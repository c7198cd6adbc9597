"""Disk space held back beside the journal, given up when the disk is full."""

import os

BALLAST_BYTES = 8 * 1024 * 1024

_FREE_SPACE_FACTOR = 4
"""The ballast is made only when this many times its size is free: it must not itself fill the disk."""


class Ballast:
    """One file of zeros that really takes its space."""

    def __init__(self, path: str) -> None:
        """Touch nothing yet."""
        self._path = path

    def restore(self) -> bool:
        """Make the file when there is room. True when it is there afterwards; a full disk is no error here."""
        try:
            if self._is_whole():
                return True
            disk = os.statvfs(os.path.dirname(self._path) or ".")
            if disk.f_bavail * disk.f_frsize < _FREE_SPACE_FACTOR * BALLAST_BYTES:
                return False
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
            finally:
                os.close(descriptor)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Remove the file. True when there was one. Idempotent."""
        try:
            os.unlink(self._path)
        except OSError:
            return False
        return True

    def _is_whole(self) -> bool:
        """Tell whether the file takes its space: a sparse copy from a backup has the size alone."""
        try:
            status = os.lstat(self._path)
        except FileNotFoundError:
            return False
        return status.st_size >= BALLAST_BYTES and status.st_blocks * 512 >= BALLAST_BYTES
