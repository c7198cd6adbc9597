"""Everything that can happen to a registry of images. Read through `ploinky.domain.events`, where all events are."""

from ploinky.domain.event import Event


class RegistryAdded(Event, frozen=True, kw_only=True):
    """It is known who asks a registry of images. Recorded again when that changes."""

    TYPE = "registry.added"
    username: str
    secret: str
    """The id of the password's version."""


class RegistryRemoved(Event, frozen=True, kw_only=True):
    """Nobody in particular asks it any more."""

    TYPE = "registry.removed"
