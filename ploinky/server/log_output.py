"""The server's log: one line per record on standard error, and committed events as such lines."""

import json
import logging
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TextIO

from ploinky.domain import events as e
from ploinky.domain.events import Event
from ploinky.journal.codec import Recorded

MESSAGE_CHARACTERS = 4_096
VALUE_CHARACTERS = 512
VALUES_PER_LINE = 20
TRACEBACK_CHARACTERS = 8_192
"""Of a traceback the end is kept: it says what went wrong."""

OWN_LOGGERS = ("ploinky", "agentcore", "replay")
_UVICORN_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_ACCESS_LOGGER = "uvicorn.access"
_STANDARD_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """`2026-11-23T15:04:05.123Z level logger message key=value`; what `extra` adds to a record are its values."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = _shortened(record.getMessage(), MESSAGE_CHARACTERS)
        words = [at, record.levelname.lower(), record.name, escaped(message)]
        given = [name for name in record.__dict__ if name not in _STANDARD_ATTRIBUTES]
        words += [f"{escaped(name)}={_value(record.__dict__[name])}" for name in given[:VALUES_PER_LINE]]
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            words.append(f"exception={json.dumps(trace[-TRACEBACK_CHARACTERS:])}")
        return " ".join(words)


class LineHandler(logging.StreamHandler[TextIO]):
    """Write to a stream; one that is closed or full must not stop the server."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the library's
        if not (isinstance(sys.exception(), OSError) or self.stream.closed):
            super().handleError(record)


