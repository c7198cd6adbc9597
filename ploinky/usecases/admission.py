"""Who is asking, and may they."""

from typing import NamedTuple

from ploinky.domain.access import opens, parse_key
from ploinky.domain.errors import Denied, Unauthenticated
from ploinky.domain.source_urls import Location, parse_location
from ploinky.views.views import Views

PUBLIC = "public"
KEY_PREFIX = "plk_"
SERVER = "server"
"""The actor of what the server does for itself, such as deploying the demo."""


class Principal(NamedTuple):
    """Somebody known: the holder of an admin key."""

    key_id: str

    @property
    def actor(self) -> str:
        """Return the name that events carry."""
        return f"key:{self.key_id}"


def authenticate(views: Views, api_key: str, authorization: str) -> Principal | None:
    """Return who presents a valid key, as `X-API-Key` or `Authorization: Bearer`; None for everybody else."""
    text = api_key
    if not text and authorization[:7].lower() == "bearer ":
        text = authorization[7:].strip()
    parsed = parse_key(text) if text.startswith(KEY_PREFIX) else None
    if parsed is None:
        return None
    key_id, secret = parsed
    key = views.access.get(key_id)
    return Principal(key_id) if key is not None and opens(key, secret) else None


def locate(url: str, actor: str, *, allow_local: bool) -> Location:
    """Read the address of a repository that somebody names. Raises `SourceInvalid`, or `Denied` for a local path.

    A path of this machine lets the server's own user read what is there, so it takes an administrator, or the
    operator's word (`allowLocalRepositories`). Today every key is an administrator's.
    """
    location = parse_location(url)
    if location.is_local and not (allow_local or actor.startswith("key:") or actor == SERVER):
        raise Denied("Only an administrator may name a repository on the server's own disk")
    return location


def admit(principal: Principal | None, access: str) -> None:
    """Let a caller through to a deployment, or raise `Unauthenticated`. An admin key has every permission."""
    if access != PUBLIC and principal is None:
        raise Unauthenticated("This deployment is not public: a valid key is needed")
