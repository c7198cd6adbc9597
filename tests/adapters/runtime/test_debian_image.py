"""The agent base image is built from Debian packages, and what hinders that is told plainly."""

import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ploinky.adapters.debian_image import BASE_REFERENCE, build_base, why_not_buildable
from ploinky.adapters.debian_image_tree import furnish, write_tar
from ploinky.adapters.docker_runtime import DockerRuntime
from ploinky.domain.errors import ImageUnavailable
from ploinky.ports.runtime import Image
from tests.adapters.runtime.fake_engine import FakeEngine
from tests.contracts.runtime_harness import Bench

APT_CACHE = """
case "$*" in
  *python3-minimal*) printf 'python3-minimal\\n  PreDepends: python3.99-minimal\\n' ;;
  *python3.99-minimal*) printf 'x\\n  PreDepends: libc6\\n |Depends: debconf\\n  Depends: <virtual>\\n' ;;
esac
"""
APT_GET = 'echo "$*" >> "$0.calls"; shift 4; for name in "$@"; do touch "${name}_1_all.deb"; done'


class FakeDebian:
    """Stand-ins for Debian's programs, first on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        content = folder.parent / "content"
        (content / "usr/bin").mkdir(parents=True)
        (content / "usr/bin/python3.99").touch(mode=0o755)
        with tarfile.open(folder / "content.tar", "w") as tar:
            tar.add(content, arcname=".")
        self.program("apt-cache", APT_CACHE)
        self.program("apt-get", APT_GET)
        self.program("dpkg-deb", f"cat {folder}/content.tar")

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def calls(self) -> str:
        return (self.folder / "apt-get.calls").read_text()


class TakesImages:
    """The one method of the engine's client that a build needs."""

    def __init__(self, answer: str = '{"status": "sha256:1"}\r\n') -> None:
        self.answer = answer
        self.imported: list[str] = []
        self.names: list[str] = []

    def import_image_from_data(self, data: object, repository: str, *, changes: list[str]) -> str:
        self.imported.append(repository)
        with tarfile.open(fileobj=data) as tar:  # type: ignore[call-overload]  # any readable object will do
            self.names = tar.getnames()
        assert "WORKDIR /agent" in changes
        return self.answer


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDebian:
    debian = FakeDebian(tmp_path / "programs")
    monkeypatch.setenv("PATH", f"{debian.folder}:{os.environ['PATH']}")
    return debian


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return temporary


