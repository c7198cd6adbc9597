"""An admin key: what is kept of it, and how its text is made and read.

Text: `plk_<id>_<secret>_<checksum>`; id of 12, secret of 40, checksum of 6 letters and digits. The checksum lets a
mistyped key be told from a wrong one without a look-up, and lets scanners recognise a leaked key.
"""

import re
import zlib
from hashlib import sha256
from hmac import compare_digest

import msgspec

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Decider, Decision, refuse_unknown
from ploinky.domain.errors import AlreadyInitialised, Conflict, KeyNotFound
from ploinky.domain.indexes import Indexes

KEY_ID_CHARACTERS = 12
KEY_SECRET_CHARACTERS = 40
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(
    rf"plk_([0-9A-Za-z]{{{KEY_ID_CHARACTERS}}})_([0-9A-Za-z]{{{KEY_SECRET_CHARACTERS}}})_([0-9A-Za-z]{{6}})"
)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one key."""

    name: str = ""
    secret_sha256: str = ""
    """Empty before it is issued."""
    reason: str = ""
    is_revoked: bool = False


def decide(command: c.Command, state: Key, indexes: Indexes) -> Decision:
    """Decide on a key's command."""
    match command:
        case c.IssueKey():
            if command.reason == "init" and indexes.is_initialised:
                raise AlreadyInitialised
            if state.secret_sha256:
                raise Conflict("This key exists already", key=command.subject_id)
            return [e.KeyIssued(name=command.name, secret_sha256=command.secret_sha256, reason=command.reason)]
        case c.RevokeKey():
            if not state.secret_sha256:
                raise KeyNotFound(key=command.subject_id)
            return [] if state.is_revoked else [e.KeyRevoked()]
        case _:
            return refuse_unknown(command)


def evolve(state: Key, event: e.Event) -> Key:
    """Fold one event in."""
    match event:
        case e.KeyIssued():
            return Key(name=event.name, secret_sha256=event.secret_sha256, reason=event.reason)
        case e.KeyRevoked():
            return msgspec.structs.replace(state, is_revoked=True)
        case _:
            return state


def key_text(random: bytes) -> tuple[str, str]:
    """Make a key's text from at least 52 random bytes; return its id and the text.

    Each character takes one byte modulo 62: 40 characters keep over 230 bits. Raises `ValueError` for fewer bytes.
    """
    if len(random) < KEY_ID_CHARACTERS + KEY_SECRET_CHARACTERS:
        raise ValueError("a key needs more random bytes")
    letters = "".join(_ALPHABET[byte % 62] for byte in random[: KEY_ID_CHARACTERS + KEY_SECRET_CHARACTERS])
    key_id, secret = letters[:KEY_ID_CHARACTERS], letters[KEY_ID_CHARACTERS:]
    return key_id, f"plk_{key_id}_{secret}_{_checksum(key_id, secret)}"


def parse_key(text: str) -> tuple[str, str] | None:
    """Return a key's id and secret, or None when the text is no key (form or checksum)."""
    form = _FORM.fullmatch(text)
    if form is None or not compare_digest(form[3], _checksum(form[1], form[2])):
        return None
    return form[1], form[2]


def secret_digest(secret: str) -> str:
    """Return what is kept of a secret. It is random and long, so a plain digest cannot be guessed from."""
    return sha256(secret.encode()).hexdigest()


def opens(state: Key, secret: str) -> bool:
    """Tell whether a secret is this key's, in constant time, and the key is not revoked."""
    return compare_digest(state.secret_sha256 or "-", secret_digest(secret)) and not state.is_revoked


def _checksum(key_id: str, secret: str) -> str:
    number = zlib.crc32(f"{key_id}_{secret}".encode())
    digits = []
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(digits)


ACCESS = Decider("access", Key(), decide, evolve)
