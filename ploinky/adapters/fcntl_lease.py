"""The lease of a data directory: a lock on a file that nothing else opens."""

import errno
import fcntl
import os
import stat

from ploinky.adapters.mounted_file_systems import NETWORK_FILE_SYSTEMS, file_system_type
from ploinky.domain.errors import DirectoryBusy, DirectoryUnusable

_LOCK_NAME = "lock"
_PID_LIMIT_BYTES = 20
_IS_LOCKED = frozenset({errno.EWOULDBLOCK, errno.EACCES})


class FcntlLease:
    """Implement `ploinky.ports.lease.Lease` with `flock`, which the kernel ends with the process."""

    def __init__(self, data_directory: str) -> None:
        """Touch nothing yet."""
        self._directory = data_directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lease, making the directory (0700) when it is missing. Idempotent while held."""
        if self._descriptor is not None:
            return
        _prepare_directory(self._directory)
        try:
            # Not inherited by programs we start: the lease ends with this process alone.
            descriptor = os.open(
                os.path.join(self._directory, _LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as error:
            raise DirectoryUnusable(f"{self._directory}/{_LOCK_NAME} cannot be opened: {error.strerror}") from error
        try:
            self._lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lease up. Idempotent. The file stays: removing it would let two processes lock two files."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _IS_LOCKED:
                raise DirectoryUnusable(f"{self._directory} cannot be locked: {error.strerror}") from error
            raise _busy(self._directory, descriptor) from None
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            # The pid is for people; a full disk does not make the lock weaker.
            return


def _busy(directory: str, descriptor: int) -> DirectoryBusy:
    text = os.pread(descriptor, _PID_LIMIT_BYTES, 0).decode("ascii", "replace").strip()
    if not text.isdigit():
        return DirectoryBusy(f"Another Ploinky server uses {directory}")
    return DirectoryBusy(f"Another Ploinky server (process {text}) uses {directory}", pid=int(text))


def _prepare_directory(directory: str) -> None:
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        status = os.stat(directory)
    except OSError as error:
        raise DirectoryUnusable(f"{directory} cannot be made or read: {error.strerror}") from error
    if status.st_uid != os.geteuid():
        raise DirectoryUnusable(
            f"{directory} belongs to user {status.st_uid}, the server runs as {os.geteuid()}",
            hint=f"Run the server as the owner, or `chown {os.geteuid()} {directory}`.",
        )
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise DirectoryUnusable(
            f"{directory} can be reached by other users (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"`chmod 700 {directory}`: it holds keys and everything that agents were sent.",
        )
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise DirectoryUnusable(f"{directory} cannot be read and written", hint="Check its mode and how it is mounted.")
    kind = file_system_type(directory)
    if kind in NETWORK_FILE_SYSTEMS:
        raise DirectoryUnusable(
            f"{directory} lies on a network file system ({kind})",
            hint="Locks and shared memory are not reliable there; choose a local directory.",
        )
