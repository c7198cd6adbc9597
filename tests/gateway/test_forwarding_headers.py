"""Which headers pass, and which are said by us alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.domain.errors import HeadersTooLarge
from ploinky.gateway.forwarding_headers import (
    HEADERS_LIMIT_BYTES,
    HOP_BY_HOP,
    has_body,
    request_headers,
    response_headers,
)

Pairs = list[tuple[bytes, bytes]]
FAR, NEAR = ("192.0.2.7", 4711), ("127.0.0.1", 4711)


def passed(headers: Pairs, prefix: str = "/app", **scope: Any) -> list[tuple[str, str]]:
    return request_headers({"headers": headers, "client": FAR, "scheme": "http", **scope}, prefix, "r1")


def values(headers: list[tuple[str, str]], name: str) -> list[str]:
    return [text for key, text in headers if key == name]


def names(headers: list[tuple[str, str]]) -> set[str]:
    return {key for key, _ in headers}


OURS = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix", "x-request-id"}


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_headers_end_here(name: bytes) -> None:
    """What is meant for the next hop only is passed neither way."""
    assert names(passed([(name, b"x")])) == OURS
    assert response_headers([(name.title(), b"x")], has_length=True) == []


def test_what_connection_names_ends_here() -> None:
    """Headers that a hop declared its own are not passed on."""
    headers = [(b"connection", b"X-One, close"), (b"connection", b"x-two"), (b"x-one", b"1"), (b"x-two", b"2")]
    assert names(passed([*headers, (b"x-three", b"3")])) == OURS | {"x-three"}
    assert response_headers([*headers, (b"X-Three", b"3")], has_length=True) == [(b"x-three", b"3")]


def test_connection_cannot_take_what_matters_away() -> None:
    """No caller hides a header from the agent, or its own length, by naming it in `Connection`."""
    headers = [(b"connection", b"host, cookie, x-forwarded-for"), (b"host", b"a.example"), (b"cookie", b"a=1")]
    shown = passed(headers)
    assert values(shown, "host") == ["a.example"]
    assert values(shown, "cookie") == ["a=1"]
    assert values(shown, "x-forwarded-for") == ["192.0.2.7"]


@pytest.mark.parametrize("value", [b"Bearer plk_a_b", b"bearer  plk_a_b", b"plk_a_b"])
def test_our_keys_end_here(value: bytes) -> None:
    """A key for us is nobody else's business, in whatever header it comes."""
    shown = passed([(b"authorization", value), (b"x-api-key", b"plk_a_b"), (b"X_Api_Key".lower(), b"plk_a_b")])
    assert names(shown) == OURS


def test_the_agents_own_login_passes() -> None:
    """Authorization and cookies of the agent's own reach it; cookies of ours do not."""
    shown = passed(
        [
            (b"authorization", b"Bearer own-token"),
            (b"cookie", b"own=1; ploinky_session=x; __Host-ploinky_a=y; other=2"),
            (b"cookie", b"ploinky_b=1"),
        ]
    )
    assert values(shown, "authorization") == ["Bearer own-token"]
    assert values(shown, "cookie") == ["own=1; other=2"]


def test_strangers_are_not_believed() -> None:
    """What a far caller says of where it comes from is replaced, in either spelling."""
    lies: Pairs = [
        (b"host", b"app.example:8000"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"x_forwarded_for", b"10.0.0.1"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"evil.example"),
        (b"x-forwarded-prefix", b"/evil"),
        (b"forwarded", b"for=10.0.0.1"),
        (b"x-real-ip", b"10.0.0.1"),
        (b"x-request-id", b"mine"),
        (b"x-ploinky-user", b"admin"),
        (b"x_ploinky_user", b"admin"),
    ]
    assert sorted(passed(lies)) == [
        ("host", "app.example:8000"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "app.example:8000"),
        ("x-forwarded-prefix", "/app"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "r1"),
    ]


def test_a_proxy_on_this_machine_is_believed() -> None:
    """Behind a proxy of the operator's the caller, the host and the scheme are those that the proxy saw."""
    told: Pairs = [
        (b"x-forwarded-for", b"198.51.100.9"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"app.example"),
        (b"x-forwarded-prefix", b"/elsewhere"),
    ]
    shown = passed(told, client=NEAR)
    assert values(shown, "x-forwarded-for") == ["198.51.100.9, 127.0.0.1"]
    assert values(shown, "x-forwarded-proto") == ["https"]
    assert values(shown, "x-forwarded-host") == ["app.example"]
    assert values(shown, "x-forwarded-prefix") == ["/app"]


def test_a_root_has_no_prefix() -> None:
    """A deployment at / gets its paths as they are, so there is nothing to say."""
    assert values(passed([], prefix="/"), "x-forwarded-prefix") == []


@pytest.mark.parametrize(("scheme", "said"), [("http", "http"), ("ws", "http"), ("https", "https"), ("wss", "https")])
def test_the_scheme_is_said(scheme: str, said: str) -> None:
    """A WebSocket counts as the HTTP it began as."""
    assert values(passed([], scheme=scheme), "x-forwarded-proto") == [said]


def test_the_handshake_is_each_hops_own() -> None:
    """Keys and extensions of a WebSocket are agreed anew with the agent."""
    assert names(passed([(b"sec-websocket-key", b"x"), (b"sec-websocket-extensions", b"y")])) == OURS


def test_headers_are_bounded() -> None:
    """More than the limit is refused instead of carried."""
    passed([(b"x", b"y" * (HEADERS_LIMIT_BYTES - 1))])
    with pytest.raises(HeadersTooLarge):
        passed([(b"x", b"y" * HEADERS_LIMIT_BYTES)])


def test_no_agent_speaks_for_us() -> None:
    """Cookies of ours, ids of ours and dates stay ours; everything else of an answer passes in its order."""
    answered: Pairs = [
        (b"Set-Cookie", b"ploinky_session=stolen; Path=/"),
        (b"Set-Cookie", b" __Host-ploinky_session=stolen"),
        (b"Set-Cookie", b"own=ploinky_; Path=/"),
        (b"X-Ploinky-Task", b"forged"),
        (b"X-Request-Id", b"forged"),
        (b"Date", b"yesterday"),
        (b"Location", b"/login"),
    ]
    assert response_headers(answered, has_length=True) == [
        (b"set-cookie", b"own=ploinky_; Path=/"),
        (b"location", b"/login"),
    ]


def test_the_length_passes_where_a_body_follows() -> None:
    """A 304 may say the length of what it does not send, which would be a lie on this connection."""
    assert response_headers([(b"Content-Length", b"5")], has_length=True) == [(b"content-length", b"5")]
    assert response_headers([(b"Content-Length", b"5")], has_length=False) == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], False),
        ([(b"content-length", b"0")], False),
        ([(b"content-length", b"00")], False),
        ([(b"content-length", b"10")], True),
        ([(b"transfer-encoding", b"chunked")], True),
    ],
)
def test_the_framing_says_whether_there_is_a_body(headers: Pairs, expected: bool) -> None:
    """A request has a body when its headers announce one, whatever its method."""
    assert has_body(headers) is expected


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=20).map(bytes.lower), st.binary(max_size=40)), max_size=20))
def test_nothing_of_ours_is_ever_doubled(headers: Pairs) -> None:
    """Whatever is sent, each header of ours is there exactly once, and none that frames a message."""
    shown = passed(headers)
    for name in OURS:
        assert len(values(shown, name)) == 1
    assert not names(shown) & {"content-length", "transfer-encoding", "connection", "upgrade", "x-api-key"}
