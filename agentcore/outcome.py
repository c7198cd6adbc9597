"""Write down how an attempt ended, as the JSON of a results or errors file."""

import json
import time
from typing import Any, Dict

from agentcore.clock import instant_text
from agentcore.failures import RESULT_NOT_SERIALISABLE, RESULT_TOO_LARGE, TaskFailure
from agentcore.limits import MAX_MESSAGE_CHARACTERS, MAX_RESULT_BYTES
from agentcore.task import AttemptName

# NaN and Infinity are not JSON: a strict reader would refuse the whole file.
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def success_payload(name: AttemptName, data: Any, claimed_at_epoch: float) -> bytes:
    """Give the bytes of a results file.

    Raises: TaskFailure RESULT_NOT_SERIALISABLE or RESULT_TOO_LARGE.
    """
    document = _document(name, claimed_at_epoch, is_success=True)
    document["data"] = data
    try:
        payload = _encode(document).encode("ascii")
    except Exception as error:  # also what a hostile subclass of dict raises while it is walked
        message = f"the result is not JSON: {type(error).__name__}: {error}"
        raise TaskFailure(RESULT_NOT_SERIALISABLE, message, {"type": type(data).__name__}) from error
    if len(payload) > MAX_RESULT_BYTES:
        message = f"the result holds {len(payload)} bytes, more than {MAX_RESULT_BYTES}"
        raise TaskFailure(RESULT_TOO_LARGE, message, {"bytes": len(payload), "limit_bytes": MAX_RESULT_BYTES})
    return payload


def failure_payload(name: AttemptName, failure: TaskFailure, claimed_at_epoch: float) -> bytes:
    """Give the bytes of an errors file; never raises for a failure of our own making."""
    document = _document(name, claimed_at_epoch, is_success=False)
    document["code"] = failure.code
    document["message"] = failure.message[:MAX_MESSAGE_CHARACTERS]
    document["details"] = failure.details
    return _encode(document).encode("ascii")


def _document(name: AttemptName, claimed_at_epoch: float, *, is_success: bool) -> Dict[str, Any]:
    return {
        "id": name.task_id,
        "attempt": name.attempt,
        "success": is_success,
        "claimed_at": instant_text(claimed_at_epoch),
        "finished_at": instant_text(time.time()),
    }
