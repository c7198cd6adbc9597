"""Read one result or error that an agent wrote, as what it is: somebody else's bytes."""

import errno
import os
import stat
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from ploinky.adapters.file_courier_names import AttemptName
from ploinky.ports.courier import Failed, Finding, Quarantined, Succeeded

RESULT_LIMIT_BYTES = 64 * 1024 * 1024
ERROR_CODE_LIMIT_CHARACTERS = 128
ERROR_MESSAGE_LIMIT_CHARACTERS = 8 * 1024

_PATH_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_AGENTS_DOING = frozenset({errno.EACCES, errno.EPERM, errno.EAGAIN, errno.ENXIO, errno.ENODEV, errno.ETXTBSY})
"""Why opening a regular file fails by what the agent did to it: its mode, a lease. Anything else is our own trouble."""

_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_NULL = msgspec.Raw(b"null")
_Document = TypeVar("_Document")


class _ResultDocument(msgspec.Struct):
    id: str
    attempt: int
    success: bool
    data: msgspec.Raw = _NULL
    claimed_at: _Time | None = None


class _ErrorDocument(msgspec.Struct):
    id: str
    attempt: int
    success: bool
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=ERROR_CODE_LIMIT_CHARACTERS)]
    message: str = ""
    details: msgspec.Raw = _NULL
    claimed_at: _Time | None = None


_RESULT_DECODER = msgspec.json.Decoder(_ResultDocument)
_ERROR_DECODER = msgspec.json.Decoder(_ErrorDocument)


class UnacceptableError(Exception):
    """The file cannot be a result; the text says why."""


def read_outcome(
    folder_fd: int, name: AttemptName, instance_id: str, *, is_success_expected: bool
) -> tuple[Finding, int]:
    """Return the finding and how many bytes were read for it.

    Raises `FileNotFoundError` when it is gone by now, other `OSError` when it is the server that cannot read.
    """
    task_id, attempt = name
    content = b""
    try:
        content = read_regular_file(folder_fd, f"{task_id}.{attempt}", RESULT_LIMIT_BYTES)
        decode = _decode_result if is_success_expected else _decode_error
        return decode(content, name, instance_id), len(content)
    except UnacceptableError as error:
        refusal = Quarantined(instance_id=instance_id, task_id=task_id, attempt=attempt, reason=str(error))
        return refusal, len(content)


def read_regular_file(folder_fd: int, name: str, limit_bytes: int) -> bytes:
    """Read a whole file if it is a plain one, named once, of this file system, and within the limit.

    It is looked at before it is opened for reading, on one and the same descriptor: opening a device or a FIFO can
    have effects of its own. Raises `UnacceptableError`.
    """
    path_fd = os.open(name, _PATH_FLAGS, dir_fd=folder_fd)
    try:
        size_bytes = _plain_size_bytes(os.fstat(path_fd), limit_bytes)
        file_fd = os.open(f"/proc/self/fd/{path_fd}", _READ_FLAGS)
    except OSError as error:
        if error.errno in _AGENTS_DOING:
            raise UnacceptableError(f"cannot be opened: {error.strerror}") from error
        raise
    finally:
        os.close(path_fd)
    try:
        content = os.read(file_fd, size_bytes + 1)
        if len(content) > size_bytes:
            raise UnacceptableError("it grows while it is read")
        if len(content) < size_bytes:
            raise UnacceptableError("it shrinks while it is read")
        return content
    finally:
        os.close(file_fd)


def _plain_size_bytes(status: os.stat_result, limit_bytes: int) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise UnacceptableError(f"it is no regular file but {_kind(status.st_mode)}")
    if status.st_nlink != 1:
        raise UnacceptableError("it has a second name (hard link)")
    if status.st_size > limit_bytes:
        raise UnacceptableError(f"it is larger than {limit_bytes} bytes")
    return status.st_size


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISLNK, "a link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((text for is_kind, text in kinds if is_kind(mode)), "a device")


def _decode_result(content: bytes, name: AttemptName, instance_id: str) -> Succeeded:
    document = _decode(_RESULT_DECODER, content)
    _check_belonging(document, name, is_success_expected=True)
    return Succeeded(
        instance_id=instance_id,
        task_id=name.task_id,
        attempt=name.attempt,
        data=document.data,
        claimed_at=_as_utc(document.claimed_at),
    )


def _decode_error(content: bytes, name: AttemptName, instance_id: str) -> Failed:
    document = _decode(_ERROR_DECODER, content)
    _check_belonging(document, name, is_success_expected=False)
    message = document.message
    if len(message) > ERROR_MESSAGE_LIMIT_CHARACTERS:
        message = message[: ERROR_MESSAGE_LIMIT_CHARACTERS - 1] + "…"
    return Failed(
        instance_id=instance_id,
        task_id=name.task_id,
        attempt=name.attempt,
        code=document.code,
        message=message,
        details=document.details,
        claimed_at=_as_utc(document.claimed_at),
    )


def _decode(decoder: msgspec.json.Decoder[_Document], content: bytes) -> _Document:
    try:
        if not content.isascii():
            content.decode()  # the decoder leaves the inside of `Raw` unchecked
        return decoder.decode(content)
    except RecursionError as error:
        raise UnacceptableError("its JSON is nested too deeply") from error
    except msgspec.ValidationError as error:
        raise UnacceptableError(f"its fields are wrong: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnacceptableError(f"it is not JSON: {error}") from error


def _check_belonging(
    document: _ResultDocument | _ErrorDocument, name: AttemptName, *, is_success_expected: bool
) -> None:
    if document.id != name.task_id:
        raise UnacceptableError("its id is another than its name says")
    if document.attempt != name.attempt:
        raise UnacceptableError("its attempt is another than its name says")
    if document.success is not is_success_expected:
        raise UnacceptableError("its `success` does not fit the folder it is in")


def _as_utc(moment: datetime | None) -> datetime | None:
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        return None  # year 1 or 9999 in another zone: a claim's time is no reason to refuse a result
