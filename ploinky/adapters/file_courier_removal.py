"""Removal inside folders that an agent can write to: by descriptor, never through a link, within bounds."""

import errno
import os
from itertools import islice

from ploinky.adapters.file_courier_names import OWNER_NAME

REMOVAL_DEPTH_LIMIT = 16
"""Folders inside each other; one descriptor is open for each."""
LOCK_CONTENT_LIMIT = 100
"""Entries removed from inside one claim, where one (`owner`) is expected."""

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class RemovalBudget:
    """How many more entries may be removed; spent by `remove_entry`."""

    def __init__(self, entries: int) -> None:
        self.entries = entries


def remove_entry(parent_fd: int, name: str, budget: RemovalBudget, depth: int = REMOVAL_DEPTH_LIMIT) -> bool:
    """Remove one name with everything beneath it; return whether it is gone. Never raises, never follows a link."""
    try:
        if budget.entries <= 0:
            return False
        budget.entries -= 1
        try:
            os.unlink(name, dir_fd=parent_fd)
            return True
        except IsADirectoryError:
            pass
        try:
            os.rmdir(name, dir_fd=parent_fd)
            return True
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST} or depth <= 0:
                return False
        if not _empty_directory(parent_fd, name, budget, depth):
            return False
        os.rmdir(name, dir_fd=parent_fd)
        return True
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _empty_directory(parent_fd: int, name: str, budget: RemovalBudget, depth: int) -> bool:
    directory_fd = os.open(name, DIRECTORY_FLAGS, dir_fd=parent_fd)
    try:
        if os.fstat(directory_fd).st_dev != os.fstat(parent_fd).st_dev:
            return False
        with os.scandir(directory_fd) as entries:
            names = [entry.name for entry in islice(entries, budget.entries + 1)]
        outcomes = [remove_entry(directory_fd, child, budget, depth - 1) for child in names]
        return all(outcomes)
    finally:
        os.close(directory_fd)


def remove_file(folder_fd: int, name: str) -> bool:
    """Remove what should be a file; return whether it is gone. Never raises."""
    try:
        os.unlink(name, dir_fd=folder_fd)
    except FileNotFoundError:
        return True
    except OSError:
        return remove_entry(folder_fd, name, RemovalBudget(LOCK_CONTENT_LIMIT))
    return True


def remove_lock(locks_fd: int, name: str) -> bool:
    """Remove a claim; return whether it is gone. Never raises.

    The folder is opened before its `owner` is touched, for the agent may have put a link in its place.
    """
    try:
        lock_fd = os.open(name, _PATH_FLAGS, dir_fd=locks_fd)
    except FileNotFoundError:
        return True
    except OSError:
        return remove_file(locks_fd, name)
    try:
        os.unlink(OWNER_NAME, dir_fd=lock_fd)
    except OSError:
        pass  # rmdir tells whether anything is left
    finally:
        os.close(lock_fd)
    try:
        os.rmdir(name, dir_fd=locks_fd)
    except OSError:
        return remove_entry(locks_fd, name, RemovalBudget(LOCK_CONTENT_LIMIT))
    return True
