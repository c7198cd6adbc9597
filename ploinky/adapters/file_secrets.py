"""Keep secrets in files, encrypted with AES-256-GCM."""

import errno
import os
import re
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ploinky.adapters.key_file import has_key, read_or_make_key, sync_directory
from ploinky.domain.errors import DirectoryUnusable, Invalid, SecretNotFound, SecretUnreadable, StorageFull

SECRET_BYTES = 65_536
NONCE_BYTES = 12
TAG_BYTES = 16

_VERSION = re.compile(r"[0-9a-f]{32}")


class FileSecrets:
    """The `SecretStore` port: nonce and ciphertext in `secrets/{version id}`, the key in `keys/secrets.key`.

    The version id is authenticated too, so that a file moved over another one does not read as that other secret.
    Raises `SecretUnreadable` when there are secrets but their key is gone: a new key would make the loss look normal.
    """

    def __init__(self, data_directory: str | os.PathLike[str]) -> None:
        data = os.path.abspath(data_directory)
        self._directory = os.path.join(data, "secrets")
        key_path = os.path.join(data, "keys", "secrets.key")
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            has_secrets = bool(self._tidied())
        except OSError as error:
            raise DirectoryUnusable(f"{self._directory} cannot be used ({error.strerror})") from error
        if has_secrets and not has_key(key_path):
            raise SecretUnreadable(f"There are secrets, but not their key {key_path}")
        self._cipher = AESGCM(read_or_make_key(key_path))

    def put(self, value: bytes) -> str:
        if len(value) > SECRET_BYTES:
            raise Invalid(f"A secret has at most {SECRET_BYTES} bytes")
        version_id = secrets.token_hex(16)
        nonce = os.urandom(NONCE_BYTES)
        content = nonce + self._cipher.encrypt(nonce, value, version_id.encode())
        aside = self._path(version_id) + ".tmp"
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(aside, self._path(version_id))
            sync_directory(self._directory)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StorageFull from error
            raise DirectoryUnusable(f"{self._directory} cannot be written ({error.strerror})") from error
        return version_id

    def get(self, version_id: str) -> bytes:
        if not _VERSION.fullmatch(version_id):
            raise SecretNotFound
        try:
            descriptor = os.open(self._path(version_id), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                content = file.read(NONCE_BYTES + SECRET_BYTES + TAG_BYTES + 1)
        except FileNotFoundError as error:
            raise SecretNotFound from error
        except OSError as error:
            raise SecretUnreadable(f"Secret {version_id} cannot be read ({error.strerror})") from error
        try:
            return self._cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], version_id.encode())
        except (InvalidTag, ValueError) as error:
            raise SecretUnreadable(f"Secret {version_id} does not authenticate under this key") from error

    def remove(self, version_id: str) -> None:
        if not _VERSION.fullmatch(version_id):
            return
        try:
            os.unlink(self._path(version_id))
        except FileNotFoundError:
            return
        sync_directory(self._directory)

    def _path(self, version_id: str) -> str:
        return os.path.join(self._directory, version_id)

    def _tidied(self) -> list[str]:
        """Return the versions there are, removing what a crash left half written."""
        names = os.listdir(self._directory)
        for name in names:
            if name.endswith(".tmp"):
                os.unlink(os.path.join(self._directory, name))
        return [name for name in names if _VERSION.fullmatch(name)]
