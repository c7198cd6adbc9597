"""Tests of reading layers, joining them, and holding them to a schema, with a schema that nests."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.domain.errors import ConfigurationInvalid
from ploinky.server.config import Configuration
from ploinky.server.config_layers import (
    CONFIGURATION_FILE_BYTES,
    NESTING_LEVELS,
    SHOWN_VALUE_CHARACTERS,
    Tree,
    camel_case,
    environment_layer,
    file_layer,
    merged,
    option_layer,
    settle,
    shown,
    variable_name,
)


class Limits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    most_files: int = 1
    names: list[str] = []
    weights: dict[str, int] = {}


class Nested(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    limits: Limits = Limits()
    size: Annotated[int, msgspec.Meta(ge=1, description="a whole number from 1")] = 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def settled(*layers: dict[str, Any], **environ: str) -> tuple[Nested, dict[str, str]]:
    tree: dict[str, Any] = {}
    for number, layer in enumerate(layers):
        tree = merged(tree, option_layer(layer, f"layer {number}"))
    values, origins = settle(Nested, merged(tree, environment_layer(environ, frozenset())))
    return Nested(**values), origins


def test_objects_merge_and_arrays_are_replaced() -> None:
    """Two layers may each give a part of an object; of an array the later one is taken whole."""
    found, origins = settled(
        {"limits": {"mostFiles": 5, "names": ["a", "b"], "weights": {"x": 1, "y": 1}}},
        {"limits": {"names": ["c"], "weights": {"y": 2}}},
    )
    assert found.limits == Limits(most_files=5, names=["c"], weights={"x": 1, "y": 2})
    assert origins == {"limits.mostFiles": "layer 0", "limits.names": "layer 1", "limits.weights": "layer 1"}


def test_a_later_object_replaces_a_value_and_the_other_way_round() -> None:
    """What is no object on one side is replaced, not joined."""
    assert settled({"limits": 5}, {"limits": {"mostFiles": 2}})[0].limits.most_files == 2
    with pytest.raises(ConfigurationInvalid, match=r"limits cannot be 5 \(from layer 1\)"):
        settled({"limits": {"mostFiles": 2}}, {"limits": 5})


def test_merging_leaves_its_layers_alone() -> None:
    """A layer that was merged can be merged again."""
    lower, upper = option_layer({"a": {"b": 1}}, "x"), option_layer({"a": {"c": 2}}, "y")
    joined = merged(lower, upper)
    assert set(joined["a"].value) == {"b", "c"}
    assert (set(lower["a"].value), set(upper["a"].value)) == ({"b"}, {"c"})


def test_variables_nest_by_two_underscores() -> None:
    """A variable reaches into an object, and gives arrays and objects as JSON."""
    found, origins = settled(
        {"limits": {"mostFiles": 1, "names": ["a"]}},
        PLOINKY_LIMITS__MOST_FILES="7",
        PLOINKY_LIMITS__NAMES='["b"]',
        PLOINKY_LIMITS__WEIGHTS='{"z": 3}',
        PLOINKY_SIZE="2",
    )
    assert found == Nested(limits=Limits(most_files=7, names=["b"], weights={"z": 3}), size=2)
    assert origins["limits.mostFiles"] == "PLOINKY_LIMITS__MOST_FILES"


@pytest.mark.parametrize("text", ["[", '["a"', "[1]", '"a"', "a"])
def test_refuses_a_variable_that_is_no_such_array(text: str) -> None:
    """Broken JSON and wrong elements are refused with the variable's name."""
    with pytest.raises(ConfigurationInvalid, match="PLOINKY_LIMITS__NAMES"):
        settled(PLOINKY_LIMITS__NAMES=text)


def test_names_nested_keys_in_full() -> None:
    """An unknown key inside an object is named with its way, and so is the nearest known one."""
    with pytest.raises(ConfigurationInvalid) as caught:
        settled({"limits": {"mostfiles": 1}})
    assert '"limits.mostfiles"' in caught.value.message
    assert caught.value.advice == "Did you mean limits.mostFiles?"
    with pytest.raises(ConfigurationInvalid) as caught:
        settled(PLOINKY_LIMITS__MOST_FILE="1")
    assert caught.value.advice == "Did you mean PLOINKY_LIMITS__MOST_FILES?"


def test_lists_what_is_known_where_nothing_is_near() -> None:
    """A key unlike any other gets the whole list."""
    with pytest.raises(ConfigurationInvalid) as caught:
        settled({"zzz": {}})
    assert caught.value.advice == "Known are limits, size."


def test_options_are_typed_and_variables_are_text() -> None:
    """Only in the environment does a text stand for a number."""
    assert settled(PLOINKY_SIZE="5")[0].size == 5
    with pytest.raises(ConfigurationInvalid, match='size cannot be "5"'):
        settled({"size": "5"})


