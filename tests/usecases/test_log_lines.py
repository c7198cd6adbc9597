"""Outputs are cut into lines that are fit to be sent, whatever an agent prints."""

import pytest

from ploinky.usecases.log_lines import LINE_LIMIT_BYTES, Lines


@pytest.mark.parametrize(
    ("chunks", "lines", "rest"),
    [
        ([b"one\ntwo\n"], ["one", "two"], []),
        ([b"on", b"e\n\ntw", b"o"], ["one", ""], ["two"]),
        ([b"\r\n", b"a\rb\r\n"], ["", "a\rb"], []),
        ([b"\xff\xfe\n"], ["\ufffd\ufffd"], []),
        ([], [], []),
    ],
)
def test_lines(chunks: list[bytes], lines: list[str], rest: list[str]) -> None:
    """However the chunks fall, each line comes once, and the last one without an end at the end."""
    cutter = Lines()
    assert [line for chunk in chunks for line in cutter.split(chunk)] == lines
    assert list(cutter.rest()) == rest
    assert cutter.rest() == ()


def test_a_line_that_never_ends_comes_in_pieces() -> None:
    """Nothing of an endless line is lost, and not more than a piece of it is kept waiting."""
    cutter = Lines()
    pieces = [piece for _ in range(10) for piece in cutter.split(b"x" * LINE_LIMIT_BYTES)]
    pieces += cutter.split(b"y\n")
    assert max(map(len, pieces)) == LINE_LIMIT_BYTES
    assert "".join(pieces) == "x" * LINE_LIMIT_BYTES * 10 + "y"
