"""What every command is."""

from typing import ClassVar

import msgspec


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Something somebody wants. `subject_id` is the aggregate's id; for what is new, the caller minted it."""

    KIND: ClassVar[str]
    subject_id: str
