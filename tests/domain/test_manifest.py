import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.domain.errors import ManifestInvalid
from ploinky.domain.manifest import (
    COMMANDS_LIMIT,
    MANIFEST_LIMIT_BYTES,
    RESERVED_VARIABLES,
    VARIABLES_LIMIT,
    WARNINGS_LIMIT,
    WITHOUT_EFFECT,
    Http,
    Manifest,
    Variable,
    parse_manifest,
)
from ploinky.domain.specs import RetryPolicy


def parsed(**fields: Any) -> Manifest:
    return parse_manifest(json.dumps(fields).encode())


def refused(**fields: Any) -> ManifestInvalid:
    with pytest.raises(ManifestInvalid) as caught:
        parsed(**fields)
    assert caught.value.advice
    return caught.value


def test_an_absent_manifest_is_an_empty_one() -> None:
    """An agent needs no manifest."""
    assert parse_manifest(None) == parse_manifest(b"{}") == Manifest()


def test_reads_every_field_in_use() -> None:
    """Each field arrives with its type."""
    manifest = parsed(
        name="hello",
        about="greets",
        container="python:3.11",
        commands={"greet": "python greet.py --loud", "ns.name": ["a b", "c"]},
        runTask="./run 'one two'",
        access="public",
        mode="http",
        concurrency=8,
        timeoutSeconds=1.5,
        retries={"max": 2, "backoffSeconds": 0.5},
        runtime={"resources": {"memory": "256m", "cpus": 2, "pids": 64}},
        network={"mode": "none"},
        http={"port": 8080, "health": "/health"},
        module="src/main.py",
    )
    assert (manifest.name, manifest.about, manifest.access, manifest.mode) == ("hello", "greets", "public", "http")
    assert manifest.commands == {"greet": ("python", "greet.py", "--loud"), "ns.name": ("a b", "c")}
    assert (manifest.run_task, manifest.module) == (("./run", "one two"), "src/main.py")
    assert (manifest.concurrency, manifest.timeout_seconds) == (8, 1.5)
    resources = manifest.runtime.resources
    assert (resources.memory, resources.cpus, resources.pids) == (256 << 20, 2.0, 64)
    assert (manifest.network.mode, manifest.http) == ("none", Http(port=8080, health="/health"))
    assert manifest.warnings == ()


@pytest.mark.parametrize("field", ["container", "image"])
def test_an_image_has_two_names(field: str) -> None:
    """Both generations' field gives the image."""
    assert parsed(**{field: "node:22"}).image_reference == "node:22"


@pytest.mark.parametrize("field", ["run", "start", "agent"])
def test_a_start_command_has_three_names(field: str) -> None:
    """All generations' fields give the command, split into words."""
    assert parsed(**{field: "node 'my server.js'"}).start_command == ("node", "my server.js")


def test_a_command_line_is_never_a_shell_s() -> None:
    """Characters that mean something to a shell are words like others."""
    assert parsed(run="echo $(id) ; rm").start_command == ("echo", "$(id)", ";", "rm")


@pytest.mark.parametrize(
    ("memory", "expected_bytes"),
    [
        ("512m", 512 << 20),
        ("1g", 1 << 30),
        ("1GiB", 1 << 30),
        ("8192 KB", 8 << 20),
        ("16777216", 16 << 20),
        (1 << 25, 1 << 25),
    ],
)
def test_reads_memory(memory: object, expected_bytes: int) -> None:
    """A unit is a power of two, and a bare number counts bytes."""
    assert parsed(runtime={"resources": {"memory": memory}}).runtime.resources.memory == expected_bytes


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (["A", "B_2"], (Variable(name="A"), Variable(name="B_2"))),
        (["A=x=y", "B="], (Variable(name="A", default="x=y"), Variable(name="B", default=""))),
        ([{"varName": "A", "required": True}], (Variable(name="A", is_required=True),)),
        ([{"name": "A", "default": "x", "required": False}], (Variable(name="A", default="x"),)),
        ({"A": "x", "B": None}, (Variable(name="A", default="x"), Variable(name="B"))),
        ({"C": {"required": True}}, (Variable(name="C", is_required=True),)),
    ],
)
def test_reads_variables(env: object, expected: object) -> None:
    """A variable is a name, a name with a default, or an object, in a list or by name."""
    assert parsed(env=env).env == expected


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        ({}, RetryPolicy()),
        ({"max": 0}, RetryPolicy(lost=0, failed=0)),
        ({"max": 5, "backoffSeconds": 3}, RetryPolicy(lost=5, failed=5, backoff_seconds=3.0)),
        ({"backoffSeconds": 0}, RetryPolicy(backoff_seconds=0.0)),
    ],
)
def test_one_number_of_retries_stands_for_both_failures(retries: dict[str, float], expected: RetryPolicy) -> None:
    """Without `max` the defaults hold; zero switches all repetition off."""
    assert parsed(retries=retries).retry_policy == expected


