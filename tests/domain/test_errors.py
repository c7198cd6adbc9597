"""The error tree says what it holds, and every class can be told from the others."""

import re
from collections import Counter

import pytest

from ploinky.domain import errors
from ploinky.domain.errors import Broken, Invalid, PloinkyError, TaskNotFound, Unavailable

ROOTS = PloinkyError.__subclasses__()
LEAVES = sorted((leaf for root in ROOTS for leaf in root.__subclasses__()), key=lambda leaf: leaf.__name__)
CLASSES = [PloinkyError, *ROOTS, *LEAVES]


def drawn() -> dict[str, str]:
    """Read the tree at the top of the module: the class above each class."""
    above, parent = {}, ""
    for line in (errors.__doc__ or "").splitlines():
        if re.match(r"    [├└]── ", line):
            parent = line.split()[1]
            above[parent] = "PloinkyError"
        elif branch := re.match(r"    [│ ]   [├└]── ([\w, ]+?)(  .*)?$", line):
            above.update(dict.fromkeys(branch[1].replace(" ", "").split(","), parent))
    return above


def test_the_drawing_shows_every_class_in_its_place() -> None:
    """The tree in the module's docstring is the tree of the classes."""
    assert drawn() == {error.__name__: error.__base__.__name__ for error in (*ROOTS, *LEAVES)}  # type: ignore[union-attr]
    assert not [child for leaf in LEAVES for child in leaf.__subclasses__() if child.__module__ == errors.__name__]


def test_every_leaf_has_a_code_of_its_own() -> None:
    """Callers test for codes, so no two say the same, and none says what its parent says."""
    codes = Counter(error.code for error in (*LEAVES, *ROOTS))
    assert [code for code, count in codes.items() if count > 1] == []
    assert Broken.code == PloinkyError.code == "INTERNAL_ERROR"


@pytest.mark.parametrize("error", CLASSES)
def test_codes_are_written_alike(error: type[PloinkyError]) -> None:
    """Capitals and underscores."""
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", error.code)


@pytest.mark.parametrize("error", CLASSES)
def test_the_docstring_is_the_default_message(error: type[PloinkyError]) -> None:
    """One sentence, shown without its full stop."""
    sentence = (error.__doc__ or "").partition("\n")[0]
    assert sentence.endswith(".")
    assert error().message == str(error()) == sentence[:-1]


@pytest.mark.parametrize("error", CLASSES)
def test_hints_are_sentences(error: type[PloinkyError]) -> None:
    """A hint, where there is one, is something to do."""
    assert not error.hint or (error.hint[0].isupper() and error.hint.endswith("."))


@pytest.mark.parametrize("error", LEAVES)
def test_only_what_is_unavailable_is_worth_a_repetition(error: type[PloinkyError]) -> None:
    """Trying the same again helps where something heals by itself, and nowhere else."""
    assert error.is_retryable == issubclass(error, Unavailable)


def test_takes_a_message_a_hint_and_details() -> None:
    """What the place that raises knows better replaces what the class says."""
    error = TaskNotFound("No task t1", hint="Look again.", task="t1")
    assert (error.message, str(error), error.advice) == ("No task t1", "No task t1", "Look again.")
    assert error.details == {"task": "t1"}


def test_an_empty_hint_silences_the_usual_one() -> None:
    """A place may know that the class's hint does not help."""
    assert errors.StorageFull().advice == errors.StorageFull.hint != ""
    assert errors.StorageFull(hint="").advice == ""


def test_a_whole_branch_can_be_caught() -> None:
    """Whoever handles a kind of error handles all below it."""
    with pytest.raises(Invalid):
        raise errors.TransitionInvalid
