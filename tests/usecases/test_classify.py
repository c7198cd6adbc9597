"""A request becomes a command with params by the rules, or is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.domain.errors import Invalid
from ploinky.usecases.classify import classify, headers_for_agent

JSON = "application/json"
DEEP = b'{"params":' + b"[" * 5_000 + b"]" * 5_000 + b"}"


def read(rest: str = "", query: str = "", content_type: str = "", body: bytes = b"") -> tuple[str, list[Any]]:
    command, params = classify(rest, query, content_type, body)
    return command, json.loads(params)


@pytest.mark.parametrize(
    ("rest", "body", "command"),
    [
        ("", b"", "index"),
        ("/", b"", "index"),
        ("/hello", b"", "hello"),
        ("/a/b/hello", b"", "hello"),
        ("/hello/", b"", "index"),
        ("/gr%C3%BC%C3%9Fe", b"", "grüße"),
        ("/a%2Fb", b"", "a/b"),
        ("/ns.name", b"", "ns.name"),
        ("/hello", b'{"command": "other"}', "other"),
        ("", b'{"params": []}', "index"),
        ("/hello", b'["command", "other"]', "hello"),
        ("/" + "c" * 128, b"", "c" * 128),
    ],
)
def test_finds_the_command(rest: str, body: bytes, command: str) -> None:
    """The body's `command` wins, else the last segment of the path, else it is `index`."""
    assert read(rest, body=body)[0] == command


@pytest.mark.parametrize("content_type", ["", "text/plain", JSON, "application/x-www-form-urlencoded"])
@pytest.mark.parametrize(
    ("body", "params"),
    [
        (b'{"params": [1, "two", {"three": 3}]}', [1, "two", {"three": 3}]),
        (b'{"params": "one"}', ["one"]),
        (b'{"params": {"a": 1}}', [{"a": 1}]),
        (b'{"params": 0}', [0]),
        (b'{"params": null}', []),
        (b'{"params": [null]}', [None]),
        (b'{"params": [1], "other": 2}', [1]),
        (b'{"command": "hello", "name": "Ada", "age": 36}', ["Ada", 36]),
        (b'{"z": 1, "a": 2}', [1, 2]),
        (b' \n{"params": [1]} ', [1]),
        (b'{"params": [123456789012345678901234567890]}', [123456789012345678901234567890]),
        (b"", []),
        (b"  \n", []),
        (b"{}", []),
    ],
)
def test_reads_json_objects_whatever_their_type(content_type: str, body: bytes, params: list[Any]) -> None:
    """A body that parses as a JSON object gives its `params`, or its other values in order."""
    assert read("/x", content_type=content_type, body=body)[1] == params


@pytest.mark.parametrize(
    ("content_type", "body", "params"),
    [
        (JSON, b"[1, 2]", [[1, 2]]),
        (JSON, b'"text"', ["text"]),
        (JSON, b"false", [False]),
        ("application/problem+json", b"3", [3]),
        ("", b"[1, 2]", ["[1, 2]"]),
        ("text/plain", "grüße".encode(), ["grüße"]),
        ("", b"{not json", ["{not json"]),
        ("", b"a=1&b=2", ["a=1&b=2"]),
    ],
)
def test_takes_other_bodies_as_one_param(content_type: str, body: bytes, params: list[Any]) -> None:
    """A body that is no object is one param: its JSON value where its type says JSON, else its text."""
    assert read(content_type=content_type, body=body)[1] == params


@pytest.mark.parametrize(
    ("query", "body", "params"),
    [
        ("a=1&b=2", b"", ["1", "2"]),
        ("a=1", b'{"params": [0]}', [0, "1"]),
        ("a=1", b"text", ["text", "1"]),
        ("a=&b", b"", ["", ""]),
        ("a=1&a=2", b"", ["1", "2"]),
        ("a=1&async=true&token=t&b=2", b"", ["1", "2"]),
        ("a=b%20c+d", b"", ["b c d"]),
    ],
)
def test_appends_the_query(query: str, body: bytes, params: list[Any]) -> None:
    """Values of the query follow the body's, without those that are for us."""
    assert read(query=query, body=body)[1] == params


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"content_type": JSON, "body": b"{broken"}, "not JSON"),
        ({"content_type": JSON, "body": b'{"params": [1e400]}'}, "not JSON"),
        ({"content_type": JSON, "body": b'{"params": ["\\ud800"]}'}, "not JSON"),
        ({"content_type": JSON, "body": b"\xff"}, "not JSON"),
        ({"body": b"\xff\xfe"}, "UTF-8"),
        ({"body": DEEP}, "too deeply"),
        ({"body": DEEP, "content_type": JSON}, "too deeply"),
        ({"body": b'{"command": ""}'}, "command"),
        ({"body": b'{"command": null}'}, "command"),
        ({"body": b'{"command": 5}'}, "command"),
        ({"body": b'{"command": ["rm", "-rf"]}'}, "command"),
        ({"rest": "/" + "c" * 129}, "command"),
        ({"rest": "/%ff"}, "path is not UTF-8"),
        ({"query": "a=%ff"}, "query is not UTF-8"),
        ({"query": "&".join(["a=1"] * 1_001)}, "1000 fields"),
    ],
)
def test_refuses_what_it_cannot_read(request_: dict[str, Any], says: str) -> None:
    """What the rules cannot read is refused with the reason, never guessed."""
    with pytest.raises(Invalid, match=says):
        read(**request_)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=30), st.binary(max_size=200))
def test_reads_or_refuses_anything(rest: str, query: str, content_type: str, body: bytes) -> None:
    """Whatever is sent, the answer is a command with a JSON array, or a refusal."""
    try:
        command, params = read("/" + rest, query, content_type, body)
    except Invalid:
        return
    assert 0 < len(command) <= 128
    assert isinstance(params, list)


def test_keeps_credentials_from_agents() -> None:
    """Agents see a request's headers without what its caller is known by to us."""
    secret = [b"authorization", b"cookie", b"x-api-key", b"proxy-authorization", b"idempotency-key", b"prefer"]
    headers = [*((name, b"secret") for name in secret), (b"accept", b"text/plain"), (b"x-odd", b"\xe9")]
    assert headers_for_agent(headers) == {"accept": "text/plain", "x-odd": "é"}