def test_null_is_the_same_as_left_out() -> None:
    """Whoever writes null means nothing."""
    assert parsed(name=None, http=None, runtime={"resources": {"memory": None}}, retries=None, env=None) == Manifest()


def test_warns_about_unknown_fields() -> None:
    """A spelling mistake does not stop a deployment, and does not stay unseen either."""
    manifest = parsed(nmae="x", retries={"maximum": 1}, runtime={"resources": {"ram": 1}}, http={"port": 1, "tls": 0})
    assert [warning.split("`")[1] for warning in manifest.warnings] == [
        "nmae",
        "runtime.resources.ram",
        "http.tls",
        "retries.maximum",
    ]


def test_says_which_fields_have_no_effect() -> None:
    """A field of the format that nothing reads is told from an unknown one."""
    manifest = parsed(**dict.fromkeys(WITHOUT_EFFECT, "x"))
    assert len(manifest.warnings) == len(WITHOUT_EFFECT)
    assert all("no effect" in warning for warning in manifest.warnings)


def test_the_number_of_warnings_is_bounded() -> None:
    """A file of unknown fields does not fill the journal."""
    assert len(parsed(**{f"unknown{number}": 1 for number in range(WARNINGS_LIMIT * 2)}).warnings) == WARNINGS_LIMIT


def test_warnings_are_not_a_field_of_the_file() -> None:
    """A manifest cannot write our own words."""
    assert parsed(warnings=["all is well"]).warnings == ("manifest.json: `warnings` is unknown",)


def test_warns_about_a_name_that_is_there_twice() -> None:
    """The last one counts, as everywhere, and the reader hears of it."""
    manifest = parse_manifest(b'{"name": "a", "name": "b"}')
    assert manifest.name == "b"
    assert "twice" in manifest.warnings[0]


def test_accepts_a_byte_order_mark() -> None:
    """Some editors write one."""
    assert parse_manifest(b'\xef\xbb\xbf{"name": "a"}').name == "a"


def test_a_broken_file_is_refused_with_line_and_column() -> None:
    """The author finds the place."""
    with pytest.raises(ManifestInvalid, match="line 3, column 1") as caught:
        parse_manifest(b'{\n  "name": "x",\n}')
    assert caught.value.details == {"line": 3, "column": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"timeoutSeconds": NaN}',
        b'{"concurrency": 1' + b"0" * 5_000 + b"}",
    ],
)
def test_refuses_what_is_no_object(content: bytes) -> None:
    """Whatever the bytes, the answer is a refusal."""
    with pytest.raises(ManifestInvalid):
        parse_manifest(content)


def test_refuses_a_huge_file() -> None:
    """The file has a bound."""
    with pytest.raises(ManifestInvalid, match=str(MANIFEST_LIMIT_BYTES)):
        parse_manifest(b" " * (MANIFEST_LIMIT_BYTES + 1))


