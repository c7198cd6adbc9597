"""Logs of instances in files."""

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator

from ploinky.domain.errors import DirectoryUnusable, Invalid, StorageFull
from ploinky.ports.logs import LOG_FILES_LIMIT

LOG_LIMIT_BYTES = 10 * 1024 * 1024
"""Kept of one log; the newest part."""
TAIL_LIMIT_BYTES = 1024 * 1024

_INSTANCE_ID = re.compile(r"([0-9A-Za-z_-]{1,64})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")
_LOG_FILE = re.compile(r"([1-9][0-9]{0,8})-[0-9]{1,9}\.log(\.[0-9]{1,2}|\.tmp)?")
_DEPLOYMENT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ASIDE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_LOG = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})


class FileLogStore:
    """The `LogStore` port over files `{directory}/{deploymentId}/{generation}-{n}.log`, for their owner alone.

    Links below the directory are never followed: to an agent that runs as the server's own user the folder is open.
    Raises `Invalid` for what is no instance's or deployment's id, `DirectoryUnusable` when the folder cannot be used.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = os.path.abspath(directory)
        with self._usable():
            os.makedirs(self._directory, mode=0o700, exist_ok=True)

    def path(self, instance_id: str) -> str:
        """Return where a runtime writes, its folder made."""
        deployment, name = log_names(instance_id)
        with self._usable(), self._folder(deployment, is_made=True):
            return os.path.join(self._directory, deployment, name)

    def save(self, instance_id: str, content: bytes) -> None:
        """Keep the newest 10 MiB. An engine that has nothing any more takes nothing away of what was kept before.

        Not synchronised: losing a log with the power is no harm, the end of it is evidence in the journal.
        """
        if not content:
            return
        deployment, name = log_names(instance_id)
        aside = f"{name}.tmp"
        with self._usable(), self._folder(deployment, is_made=True) as folder_fd:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside, dir_fd=folder_fd)  # left by a crash
            try:
                with os.fdopen(os.open(aside, _ASIDE_FLAGS, 0o600, dir_fd=folder_fd), "wb") as file:
                    file.write(memoryview(content)[-LOG_LIMIT_BYTES:])
                os.rename(aside, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(aside, dir_fd=folder_fd)
                raise

    def tail(self, instance_id: str, lines: int) -> bytes:
        """Return the newest lines; whatever is no regular file is no log and reads as empty."""
        deployment, name = log_names(instance_id)
        try:
            with self._folder(deployment) as folder_fd:
                content = _last_bytes(folder_fd, name, TAIL_LIMIT_BYTES)
                for number in range(1, LOG_FILES_LIMIT):  # what a runtime wrote itself is spread over a few files
                    if content.count(b"\n") > lines or len(content) >= TAIL_LIMIT_BYTES:
                        break
                    try:
                        older = _last_bytes(folder_fd, f"{name}.{number}", TAIL_LIMIT_BYTES - len(content))
                    except FileNotFoundError:
                        break
                    content = older + content
                return newest_lines(content, lines)
        except OSError as error:
            if error.errno in _NO_LOG:
                return b""
            raise DirectoryUnusable(f"The log of {instance_id} cannot be read ({error.strerror})") from error

    def prune(self, deployment_id: str, first_generation: int) -> None:
        """Remove what earlier generations printed; a file of another name is nobody's log and stays."""
        check_deployment(deployment_id)
        try:
            with self._usable(), self._folder(deployment_id) as folder_fd:
                for name in os.listdir(folder_fd):
                    match = _LOG_FILE.fullmatch(name)
                    if match is not None and int(match[1]) < first_generation:
                        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                            os.unlink(name, dir_fd=folder_fd)
        except DirectoryUnusable as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in _NO_LOG:
                raise

    def discard(self, deployment_id: str) -> None:
        """Remove the deployment's folder, or whatever stands in its place."""
        check_deployment(deployment_id)
        path = os.path.join(self._directory, deployment_id)
        with self._usable(), contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.lstat(path).st_mode):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    @contextlib.contextmanager
    def _folder(self, deployment: str, *, is_made: bool = False) -> Iterator[int]:
        with contextlib.ExitStack() as opened:
            root_fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, root_fd)
            if is_made:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(deployment, 0o700, dir_fd=root_fd)
            folder_fd = os.open(deployment, _DIRECTORY_FLAGS, dir_fd=root_fd)
            opened.callback(os.close, folder_fd)
            yield folder_fd

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StorageFull from error
            raise DirectoryUnusable(f"{self._directory} cannot be used for logs ({error.strerror})") from error


def _last_bytes(folder_fd: int, name: str, limit_bytes: int) -> bytes:
    descriptor = os.open(name, _READ_FLAGS, dir_fd=folder_fd)
    try:
        status = os.fstat(descriptor)
        start = max(0, status.st_size - limit_bytes)
        return os.pread(descriptor, limit_bytes, start) if stat.S_ISREG(status.st_mode) else b""
    finally:
        os.close(descriptor)


def newest_lines(content: bytes, lines: int) -> bytes:
    """Return the last lines of a text; a last one without an end counts."""
    if lines <= 0:
        return b""
    start = len(content) - content.endswith(b"\n")
    for _ in range(lines):
        start = content.rfind(b"\n", 0, start)
        if start < 0:
            return content
    return content[start + 1 :]


def log_names(instance_id: str) -> tuple[str, str]:
    """Return the deployment's folder and, in it, the instance's file. Raises `Invalid`."""
    match = _INSTANCE_ID.fullmatch(instance_id)
    if match is None:
        raise Invalid(f"{instance_id!r} is not the id of an instance")
    return match[1], f"{match[2]}-{match[3]}.log"


def check_deployment(deployment_id: str) -> None:
    """Refuse what is no deployment's id, above all what leads elsewhere. Raises `Invalid`."""
    if _DEPLOYMENT_ID.fullmatch(deployment_id) is None:
        raise Invalid(f"{deployment_id!r} is not the id of a deployment")
