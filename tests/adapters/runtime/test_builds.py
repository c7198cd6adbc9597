"""Images built from an agent's folder by a real engine: once for each source, from nothing outside it."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import msgspec
import pytest

from ploinky.adapters.debian_image import BASE_REFERENCE
from ploinky.adapters.docker_runtime import DockerRuntime
from ploinky.domain.errors import ImageUnavailable, RuntimeRefused
from ploinky.ports.images import LABEL_IMAGE_DEPLOYMENT, LABEL_IMAGE_JOURNAL, LABEL_IMAGE_SOURCE, BuildSpec

pytestmark = pytest.mark.docker

DOCKERFILE = f"FROM {BASE_REFERENCE}\nCOPY . /made\nRUN echo built > /made/proof\n"


@pytest.fixture
def runtime() -> Iterator[DockerRuntime]:
    runtime = DockerRuntime()
    runtime.resolve_image("", print)
    yield runtime
    runtime.close()


@pytest.fixture
def engine() -> Iterator["docker.APIClient"]:
    client = docker.APIClient()
    yield client
    client.close()


@pytest.fixture
def spec(tmp_path: Path, engine: "docker.APIClient") -> Iterator[BuildSpec]:
    """An agent's folder with a Dockerfile; what is built from it goes again."""
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    deployment = f"test{secrets.token_hex(6)}"
    spec = BuildSpec(
        reference=f"ploinky-agent/{deployment}:c0ffee-1",
        labels={LABEL_IMAGE_JOURNAL: "j1", LABEL_IMAGE_DEPLOYMENT: deployment, LABEL_IMAGE_SOURCE: "s1"},
        context_directory=str(folder),
        dockerfile="Dockerfile",
        limit_seconds=120.0,
    )
    yield spec
    try:
        engine.remove_image(spec.reference, force=True)
    except docker.errors.ImageNotFound:
        return


def files_in(engine: "docker.APIClient", reference: str) -> str:
    """List what a build put into `/made`."""
    made = engine.create_container(reference, ["sh", "-c", "cd /made && find . | sort && cat proof"])
    try:
        engine.start(made)
        engine.wait(made)
        return str(engine.logs(made).decode())
    finally:
        engine.remove_container(made, force=True)


def test_builds_and_tells_how_far_it_is(runtime: DockerRuntime, engine: "docker.APIClient", spec: BuildSpec) -> None:
    """The image has what the Dockerfile says, our labels, and its lines were told while it was built."""
    lines: list[str] = []
    image = runtime.build_image(spec, lines.append)
    assert image.reference == spec.reference
    found = engine.inspect_image(image.digest)
    assert spec.labels.items() <= found["Config"]["Labels"].items()
    assert files_in(engine, spec.reference) == ".\n./Dockerfile\n./proof\nbuilt\n"
    assert any("RUN echo built" in line for line in lines)


def test_the_same_source_is_built_once(runtime: DockerRuntime, spec: BuildSpec) -> None:
    """A second time, nothing is asked of the engine but whether it is there."""
    first = runtime.build_image(spec, print)
    lines: list[str] = []
    assert runtime.build_image(spec, lines.append) == first
    assert lines == []


def test_another_source_of_the_same_name_is_built(runtime: DockerRuntime, spec: BuildSpec) -> None:
    """A name proves nothing: the labels have to say the same."""
    first = runtime.build_image(spec, print)
    Path(spec.context_directory, "more").touch()
    other = msgspec.structs.replace(spec, labels={**spec.labels, LABEL_IMAGE_SOURCE: "s2"})
    assert runtime.build_image(other, print).digest != first.digest


def test_lists_and_removes_what_it_built(runtime: DockerRuntime, engine: "docker.APIClient", spec: BuildSpec) -> None:
    """By this journal's label alone; an image that a container uses stays, and nobody else's is ever listed."""
    journal = secrets.token_hex(6)
    spec = msgspec.structs.replace(spec, labels={**spec.labels, LABEL_IMAGE_JOURNAL: journal})
    image = runtime.build_image(spec, print)
    assert runtime.built_images(journal) == [image.digest]
    assert runtime.built_images("another") == []
    used = engine.create_container(spec.reference, ["true"])
    try:
        with pytest.raises(RuntimeRefused):
            runtime.remove_image(image.digest)
    finally:
        engine.remove_container(used)
    runtime.remove_image(image.digest)
    runtime.remove_image(image.digest)
    assert runtime.built_images(journal) == []


def test_fails_with_the_last_lines(runtime: DockerRuntime, spec: BuildSpec) -> None:
    """A step that fails ends the build with the engine's reason and what the step printed."""
    Path(spec.context_directory, "Dockerfile").write_text(f"FROM {BASE_REFERENCE}\nRUN echo almost && exit 3\n")
    with pytest.raises(ImageUnavailable, match="code: 3") as failed:
        runtime.build_image(spec, print)
    assert "almost\n" in str(failed.value.details["output"])


def test_ignores_what_is_to_be_ignored(runtime: DockerRuntime, engine: "docker.APIClient", spec: BuildSpec) -> None:
    """`.dockerignore` is honoured, and git's own folder never goes in."""
    folder = Path(spec.context_directory)
    (folder / ".dockerignore").write_text("# not these\n*.log\nsecret\n!keep.log\n")
    for name in ("a.log", "keep.log", "plain", "secret/inside", ".git/config"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    runtime.build_image(spec, print)
    listed = files_in(engine, spec.reference)
    assert "./keep.log" in listed
    assert "./plain" in listed
    assert not [name for name in ("a.log", "secret", ".git") if f"./{name}" in listed.splitlines()]