@pytest.mark.parametrize(
    ("path", "fields", "value"),
    [
        ("name", {"name": 5}, "5"),
        ("name", {"name": ""}, "''"),
        ("concurrency", {"concurrency": 0}, "0"),
        ("concurrency", {"concurrency": True}, "True"),
        ("concurrency", {"concurrency": "4"}, "'4'"),
        ("timeoutSeconds", {"timeoutSeconds": 0}, "0"),
        ("timeoutSeconds", {"timeoutSeconds": 1e9}, "1000000000.0"),
        ("retries.max", {"retries": {"max": -1}}, "-1"),
        ("retries", {"retries": 3}, "3"),
        ("mode", {"mode": "socket"}, "'socket'"),
        ("access", {"access": "every body"}, "'every body'"),
        ("network.mode", {"network": {"mode": "hosts"}}, "'hosts'"),
        ("http.port", {"http": {"port": 70_000}}, "70000"),
        ("http.health", {"http": {"port": 1, "health": "http://x"}}, "'http://x'"),
        ("http", {"http": {}}, "{}"),
        ("runtime", {"runtime": []}, "[]"),
        ("runtime.resources.memory", {"runtime": {"resources": {"memory": "much"}}}, "'much'"),
        ("runtime.resources.memory", {"runtime": {"resources": {"memory": "1k"}}}, "1024"),
        ("runtime.resources.memory", {"runtime": {"resources": {"memory": True}}}, "True"),
        ("runtime.resources.cpus", {"runtime": {"resources": {"cpus": 0}}}, "0"),
        ("commands", {"commands": ["a"]}, "['a']"),
        ("commands.a", {"commands": {"a": 5}}, "5"),
        ("commands", {"commands": {"a/b": "x"}}, "'a/b'"),
        ("commands.a", {"commands": {"a": ""}}, "''"),
        ("run", {"run": "it's"}, '"it\'s"'),
        ("run", {"run": ["a", 1]}, "['a', 1]"),
        ("start", {"start": "x" * 5_000}, "'xxx"),
        ("agent", {"agent": ["x"] * 300}, "['x'"),
        ("env", {"env": "A"}, "'A'"),
        ("env[0]", {"env": [5]}, "5"),
        ("env[1].varName", {"env": ["A", "1B"]}, "'1B'"),
        ("env[0].varName", {"env": ["A\n"]}, "'A\\n'"),
        ("env[0].varName", {"env": [{}]}, "None"),
        ("env[0].requried", {"env": [{"varName": "A", "requried": True}]}, "True"),
        ("env[0].default", {"env": [{"varName": "A", "default": 5}]}, "5"),
        ("containerSecurity.privileged", {"containerSecurity": {"privileged": 1}}, "1"),
    ],
)
def test_refuses_a_wrong_value_by_path_and_value(path: str, fields: dict[str, Any], value: str) -> None:
    """The message names the field's path and shows what stands there."""
    assert f"`{path}` is {value}" in refused(**fields).message


@pytest.mark.parametrize("name", sorted(RESERVED_VARIABLES))
def test_refuses_reserved_variables(name: str) -> None:
    """What we tell an agent about itself cannot be overwritten."""
    assert name in refused(env=[name]).message


def test_refuses_too_many_entries() -> None:
    """Lists and objects have bounds."""
    assert str(COMMANDS_LIMIT) in refused(commands={f"c{number}": "x" for number in range(COMMANDS_LIMIT + 1)}).message
    assert str(VARIABLES_LIMIT) in refused(env=[f"V{number}" for number in range(VARIABLES_LIMIT + 1)]).message


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(sorted({*Manifest.__struct_encode_fields__, *WITHOUT_EFFECT}))


def outcome(content: bytes) -> str:
    try:
        return repr(msgspec.json.encode(parse_manifest(content)))
    except ManifestInvalid as error:
        return error.message[:1_000]


@given(st.dictionaries(FIELDS, JSON_VALUES, max_size=6))
def test_any_values_are_read_or_refused(fields: dict[str, Any]) -> None:
    """No value in any field does anything else than being accepted or refused."""
    assert outcome(json.dumps(fields).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """The same for whole files."""
    assert outcome(content)
