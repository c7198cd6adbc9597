"""Tests of what the server writes to its log."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ploinky.domain import events as e
from ploinky.domain.events import Event
from ploinky.journal.codec import EVENT_TYPES, Recorded
from ploinky.server.log_output import (
    EVENT_LINES,
    MESSAGE_CHARACTERS,
    TRACEBACK_CHARACTERS,
    VALUES_PER_LINE,
    EventLine,
    EventLog,
    LineFormatter,
    LineHandler,
    escaped,
    set_up_logging,
)
from tests.journal import golden_events

AT = datetime(2026, 11, 23, 15, 4, 5, 123_999, tzinfo=UTC)
NAMES = ("", "ploinky", "agentcore", "replay", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    loggers = [logging.getLogger(name) for name in NAMES]
    earlier = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    yield io.StringIO()
    for logger, level, propagates, handlers in earlier:
        logger.setLevel(level)
        logger.propagate = propagates
        logger.handlers[:] = handlers


def line(message: str, *arguments: object, **values: object) -> str:
    record = logging.LogRecord("ploinky.test", logging.INFO, __file__, 1, message, arguments, None)
    record.created = AT.timestamp()
    record.__dict__.update(values)
    return LineFormatter().format(record)


def recorded(event: Event, subject_id: str = "d1") -> Recorded:
    return Recorded(7, "deployment", subject_id, 1, AT, "key:abc", "r1", 0, event, {})


def test_a_line_has_time_level_logger_message_and_values() -> None:
    """The form is fixed, so that it can be read by people and cut by programs."""
    assert line("%d began", 2, task="t1", count=3) == (
        "2026-11-23T15:04:05.123Z info ploinky.test 2 began task=t1 count=3"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [("a b", '"a b"'), ("", '""'), ('"', '"\\""'), ("a=b", '"a=b"'), ("a\nb", '"a\\nb"'), (None, "None"), (1.5, "1.5")],
)
def test_quotes_values_where_needed(value: object, text: str) -> None:
    """A value with a space, a quote or a line end is written as JSON."""
    assert line("m", key=value).endswith(f" m key={text}")


@pytest.mark.parametrize("odd", ["\n", "\r\n", "\x1b[31m", "\x00", "\u2028", "\x85", "\u202e", "\ud800"])
def test_a_record_is_one_printable_line(odd: str) -> None:
    """Nobody can forge a line or drive the operator's terminal, by message, name of a value or value."""
    text = line(f"a{odd}b", **{f"k{odd}": f"v{odd}"})
    assert text.isprintable()
    assert len(text.splitlines()) == 1
    text.encode()


def test_escapes_can_be_read() -> None:
    """What is written out is named, and letters of all languages stay."""
    assert escaped("a\tb\u2028\x1b é 漢") == "a\\tb\\u2028\\x1b é 漢"


def test_a_line_has_a_bound() -> None:
    """Neither a long message nor long or many values make an endless line."""
    text = line("x" * 100_000, **{f"k{number}": "v" * 10_000 for number in range(100)})
    assert len(text) < 20_000
    assert f"{'x' * (MESSAGE_CHARACTERS - 3)}... k0=" in text
    assert text.count(" k") == VALUES_PER_LINE


def test_an_exception_stands_on_the_same_line(stream: io.StringIO) -> None:
    """A traceback is a value like others; of a long one the end is kept."""
    set_up_logging("info", stream)
    try:
        raise ValueError("why\n" + "x" * 2 * TRACEBACK_CHARACTERS + "the end")
    except ValueError:
        logging.getLogger("ploinky.test").exception("failed")
    (text,) = stream.getvalue().splitlines()
    trace = json.loads(text.partition(" failed exception=")[2])
    assert len(trace) == TRACEBACK_CHARACTERS
    assert trace.endswith("the end")


@pytest.mark.parametrize(("level", "expected"), [("debug", "dwe"), ("info", "we"), ("warning", "we"), ("error", "e")])
def test_the_level_decides(stream: io.StringIO, level: str, expected: str) -> None:
    """What is below the configured level is not written."""
    set_up_logging(level, stream)
    for name in ("debug", "warning", "error"):
        logging.getLogger("ploinky.test").log(logging.getLevelNamesMapping()[name.upper()], name)
    assert "".join(text.split()[-1][0] for text in stream.getvalue().splitlines()) == expected


def test_libraries_speak_up_only_when_something_is_wrong(stream: io.StringIO) -> None:
    """At `info` our own remarks are written, those of libraries are not."""
    set_up_logging("info", stream)
    logging.getLogger("somelibrary").info("chatter")
    logging.getLogger("somelibrary").warning("trouble")
    logging.getLogger("ploinky.test").info("ours")
    assert [text.split()[-1] for text in stream.getvalue().splitlines()] == ["trouble", "ours"]


