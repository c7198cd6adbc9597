"""A place in memory for the agents' queues.

Queues need no disk: the journal is the truth, and what a restart of the machine takes from them is sent again. A
restart of the server must not lose them though, nor a logout of the user it runs for.
"""

import contextlib
import os
import pwd
import stat
from hashlib import sha256
from pathlib import Path

from ploinky.adapters.mounted_file_systems import file_system_type

MEMORY_ROOT = Path("/dev/shm")  # noqa: S108 - what is made there is checked, and refused when it is not ours
LEAST_MEMORY_BYTES = 256 * 1024 * 1024
"""Smaller ones, such as a container's 64 MiB, are left to others."""
LAST_SYSTEM_USER_ID = 999

PASSABLE_MODE = 0o711
"""Agents that are users of their own pass through to their queue and list nothing."""
PRIVATE_MODE = 0o700

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def memory_place(data_directory: str, root: Path = MEMORY_ROOT) -> Path | None:
    """Make and return `{root}/ploinky-{user id}/{data directory's digest}`, always the same for a data directory.

    None where the root is no memory, is small, loses its content at logout, or where somebody else was there first.
    """
    if not (_is_memory(root) and outlives_logout(os.geteuid())):
        return None
    name = sha256(os.fsencode(os.path.realpath(data_directory))).hexdigest()[:8]
    return private_place(root, f"ploinky-{os.geteuid()}", name)


def private_place(root: Path, *names: str) -> Path | None:
    """Make nested folders that are ours, whatever others put in their place; None when they are not to be had."""
    with contextlib.ExitStack() as opened:
        try:
            parent = _open(root, None, opened)
            if _can_be_emptied_by_others(os.fstat(parent)):
                return None
            for name in names:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, PRIVATE_MODE, dir_fd=parent)
                parent = _open(name, parent, opened)
                if os.fstat(parent).st_uid != os.geteuid():
                    return None
                os.fchmod(parent, _own_mode())
        except OSError:
            return None
    return root.joinpath(*names)


def make_passable(directory: Path) -> None:
    """Make a folder that other users' processes may pass through. Raises `OSError`. Idempotent.

    One that is there already is left as it is: who made it has decided who passes.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir(PRIVATE_MODE)
    except FileExistsError:
        if not directory.is_dir():
            raise
    else:
        directory.chmod(_own_mode())


def outlives_logout(
    user_id: int, booted: Path = Path("/run/systemd/system"), linger: Path = Path("/var/lib/systemd/linger")
) -> bool:
    """Tell whether shared memory of a user stays after the last logout.

    **Source**: logind.conf(5), `RemoveIPC=`: on by default, spares root and system users; a lingering user never
    counts as logged out (loginctl(1)).
    """
    if user_id <= LAST_SYSTEM_USER_ID or not booted.exists():
        return True
    try:
        return (linger / pwd.getpwuid(user_id).pw_name).exists()
    except (KeyError, OSError):
        return False


def _own_mode() -> int:
    # Without root every agent is the server's own user.
    return PASSABLE_MODE if os.geteuid() == 0 else PRIVATE_MODE


def _is_memory(root: Path) -> bool:
    if file_system_type(str(root)) != "tmpfs":
        return False
    try:
        size = os.statvfs(root)
    except OSError:
        return False
    # The whole size, not what is free: the choice must be the same after a restart.
    return size.f_blocks * size.f_frsize >= LEAST_MEMORY_BYTES


def _open(name: str | Path, parent: int | None, opened: contextlib.ExitStack) -> int:
    descriptor = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
    opened.callback(os.close, descriptor)
    return descriptor


def _can_be_emptied_by_others(root: os.stat_result) -> bool:
    return bool(root.st_mode & 0o022) and not root.st_mode & stat.S_ISVTX
