"""Read repository addresses: what is allowed, what is shown, and where each is cached."""

import hashlib
import os
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from ploinky.domain.errors import SourceInvalid

URL_CHARACTERS = 2_048
SLUG_CHARACTERS = 40
SECRET_CHARACTERS = 4
"""Shorter ones stand in ordinary words."""

_ALLOWED_HINT = "Use http(s)://, file:// or an absolute local path."
_USER_PART = re.compile(r"(?<=://)[^/@\s]*@")
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


class Location(NamedTuple):
    """Where a repository is, with its credentials kept apart."""

    address: str
    """An http(s) URL without credentials, or an absolute local path. Safe to show."""
    username: str | None
    password: str | None
    is_local: bool

    @property
    def cache_name(self) -> str:
        """Name the cache folder: readable, and distinct per address whatever the credentials."""
        last = self.address.removesuffix(".git").rstrip("/").rpartition("/")[2].lower()
        slug = _NOT_SLUG.sub("-", last).strip("-")[:SLUG_CHARACTERS] or "repository"
        return f"{slug}-{hashlib.sha256(self.address.encode()).hexdigest()[:8]}"

    def redacted(self, text: str) -> str:
        """Take the credentials out of a text, wherever they stand in it."""
        # A user's name alone is a token; beside a password it is a word that may stand anywhere.
        secret = self.username if self.password is None else self.password
        if secret and len(secret) >= SECRET_CHARACTERS:
            text = text.replace(secret, "***")
        return _USER_PART.sub("", text)


def parse_location(url: str) -> Location:
    """Split a repository's URL. Raises `SourceInvalid` when it is of no kind that can be fetched."""
    if not url or len(url) > URL_CHARACTERS:
        raise SourceInvalid(f"A repository URL has between 1 and {URL_CHARACTERS} characters", hint=_ALLOWED_HINT)
    if any(ord(character) < 32 or ord(character) == 127 for character in url):
        raise SourceInvalid("The repository URL holds control characters", hint=_ALLOWED_HINT)
    if url.startswith("/"):
        return _local(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SourceInvalid("The repository URL cannot be read", hint=_ALLOWED_HINT) from error
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return _local(unquote(parts.path))
    if parts.scheme not in {"http", "https"}:
        shown = _USER_PART.sub("", url)
        raise SourceInvalid(f"Cannot fetch from {shown!r}", hint=_ALLOWED_HINT)
    if not parts.hostname or parts.query or parts.fragment:
        raise SourceInvalid("A repository URL names a host, and has no ? or # part", hint=_ALLOWED_HINT)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    address = urlunsplit((parts.scheme, host if port is None else f"{host}:{port}", parts.path.rstrip("/"), "", ""))
    username = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return Location(address, username, password, is_local=False)


def _local(path: str) -> Location:
    if "\0" in path:
        raise SourceInvalid("The repository's path holds a NUL character", hint=_ALLOWED_HINT)
    return Location(os.path.normpath("/" + path.lstrip("/")), None, None, is_local=True)
