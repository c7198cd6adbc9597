"""The process runtime's memory: one folder per instance, readable for the server's user only.

{name}/instance.json   labels, spec digest, engine id; made with the folder, never changed
{name}/launch.json     what to run; removed by the shim once read, because it holds secrets
{name}/process.json    the shim's identity: there from the first start on
{name}/exit.json       how it ended
{name}/paused          there while it shall be paused; empty
.new-*, .removed-*     a create or a remove that is going on, or was cut short
"""

import errno
import json
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ploinky.adapters.process_runtime_identity import ProcessIdentity
from ploinky.adapters.process_runtime_shim import EXIT_FILE, LAUNCH_FILE, PROCESS_FILE
from ploinky.domain.errors import RuntimeRefused, StorageFull

INSTANCE_FILE = "instance.json"
MAX_RECORD_BYTES = 1024 * 1024
MAX_INSTANCES = 100_000
PASSAGE_MODE = 0o711

_NEW_PREFIX = ".new-"
_REMOVED_PREFIX = ".removed-"
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class RecordBroken(RuntimeRefused):
    """The record of an instance is not readable."""

    hint = "Remove the instance; the deployment makes a new one."


class InstanceRecord(msgspec.Struct, frozen=True):
    """What is remembered of an instance from its creation on."""

    name: str
    engine_id: str
    spec_digest: str
    log_path: str
    labels: dict[str, str]
    port: int = 0
    """Where its own web server has to listen; 0 when it has none."""
    groups: tuple[str, ...] = ()
    """Its control groups."""
    temporary: str = ""
    """Its folder for temporary files, where it is one of this machine."""


class ExitRecord(msgspec.Struct, frozen=True):
    """How an instance ended."""

    exit_code: int
    is_out_of_memory: bool | None = None


class ShimRecord(msgspec.Struct, frozen=True):
    """Who runs, or ran, an instance."""

    pid: int
    start_ticks: int
    boot_id: str

    def identity(self) -> ProcessIdentity:
        return ProcessIdentity(self.pid, self.start_ticks, self.boot_id)


Record = TypeVar("Record", InstanceRecord, ExitRecord, ShimRecord)


class InstanceFolders:
    """The state directory of a process runtime. One server at a time uses it."""

    def __init__(self, state_directory: Path) -> None:
        self._root = state_directory
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, name: str) -> Path | None:
        """Return the folder of an instance; None when there is none, or the name could never be one."""
        folder = self._root / name
        return folder if _NAME_PATTERN.fullmatch(name) and folder.is_dir() else None

    def names(self) -> list[str]:
        return sorted(entry for entry in os.listdir(self._root)[:MAX_INSTANCES] if not entry.startswith("."))

    def add(self, record: InstanceRecord, launch: dict[str, Any]) -> bool:
        """Make the folder of an instance, whole or not at all; False when there is one of this name already."""
        if not _NAME_PATTERN.fullmatch(record.name):
            raise RuntimeRefused(
                f"{record.name!r} cannot be the name of an instance",
                hint="Use letters, digits, dot, dash and underscore, at most 128.",
            )
        building = self._root / f"{_NEW_PREFIX}{secrets.token_hex(8)}"
        try:
            building.mkdir(mode=0o700)
            _write_durably(building / LAUNCH_FILE, json.dumps(launch).encode())
            _write_durably(building / INSTANCE_FILE, msgspec.json.encode(record))
            building.rename(self._root / record.name)
        except OSError as error:
            # Renaming onto a folder that holds something fails, so the first creator wins.
            shutil.rmtree(building, ignore_errors=True)
            if self.path(record.name) is not None:
                return False
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StorageFull(directory=str(self._root)) from error
            raise RuntimeRefused(f"the state of {record.name} cannot be written: {error.strerror}") from error
        return True

    def set_aside(self, name: str) -> Path | None:
        """Take the folder out of sight, so that no shim can claim it any more; None when there is none."""
        folder = self.path(name)
        if folder is None:
            return None
        aside = self._root / f"{_REMOVED_PREFIX}{secrets.token_hex(8)}"
        try:
            return folder.rename(aside)
        except FileNotFoundError:
            return None

    def cut_short(self) -> list[Path]:
        """List the folders that an interrupted create or remove left behind."""
        prefixes = (_NEW_PREFIX, _REMOVED_PREFIX)
        return [self._root / entry for entry in os.listdir(self._root) if entry.startswith(prefixes)]

    def drop(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)


def make_passage(directory: Path) -> None:
    """Make a folder that everybody passes through and nobody lists. Idempotent. Raises `RuntimeRefused`."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(PASSAGE_MODE)
    except OSError as error:
        raise RuntimeRefused(f"{directory} cannot be made: {error.strerror}") from error


def read_instance(folder: Path) -> InstanceRecord | None:
    """Read what is known from creation; None when it was removed meanwhile."""
    return _read(folder / INSTANCE_FILE, InstanceRecord)


def read_shim(folder: Path) -> ShimRecord | None:
    """Read who runs it; None before the first start."""
    return _read(folder / PROCESS_FILE, ShimRecord)


def read_exit(folder: Path) -> ExitRecord | None:
    """Read how it ended; None while it has not, or nobody was left to tell."""
    return _read(folder / EXIT_FILE, ExitRecord)


def _read(path: Path, record_type: type[Record]) -> Record | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_RECORD_BYTES), type=record_type)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise RecordBroken(file=str(path), reason=str(error)) from error


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
