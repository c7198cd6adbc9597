"""Nothing that comes from outside can break a line, steer a terminal, or grow without bound."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.cli.failures import CommandFailed, ExitCode, failure_of
from ploinky.cli.output import Column, cell_text, field, print_fields, rows_of
from ploinky.cli.targets import split_route
from ploinky.cli.text import one_line, visible

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text())
def test_a_line_is_one_visible_line(text: str) -> None:
    """A text on one line holds printable characters only."""
    assert one_line(text).isprintable()


@given(st.text(st.characters(categories=["L", "N"]), min_size=0, max_size=300), st.integers(1, 100))
def test_a_line_keeps_its_limit(text: str, limit: int) -> None:
    """A long text is cut and says so; a short one is not changed."""
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line == text if len(text) <= limit else line.endswith("…")


@given(st.text(), st.sampled_from(["", "\n", "\n\t"]))
def test_only_what_is_kept_is_not_visible(text: str, kept: str) -> None:
    """Every other character that is no visible one is written as an escape, from which it can be read back."""
    shown = visible(text, kept)
    assert all(character.isprintable() or character in kept for character in shown)
    if text.isascii() and "\\" not in text:
        assert shown.encode().decode("unicode_escape") == text


@given(ANY)
def test_any_value_is_a_cell(value: Any) -> None:
    """Whatever JSON a field holds is shown, on one line that is never empty for nothing."""
    text = cell_text(value)
    assert text.isprintable()
    assert text or str(value).isspace()


@given(ANY, st.text())
def test_any_document_can_be_asked(document: Any, path: str) -> None:
    """A path of keys leads to a value or to None, whatever the document is."""
    found = field(document, path)
    if isinstance(document, dict) and path in document and "." not in path:
        assert found == document[path]
    assert all(isinstance(row, dict) for row in rows_of({"data": document}))


@given(st.text())
def test_a_target_is_split_without_loss(text: str) -> None:
    """Domain and path together are what was typed, and a path alone belongs to localhost."""
    domain, path = split_route(text)
    assert domain + path == (f"localhost{text}" if text.startswith("/") else text)


def test_reads_a_column_by_path_or_by_function() -> None:
    """A column follows keys, or computes from the row."""
    row = {"a": {"b": 5}}
    assert Column("A", "a.b").cell(row) == "5"
    assert Column("A", "a.c.d").cell(row) == "-"
    assert Column("A", len).cell(row) == "1"


def test_leaves_out_fields_without_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    """What is None is no line; zero and no are."""
    print_fields({"one": None, "two": 0, "three": False})
    assert capsys.readouterr().out == "two    0\nthree  no\n"
    print_fields({})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (CommandFailed("no", code="NO", exit_code=ExitCode.DEPLOY), "NO", 4),
        (OSError(28, "No space left on device"), "SYSTEM_ERROR", 1),
        (PermissionError(13, "Permission denied", "/x"), "SYSTEM_ERROR", 1),
        (ValueError("what"), "INTERNAL_ERROR", 1),
        (RecursionError(), "INTERNAL_ERROR", 1),
    ],
)
def test_describes_any_failure(error: Exception, code: str, exit_code: int) -> None:
    """Every exception has a message, a code and an exit code."""
    failure = failure_of(error)
    assert (failure.code, failure.exit_code) == (code, exit_code)
    assert failure.message
