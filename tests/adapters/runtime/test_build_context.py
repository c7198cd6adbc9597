"""What an engine is given to build from holds the agent's folder, and nothing else."""

import os
import tarfile
from pathlib import Path

import pytest

from ploinky.adapters import docker_runtime_context
from ploinky.adapters.docker_runtime_context import pack_context
from ploinky.domain.errors import ImageUnavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM x\n")
    return folder


def names(folder: Path) -> dict[str, tarfile.TarInfo]:
    with pack_context(str(folder), "Dockerfile") as archive, tarfile.open(fileobj=archive) as tar:
        return {member.name: member for member in tar}


def test_holds_files_folders_and_links(folder: Path) -> None:
    """Everything goes in as it is, owned by nobody in particular, programs executable."""
    (folder / "bin").mkdir()
    (folder / "bin" / "run").write_text("#!/bin/sh\n")
    (folder / "bin" / "run").chmod(0o700)
    (folder / "link").symlink_to("bin/run")
    found = names(folder)
    assert set(found) == {"Dockerfile", "bin", "bin/run", "link"}
    assert (found["bin/run"].mode, found["Dockerfile"].mode) == (0o755, 0o644)
    assert found["link"].linkname == "bin/run"
    assert {(member.uid, member.mtime) for member in found.values()} == {(0, 0)}


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "."])
def test_refuses_a_link_that_leaves(folder: Path, target: str) -> None:
    """Neither absolute links, nor ones that go up, nor one to the folder itself."""
    (folder.parent / "outside").touch()
    (folder / "link").symlink_to(target)
    with pytest.raises(ImageUnavailable, match="link is a link that leaves"):
        pack_context(str(folder), "Dockerfile")


def test_refuses_what_is_no_file(folder: Path) -> None:
    """A pipe would never end."""
    os.mkfifo(folder / "pipe")
    with pytest.raises(ImageUnavailable, match="pipe is neither"):
        pack_context(str(folder), "Dockerfile")


def test_refuses_an_ignore_file_that_is_a_link(folder: Path) -> None:
    """Nothing outside is read to learn what to leave out."""
    (folder / ".dockerignore").symlink_to("/etc/passwd")
    with pytest.raises(ImageUnavailable, match=r"\.dockerignore cannot be read"):
        pack_context(str(folder), "Dockerfile")


def test_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many bytes, and too many files, are refused before they are sent."""
    (folder / "big").write_bytes(bytes(2_000))
    monkeypatch.setattr(docker_runtime_context, "CONTEXT_BYTES", 1_000)
    with pytest.raises(ImageUnavailable, match="1000 bytes"):
        pack_context(str(folder), "Dockerfile")
    monkeypatch.setattr(docker_runtime_context, "CONTEXT_ENTRIES", 1)
    with pytest.raises(ImageUnavailable, match="1 files"):
        pack_context(str(folder), "Dockerfile")
