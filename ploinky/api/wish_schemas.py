"""The shapes of changes to a deployment, and of what it was before."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from ploinky.api.schemas import CredentialsRequest, LastRollout, Wire


class ChangeRequest(Wire, forbid_unknown_fields=True):
    """What `PUT /deployments/{id}` reads: what is left out stays; null gives the decision back to the manifest."""

    branch: str | UnsetType | None = UNSET
    """Gives up the revision."""
    revision: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | UnsetType | None = UNSET
    """Gives up the branch."""
    subfolder: Annotated[str, msgspec.Meta(max_length=1_000)] | UnsetType = UNSET
    credentials: CredentialsRequest | None = None
    runtime: Literal["auto", "docker", "podman", "process"] | UnsetType = UNSET
    image: str | UnsetType | None = UNSET
    access: Annotated[str, msgspec.Meta(max_length=128)] | UnsetType | None = UNSET
    concurrency: int | UnsetType | None = UNSET
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | UnsetType | None = UNSET
    replicas: int | UnsetType = UNSET
    env: dict[str, str | None] | None = None
    """Variables to set; null takes one away. Those not named stay."""
    secrets: dict[str, str | None] | None = None


class RollbackRequest(Wire, forbid_unknown_fields=True):
    """What `POST /deployments/{id}/rollback` reads."""

    to_generation: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None
    """None = what the newest change replaced."""


class ScaleRequest(Wire, forbid_unknown_fields=True):
    """What `POST /deployments/{id}/scale` reads."""

    replicas: int


class ReleaseShape(Wire):
    """A release that serves or served, and can be gone back to."""

    generation: int
    is_active: bool
    reason: str
    actor: str
    """Who asked for it; empty when that is too long ago."""
    switched_at: datetime
    commit: str
    branch: str | None
    revision: str | None
    runtime: str
    image: str
    digest: str
    """What the image's name stood for, by the engine's content id; empty where there are no images."""
    access: str
    concurrency: int
    replicas: int
    """As wanted when it was rolled out; going back to it keeps the present number."""


class HistoryShape(Wire):
    """The releases kept, newest first, and how the newest rollout ended."""

    data: list[ReleaseShape]
    last_rollout: LastRollout | None
