"""How a command inside an instance ended."""

import base64
import binascii
from dataclasses import dataclass

from ploinky.client.answers import Answer, JsonObject, json_object, unreadable


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command wrote, byte by byte, and its exit code."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    document: JsonObject
    """The whole answer."""


def exec_result(answer: Answer) -> ExecResult:
    """Read an answer whose streams are base64. **Raises** `ApiError` when it is none."""
    document = json_object(answer)
    exit_code, stdout, stderr = (document.get(name) for name in ("exitCode", "stdout", "stderr"))
    if not (isinstance(exit_code, int) and isinstance(stdout, str) and isinstance(stderr, str)):
        raise unreadable(answer, "the answer holds no end of a command")
    try:
        written, complained = (base64.b64decode(text, validate=True) for text in (stdout, stderr))
    except (binascii.Error, ValueError) as error:
        raise unreadable(answer, "the answer holds no output of a command") from error
    return ExecResult(exit_code, written, complained, document)
