"""Which headers pass between a caller and an agent's own web server, and which are ours to say.

**Source**: RFC 9110, 7.6.1 (hop-by-hop), RFC 9112, 6.3 (framing is each hop's own).
"""

import ipaddress
from collections.abc import Iterable, Iterator

from ploinky.domain.errors import HeadersTooLarge
from ploinky.gateway.http import Headers, Scope

HEADERS_LIMIT_BYTES = 64 * 1024
OUR_COOKIE_PREFIXES = (b"ploinky_", b"__Host-ploinky_", b"__Secure-ploinky_")
"""Cookies of ours never reach an agent, and no agent sets one."""
OUR_KEY_PREFIX = b"plk_"

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te"}
    | {b"trailer", b"transfer-encoding", b"upgrade"}
)
FOR_US = frozenset({b"x-api-key", b"expect", b"content-length", b"forwarded", b"x-real-ip", b"x-request-id"})
"""Besides: credentials for us, framing, and what only we say of a caller."""
FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-prefix", b"x-forwarded-proto"})
PREFIXES_FOR_US = (b"x-ploinky-", b"sec-websocket-")
FROM_US = frozenset({b"date", b"x-request-id"})
"""In responses: the server says these itself."""
ALWAYS_END_TO_END = frozenset({b"host", b"cookie", b"authorization", b"content-type", b"content-length"})
"""Not dropped because a `Connection` header names them, which only a forger does."""


def has_body(headers: Headers) -> bool:
    """Tell whether a request comes with a body."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 ") != b"")
        for name, value in headers
    )


def content_length(headers: Headers) -> bytes | None:
    """Return the length a message says it has."""
    return next((value for name, value in headers if name == b"content-length"), None)


def request_headers(scope: Scope, prefix: str, request_id: str) -> list[tuple[str, str]]:
    """Return what an agent is told. `prefix` is its deployment's path. Raises `HeadersTooLarge`."""
    headers: Headers = scope["headers"]
    if sum(len(name) + len(value) for name, value in headers) > HEADERS_LIMIT_BYTES:
        raise HeadersTooLarge(limit_bytes=HEADERS_LIMIT_BYTES)
    passed = [(_text(name), _text(value)) for name, value in _end_to_end(headers)]
    said = {name: value for name, value in headers if name in FORWARDED}
    peer = (scope.get("client") or ("unknown",))[0]
    if not _is_loopback(peer):
        said = {}  # only a proxy on this machine is believed what it says of others
    scheme = b"https" if scope["scheme"] in {"https", "wss"} else b"http"
    host = next((value for name, value in headers if name == b"host"), b"")
    before = said.get(b"x-forwarded-for")
    passed += [
        ("x-forwarded-for", f"{_text(before)}, {peer}" if before else peer),
        ("x-forwarded-proto", _text(said.get(b"x-forwarded-proto", scheme))),
        ("x-forwarded-host", _text(said.get(b"x-forwarded-host", host))),
        ("x-request-id", request_id),
    ]
    if prefix != "/":
        passed.append(("x-forwarded-prefix", prefix))
    return passed


def response_headers(headers: Iterable[tuple[bytes, bytes]], *, has_length: bool) -> list[tuple[bytes, bytes]]:
    """Return what a caller is told. `has_length`: whether the length the agent says is the body's that follows."""
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = _named_in_connection(lowered) | HOP_BY_HOP | FROM_US
    return [
        (name, value)
        for name, value in lowered
        if name not in dropped
        and not name.startswith(b"x-ploinky-")
        and (has_length or name != b"content-length")
        and not (name == b"set-cookie" and value.lstrip().startswith(OUR_COOKIE_PREFIXES))
    ]


def _end_to_end(headers: Headers) -> Iterator[tuple[bytes, bytes]]:
    dropped = _named_in_connection(headers) | HOP_BY_HOP | FOR_US | FORWARDED
    for name, value in headers:
        # Many frameworks cannot tell `x_api_key` from `x-api-key`, so neither passes.
        known = name.replace(b"_", b"-")
        if known in dropped or known.startswith(PREFIXES_FOR_US):
            continue
        if known == b"authorization" and _is_our_key(value):
            continue
        if known == b"cookie":
            cookies = _foreign_cookies(value)
            if cookies:
                yield name, cookies
            continue
        yield name, value


def _named_in_connection(headers: Headers) -> frozenset[bytes]:
    lists = [value for name, value in headers if name == b"connection"]
    named = frozenset(token.strip().lower() for listed in lists for token in listed.split(b","))
    return named - ALWAYS_END_TO_END


def _is_our_key(authorization: bytes) -> bool:
    scheme, _, credentials = authorization.strip().partition(b" ")
    return (credentials.strip() or scheme).startswith(OUR_KEY_PREFIX)


def _foreign_cookies(value: bytes) -> bytes:
    pairs = [pair.strip() for pair in value.split(b";")]
    return b"; ".join(pair for pair in pairs if pair and not pair.startswith(OUR_COOKIE_PREFIXES))


def _is_loopback(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False


def _text(value: bytes) -> str:
    """Return bytes so that they are sent as they came; what is no UTF-8 is sent as the UTF-8 of its Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
