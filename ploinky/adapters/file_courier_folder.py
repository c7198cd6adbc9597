"""One instance's queue folder on disk, reached by descriptors only.

Where the agent has a user of its own, the folder, `results`, `errors` and `locks` belong to it, and `tasks` and
`cancel` to the server, so that the agent can read there but not write; nobody else passes the folder (0700). Where the
agent runs as the server's own user (plain processes without root), everything has one owner: such an agent can damage
its own queue, which shows (`verify`), and is harmless beyond it.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ploinky.adapters.file_courier_names import CANCEL, ERRORS, LOCKS, RESULTS, TASKS, folder_of
from ploinky.adapters.file_courier_removal import DIRECTORY_FLAGS
from ploinky.domain.errors import QueueUnavailable

SERVER_FOLDERS = (TASKS, CANCEL)
AGENT_FOLDERS = (RESULTS, ERRORS, LOCKS)

PRIVATE_MODE = 0o700
READABLE_MODE = 0o755
PASSABLE_MODE = 0o711
"""Of the folders above: an agent's process may pass through, and list nothing."""

TAMPERED_HINT = "The agent changed its own queue folder; the instance has to be replaced."


@contextmanager
def unavailable_on_error(instance_id: str, problem: str) -> Iterator[None]:
    """Turn the system's errors into `QueueUnavailable`, saying whose queue and what could not be done."""
    try:
        yield
    except OSError as error:
        raise QueueUnavailable(
            f"The queue of {instance_id} {problem}: {error.strerror}", instance=instance_id
        ) from error


def open_directory(name: str, parent_fd: int) -> int:
    """Open a folder that is no link."""
    return os.open(name, DIRECTORY_FLAGS, dir_fd=parent_fd)


def provision_folder(queues_fd: int, instance_id: str, owner_user_id: int | None) -> None:
    """Make the folder and its five parts with their owners. Idempotent.

    Raises `QueueUnavailable` when this cannot be done, above all when a foreign owner is asked for without root.
    """
    deployment, leaf = folder_of(instance_id)
    server_user_id = os.geteuid()
    agent_user_id = server_user_id if owner_user_id is None else owner_user_id
    tasks_mode = PRIVATE_MODE if agent_user_id == server_user_id else READABLE_MODE
    opened: list[int] = []
    with unavailable_on_error(instance_id, "cannot be made"):
        try:
            opened.append(_make_directory(queues_fd, deployment, server_user_id, PASSABLE_MODE))
            root_fd = _make_directory(opened[0], leaf, None, PRIVATE_MODE)
            opened.append(root_fd)
            for name in SERVER_FOLDERS:
                opened.append(_make_directory(root_fd, name, server_user_id, tasks_mode))  # noqa: PERF401 - closed when a later one fails
            for name in AGENT_FOLDERS:
                opened.append(_make_directory(root_fd, name, agent_user_id, PRIVATE_MODE))  # noqa: PERF401 - the same
            _own(root_fd, agent_user_id)  # last: until now nobody else could reach inside
        finally:
            for descriptor in opened:
                os.close(descriptor)


def _make_directory(parent_fd: int, name: str, user_id: int | None, mode: int) -> int:
    with suppress(FileExistsError):  # made before a crash; what it is shows when it is opened
        os.mkdir(name, PRIVATE_MODE, dir_fd=parent_fd)
    directory_fd = open_directory(name, parent_fd)
    try:
        if user_id is not None:
            _own(directory_fd, user_id)
        os.fchmod(directory_fd, mode)
    except BaseException:
        os.close(directory_fd)
        raise
    return directory_fd


def _own(directory_fd: int, user_id: int) -> None:
    present_user_id = os.fstat(directory_fd).st_uid
    if present_user_id == user_id:
        return
    if present_user_id != os.geteuid():
        raise QueueUnavailable("A queue folder belongs to somebody else", hint=TAMPERED_HINT, user=present_user_id)
    os.fchown(directory_fd, user_id, user_id)


class QueueFolder:
    """An existing queue folder, opened. Raises `QueueUnavailable` when it is gone or not what was provisioned."""

    def __init__(self, queues_fd: int, instance_id: str) -> None:
        self.instance_id = instance_id
        self._descriptors: dict[str, int] = {}
        self._queues_fd = queues_fd
        self._path = "/".join(folder_of(instance_id))
        with unavailable_on_error(instance_id, "cannot be opened"):
            try:
                self._open()
            except BaseException:
                self.close()
                raise
        self.tasks_fd = self._descriptors[TASKS]
        self.cancel_fd = self._descriptors[CANCEL]
        self.results_fd = self._descriptors[RESULTS]
        self.errors_fd = self._descriptors[ERRORS]
        self.locks_fd = self._descriptors[LOCKS]

    def _open(self) -> None:
        deployment, leaf = folder_of(self.instance_id)
        deployment_fd = open_directory(deployment, self._queues_fd)
        try:
            self.root_fd = self._descriptors[""] = open_directory(leaf, deployment_fd)
        finally:
            os.close(deployment_fd)
        root = os.fstat(self.root_fd)
        self.device = root.st_dev
        self.inode = root.st_ino
        self.is_agent_another_user = root.st_uid != os.geteuid()
        for name in (*SERVER_FOLDERS, *AGENT_FOLDERS):
            self._descriptors[name] = open_directory(name, self.root_fd)
            self._check_part(name, root.st_uid)

    def _check_part(self, name: str, agent_user_id: int) -> None:
        status = os.fstat(self._descriptors[name])
        expected_user_id = os.geteuid() if name in SERVER_FOLDERS else agent_user_id
        if status.st_dev != self.device or status.st_uid != expected_user_id:
            raise self._tampered(name)

    def verify(self) -> None:
        """Raise `QueueUnavailable` when the folder or one of its parts was removed, moved or replaced meanwhile."""
        for name, descriptor in self._descriptors.items():
            kept = os.fstat(descriptor)
            try:
                if name:
                    present = os.stat(name, dir_fd=self.root_fd, follow_symlinks=False)
                else:
                    present = os.stat(self._path, dir_fd=self._queues_fd, follow_symlinks=False)
            except OSError as error:
                raise self._tampered(name) from error
            if (present.st_dev, present.st_ino) != (kept.st_dev, kept.st_ino) or not stat.S_ISDIR(present.st_mode):
                raise self._tampered(name)

    def _tampered(self, name: str) -> QueueUnavailable:
        what = f"its folder {name}" if name else "its folder"
        return QueueUnavailable(
            f"The queue of {self.instance_id} was tampered with: {what} is gone or was replaced",
            hint=TAMPERED_HINT,
            instance=self.instance_id,
        )

    def close(self) -> None:
        """Close every descriptor. Idempotent."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])
