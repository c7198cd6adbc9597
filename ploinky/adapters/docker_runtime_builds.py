"""Build an image from an agent's Dockerfile."""

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from docker import errors as engine
from docker.auth import AuthConfig

from ploinky.adapters.docker_runtime_context import pack_context
from ploinky.adapters.docker_runtime_errors import reason_of, translated
from ploinky.domain.errors import ImageUnavailable
from ploinky.ports.images import USUAL_REGISTRY, BuildSpec, RegistryLogin
from ploinky.ports.runtime import Progress

SILENCE_SECONDS = 600.0
"""How long one step of a build may say nothing."""
KEPT_LINES = 40
LINE_CHARACTERS = 300
BUILD_MEMORY_BYTES = 2 << 30

_UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def build_image(connect: Callable[[], Any], spec: BuildSpec, progress: Progress) -> None:
    """Have the engine build; `connect` makes a client for this build alone.

    **Raises** `ImageUnavailable` with the engine's reason and the last lines as the detail `output`.
    """
    client = connect()
    try:
        with pack_context(spec.context_directory, spec.dockerfile) as context, translated(f"build {spec.reference}"):
            client._auth_configs = _logins(spec.logins)  # noqa: SLF001 - the library reads a file of the user's otherwise
            messages = client.build(
                fileobj=context,
                custom_context=True,
                dockerfile=spec.dockerfile,
                tag=spec.reference,
                labels=dict(spec.labels),
                rm=True,
                forcerm=True,
                decode=True,
                timeout=SILENCE_SECONDS,
                container_limits={"memory": BUILD_MEMORY_BYTES, "memswap": BUILD_MEMORY_BYTES},
            )
            _follow(messages, spec, progress)
    finally:
        client.close()


def _follow(messages: Iterator[object], spec: BuildSpec, progress: Progress) -> None:
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    deadline = time.monotonic() + spec.limit_seconds
    failure = ""
    try:
        for message in messages:
            if isinstance(message, Mapping):
                failure = str(message.get("error") or failure)
                for line in _lines_of(message):
                    lines.append(line)
                    progress(f"building: {line}")
            if time.monotonic() > deadline:
                raise _failed(f"it did not end within {spec.limit_seconds:g} s", lines)
    except engine.APIError as error:
        raise _failed(reason_of(error), lines) from error
    if failure:
        raise _failed(failure, lines)


def _lines_of(message: Mapping[str, object]) -> list[str]:
    text = message.get("stream") or message.get("status") or ""
    shown = (_UNPRINTABLE.sub("", line).strip()[:LINE_CHARACTERS] for line in str(text).splitlines())
    return [line for line in shown if line]


def _failed(reason: str, lines: deque[str]) -> ImageUnavailable:
    hint = "Its last lines are attached." if lines else "Look at the agent's Dockerfile."
    output = "".join(f"{line}\n" for line in lines)
    return ImageUnavailable(f"the agent's Dockerfile cannot be built: {reason[:500]}", hint=hint, output=output)


def _logins(logins: tuple[RegistryLogin, ...]) -> AuthConfig:
    return AuthConfig({"auths": {_known_as(login.host): auth_of(login) for login in logins}})


def _known_as(host: str) -> str:
    """Return the key under which engines look: the usual registry has an older name. **Source**: docker/cli."""
    return "https://index.docker.io/v1/" if host == USUAL_REGISTRY else host


def auth_of(login: RegistryLogin) -> dict[str, str]:
    """Return what the library makes the header of a call from."""
    return {"username": login.username, "password": login.password, "serveraddress": login.host}