def test_the_http_server_uses_the_same_form_and_writes_no_access_log(stream: io.StringIO) -> None:
    """Requests may carry secrets in their paths: they are not written; errors are, once."""
    own = logging.StreamHandler(stream)
    for name in ("uvicorn", "uvicorn.access"):
        logging.getLogger(name).addHandler(own)
    set_up_logging("debug", stream)
    logging.getLogger("uvicorn.access").critical("GET /?key=1")
    logging.getLogger("uvicorn.error").error("broken")
    (text,) = stream.getvalue().splitlines()
    assert text.endswith(" error uvicorn.error broken")


def test_setting_up_again_replaces(stream: io.StringIO) -> None:
    """Called twice, nothing is written twice, and handlers of others stay."""
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    set_up_logging("error", io.StringIO())
    set_up_logging("info", stream)
    logging.getLogger("ploinky.test").info("once")
    assert stream.getvalue().count("once") == 1
    assert sum(isinstance(handler, LineHandler) for handler in logging.getLogger().handlers) == 1
    assert other in logging.getLogger().handlers


def test_writes_to_standard_error(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output stays free for what a command answers."""
    set_up_logging("info")
    logging.getLogger("ploinky.test").info("here")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info ploinky.test here\n", captured.err)


def test_a_lost_stream_stops_nothing(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk or a closed terminal loses lines, and that is all."""

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    closed = io.StringIO()
    closed.close()
    for lost in (Full(), closed):
        set_up_logging("info", lost)
        logging.getLogger("ploinky.test").error("unheard")
    assert capsys.readouterr().err == ""


def test_a_wrong_call_is_shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in our own call of the logger is no lost stream: it is shown."""
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    for message in ("%s and %s", "%y"):
        LineHandler(stream).emit(logging.LogRecord("ploinky", logging.INFO, __file__, 1, message, ("one",), None))
    assert "unsupported format character" in shown.getvalue()
    assert "TypeError" in shown.getvalue()


def test_every_event_has_its_line() -> None:
    """A new type of event is given a line, or it is missed here."""
    assert set(EVENT_LINES) == set(EVENT_TYPES.values())


def test_every_line_can_be_told(caplog: pytest.LogCaptureFixture) -> None:
    """Each text fits the fields of its event, and names what it is about."""
    caplog.set_level(logging.DEBUG, "ploinky.events")
    samples = [sample for sample in vars(golden_events).values() if isinstance(sample, tuple)]
    events = [event for sample in samples for event in sample if isinstance(event, Event)]
    assert {type(event) for event in events} == set(EVENT_LINES)
    for event in events:
        caplog.clear()
        EventLog().follow([recorded(event, "subject")])
        assert isinstance(event, e.OrphanFound | e.SettingChanged) or "subject" in caplog.messages[0]


def test_tells_events_in_order(stream: io.StringIO) -> None:
    """A commit's events are lines with position and actor."""
    set_up_logging("info", stream)
    EventLog().follow([recorded(e.RolloutRequested(generation=2, reason="update")), recorded(e.DeploymentRemoved())])
    first, second = stream.getvalue().splitlines()
    assert first.endswith(" info ploinky.events deployment d1 rolls out generation 2: update position=7 actor=key:abc")
    assert " deployment d1 removed " in second


def test_tasks_are_told_at_debug_only(stream: io.StringIO) -> None:
    """Tasks come by the thousand: at `info` nothing of them is written, nor even made into text."""
    set_up_logging("info", stream)
    EventLog({e.TaskClaimed: EventLine(logging.DEBUG, "{e.none}")}).follow([recorded(e.TaskClaimed(attempt=1))])
    for event_class, told in EVENT_LINES.items():
        if event_class.TYPE.startswith("task.") and event_class is not e.ResultQuarantined:
            assert told.level == logging.DEBUG
    assert stream.getvalue() == ""


def test_skips_events_without_a_line(stream: io.StringIO) -> None:
    """An event that is not in the table is passed over."""
    set_up_logging("debug", stream)
    EventLog({}).follow([recorded(e.DeploymentRemoved())])
    assert stream.getvalue() == ""


def test_what_was_chosen_by_others_cannot_forge_or_format() -> None:
    """Braces, percent signs and line ends in an event's fields are text."""
    event = e.InstanceUnobservable(reason="{r.event} %s %(x)d\n2026 info forged")
    records: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(LineFormatter().format(record))

    logger, keep = logging.getLogger("ploinky.events"), Keep()
    logger.addHandler(keep)
    EventLog().follow([recorded(event)])
    logger.removeHandler(keep)
    assert len(records) == 1
    assert r"{r.event} %s %(x)d\n2026 info forged" in records[0]


def test_no_handlers_message_is_told() -> None:
    """What an agent's handler said of a failed task may hold secrets and is not in any line."""
    texts = [EVENT_LINES[kind].text for kind in (e.TaskFailed, e.TaskDead, e.AttemptExpired)]
    assert not [text for text in texts if "message" in text]
    assert "secret" not in "".join(told.text for told in EVENT_LINES.values())
