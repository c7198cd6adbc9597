"""What is said to an engine about images: who asks a registry, and what to build."""

import re
from collections.abc import Mapping

import msgspec

USUAL_REGISTRY = "docker.io"
"""Asked for images whose name has no host. **Source**: the engines' own reference syntax."""
LABEL_IMAGE_JOURNAL = "ploinky.image.journal"
"""Whose image it is. Not the label of instances: a container has the labels of its image, whoever runs it."""
LABEL_IMAGE_DEPLOYMENT = "ploinky.image.deployment"
LABEL_IMAGE_SOURCE = "ploinky.image.source"

_DIGEST_TAIL = re.compile(r"@sha256:[0-9a-f]{64}\Z")


class RegistryLogin(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks a registry. Travels in the header of one call and is kept nowhere."""

    host: str
    username: str
    password: str

    def __repr__(self) -> str:
        """Show whose it is and not what it is."""
        return f"RegistryLogin(host={self.host!r})"


class BuildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An image to be built from an agent's folder."""

    reference: str
    """Deterministic: the same source has the same name, so that it is built once."""
    labels: Mapping[str, str]
    """`LABEL_IMAGE_*`: by which it is known again, and who may remove it."""
    context_directory: str
    dockerfile: str
    """Its path in there."""
    limit_seconds: float
    logins: tuple[RegistryLogin, ...] = ()
    """For the images it is built from."""


def registry_of(reference: str) -> str:
    """Return the host that has an image: what comes before the first slash, if it looks like one."""
    host, slash, _ = reference.partition("/")
    is_host = bool(slash) and ("." in host or ":" in host or host == "localhost")
    return host if is_host else USUAL_REGISTRY


def is_moving(reference: str) -> bool:
    """Tell whether a reference is expected to stand for newer images later: no digest, and a tag without a number."""
    if not reference or _DIGEST_TAIL.search(reference):
        return False
    tag = reference.rpartition("/")[2].partition(":")[2]
    return not any(character.isdecimal() for character in tag)
