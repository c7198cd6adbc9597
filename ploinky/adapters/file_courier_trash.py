"""Where released queue folders go: moved aside at once, then removed as far as the bounds allow."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from ploinky.adapters.file_courier_folder import open_directory
from ploinky.adapters.file_courier_names import folder_of
from ploinky.adapters.file_courier_removal import RemovalBudget, remove_entry

TRASH_NAME = ".trash"
REMOVAL_LIMIT_ENTRIES = 50_000
"""Per released folder, and once at the start for everything left before."""
NAME_ATTEMPTS = 100


class Trash:
    """`{queues_directory}/.trash`, private to the server. Raises `OSError` when it cannot be made."""

    def __init__(self, queues_fd: int, report: Callable[[str], None]) -> None:
        self._queues_fd = queues_fd
        self._report = report
        with suppress(FileExistsError):
            os.mkdir(TRASH_NAME, 0o700, dir_fd=queues_fd)
        self._trash_fd = open_directory(TRASH_NAME, queues_fd)
        self._sweep()

    def discard(self, instance_id: str) -> None:
        """Take an instance's folder away. Idempotent; what cannot be removed stays here and is reported."""
        deployment, leaf = folder_of(instance_id)
        try:
            deployment_fd = open_directory(deployment, self._queues_fd)
        except FileNotFoundError:
            return
        except OSError as error:
            self._report(f"The queue of {instance_id} cannot be removed: {error.strerror}")
            return
        try:
            name = self._move_here(instance_id, deployment_fd, leaf)
        except OSError as error:
            self._report(f"The queue of {instance_id} cannot be removed: {error.strerror}")
            return
        finally:
            os.close(deployment_fd)
        if name is not None and not remove_entry(self._trash_fd, name, RemovalBudget(REMOVAL_LIMIT_ENTRIES)):
            self._report(f"The queue of {instance_id} is not wholly removed: see {TRASH_NAME}/{name}")
        with suppress(OSError):  # other instances live there
            os.rmdir(deployment, dir_fd=self._queues_fd)

    def close(self) -> None:
        os.close(self._trash_fd)

    def _move_here(self, instance_id: str, deployment_fd: int, leaf: str) -> str | None:
        """Return the name it has here, or None when there is no such folder."""
        for number in range(NAME_ATTEMPTS):
            name = f"{instance_id}.{number}"
            try:
                os.stat(name, dir_fd=self._trash_fd, follow_symlinks=False)
            except FileNotFoundError:
                try:
                    os.rename(leaf, name, src_dir_fd=deployment_fd, dst_dir_fd=self._trash_fd)
                except FileNotFoundError:
                    return None
                return name
        raise FileExistsError(errno.EEXIST, "too much of it lies in the trash already")

    def _sweep(self) -> None:
        budget = RemovalBudget(REMOVAL_LIMIT_ENTRIES)
        with os.scandir(self._trash_fd) as entries:
            names = [entry.name for entry in islice(entries, REMOVAL_LIMIT_ENTRIES)]
        for name in names:
            if not remove_entry(self._trash_fd, name, budget):
                self._report(f"An old queue is not wholly removed: see {TRASH_NAME}/{name}")
