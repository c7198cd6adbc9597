"""Make tokens from this installation's key with HMAC-SHA256 (RFC 2104)."""

import base64
import hashlib
import hmac
import os

from ploinky.adapters.key_file import KEY_BYTES, read_or_make_key

TOKEN_CHARACTERS = 32


class HmacSigner:
    """The `Signer` port over a key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a signing key has {KEY_BYTES} bytes")
        self._key = key

    @classmethod
    def in_directory(cls, data_directory: str | os.PathLike[str]) -> "HmacSigner":
        """Use `{data}/keys/signing.key`, made when it is not there. Raises `DirectoryUnusable`."""
        return cls(read_or_make_key(os.path.join(os.path.abspath(data_directory), "keys", "signing.key")))

    def token(self, purpose: str, subject: str) -> str:
        # Lengths go in, so that no two pairs of texts are the same message.
        parts = [text.encode("utf-8", "surrogatepass") for text in (purpose, subject)]
        message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        digest = hmac.new(self._key, message, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode("ascii")[:TOKEN_CHARACTERS]

    def is_valid(self, purpose: str, subject: str, token: str) -> bool:
        expected = self.token(purpose, subject).encode("ascii")
        return hmac.compare_digest(expected, token.encode("utf-8", "surrogatepass"))
