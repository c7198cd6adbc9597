"""Read a task file: untrusted until it has passed here."""

import json
import os
import re
import stat
from datetime import datetime
from typing import Any, Dict, List, NamedTuple, NoReturn, Optional

from agentcore.clock import parse_instant
from agentcore.failures import INVALID_TASK, TaskFailure
from agentcore.limits import MAX_ATTEMPT_NAME_CHARACTERS, MAX_TASK_BYTES

_ATTEMPT_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.:-]*)\.(\d{1,9})")
_READ_CHUNK_BYTES = 1024 * 1024


class AttemptName(NamedTuple):
    """The name of an attempt's files, `{taskId}.{attempt}`, taken apart."""

    task_id: str
    attempt: int


class Task(NamedTuple):
    """One attempt at a task. `metadata` is JSON of the server; `raw` is the whole file."""

    id: str
    attempt: int
    command: str
    params: List[Any]
    metadata: Dict[str, Any]
    deadline: Optional[datetime]
    raw: bytes

    @property
    def token(self) -> str:
        """Give the token of this attempt, or an empty text."""
        token = self.metadata.get("token")
        return token if isinstance(token, str) else ""


def parse_attempt_name(name: str) -> Optional[AttemptName]:
    """Take a file name apart, or give None when it names no attempt (temporary files, strangers)."""
    match = _ATTEMPT_NAME.fullmatch(name)
    if match is None or len(name) > MAX_ATTEMPT_NAME_CHARACTERS:
        return None
    return AttemptName(match.group(1), int(match.group(2)))


def read_task(path: str, name: AttemptName) -> Task:
    """Read and check the task file at path.

    Raises: TaskFailure INVALID_TASK when it is missing, no regular file, too large, not JSON or another attempt's.
    """
    raw = _read_regular_file(path)
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise TaskFailure(INVALID_TASK, f"the task file is not JSON: {error}") from error
    if not isinstance(document, dict):
        _refuse("the task file does not hold a JSON object")
    task_id, attempt, command = document.get("id"), document.get("attempt"), document.get("command")
    params, metadata = document.get("params", []), document.get("metadata") or {}
    if task_id != name.task_id or attempt != name.attempt or isinstance(attempt, bool):
        _refuse(f"the task file says id {task_id!r} and attempt {attempt!r}, its name says otherwise")
    if not isinstance(command, str):
        _refuse("`command` is not a text")
    if not isinstance(params, list):
        _refuse("`params` is not a list")
    if not isinstance(metadata, dict):
        _refuse("`metadata` is not an object")
    return Task(name.task_id, name.attempt, command, params, metadata, _deadline_of(metadata), raw)


def _deadline_of(metadata: Dict[str, Any]) -> Optional[datetime]:
    deadline = metadata.get("deadline")
    if deadline is None:
        return None
    try:
        return parse_instant(deadline)
    except (TypeError, ValueError) as error:
        raise TaskFailure(INVALID_TASK, f"`metadata.deadline`: {error}") from error


def _read_regular_file(path: str) -> bytes:
    try:
        # Not blocking: a FIFO put there must not hang the worker.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise TaskFailure(INVALID_TASK, f"the task file cannot be read: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            _refuse("the task file is not a regular file")
        if found.st_size > MAX_TASK_BYTES:
            _refuse(f"the task file holds {found.st_size} bytes, more than {MAX_TASK_BYTES}")
        raw = os.read(descriptor, found.st_size + 1)
        while len(raw) < found.st_size:
            chunk = os.read(descriptor, _READ_CHUNK_BYTES)
            if not chunk:
                break
            raw += chunk
        return raw
    finally:
        os.close(descriptor)


def _refuse(message: str) -> NoReturn:
    raise TaskFailure(INVALID_TASK, message)
