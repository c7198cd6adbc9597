"""The courier over folders: the queue directory is the transport, the journal stays the truth."""

import asyncio
import errno
import os
import stat
import time
from collections.abc import Callable, Mapping

import msgspec

from ploinky.adapters.file_courier_folder import (
    PASSABLE_MODE,
    QueueFolder,
    provision_folder,
    unavailable_on_error,
)
from ploinky.adapters.file_courier_look import OpenQueue
from ploinky.adapters.file_courier_names import READY_NAME, attempt_name, folder_of
from ploinky.adapters.file_courier_removal import remove_file, remove_lock
from ploinky.adapters.file_courier_trash import Trash
from ploinky.adapters.file_courier_watch import QueueWatch
from ploinky.domain.errors import QueueUnavailable
from ploinky.ports.courier import Finding, TaskOrder

MIRRORED_TASKS_LIMIT = 4_000
"""Attempts of one instance that were sent and not settled; those who send keep well below."""

_NEW_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id"
_PRIVATE_FILE_MODE = 0o600
_READABLE_FILE_MODE = 0o644
"""Where the agent is another user. The instance's folder above keeps everybody else out."""


class FileCourier:
    """One folder per instance, `{queues_directory}/{deploymentId}/{generation}-{n}`.

    `report` receives one line about things an operator should know and nobody can be told by an exception: watches
    refused by the system, files that could not be removed.
    """

    def __init__(
        self, queues_directory: str, loop: asyncio.AbstractEventLoop, report: Callable[[str], None] = lambda _: None
    ) -> None:
        self._directory = os.path.abspath(queues_directory)
        self._report = report
        self._queues: dict[str, OpenQueue] = {}
        self._encoder = msgspec.json.Encoder(enc_hook=_plain_mapping)
        with unavailable_on_error("every instance", "cannot be kept here"):
            os.makedirs(self._directory, PASSABLE_MODE, exist_ok=True)
            # Links are followed here, once: where the queues lie is the operator's choice.
            self._queues_fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with open(_BOOT_ID_PATH, encoding="ascii") as boot_id:
                    self._boot_id = boot_id.read().strip()
                self._trash = Trash(self._queues_fd, report)
            except BaseException:
                os.close(self._queues_fd)
                raise
        self._watch = QueueWatch(loop, report)
        self._is_closed = False

    def provision(self, instance_id: str, owner_user_id: int | None) -> str:
        provision_folder(self._queues_fd, instance_id, owner_user_id)
        return os.path.join(self._directory, *folder_of(instance_id))

    def attach(self, instance_id: str) -> str:
        queue = self._queues.get(instance_id)
        if queue is None:
            folder = QueueFolder(self._queues_fd, instance_id)
            queue = self._queues[instance_id] = OpenQueue(folder)
            self._watch.add(instance_id, (folder.results_fd, folder.errors_fd))
        else:
            queue.folder.verify()
        return f"{self._boot_id}:{queue.folder.device}:{queue.folder.inode}"

    def is_ready(self, instance_id: str) -> bool:
        queue = self._queues.get(instance_id)
        if queue is None:
            return False
        try:
            status = os.stat(READY_NAME, dir_fd=queue.folder.locks_fd, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode)

    async def send(self, instance_id: str, order: TaskOrder) -> None:
        queue = self._attached(instance_id)
        name = attempt_name(order.id, order.attempt)
        content = self._encoder.encode(order)
        if name not in queue.open_names:
            if len(queue.open_names) >= MIRRORED_TASKS_LIMIT:
                raise QueueUnavailable(f"The queue of {instance_id} is full", limit=MIRRORED_TASKS_LIMIT)
            queue.open_names.add(name)
        try:
            _place_file(queue.folder, name, content)
        except OSError as error:
            queue.open_names.discard(name)
            raise QueueUnavailable(
                f"The queue of {instance_id} takes no task: {error.strerror}", instance=instance_id
            ) from error

    async def cancel(self, instance_id: str, task_id: str, attempt: int) -> None:
        folder = self._attached(instance_id).folder
        name = attempt_name(task_id, attempt)
        with unavailable_on_error(instance_id, "takes no cancellation"):
            try:
                descriptor = os.open(name, _NEW_FILE_FLAGS, _PRIVATE_FILE_MODE, dir_fd=folder.cancel_fd)
            except FileExistsError:
                return
            try:
                os.fchmod(descriptor, _file_mode(folder))
            finally:
                os.close(descriptor)

    def settle(self, instance_id: str, task_id: str, attempt: int) -> None:
        queue = self._queues.get(instance_id)
        if queue is None:
            return
        name = f"{task_id}.{attempt}"
        try:
            attempt_name(task_id, attempt)
        except QueueUnavailable:
            return
        folder = queue.folder
        # The task first: an agent that has not claimed it yet must not find it without its end.
        is_gone = remove_file(folder.tasks_fd, name)
        for folder_fd in (folder.cancel_fd, folder.results_fd, folder.errors_fd):
            is_gone = remove_file(folder_fd, name) and is_gone
        is_gone = remove_lock(folder.locks_fd, name) and is_gone
        queue.forget(name)
        queue.open_names.discard(name)
        if not is_gone:
            queue.leftover_count += 1
            if queue.leftover_count == 1:
                self._report(f"Files of attempt {name} stay in the queue of {instance_id}: they cannot be removed")

    def look(self, instance_id: str, *, include_claims: bool = False) -> list[Finding]:
        queue = self._attached(instance_id)
        now_seconds = time.monotonic()
        findings: list[Finding] = []
        with unavailable_on_error(instance_id, "cannot be read"):
            if include_claims or queue.is_claim_scan_due(now_seconds):
                queue.folder.verify()
                findings.extend(queue.claims(now_seconds))
            is_complete = queue.collect_outcomes(findings, now_seconds)
        if not is_complete:
            self._watch.hint_soon(instance_id)
        return findings

    def subscribe(self, hint: Callable[[str], None]) -> None:
        self._watch.subscribe(hint)

    def release(self, instance_id: str) -> None:
        self._detach(instance_id)
        self._trash.discard(instance_id)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._watch.close()
        for instance_id in list(self._queues):
            self._detach(instance_id)
        self._trash.close()
        os.close(self._queues_fd)

    def stray_count(self, instance_id: str) -> int:
        """Return how many names that mean nothing lay in the instance's results and errors at the last look."""
        return self._attached(instance_id).stray_count

    def _attached(self, instance_id: str) -> OpenQueue:
        queue = self._queues.get(instance_id)
        if queue is None:
            raise QueueUnavailable(f"The queue of {instance_id} is not attached", instance=instance_id)
        return queue

    def _detach(self, instance_id: str) -> None:
        queue = self._queues.pop(instance_id, None)
        if queue is not None:
            self._watch.remove(instance_id, queue.folder.close)


def _plain_mapping(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a task cannot carry {type(value).__name__}")


def _file_mode(folder: QueueFolder) -> int:
    return _READABLE_FILE_MODE if folder.is_agent_another_user else _PRIVATE_FILE_MODE


def _place_file(folder: QueueFolder, name: str, content: bytes) -> None:
    """Make the whole file appear at once. Not synchronised: the mirror is rebuilt from the journal."""
    temporary_name = f".{name}"
    try:
        descriptor = os.open(temporary_name, _NEW_FILE_FLAGS, _PRIVATE_FILE_MODE, dir_fd=folder.tasks_fd)
    except FileExistsError:
        remove_file(folder.tasks_fd, temporary_name)  # left by a crash
        descriptor = os.open(temporary_name, _NEW_FILE_FLAGS, _PRIVATE_FILE_MODE, dir_fd=folder.tasks_fd)
    try:
        if folder.is_agent_another_user:
            os.fchmod(descriptor, _READABLE_FILE_MODE)
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.rename(temporary_name, name, src_dir_fd=folder.tasks_fd, dst_dir_fd=folder.tasks_fd)
    except OSError:
        remove_file(folder.tasks_fd, temporary_name)
        raise
    finally:
        os.close(descriptor)
