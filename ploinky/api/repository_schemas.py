"""The shapes of repositories, as the API answers with and reads them."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from ploinky.api.schemas import CredentialsRequest, Wire


class CacheShape(Wire):
    """What is known of a repository's cache."""

    last_fetch_at: datetime | None
    heads: dict[str, str]
    """The commit fetched last, by what was asked for."""
    ttl_seconds: float
    size_bytes: int
    last_error: str


class RepositoryShape(Wire):
    """A repository known by a name."""

    name: str
    url: str
    branch: str | None
    credentials: Literal["none", "basic", "token", "sshKey"] = "none"
    """Their kind; themselves they are never shown."""
    username: str = ""
    has_webhook_secret: bool = False
    poll_seconds: int = 0
    cache: CacheShape | None = None


class RepositoryUpdateShape(Wire):
    """What a fetch brought."""

    name: str
    before: str | None
    commit: str
    is_from_cache: bool
    age_seconds: float | None
    reason: str
    changes: list[str]
    """`+ path`, `- path` or `~ path`; empty for the first fetch."""
    warnings: list[str]


class AgentShape(Wire):
    """An agent of a repository, as its manifest says."""

    name: str
    about: str
    commands: list[str]
    error: str
    """Why its manifest cannot be used; empty when it can."""


class RepositoryRequest(Wire, forbid_unknown_fields=True):
    """What `POST /repositories` reads."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
    url: Annotated[str, msgspec.Meta(max_length=2_000)]
    branch: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    credentials: CredentialsRequest | None = None
    webhook_secret: str | None = None
    """Signs deliveries; at least 16 characters. Empty = take none any more."""
    poll_seconds: int | None = None
    """Between two looks at its branches, at least 30; 0 = none."""


class DeliveryShape(Wire):
    """What became of a webhook's delivery."""

    event: str
    delivery: str
    repositories: list[str]
    branch: str
    commit: str
    deployments: list[str]
    """Those that were told to follow."""
    ignored: str
    """Why nothing was done; empty when it was."""
