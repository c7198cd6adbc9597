"""The sandbox of an agent that runs as a process, made with bubblewrap: a file system and processes of its own.

Inside, the paths are those of a container. Run by root, bubblewrap makes the sandbox with root's rights and the entry
script takes the agent's user; run by anybody else, it needs user namespaces, and the agent stays the server's own user
in a namespace where it can make no further ones.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ploinky.adapters import process_runtime_entry

TEMPORARY_DIRECTORY = "/tmp"  # noqa: S108 - in the sandbox, its own
ENTRY_SCRIPT = "/run/ploinky-entry.py"
TEMPORARY_BYTES = 64 * 1024 * 1024

PROCESSES = 2
"""bubblewrap's own of each sandbox: one that waits outside, one that reaps inside."""

_SYSTEM_FOLDERS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SEARCH_PATH = "/usr/bin:/bin:/usr/local/bin"
_COVERED = ("/usr/", "/etc/")


def find_bubblewrap() -> str | None:
    """Return the path of the program; the server's own PATH is not asked."""
    return shutil.which("bwrap", path=_SEARCH_PATH)


def sandbox_command(
    program: str,
    binds: list[dict[str, Any]],
    python_prefix: str,
    *,
    has_own_user: bool,
    has_network: bool,
    info_descriptor: int | None = None,
) -> list[str]:
    """Return the command that makes the sandbox; what runs inside is to be appended.

    `binds` are `Source`, `Target` and `ReadOnly`. `info_descriptor` is where bubblewrap says which process is the first
    one inside.

    `--die-with-parent` ties it to the shim, not to the server: the shim is the parent.
    """
    return [
        program,
        "--die-with-parent",
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *([] if info_descriptor is None else ["--info-fd", str(info_descriptor)]),
        *([] if has_network else ["--unshare-net"]),
        *_privileges(has_own_user=has_own_user),
        *_system(),
        *_outside_of_system(python_prefix),
        *("--perms", "0755", "--dir", "/run", "--ro-bind", process_runtime_entry.__file__, ENTRY_SCRIPT),
        *_memory_folders(),
        *(
            word
            for bind in binds
            for word in ("--ro-bind" if bind["ReadOnly"] else "--bind", bind["Source"], bind["Target"])
        ),
        *("--remount-ro", "/", "--chdir", "/", "--"),
    ]


def _privileges(*, has_own_user: bool) -> list[str]:
    if has_own_user:
        # All that is left is what the entry script needs to become the agent's user, which takes these away too.
        return ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc")
    for folder in _SYSTEM_FOLDERS:
        if os.path.islink(folder):
            yield from ("--symlink", os.readlink(folder), folder)
        elif os.path.isdir(folder):
            yield from ("--ro-bind", folder, folder)
    names = os.path.realpath("/etc/resolv.conf")
    if not names.startswith(_COVERED) and os.path.exists(names):
        yield from _bound(names)


def _memory_folders() -> list[str]:
    size = str(TEMPORARY_BYTES)
    return [
        *("--dev", "/dev", "--perms", "1777", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),  # noqa: S108 - its own
        *("--proc", "/proc", "--perms", "1777", "--size", size, "--tmpfs", TEMPORARY_DIRECTORY),
    ]


def _outside_of_system(python_prefix: str) -> Iterator[str]:
    """Bring a Python from elsewhere along, be it from below a private home."""
    prefix = os.path.realpath(python_prefix)
    if prefix != "/usr" and not prefix.startswith(_COVERED):
        yield from _bound(prefix)


def _bound(path: str) -> Iterator[str]:
    # Its parents, empty but for it: bubblewrap would make them passable for their owner alone.
    for parent in reversed(Path(path).parents[:-1]):
        yield from ("--perms", "0755", "--dir", str(parent))
    yield from ("--ro-bind", path, path)
