"""Which deployment a host and path belong to: exact first, then the longest prefix of whole segments.

Hosts: exact, then a one-level wildcard (`*.example.com`), then the catch-all `*`. The raw path decides: a
percent-encoded slash does not make a segment.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from ploinky.domain.errors import Invalid
from ploinky.domain.specs import DOMAIN_LIMIT_CHARACTERS, PATH_LIMIT_CHARACTERS

RESERVED_PATHS = ("/management", "/auth", "/client")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?:\*|(?:\*\.)?{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])")
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")


class Route(NamedTuple):
    """Where a deployment answers."""

    domain: str
    path: str
    """Starts with `/`; no `/` at the end, except for the root itself."""


class Match(NamedTuple):
    """The deployment that answers, and what of the path lies below it."""

    deployment_id: str
    route: Route
    rest: str
    """Empty, or starts with `/`."""


def parse_route(domain: str, path: str) -> Route:
    """Validate and normalise a route as given by a person.

    Raises `Invalid` for a domain that is no host name (`name`, `*.name`, `*`; no port) or a path that cannot be one.
    """
    host = domain.strip().lower().rstrip(".")
    if len(host) > DOMAIN_LIMIT_CHARACTERS or not _DOMAIN.fullmatch(host):
        raise Invalid(
            f"{domain!r} is not a domain",
            hint="Use a host name without a port, `*.example.com`, or `*`.",
            domain=domain,
        )
    if not path.startswith("/") or len(path) > PATH_LIMIT_CHARACTERS:
        raise Invalid(f"{path!r} is not a path", hint="A path starts with `/`.", path=path)
    trimmed = path.rstrip("/") or "/"
    for segment in trimmed.split("/")[1:] if trimmed != "/" else ():
        if segment in {".", ".."} or not _SEGMENT.fullmatch(segment):
            raise Invalid(
                f"{path!r} is not a path", hint="Use plain URL segments, no empty ones and no dots.", path=path
            )
    if any(trimmed == reserved or trimmed.startswith(reserved + "/") for reserved in RESERVED_PATHS):
        raise Invalid(f"{path!r} is reserved", hint=f"Reserved are {', '.join(RESERVED_PATHS)}.", path=path)
    return Route(host, trimmed)


def host_without_port(host: str) -> str:
    """Reduce a Host header to the name it asks for, in lower case."""
    name = host.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0].rstrip(".")


class RouteTable:
    """An immutable look-up from host and path to deployment."""

    def __init__(self, routes: Iterable[tuple[Route, str]] = ()) -> None:
        """Build from `(route, deployment id)` pairs; routes are unique."""
        self._by_host: dict[str, dict[str, str]] = {}
        for route, deployment_id in routes:
            self._by_host.setdefault(route.domain, {})[route.path] = deployment_id

    def match(self, host: str, path: str) -> Match | None:
        """Find who answers. `host` is without port and in lower case, `path` is raw."""
        for candidate in (host, "*." + host.partition(".")[2], "*"):
            paths = self._by_host.get(candidate)
            if paths and (found := _longest_prefix(paths, path)):
                prefix = "" if found == "/" else found
                return Match(paths[found], Route(candidate, found), path[len(prefix) :])
        return None


def _longest_prefix(paths: dict[str, str], path: str) -> str | None:
    # No route is longer than the limit; a request's path may be, and looking at each of its prefixes takes long.
    prefix = path if len(path) <= PATH_LIMIT_CHARACTERS else path[: PATH_LIMIT_CHARACTERS + 1].rpartition("/")[0]
    while prefix:
        if prefix in paths:
            return prefix
        prefix = prefix.rpartition("/")[0]
    return "/" if "/" in paths else None
