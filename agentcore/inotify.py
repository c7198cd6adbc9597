"""Hear of new files in a folder (Linux, inotify(7)), through ctypes: there is no standard module for it."""

import ctypes
import errno
import os
import struct
from typing import Dict, List, NamedTuple, Optional, Tuple

_IN_MOVED_TO = 0x80
_IN_CREATE = 0x100
_IN_Q_OVERFLOW = 0x4000
_IN_IGNORED = 0x8000
_IN_ONLYDIR = 0x1000000
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, bytes of the name that follows
_READ_BYTES = 64 * 1024


class News(NamedTuple):
    """What one read brought: (folder, file name) pairs, and whether only a scan can tell the rest."""

    arrivals: List[Tuple[str, str]]
    needs_scan: bool


class FolderWatch:
    """Watch folders for files that appear in them."""

    def __init__(self) -> None:
        """Open the kernel's queue. Raises: OSError when the kernel has none (left)."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _last_error("inotify_init1")
        self._folders: Dict[int, str] = {}

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return int(self._descriptor)

    def watch(self, folder: str, *, is_renamed_into: bool = True) -> None:
        """Watch a folder for files renamed into it, or else for all new ones; idempotent.

        Raises: OSError when it is missing or the limit of watches is reached.
        """
        if folder in self._folders.values():
            return
        # A file that is made in its place may be half-written, and one with a temporary name is nobody's news.
        mask = _IN_MOVED_TO | _IN_ONLYDIR | (0 if is_renamed_into else _IN_CREATE)
        number = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), mask)
        if number < 0:
            raise _last_error(f"inotify_add_watch {folder}")
        self._folders[number] = folder

    def forget(self, folder: str) -> None:
        """Watch a folder no longer; idempotent."""
        for number in [number for number, known in self._folders.items() if known == folder]:
            del self._folders[number]
            self._libc.inotify_rm_watch(self._descriptor, number)

    def read(self) -> News:
        """Read what is queued, never blocking."""
        try:
            queued = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return News([], False)
        arrivals, needs_scan, offset = [], False, 0
        while offset < len(queued):
            number, mask, _cookie, name_bytes = _EVENT.unpack_from(queued, offset)
            offset += _EVENT.size + name_bytes
            if mask & _IN_Q_OVERFLOW:
                needs_scan = True
            elif mask & _IN_IGNORED:  # the folder was removed or its file system unmounted
                needs_scan = self._folders.pop(number, None) is not None or needs_scan
            elif name_bytes and number in self._folders:
                name = queued[offset - name_bytes : offset].rstrip(b"\0")
                arrivals.append((self._folders[number], os.fsdecode(name)))
        return News(arrivals, needs_scan)

    def close(self) -> None:
        """Close the queue and with it all watches."""
        os.close(self._descriptor)


def open_watch() -> Optional[FolderWatch]:
    """Give a watch, or None where the kernel grants none; scanning then has to do."""
    try:
        return FolderWatch()
    except (OSError, AttributeError):
        return None


def _last_error(what: str) -> OSError:
    number = ctypes.get_errno() or errno.EIO
    return OSError(number, f"{what}: {os.strerror(number)}")
