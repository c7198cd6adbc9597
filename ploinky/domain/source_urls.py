"""Read repository addresses: what is allowed, what is shown, and which two are the same repository."""

import hashlib
import os
import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from ploinky.domain.errors import SourceInvalid

URL_CHARACTERS = 2_048
SLUG_CHARACTERS = 40

ALLOWED_HINT = "Use http(s)://, ssh://, file:// or an absolute local path."
CREDENTIALS_HINT = "Give them apart, with `ploinky repo add --username` or `--token-secret`: they are kept encrypted."
_USER_PART = re.compile(r"(?<=://)[^/@\s]*@")
_NOT_SLUG = re.compile(r"[^a-z0-9]+")
_SCP_LIKE = re.compile(r"(?:[A-Za-z0-9._][A-Za-z0-9._-]*@)?([A-Za-z0-9][A-Za-z0-9.-]*):(?!//)([^:\s]+)")
_SSH_USER = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9:](?:[A-Za-z0-9._:-]{0,252})")


class Transport(StrEnum):
    """How a repository is reached."""

    LOCAL = "local"
    HTTP = "http"
    SSH = "ssh"


class Location(NamedTuple):
    """Where a repository is. Holds no secret, so it may be shown."""

    address: str
    """An http(s) or ssh URL, or an absolute local path."""
    transport: Transport

    @property
    def is_local(self) -> bool:
        """Whether it is read from this machine's own disk."""
        return self.transport is Transport.LOCAL

    @property
    def cache_name(self) -> str:
        """Name the cache folder: readable, and distinct per address."""
        last = self.address.removesuffix(".git").rstrip("/").rpartition("/")[2].lower()
        slug = _NOT_SLUG.sub("-", last).strip("-")[:SLUG_CHARACTERS] or "repository"
        return f"{slug}-{hashlib.sha256(self.address.encode()).hexdigest()[:8]}"

    @property
    def origin(self) -> str:
        """Return scheme, host and port, which credentials belong to; empty for a local path."""
        parts = urlsplit(self.address)
        default = {"https": 443, "http": 80, "ssh": 22}.get(parts.scheme, 0)
        return "" if self.is_local else f"{parts.scheme}://{parts.hostname}:{parts.port or default}"

    @property
    def identity(self) -> str:
        """Return what is equal for all ways to write one repository: host and path, whatever the transport."""
        if self.is_local:
            return self.address.removesuffix("/.git").removesuffix(".git")
        parts = urlsplit(self.address)
        path = parts.path.removeprefix("/~").rstrip("/").removesuffix(".git")
        return f"{parts.hostname}{path}".lower()

    def joined(self, url: str) -> "Location":
        """Read the address of a submodule, which may be relative (`../other.git`). Raises `SourceInvalid`."""
        if not url.startswith(("./", "../")):
            return parse_location(url)
        base = self.address.rstrip("/") + "/"
        if self.is_local:
            return parse_location(os.path.normpath(os.path.join(base, url)))
        parts = urlsplit(base)
        return parse_location(urlunsplit((parts.scheme, parts.netloc, urljoin(parts.path, url), "", "")))


def without_users(text: str) -> str:
    """Take the user part out of every URL in a text."""
    return _USER_PART.sub("", text)


def parse_location(url: str) -> Location:
    """Read a repository's URL. Raises `SourceInvalid` when it cannot be fetched from, or holds credentials."""
    if not url or len(url) > URL_CHARACTERS:
        raise SourceInvalid(f"A repository URL has between 1 and {URL_CHARACTERS} characters", hint=ALLOWED_HINT)
    if any(ord(character) < 32 or ord(character) == 127 for character in url):
        raise SourceInvalid("The repository URL holds control characters", hint=ALLOWED_HINT)
    if url.startswith("/"):
        return _local(url)
    # A plain word before the colon is as likely a scheme.
    if (short := _SCP_LIKE.fullmatch(url)) is not None and ("@" in url or "." in short[1]):
        user = f"{url.partition('@')[0]}@" if "@" in url.partition(":")[0] else ""
        path = short[2] if short[2].startswith("/") else f"/~/{short[2]}"
        return parse_location(f"ssh://{user}{short[1]}{path}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SourceInvalid("The repository URL cannot be read", hint=ALLOWED_HINT) from error
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return _local(unquote(parts.path))
    if parts.scheme not in {"http", "https", "ssh"}:
        raise SourceInvalid(f"Cannot fetch from {without_users(url)!r}", hint=ALLOWED_HINT)
    if not parts.hostname or parts.query or parts.fragment:
        raise SourceInvalid("A repository URL names a host, and has no ? or # part", hint=ALLOWED_HINT)
    user = _user(parts.scheme, parts.username, parts.password)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.scheme == "ssh" and not (_HOST.fullmatch(parts.hostname) and len(parts.path) > 1):
        raise SourceInvalid("An ssh URL names a host and a path there", hint=ALLOWED_HINT)
    place = f"{user}{host}" if port is None else f"{user}{host}:{port}"
    address = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
    return Location(address, Transport.SSH if parts.scheme == "ssh" else Transport.HTTP)


def _user(scheme: str, username: str | None, password: str | None) -> str:
    """Return the user part to keep: the name of an ssh user is part of the address, everything else is secret."""
    if username is None and password is None:
        return ""
    if scheme != "ssh" or password is not None:
        raise SourceInvalid("A repository URL must not hold credentials", hint=CREDENTIALS_HINT)
    if not _SSH_USER.fullmatch(username or ""):
        raise SourceInvalid("The ssh URL's user name cannot be one", hint=ALLOWED_HINT)
    return f"{username}@"


def _local(path: str) -> Location:
    if "\0" in path:
        raise SourceInvalid("The repository's path holds a NUL character", hint=ALLOWED_HINT)
    return Location(os.path.normpath("/" + path.lstrip("/")), Transport.LOCAL)
