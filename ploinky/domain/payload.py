"""Content that travels beside an event and can be deleted without breaking the chain."""

from hashlib import sha256
from typing import NamedTuple

import msgspec


class PayloadReference(msgspec.Struct, frozen=True):
    """What an event keeps of a payload: enough to prove it later, nothing to guess it from."""

    payload_bytes: int
    digest: str
    """SHA-256 over salt and content, in hex. The salt is stored with the payload and goes when it goes."""


class Payload(NamedTuple):
    """Content with the salt minted for it, made at the edge."""

    salt: bytes
    content: bytes | None
    """None when the bytes lie in the blob file named by `blob`."""
    blob: str | None
    reference: PayloadReference


def inline_payload(content: bytes, salt: bytes) -> Payload:
    """Make a payload that is stored in the journal's own file."""
    return Payload(salt, content, None, PayloadReference(len(content), _digest(content, salt)))


def blob_payload(content: bytes, salt: bytes, blob: str) -> Payload:
    """Make a payload whose content was stored as a blob before."""
    return Payload(salt, None, blob, PayloadReference(len(content), _digest(content, salt)))


def _digest(content: bytes, salt: bytes) -> str:
    return sha256(salt + content).hexdigest()
