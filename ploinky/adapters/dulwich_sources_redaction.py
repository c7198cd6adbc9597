"""Take credentials out of texts, wherever a server or a library may have put them."""

from base64 import b64encode

from ploinky.domain.source_urls import without_users
from ploinky.ports.sources import Credentials

SECRET_CHARACTERS = 4
"""Shorter ones stand in ordinary words."""


def redacted(text: str, credentials: Credentials | None) -> str:
    """Replace passwords and keys, also as a header carries them, and the user part of URLs."""
    if credentials is not None:
        pair = f"{credentials.username}:{credentials.password}"
        for secret in (credentials.password, b64encode(pair.encode()).decode(), credentials.ssh_key.strip()):
            if len(secret) >= SECRET_CHARACTERS:
                text = text.replace(secret, "***")
    return without_users(text)
