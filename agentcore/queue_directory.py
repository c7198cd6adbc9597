"""The agent's side of the queue directory: claim, sign of life, outcome. Nothing here ever removes a server's file.

tasks/{name}    cancel/{name}      by the server, read-only for us; {name} is {taskId}.{attempt}
locks/{name}/owner                 the claim: whoever makes the directory has it
locks/.ready                       we are here; its mtime is the agent's own sign of life
results/{name}  errors/{name}      by temporary name, then renamed; removed by the server after its commit
"""

import json
import os
import socket
import time
from typing import List

from agentcore.clock import instant_text

_TEMPORARY_PREFIX = ".tmp-"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class QueueDirectory:
    """Paths and file operations of one queue directory."""

    def __init__(self, root: str) -> None:
        self.tasks, self.cancel = os.path.join(root, "tasks"), os.path.join(root, "cancel")
        self.results, self.errors = os.path.join(root, "results"), os.path.join(root, "errors")
        self.locks = os.path.join(root, "locks")
        self._ready = os.path.join(self.locks, ".ready")
        self._owner = os.path.join(self.locks, ".owner")
        self._owner_json = b""

    def prepare(self) -> None:
        """Make what is missing and forget the readiness of an earlier process.

        Raises: OSError when results, errors or locks cannot be made.
        """
        for folder in (self.results, self.errors, self.locks):
            os.makedirs(folder, exist_ok=True)
        for folder in (self.tasks, self.cancel):
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError:
                continue  # the server's to make; the scan tells when they are missing
        self.withdraw_ready()
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "started_at": instant_text(time.time())}
        self._owner_json = json.dumps(owner).encode()
        write_file(self._owner, self._owner_json)

    def claim(self, name: str) -> bool:
        """Claim the attempt; False when it is claimed already. Raises: OSError when the claim cannot be made."""
        lock = f"{self.locks}/{name}"
        try:
            os.mkdir(lock, 0o777)
        except FileExistsError:
            return False
        try:
            os.link(self._owner, f"{lock}/owner")  # one system call instead of three
        except OSError:
            write_file(f"{lock}/owner", self._owner_json)
        return True

    def is_claimed(self, name: str) -> bool:
        """Tell whether the claim still stands; the server removes it after its commit."""
        return os.path.exists(f"{self.locks}/{name}")

    def has_task(self, name: str) -> bool:
        """Tell whether the server still wants the attempt."""
        return os.path.lexists(f"{self.tasks}/{name}")

    def has_outcome(self, name: str) -> bool:
        """Tell whether a result or an error was written and not yet fetched."""
        return os.path.exists(f"{self.results}/{name}") or os.path.exists(f"{self.errors}/{name}")

    def give_sign_of_life(self, name: str) -> None:
        """Touch the claim; a removed one is no error."""
        try:
            os.utime(f"{self.locks}/{name}")
        except OSError:
            return

    def announce_ready(self) -> None:
        """Make or touch the readiness file, and the folders when they were wiped. Raises: OSError."""
        if not os.path.isdir(self.locks):
            self.prepare()
        os.close(os.open(self._ready, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
        os.utime(self._ready)

    def withdraw_ready(self) -> None:
        """Remove the readiness file; idempotent."""
        try:
            os.unlink(self._ready)
        except OSError:
            return

    def publish_result(self, name: str, payload: bytes) -> None:
        """Write a result so that it appears whole or not at all. Raises: OSError."""
        _publish(self.results, name, payload)

    def publish_error(self, name: str, payload: bytes) -> None:
        """Write an error so that it appears whole or not at all. Raises: OSError."""
        _publish(self.errors, name, payload)

    def discard_temporary(self, name: str) -> None:
        """Remove what a killed worker was writing."""
        for folder in (self.results, self.errors):
            try:
                os.unlink(f"{folder}/{_TEMPORARY_PREFIX}{name}")
            except OSError:
                continue

    def list_tasks(self) -> List[str]:
        """List the task files, oldest id first. Raises: OSError when the folder cannot be read."""
        return sorted(os.listdir(self.tasks))

    def list_cancellations(self) -> List[str]:
        """List the cancel files. Raises: OSError when the folder cannot be read."""
        return os.listdir(self.cancel)


def _publish(folder: str, name: str, payload: bytes) -> None:
    temporary = f"{folder}/{_TEMPORARY_PREFIX}{name}"
    try:
        write_file(temporary, payload)
    except FileNotFoundError:  # the queue's contents were wiped under us
        os.makedirs(folder, exist_ok=True)
        write_file(temporary, payload)
    except OSError:
        _unlink_quietly(temporary)  # a full disk: the part must not keep it full
        raise
    os.rename(temporary, f"{folder}/{name}")


def write_file(path: str, payload: bytes) -> None:
    """Write a whole file, without fsync: the queue does not outlive the machine. Raises: OSError."""
    descriptor = os.open(path, _NEW_FILE, 0o644)
    try:
        written = os.write(descriptor, payload)
        while written < len(payload):
            written += os.write(descriptor, memoryview(payload)[written:])
    finally:
        os.close(descriptor)


def _unlink_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
