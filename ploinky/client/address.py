"""The server's address, as a person wrote it."""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from ploinky.client.errors import AddressInvalid

DEFAULT_URL = "http://127.0.0.1:8000"
KEY_LIMIT_CHARACTERS = 500

_EXAMPLE = f"Write it like {DEFAULT_URL}."
_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens. `prefix` is the path before everything else, without a `/` at its end."""

    is_secure: bool
    host: str
    port: int
    prefix: str

    @property
    def url(self) -> str:
        scheme = "https" if self.is_secure else "http"
        return f"{scheme}://{host_header(self.host, self.port)}{self.prefix}"


def parse_address(url: str) -> Address:
    """Read a URL. **Raises** `AddressInvalid` saying what is wrong with it."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise AddressInvalid(f"{url!r} is not a URL: {error}", _EXAMPLE) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AddressInvalid(f"{url!r} is not the URL of a server", _EXAMPLE)
    if parts.username is not None or parts.query or parts.fragment:
        raise AddressInvalid(f"{url!r} has more than a host, a port and a path", _EXAMPLE)
    is_secure = parts.scheme == "https"
    try:
        host = parts.hostname.encode("idna").decode() if not parts.hostname.isascii() else parts.hostname
    except UnicodeError as error:
        raise AddressInvalid(f"{url!r} does not name a host", _EXAMPLE) from error
    return Address(is_secure, host, port or (443 if is_secure else 80), quote_path(parts.path).rstrip("/"))


def check_key(key: str) -> str:
    """Give the key back when it can stand in a header. **Raises** `AddressInvalid`, without showing it."""
    if len(key) > KEY_LIMIT_CHARACTERS or not _KEY.fullmatch(key):
        raise AddressInvalid("the key holds characters that no key has", "Copy it again, without spaces.")
    return key


def host_header(host: str, port: int | None) -> str:
    """Write a host as a Host header has it."""
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return shown if port is None else f"{shown}:{port}"


def quote_path(path: str) -> str:
    """Escape what a request line cannot hold; what is escaped already stays as it is."""
    return quote(path, safe="/%:@!$&'()*+,;=~-._")


def quote_segment(value: str) -> str:
    """Escape a value so that it stays one segment of a path."""
    return quote(value, safe="~-._:@")
