"""What every event is."""

from typing import ClassVar

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened."""

    TYPE: ClassVar[str]
    SCHEMA: ClassVar[int] = 1
