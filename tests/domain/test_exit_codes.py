"""Exit codes are told in words that are true for what the engine knows."""

import pytest

from ploinky.domain.exit_codes import explain_end


@pytest.mark.parametrize(
    ("exit_code", "is_out_of_memory", "words"),
    [
        (0, False, "ended without an error"),
        (126, False, "its command cannot be run"),
        (127, None, "its command was not found"),
        (137, False, "killed (SIGKILL)"),
        (137, None, "killed (SIGKILL), perhaps because it ran out of memory"),
        (137, True, "ran out of memory and was killed"),
        (1, True, "ran out of memory"),
        (None, True, "ran out of memory"),
        (139, False, "segmentation fault"),
        (143, None, "terminated (SIGTERM)"),
        (140, False, "ended by signal 12"),
        (192, False, "ended by signal 64"),
    ],
)
def test_an_exit_code_in_words(exit_code: int | None, is_out_of_memory: bool | None, words: str) -> None:
    """Each kind of end has its own words, and memory is blamed only as far as the engine does."""
    explained = explain_end(exit_code, is_out_of_memory=is_out_of_memory)
    assert words in explained
    assert "perhaps" in explained or "perhaps" not in words
    assert is_out_of_memory is not False or "memory" not in explained


@pytest.mark.parametrize("exit_code", [None, 1, 125, 193, 255])
def test_nothing_is_said_where_nothing_is_known(exit_code: int | None) -> None:
    """Without an exit code, and for an agent's own ones, there is nothing to explain."""
    assert {explain_end(exit_code, is_out_of_memory=flag) for flag in (None, False)} == {""}