def test_a_variable_inside_a_variable_wins() -> None:
    """Of two variables where one reaches into the other, the inner one is taken."""
    found, _ = settled(PLOINKY_LIMITS='{"mostFiles": 3}', PLOINKY_LIMITS__MOST_FILES="4")
    assert found.limits.most_files == 4


def test_a_deep_variable_is_unknown_not_a_crash() -> None:
    """Thousands of levels in a name end in the usual refusal."""
    with pytest.raises(ConfigurationInvalid, match="unknown"):
        settled(**{"PLOINKY_" + "__".join("A" * 5000): "1"})


@pytest.mark.parametrize("attribute", [*Configuration.__struct_fields__, "a", "a_b_c"])
def test_spellings_are_each_others_inverse(attribute: str) -> None:
    """An attribute, its key and its variable lead to one another."""
    key = camel_case(attribute)
    assert camel_case(key) == key
    assert variable_name(key) == f"PLOINKY_{attribute.upper()}"
    assert camel_case(attribute.upper()) == key


def test_a_missing_file_is_an_empty_layer(tmp_path: Path) -> None:
    """No file and no folder for it are the usual case."""
    (tmp_path / "file").write_text("")
    assert file_layer(tmp_path / "none.json") == file_layer(tmp_path / "file" / "config.json") == {}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "line 1, column 1"),
        ('{\n  "port": 1,\n}', "line 3, column 1"),
        ('{\n  "port" 1}', "line 2, column 10"),
        ('{"a": 1} x', "line 1, column 10"),
        ("// no comments\n{}", "line 1, column 1"),
    ],
)
def test_says_where_the_json_is_broken(file: Path, text: str, where: str) -> None:
    """An operator finds the place by file, line and column."""
    file.write_text(text)
    with pytest.raises(ConfigurationInvalid) as caught:
        file_layer(file)
    assert str(file) in caught.value.message
    assert where in caught.value.message


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[]", "must hold a JSON object"),
        (b"null", "must hold a JSON object"),
        (b'{"a": 1, "a": 2}', '"a" is there twice'),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a": ' * (NESTING_LEVELS + 1) + b"1" + b"}" * (NESTING_LEVELS + 1), "levels deep"),
        (b" " * (CONFIGURATION_FILE_BYTES + 1), f"more than {CONFIGURATION_FILE_BYTES} bytes"),
    ],
)
def test_refuses_what_is_no_configuration(file: Path, content: bytes, problem: str) -> None:
    """Whatever stands in a file, the answer is one clear sentence with its name."""
    file.write_bytes(content)
    with pytest.raises(ConfigurationInvalid) as caught:
        file_layer(file)
    assert problem in caught.value.message
    assert str(file) in caught.value.message


def test_reads_a_file_with_a_byte_order_mark(file: Path) -> None:
    """Some editors put one at the beginning; it means nothing."""
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert file_layer(file)["a"] == (1, str(file), False)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink(path, path)])
def test_refuses_what_cannot_be_read(file: Path, make: Callable[[Path], None]) -> None:
    """A folder, a pipe or a circle of links in the file's place is said, without waiting and without a leak."""
    make(file)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ConfigurationInvalid, match=r"config\.json"):
        file_layer(file)
    assert len(os.listdir("/proc/self/fd")) == before


def test_shows_values_on_one_short_line() -> None:
    """What is shown of a value has a bound and cannot break the line."""
    assert shown("a\nb\x1b") == '"a\\nb\\u001b"'
    assert len(shown(["x" * 1000])) == SHOWN_VALUE_CHARACTERS
    assert shown(object()).startswith('"<object')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def refusal(tree: Tree) -> str | None:
    """Return the refusal's text; None when the tree makes a whole configuration."""
    try:
        values, origins = settle(Nested, tree)
    except ConfigurationInvalid as error:
        return f"{error.message} {error.advice}"
    assert isinstance(Nested(**values).size, int)
    assert all(origins.values())
    return None


@given(st.dictionaries(st.sampled_from(["limits", "size", "other"]) | st.text(), json_values))
def test_any_document_is_taken_or_refused(document: dict[str, Any]) -> None:
    """Whatever JSON says, the outcome is values of the schema or the one error, naming the file and printable."""
    # Through text and back, as from a file.
    told = refusal(option_layer(json.loads(json.dumps(document)), "file"))
    assert told is None or ("(from file)" in told and "\n" not in told)


@given(st.dictionaries(st.text("ABPORTSIZE_0", max_size=12).map("PLOINKY_".__add__), st.text(max_size=10)))
def test_any_environment_is_taken_or_refused(environ: dict[str, str]) -> None:
    """Whatever variables there are, the outcome is values of the schema or an error that names one of them."""
    told = refusal(environment_layer(environ, frozenset()))
    assert told is None or any(name in told for name in environ)
