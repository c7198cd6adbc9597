"""Whether a release's image is named or built."""

import pytest

from ploinky.domain.errors import ManifestInvalid
from ploinky.domain.manifest import Manifest
from ploinky.domain.release import ReleaseDefaults, release_of
from ploinky.domain.specs import DeploymentSpec
from ploinky.ports.images import RegistryLogin, is_moving, registry_of

SPEC = DeploymentSpec(agent="a", repository="/a")


@pytest.mark.parametrize(
    ("asked", "manifest", "has_dockerfile", "expected"),
    [
        (None, Manifest(), False, ("", "")),
        (None, Manifest(), True, ("", "Dockerfile")),
        (None, Manifest(image="shop:1"), True, ("shop:1", "")),
        (None, Manifest(image="Dockerfile"), True, ("", "Dockerfile")),
        (None, Manifest(container="./Dockerfile"), True, ("", "Dockerfile")),
        ("own:2", Manifest(image="Dockerfile"), True, ("own:2", "")),
        ("own:2", Manifest(), True, ("own:2", "")),
    ],
)
def test_a_named_image_wins_over_a_dockerfile(
    asked: str | None, manifest: Manifest, has_dockerfile: bool, expected: tuple[str, str]
) -> None:
    """The deployer's image, then the manifest's, then a Dockerfile that is there, then the base image."""
    spec = DeploymentSpec(agent="a", repository="/a", image=asked)
    release = release_of(spec, manifest, "c1", ReleaseDefaults(1.0, 1.0), has_dockerfile=has_dockerfile)
    assert (release.image, release.dockerfile) == expected


def test_refuses_a_dockerfile_that_is_not_there() -> None:
    """A manifest that asks for a build needs something to build."""
    with pytest.raises(ManifestInvalid, match="Dockerfile"):
        release_of(SPEC, Manifest(image="Dockerfile"), "c1", ReleaseDefaults(1.0, 1.0))


@pytest.mark.parametrize(
    ("reference", "host"),
    [
        ("python:3", "docker.io"),
        ("library/python", "docker.io"),
        ("docker.io/library/python", "docker.io"),
        ("images.example.com/a/b:1", "images.example.com"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000"),
        ("localhost/a", "localhost"),
    ],
)
def test_finds_the_registry_in_a_name(reference: str, host: str) -> None:
    """What comes before the first slash is a host if it looks like one."""
    assert registry_of(reference) == host


@pytest.mark.parametrize("reference", ["a", "a:latest", "host:5000/a", "host:5000/a:stable"])
def test_a_tag_without_a_number_moves(reference: str) -> None:
    """So does no tag at all; a port is no tag."""
    assert is_moving(reference)


@pytest.mark.parametrize("reference", ["", "a:1", "a:3-slim", "host/a:v2", "a@sha256:" + "a" * 64])
def test_a_version_or_digest_does_not_move(reference: str) -> None:
    """A tag with a number is taken for a version."""
    assert not is_moving(reference)


def test_a_login_does_not_show_its_password() -> None:
    """Not even where somebody prints it by mistake."""
    login = RegistryLogin(host="h", username="robot", password="hunter2")
    assert "hunter2" not in f"{login!r} {login}"
