"""Names in a queue folder: what is an instance, what is an attempt. Whatever else is found there means nothing."""

import re
from typing import NamedTuple

from ploinky.domain.errors import QueueUnavailable

TASKS = "tasks"
CANCEL = "cancel"
RESULTS = "results"
ERRORS = "errors"
LOCKS = "locks"
READY_NAME = ".ready"
"""In `locks/`: the agent made it when its watches stood."""
OWNER_NAME = "owner"
"""In a claim's folder: who claimed."""

_INSTANCE_ID = re.compile(r"([0-9a-v]{20})\.(\d{1,9})\.(\d{1,9})", re.ASCII)
_ATTEMPT_NAME = re.compile(r"([0-9a-v]{20})\.([1-9]\d{0,8})", re.ASCII)


class AttemptName(NamedTuple):
    """A file name of the form `{taskId}.{attempt}`, taken apart."""

    task_id: str
    attempt: int


def folder_of(instance_id: str) -> tuple[str, str]:
    """Return the deployment's folder and, in it, the instance's: `{deploymentId}` and `{generation}-{n}`."""
    match = _INSTANCE_ID.fullmatch(instance_id)
    if match is None:
        raise QueueUnavailable(f"{instance_id!r} is not the id of an instance")
    return match[1], f"{match[2]}-{match[3]}"


def parse_attempt(name: str) -> AttemptName | None:
    """Return None for everything that is not exactly an attempt's name."""
    match = _ATTEMPT_NAME.fullmatch(name)
    return None if match is None else AttemptName(match[1], int(match[2]))


def attempt_name(task_id: str, attempt: int) -> str:
    """Return the file name of an attempt; raises `QueueUnavailable` when the parts make none."""
    name = f"{task_id}.{attempt}"
    if _ATTEMPT_NAME.fullmatch(name) is None:
        raise QueueUnavailable(f"{name!r} does not name an attempt")
    return name
