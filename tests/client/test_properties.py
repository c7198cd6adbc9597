"""Whatever a person types or a server sends, the client gives an answer or one of its own errors."""

import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ploinky.client.address import check_key, host_header, parse_address, quote_path, quote_segment
from ploinky.client.answers import Answer, json_object, json_objects, refusal
from ploinky.client.errors import AddressInvalid, ApiError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ERROR_FIELDS = st.sampled_from(["error", "code", "message", "details", "timestamp", "requestId", "hint"])


@given(st.text() | st.text().map(lambda rest: f"http://{rest}"))
@example("http://[")
@example("http://a:b@c")
@example("http://\u2100.test")
def test_a_url_is_read_or_refused(text: str) -> None:
    """No text makes the reading of a URL fail in another way, and what was read can be read again."""
    try:
        address = parse_address(text)
    except AddressInvalid:
        return
    assert parse_address(address.url) == address
    assert address.url.isascii()


@given(st.text())
def test_a_key_is_refused_unless_it_fits_a_header(text: str) -> None:
    """What passes is visible ASCII and never empty."""
    try:
        assert check_key(text) == text
    except AddressInvalid:
        return
    assert text.isascii()
    assert text.isprintable()
    assert text
    assert " " not in text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_path_fits_a_request_line(text: str) -> None:
    """Nothing in a path can end the request line or begin a query."""
    quoted = quote_path(text)
    assert quoted.isascii()
    assert not set(quoted) & set(" \r\n?#\0")
    if "%" not in text:
        assert unquote(quoted) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_segment_stays_one(text: str) -> None:
    """A value put into a path cannot add a segment to it, and comes out as it went in."""
    quoted = quote_segment(text)
    assert "/" not in quoted
    assert urlsplit(f"http://x/a/{quoted}").path == f"/a/{quoted}"
    assert unquote(quoted) == text


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()), st.integers(100, 999))
def test_any_refusal_becomes_an_error(content: bytes, status: int) -> None:
    """Bytes of any kind with any status are an `ApiError` with a code and a message."""
    error = refusal(Answer(status, {}, content))
    assert isinstance(error, ApiError)
    assert error.status == status
    assert error.code
    assert error.message
    assert isinstance(error.hint, str)


@given(st.dictionaries(ERROR_FIELDS, JSON))
def test_any_error_document_becomes_an_error(document: dict[str, Any]) -> None:
    """Fields of other types than the format says are left out, not trusted."""
    error = refusal(Answer(400, {}, json.dumps(document).encode()))
    assert isinstance(error.code, str)
    assert isinstance(error.message, str)
    assert isinstance(error.details, dict)
    assert error.request_id is None or isinstance(error.request_id, str)


@given(JSON)
def test_only_objects_are_objects(value: Any) -> None:
    """A success that is JSON of another shape is refused as unreadable."""
    answer = Answer(200, {"content-type": "application/json"}, json.dumps(value).encode())
    is_list = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    for read, is_right in ((json_object, isinstance(value, dict)), (json_objects, is_list)):
        if is_right:
            read(answer)
        else:
            with pytest.raises(ApiError, match="not"):
                read(answer)


def test_writes_hosts_as_headers_have_them() -> None:
    """Addresses of IPv6 get their brackets, once."""
    assert host_header("::1", 80) == "[::1]:80"
    assert host_header("[::1]", 80) == "[::1]:80"
    assert host_header("host.test", None) == "host.test"