def set_up_logging(level: str, stream: TextIO | None = None) -> None:
    """Send all records to standard error, or `stream`, from `level` (`debug` to `error`) on. Idempotent.

    Libraries speak from `warning` on only, unless everything is asked for. Servers of uvicorn are to be started with
    `log_config=None`, so that they leave this as it is.
    """
    handler = LineHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    for earlier in [known for known in root.handlers if isinstance(known, LineHandler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    own_level = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(own_level, logging.WARNING))
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(own_level)
    for name in _UVICORN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != _ACCESS_LOGGER
        logger.setLevel(logging.NOTSET if logger.propagate else logging.CRITICAL + 1)


def escaped(text: str) -> str:
    """Return a text on one line: whatever does not print, an escape sequence of a terminal too, is written out."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _value(value: object) -> str:
    text = _shortened(str(value), VALUE_CHARACTERS)
    is_plain = text and text.isprintable() and not set(text) & set(' "=\\')
    return text if is_plain else json.dumps(text)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


class EventLine(NamedTuple):
    """How an event is told: `r` in the text is the `Recorded`, `e` its event."""

    level: int
    text: str


_DEBUG, _INFO, _WARNING = logging.DEBUG, logging.INFO, logging.WARNING

EVENT_LINES: Mapping[type[Event], EventLine] = {
    e.DeploymentRequested: EventLine(
        _INFO, "deployment {r.subject_id} of {e.spec.agent} requested at {e.domain}{e.path}"
    ),
    e.DeploymentUpdated: EventLine(_INFO, "deployment {r.subject_id} changed"),
    e.RolloutRequested: EventLine(_INFO, "deployment {r.subject_id} rolls out generation {e.generation}: {e.reason}"),
    e.SourceFetched: EventLine(
        _DEBUG,
        "deployment {r.subject_id} generation {e.generation} has its source at {e.release.commit} {e.cache_reason}",
    ),
    e.ImageReady: EventLine(
        _DEBUG, "deployment {r.subject_id} generation {e.generation} runs in {e.runtime} {e.image}"
    ),
    e.DependenciesReady: EventLine(
        _DEBUG, "deployment {r.subject_id} generation {e.generation} has what it needs in {e.digest}"
    ),
    e.DeploymentSwitched: EventLine(
        _INFO, "deployment {r.subject_id} is served by generation {e.generation} in {e.runtime}"
    ),
    e.RolloutSucceeded: EventLine(_DEBUG, "deployment {r.subject_id} rollout of generation {e.generation} done"),
    e.RolloutFailed: EventLine(
        _WARNING,
        "deployment {r.subject_id} rollout of generation {e.generation} failed at {e.step}: {e.code} {e.message}",
    ),
    e.RestartScheduled: EventLine(
        _WARNING, "deployment {r.subject_id} ended by itself {e.failures} times in a row, starts again at {e.due_at}"
    ),
    e.ReplacementStarted: EventLine(
        _INFO, "deployment {r.subject_id} replaces what ended of generation {e.generation}"
    ),
    e.DeploymentReverted: EventLine(
        _WARNING, "deployment {r.subject_id} goes back from generation {e.generation} to {e.to_generation}"
    ),
    e.DeploymentScaled: EventLine(_INFO, "deployment {r.subject_id} is to have {e.replicas} instances"),
    e.DeploymentIdled: EventLine(_INFO, "deployment {r.subject_id} is not needed and stops until it is"),
    e.DeploymentStopRequested: EventLine(_INFO, "deployment {r.subject_id} is to stop"),
    e.RemovalRequested: EventLine(_INFO, "deployment {r.subject_id} is to be removed"),
    e.DiscardRequested: EventLine(_DEBUG, "deployment {r.subject_id} leaves its folders"),
    e.DeploymentRemoved: EventLine(_INFO, "deployment {r.subject_id} removed"),
    e.InstanceCreated: EventLine(_DEBUG, "instance {r.subject_id} wanted in {e.runtime} as {e.name}"),
    e.InstanceStarted: EventLine(_INFO, "instance {r.subject_id} started as {e.engine_id}"),
    e.InstanceStartFailed: EventLine(_WARNING, "instance {r.subject_id} did not start: {e.code} {e.message}"),
    e.InstanceReady: EventLine(_INFO, "instance {r.subject_id} is ready"),
    e.InstancePaused: EventLine(_INFO, "instance {r.subject_id} is frozen"),
    e.InstancePauseRequested: EventLine(_DEBUG, "instance {r.subject_id} is not needed and is to be frozen"),
    e.InstanceResumeRequested: EventLine(_DEBUG, "instance {r.subject_id} is needed and is to go on"),
    e.DeploymentWoken: EventLine(_INFO, "deployment {r.subject_id} is needed and wakes up"),
    e.InstanceResumed: EventLine(_INFO, "instance {r.subject_id} goes on"),
    e.InstanceStopRequested: EventLine(_DEBUG, "instance {r.subject_id} is to stop: {e.reason}"),
    e.InstanceStopped: EventLine(
        _INFO, "instance {r.subject_id} stopped: {e.reason}, exit code {e.evidence.exit_code}"
    ),
    e.InstanceRemoveRequested: EventLine(_DEBUG, "instance {r.subject_id} is to be removed"),
    e.InstanceRemoved: EventLine(_DEBUG, "instance {r.subject_id} removed"),
    e.ExecRequested: EventLine(
        _INFO, "{r.actor} runs {e.program} with {e.argument_count} arguments in instance {r.subject_id}"
    ),
    e.InstanceUnobservable: EventLine(_WARNING, "instance {r.subject_id} cannot be observed: {e.reason}"),
    e.InstanceObservedAgain: EventLine(_INFO, "instance {r.subject_id} is observed again"),
    e.OrphanFound: EventLine(_WARNING, "{e.runtime} runs {e.name}, which the journal does not know"),
    e.TaskSubmitted: EventLine(_DEBUG, "task {r.subject_id} submitted to {e.deployment_id}"),
    e.AttemptStarted: EventLine(_DEBUG, "task {r.subject_id} attempt {e.attempt} given to {e.instance_id}"),
    e.TaskClaimed: EventLine(_DEBUG, "task {r.subject_id} attempt {e.attempt} is worked on"),
    e.AttemptExpired: EventLine(_DEBUG, "task {r.subject_id} attempt {e.attempt} is over: {e.reason} {e.code}"),
    e.CancelRequested: EventLine(_DEBUG, "task {r.subject_id} is to be cancelled"),
    e.TaskSucceeded: EventLine(_DEBUG, "task {r.subject_id} succeeded"),
    e.TaskFailed: EventLine(_DEBUG, "task {r.subject_id} failed: {e.code}"),
    e.TaskCancelled: EventLine(_DEBUG, "task {r.subject_id} cancelled"),
    e.TaskDead: EventLine(_DEBUG, "task {r.subject_id} given up: {e.code}"),
    e.ResultLate: EventLine(_DEBUG, "task {r.subject_id} attempt {e.attempt} answered late"),
    e.ResultQuarantined: EventLine(
        _WARNING, "task {r.subject_id} attempt {e.attempt} left what is no result: {e.reason}"
    ),
    e.RepositoryAdded: EventLine(_INFO, "repository {r.subject_id} added"),
    e.RepositoryChanged: EventLine(_INFO, "repository {r.subject_id} changed"),
    e.RepositoryPushed: EventLine(_INFO, "repository {r.subject_id} has {e.commit} on {e.branch}, told by {e.origin}"),
    e.RepositoryRemoved: EventLine(_INFO, "repository {r.subject_id} removed"),
    e.RegistryAdded: EventLine(_INFO, "registry {r.subject_id} is asked as {e.username}"),
    e.RegistryRemoved: EventLine(_INFO, "registry {r.subject_id} is asked as nobody"),
    e.KeyIssued: EventLine(_INFO, "key {r.subject_id} issued: {e.reason}"),
    e.KeyRevoked: EventLine(_INFO, "key {r.subject_id} revoked"),
    e.SettingChanged: EventLine(_INFO, "setting {e.name} is now {e.value}"),
}
"""Parameters, results, handlers' messages and environments are never part of a text: they may hold secrets."""


class EventLog:
    """Tell committed events as lines. The journal is the account; this is for who watches."""

    def __init__(self, lines: Mapping[type[Event], EventLine] = EVENT_LINES) -> None:
        self._lines = lines
        self._logger = logging.getLogger("ploinky.events")

    def follow(self, batch: Sequence[Recorded]) -> None:
        """Take the events of one commit; made to be one of the dispatcher's followers."""
        for recorded in batch:
            line = self._lines.get(type(recorded.event))
            if line is not None and self._logger.isEnabledFor(line.level):
                text = line.text.format(r=recorded, e=recorded.event)
                self._logger.log(line.level, "%s", text, extra={"position": recorded.position, "actor": recorded.actor})
