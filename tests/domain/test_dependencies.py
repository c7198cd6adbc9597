"""What has to be installed is read from the agent's folder, and a digest names exactly that."""

import pytest

from ploinky.domain.dependencies import (
    InstallPlace,
    InstallStep,
    dependencies_digest,
    folder_digest,
    install_steps,
)
from ploinky.domain.errors import SourceInvalid
from ploinky.domain.manifest import Manifest, parse_manifest
from ploinky.domain.specs import PinnedImage

REQUIREMENTS = {"requirements.txt": b"requests==2.0\n"}
PIP = InstallStep("pip", ("python3", "-m", "pip", "install", "-r", "requirements.txt"))


def digest(files: dict[str, bytes], manifest: Manifest | None = None, commit: str = "c1", **settings: str) -> str:
    return dependencies_digest(install_steps(files, manifest or Manifest()), files, commit, settings)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"requirements.txt": b""},
        {"requirements.txt": b"\n  # nothing yet\n"},
        {"package.json": b"{}"},
        {"package.json": b'{"dependencies": {}, "devDependencies": {"jest": "1"}}'},
    ],
)
def test_an_agent_that_needs_nothing_has_no_steps(files: dict[str, bytes]) -> None:
    """Files that name nothing ask for nothing, and so does their absence."""
    assert install_steps(files, Manifest()) == ()
    assert digest(files) == ""


def test_requirements_are_installed_with_pip() -> None:
    """`requirements.txt` is handed to pip in the agent's folder, where its relative paths begin."""
    assert install_steps(REQUIREMENTS, Manifest()) == (PIP,)


@pytest.mark.parametrize(("lock", "verb"), [(None, "install"), ("package-lock.json", "ci")])
def test_packages_are_installed_with_npm(lock: str | None, verb: str) -> None:
    """`package.json` is handed to npm where its result shall lie; a lock file is obeyed to the letter."""
    files = {"package.json": b'{"dependencies": {"left-pad": "1"}}', **({lock: b"{}"} if lock else {})}
    (step,) = install_steps(files, Manifest())
    assert step.place is InstallPlace.DEPENDENCIES
    assert step.command[:3] == ("npm", verb, "--omit=dev")


def test_hooks_surround_the_installers() -> None:
    """The manifest's hooks run in the order that their names promise."""
    manifest = parse_manifest(b'{"install": "make all", "preinstall": ["a", "b"], "postinstall": "c"}')
    names = [step.name for step in install_steps(REQUIREMENTS, manifest)]
    assert names == ["preinstall", "pip", "install", "postinstall"]
    assert manifest.warnings == ()


def test_refuses_a_hook_written_for_a_shell() -> None:
    """No shell reads a hook: one that needs it is told how to ask for it."""
    manifest = parse_manifest(b'{"install": "npm install && npm run build"}')
    with pytest.raises(SourceInvalid, match="&&") as refused:
        install_steps({}, manifest)
    assert '["sh", "-c"' in refused.value.advice


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_refuses_a_package_file_that_cannot_be_read(content: bytes) -> None:
    """A broken `package.json` ends the deploy with its name."""
    with pytest.raises(SourceInvalid, match=r"package\.json"):
        install_steps({"package.json": content}, Manifest())


def test_refuses_packages_that_npm_cannot_reach() -> None:
    """A dependency on a folder of the repository is refused, not left out."""
    with pytest.raises(SourceInvalid, match="shared"):
        install_steps({"package.json": b'{"dependencies": {"shared": "file:./shared"}}'}, Manifest())


def test_the_same_needs_have_the_same_digest() -> None:
    """Requirements from an index do not depend on the commit, so that the next commit finds them installed."""
    assert digest(REQUIREMENTS, commit="c1") == digest(REQUIREMENTS, commit="c2") != ""


@pytest.mark.parametrize(
    "line", ["./vendor/x.whl", "vendor/x-1.0-py3-none-any.whl", "-r more.txt", "-e .", "x @ file:///agent/x", "/x.whl"]
)
def test_files_of_the_repository_make_the_commit_count(line: str) -> None:
    """A requirement that is a file may change with every commit."""
    files = {"requirements.txt": line.encode()}
    assert digest(files, commit="c1") != digest(files, commit="c2")


def test_a_hook_makes_the_commit_count() -> None:
    """A hook may read anything in the folder."""
    manifest = Manifest(install=("make",))
    assert digest({}, manifest, "c1") != digest({}, manifest, "c2")
    assert digest({}, manifest, "c1") != digest({}, Manifest(install=("make", "more")), "c1")


def test_everything_that_matters_changes_the_digest() -> None:
    """Contents, lock files and the choice of an index count; other variables of the agent do not."""
    locked = {**REQUIREMENTS, "package-lock.json": b"{}"}
    plain = digest(REQUIREMENTS)
    assert digest({"requirements.txt": b"requests==2.1\n"}) != plain
    assert digest(locked) != plain
    assert digest(REQUIREMENTS, PIP_INDEX_URL="http://127.0.0.1/simple") != plain
    assert digest(REQUIREMENTS, GREETING="hello") == plain


def test_each_image_has_a_folder_of_its_own() -> None:
    """What was compiled for one image is not used in another, nor in another runtime."""
    pins = [PinnedImage(runtime=kind, digest=image) for kind in ("docker", "podman") for image in ("sha256:1", "2")]
    assert len({folder_digest(pin, "needs") for pin in pins} | {folder_digest(pins[0], "more")}) == 5