class TestBuild:
    def test_downloads_pythons_packages_and_imports_them(self, debian: FakeDebian, temporary: Path) -> None:
        """The system's Python is found, its dependencies followed, and nothing temporary stays."""
        engine, lines = TakesImages(), list[str]()
        assert build_base(engine, lines.append) == BASE_REFERENCE
        assert engine.imported == [BASE_REFERENCE]
        asked_for = debian.calls().split("download ")[1].split()
        assert asked_for == [
            *("busybox-static", "ca-certificates", "libc6", "libpython3.99-stdlib", "python3-pip-whl"),
            "python3.99-minimal",
        ]
        assert {"usr/bin/python3", "usr/bin/sh", "agent/.ploinky/queue", "agentCore", "tmp"} <= set(engine.names)
        assert lines[-1] == f"built {BASE_REFERENCE} with Python 3.99"
        assert list(temporary.iterdir()) == []

    def test_fails_with_the_programs_own_words(self, debian: FakeDebian, temporary: Path) -> None:
        """A download that fails is told as apt tells it, with a hint, and nothing temporary stays."""
        debian.program("apt-get", 'echo "E: no such mirror" >&2; exit 100')
        with pytest.raises(ImageUnavailable, match="no such mirror") as caught:
            build_base(TakesImages(), print)
        assert "apt-get update" in caught.value.advice
        assert list(temporary.iterdir()) == []

    def test_fails_when_a_package_is_broken(self, debian: FakeDebian) -> None:
        """A package that cannot be unpacked is a failure, not a smaller image."""
        debian.program("dpkg-deb", f"cat {debian.folder}/content.tar; exit 2")
        with pytest.raises(ImageUnavailable, match="cannot be unpacked"):
            build_base(TakesImages(), print)

    def test_fails_when_the_engine_does_not_take_it(self, debian: FakeDebian) -> None:
        """An error that the engine reports in the middle of its answer is one."""
        with pytest.raises(ImageUnavailable, match="disk is full"):
            build_base(TakesImages('{"status": "x"}\r\n{"error": "the disk is full"}\r\n'), print)

    def test_fetches_missing_package_lists_when_it_may(
        self, debian: FakeDebian, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Root gets the lists by itself, everybody else is told the command."""
        debian.program("apt-cache", "")
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(ImageUnavailable) as caught:
            build_base(TakesImages(), print)
        assert "sudo apt-get update" in caught.value.advice
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        with pytest.raises(ImageUnavailable):
            build_base(TakesImages(), print)
        assert debian.calls() == "-q update\n"

    def test_refuses_where_there_are_no_packages(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """On another system the missing programs are named."""
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "apt-get" in why_not_buildable()
        with pytest.raises(ImageUnavailable, match="apt-get"):
            build_base(TakesImages(), print)

    def test_refuses_to_download_half_the_distribution(self, debian: FakeDebian) -> None:
        """Dependencies without end are cut off."""
        many = "".join(f"  Depends: library{number}\\n" for number in range(100))
        debian.program("apt-cache", f"printf 'x\\n  PreDepends: python3.99-minimal\\n{many}'")
        with pytest.raises(ImageUnavailable, match="more than"):
            build_base(TakesImages(), print)


class TestTree:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        tree = tmp_path / "tree"
        (tree / "usr/bin").mkdir(parents=True)
        (tree / "usr/share/doc/x").mkdir(parents=True)
        for name in ("b", "a"):
            path = tree / "usr/share/ca-certificates/mozilla" / f"{name}.crt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n\n")
        return tree

    def test_has_all_certificates_in_one_file(self, tree: Path) -> None:
        """TLS in an agent finds the authorities where Debian keeps them."""
        furnish(tree, "3.99")
        assert (tree / "etc/ssl/certs/ca-certificates.crt").read_text() == "a\nb\n"
        assert (tree / "usr/lib/ssl/cert.pem").readlink() == Path("/etc/ssl/certs/ca-certificates.crt")

    def test_keeps_programs_that_are_there(self, tree: Path) -> None:
        """A package's own program is not replaced by the shell's small one."""
        (tree / "usr/bin/env").write_text("mine")
        furnish(tree, "3.99")
        assert (tree / "usr/bin/env").read_text() == "mine"
        assert (tree / "usr/bin/cat").readlink() == Path("busybox")
        assert (tree / "usr/bin/python3").readlink() == Path("python3.99")

    def test_has_pip(self, tree: Path) -> None:
        """Debian's wheel of pip lies unpacked where its Python looks."""
        wheels = tree / "usr/share/python-wheels"
        wheels.mkdir()
        with zipfile.ZipFile(wheels / "pip-9-py3-none-any.whl", "w") as wheel:
            wheel.writestr("pip/__main__.py", "run")
        furnish(tree, "3.99")
        assert (tree / "usr/lib/python3/dist-packages/pip/__main__.py").read_text() == "run"

    def test_becomes_the_same_archive_every_time(self, tree: Path, tmp_path: Path) -> None:
        """Times and umask of the building machine leave no trace."""
        furnish(tree, "3.99")
        write_tar(tree, tmp_path / "first.tar")
        os.utime(tree / "usr/bin", (1, 1))
        (tree / "etc/passwd").chmod(0o600)
        (tree / "agent").chmod(0o700)
        write_tar(tree, tmp_path / "second.tar")
        assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()
        with tarfile.open(tmp_path / "second.tar") as tar:
            modes = {member.name: stat.S_IMODE(member.mode) for member in tar if not member.issym()}
        assert (modes["etc/passwd"], modes["agent"], modes["tmp"]) == (0o644, 0o755, 0o1777)
        assert "usr/share/doc" not in modes


class TestResolve:
    """An empty reference means the base image, however it can be had."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[FakeEngine]:
        engine = FakeEngine(tmp_path / "engine.sock")
        engine.on("GET /images/", (404, {"message": "No such image"}))
        engine.on("POST /images/create", (500, {"message": "no such host"}))
        yield engine
        engine.close()

    def resolve(self, engine: FakeEngine) -> Image:
        runtime = DockerRuntime(engine.base_url, default_image="python:3-slim")
        try:
            return runtime.resolve_image("", lambda _line: None)
        finally:
            runtime.close()

    def test_takes_the_built_one_first(self, engine: FakeEngine) -> None:
        """A base image that is there is used, and nothing is pulled."""
        engine.on("GET /images/ploinky/agent-base:2/json", (200, {"Id": "sha256:b"}))
        assert self.resolve(engine) == Image(BASE_REFERENCE, "sha256:b")
        assert not any(call.startswith("POST") for call in engine.calls)

    def test_takes_the_default_image_next(self, engine: FakeEngine) -> None:
        """The configured default is used when it is there already."""
        engine.on("GET /images/python:3-slim/json", (200, {"Id": "sha256:d"}))
        assert self.resolve(engine) == Image("python:3-slim", "sha256:d")

    def test_pulls_the_default_image(self, engine: FakeEngine) -> None:
        """Where a registry answers, the default image is pulled."""
        engine.on("GET /images/python:3-slim/json", (404, {"message": "No such image"}), (200, {"Id": "sha256:d"}))
        engine.on("POST /images/create.*fromImage=python", (200, b'{"status": "Pull complete", "id": "a"}\n'))
        assert self.resolve(engine) == Image("python:3-slim", "sha256:d")

    def test_builds_where_nothing_can_be_pulled(self, engine: FakeEngine, debian: FakeDebian) -> None:
        """Without a registry the image is built from packages and imported."""
        absent = (404, {"message": "No such image"})
        engine.on("GET /images/ploinky/agent-base:2/json", absent, absent, (200, {"Id": "sha256:b"}))
        engine.on("POST /images/create.*fromSrc=-", (200, b'{"status": "sha256:b"}\n'))
        assert self.resolve(engine) == Image(BASE_REFERENCE, "sha256:b")

    def test_says_what_to_do_where_nothing_works(
        self, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither a registry nor packages: the reason names both and the hint a way out."""
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
        with pytest.raises(ImageUnavailable, match=r"no such host.*apt-get") as caught:
            self.resolve(engine)
        assert "docker load" in caught.value.advice


@pytest.mark.docker
@pytest.mark.slow
def test_runs_python_and_a_shell(tmp_path: Path) -> None:
    """The image that this machine's own packages make runs Python's usual modules and shell scripts."""
    if missing := why_not_buildable():
        pytest.skip(missing)
    runtime = DockerRuntime()
    image = runtime.build_base_image(print)
    bench = Bench(runtime, tmp_path, f"image-{os.getpid()}", image.reference)
    try:
        source = (
            "import asyncio, bz2, ctypes, hashlib, json, lzma, sqlite3, uuid, zlib, ssl\n"
            "print(len(ssl.create_default_context().get_ca_certs()))"
        )
        assert int(bench.output_of("python", source)) > 50
        script = "ls / | grep -c agent; sleep 0; env true; head -1 /etc/passwd"
        assert bench.output_of("shell", "", command=("sh", "-c", script)).splitlines()[1].startswith("root:x:0:0")
    finally:
        bench.remove_all()
        runtime.close()
