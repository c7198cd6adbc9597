"""Images from a registry that wants a password: asked with it, found again by digest, and never told about it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ploinky.adapters.docker_runtime import DockerRuntime
from ploinky.domain.errors import ImageUnavailable
from ploinky.domain.specs import PinnedImage
from tests.adapters.runtime.registry import PASSWORD, LocalRegistry, local_registry

pytestmark = [pytest.mark.docker, pytest.mark.registry]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    with local_registry(tmp_path_factory.mktemp("registry") / "folder") as registry:
        yield registry


@pytest.fixture
def runtime() -> Iterator[DockerRuntime]:
    runtime = DockerRuntime()
    yield runtime
    runtime.close()


def test_pulls_with_the_password(registry: LocalRegistry, runtime: DockerRuntime) -> None:
    """With the right login the image comes, with its content id and the digest its registry knows it by."""
    digest = registry.push("opened", "1")
    image = runtime.resolve_image(f"{registry.host}/opened:latest", print, login=registry.login)
    assert image.digest == digest
    assert image.repository_digest.startswith(f"{registry.host}/opened@sha256:")


@pytest.mark.parametrize("is_wrong", [False, True])
def test_is_refused_without_it(
    registry: LocalRegistry, runtime: DockerRuntime, caplog: pytest.LogCaptureFixture, is_wrong: bool
) -> None:
    """Without a login, or with a wrong one, the registry's reason comes back with what to do, and no password."""
    registry.push("closed", "1")
    login = msgspec.structs.replace(registry.login, password=f"not-{PASSWORD}") if is_wrong else None
    lines: list[str] = []
    with caplog.at_level(logging.DEBUG), pytest.raises(ImageUnavailable) as refused:
        runtime.resolve_image(f"{registry.host}/closed:latest", lines.append, login=login)
    assert f"ploinky registry add {registry.host}" in refused.value.advice
    said = f"{refused.value.message} {refused.value.details} {lines} {caplog.text} {login!r}"
    assert PASSWORD not in said


def test_a_moved_tag_is_followed_only_when_asked(registry: LocalRegistry, runtime: DockerRuntime) -> None:
    """What a tag stands for here stays until somebody asks for it anew."""
    reference = f"{registry.host}/moving:latest"
    first = registry.push("moving", "1")
    assert runtime.resolve_image(reference, print, login=registry.login).digest == first
    pulled = registry.client.inspect_image(reference)["Id"]
    registry.client.tag(reference, f"{registry.host}/kept", "1")
    second = registry.push("moving", "2")
    registry.client.tag(pulled, f"{registry.host}/moving", "latest")
    assert runtime.resolve_image(reference, print, login=registry.login).digest == first
    assert runtime.resolve_image(reference, print, is_renewed=True, login=registry.login).digest == second
    registry.forget(f"{registry.host}/kept:1")


def test_what_is_here_serves_when_the_registry_is_away(runtime: DockerRuntime, tmp_path: Path) -> None:
    """A registry that does not answer keeps nobody from deploying what the engine has, and that is said."""
    with local_registry(tmp_path / "short-lived") as registry:
        reference = f"{registry.host}/away:latest"
        digest = registry.push("away", "1")
        runtime.resolve_image(reference, print, login=registry.login)
        registry.stop()
        lines: list[str] = []
        assert runtime.resolve_image(reference, lines.append, is_renewed=True).digest == digest
        assert lines[-1].endswith("what is here serves")


def test_a_release_finds_its_image_again(registry: LocalRegistry, runtime: DockerRuntime) -> None:
    """By digest from the registry, though the tag has moved and the engine has forgotten the image."""
    reference = f"{registry.host}/restored:latest"
    registry.push("restored", "1")
    image = runtime.resolve_image(reference, print, login=registry.login)
    pin = PinnedImage(runtime="docker", digest=image.digest, repository_digest=image.repository_digest)
    registry.push("restored", "2")
    registry.forget(image.digest)
    assert runtime.restore_image(reference, pin, registry.login) == image
    assert runtime.restore_image(reference, pin) == image, "it is here now, so nobody has to be asked"


def test_what_cannot_be_had_again_is_none(registry: LocalRegistry, runtime: DockerRuntime) -> None:
    """Neither here nor in the registry: never something else of the same name."""
    registry.push("lost", "2")
    nothing = "sha256:" + "0" * 64
    pin = PinnedImage(runtime="docker", digest=nothing, repository_digest=f"{registry.host}/lost@{nothing}")
    assert runtime.restore_image(f"{registry.host}/lost:latest", pin, registry.login) is None
