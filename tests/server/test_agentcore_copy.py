"""Tests of the copy of `agentcore` that agents run."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import agentcore
from ploinky.domain.errors import DirectoryUnusable
from ploinky.server import agentcore_copy
from ploinky.server.agentcore_copy import content_digest, install_agentcore

OWN_FOLDER = Path(agentcore.__file__).parent


def modules(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_copies_the_package(tmp_path: Path) -> None:
    """The returned folder contains the package, file by file, under a digest's name."""
    place = install_agentcore(tmp_path)
    assert place.parent == tmp_path / "agentcore"
    assert [path.name for path in place.iterdir()] == ["agentcore"]
    assert modules(place / "agentcore") == modules(OWN_FOLDER)
    assert place.name == content_digest(modules(OWN_FOLDER))
    assert len(place.name) == 16


def test_leaves_compiled_files_out(tmp_path: Path) -> None:
    """What another Python compiled is of no use in an agent."""
    assert not list(install_agentcore(tmp_path).rglob("__pycache__"))


def test_the_copy_runs(tmp_path: Path) -> None:
    """A Python that sees nothing but the copy imports every module of it."""
    probe = (
        "import sys, importlib; sys.path[:0] = sys.argv[1:2]; [importlib.import_module(name) for name in sys.argv[2:]]"
    )
    place = install_agentcore(tmp_path)
    names = [f"agentcore.{path.stem}" for path in (place / "agentcore").glob("[a-z]*.py")]
    subprocess.run([sys.executable, "-I", "-S", "-B", "-c", probe, str(place), *names], check=True, cwd=tmp_path)


def test_others_may_read_whatever_the_umask(tmp_path: Path) -> None:
    """An agent with a user of its own reads everything and writes nothing."""
    earlier = os.umask(0o077)
    try:
        place = install_agentcore(tmp_path)
    finally:
        os.umask(earlier)
    folders = [place.parent, place, place / "agentcore"]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o755}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (place / "agentcore").iterdir()} == {0o644}


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    """An intact copy is used as it is, also after agents compiled it."""
    place = install_agentcore(tmp_path)
    (place / "agentcore" / "__pycache__").mkdir()
    (place / "agentcore" / "__pycache__" / "task.pyc").write_bytes(b"x")
    before = place.stat().st_ino
    assert install_agentcore(tmp_path) == place
    assert place.stat().st_ino == before
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def change_a_byte(package: Path) -> None:
    content = (package / "task.py").read_bytes()
    (package / "task.py").write_bytes(content[:-1] + b"#")


def cut_a_file(package: Path) -> None:
    (package / "task.py").write_bytes(b"")


def remove_a_file(package: Path) -> None:
    (package / "task.py").unlink()


def add_a_file(package: Path) -> None:
    (package / "json.py").write_text("")


def add_many_files(package: Path) -> None:
    for folder in ("a", "b"):
        (package / folder).mkdir()
        for number in range(50):
            (package / folder / f"{number}.py").write_text("")


def grow_a_file(package: Path) -> None:
    os.truncate(package / "task.py", 10**12)


def link_a_file(package: Path) -> None:
    (package / "task.py").unlink()
    (package / "task.py").symlink_to(OWN_FOLDER / "task.py")


def link_a_folder(package: Path) -> None:
    (package / "more").symlink_to("/etc")


def link_the_package(package: Path) -> None:
    shutil.rmtree(package)
    package.symlink_to(OWN_FOLDER)


def hide_a_file(package: Path) -> None:
    (package / "task.py").chmod(0o600)


def put_a_file_in_its_place(package: Path) -> None:
    shutil.rmtree(package.parent)
    package.parent.write_text("")


def put_a_pipe_in_its_place(package: Path) -> None:
    (package / "task.py").unlink()
    os.mkfifo(package / "task.py")


@pytest.mark.parametrize(
    "damage",
    [
        change_a_byte,
        cut_a_file,
        remove_a_file,
        add_a_file,
        add_many_files,
        grow_a_file,
        link_a_file,
        link_a_folder,
        link_the_package,
        hide_a_file,
        put_a_file_in_its_place,
        put_a_pipe_in_its_place,
    ],
)
def test_makes_a_damaged_copy_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A copy that is not what its name says is put aside, not removed: agents may have it mounted."""
    place = install_agentcore(tmp_path)
    damage(place / "agentcore")
    assert install_agentcore(tmp_path) == place
    assert modules(place / "agentcore") == modules(OWN_FOLDER)
    names = sorted(path.name for path in place.parent.iterdir())
    assert len(names) == 2
    assert names[1].startswith(f"{place.name}.damaged-")


def test_keeps_the_copies_of_other_versions(tmp_path: Path) -> None:
    """Instances that run go on with the version they were started with."""
    earlier = tmp_path / "agentcore" / ("0" * 16) / "agentcore"
    earlier.mkdir(parents=True)
    install_agentcore(tmp_path)
    assert earlier.is_dir()


def test_somebody_may_be_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another server puts the same copy in place first, that one is used and nothing is left over."""
    write = agentcore_copy._write
    is_first = [True]

    def write_while_another_installs(sources: dict[str, bytes], directory: Path) -> None:
        write(sources, directory)
        if is_first.pop() if is_first else False:
            install_agentcore(tmp_path)
            monkeypatch.setattr(os.path, "lexists", lambda _: False)

    monkeypatch.setattr(agentcore_copy, "_write", write_while_another_installs)
    place = install_agentcore(tmp_path)
    assert modules(place / "agentcore") == modules(OWN_FOLDER)
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_a_failure_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told with the place, and the half copy is gone."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(agentcore_copy, "_write", refuse)
    with pytest.raises(DirectoryUnusable, match="No space left"):
        install_agentcore(tmp_path)
    assert list((tmp_path / "agentcore").iterdir()) == []


def test_says_when_the_place_is_taken(tmp_path: Path) -> None:
    """A file in the folder's place is an error for the operator."""
    (tmp_path / "agentcore").write_text("")
    with pytest.raises(DirectoryUnusable, match="agentcore"):
        install_agentcore(tmp_path)


def test_the_digest_is_of_names_and_contents() -> None:
    """Order does not matter; moving bytes between names and contents does."""
    assert content_digest({"a": b"1", "b": b"2"}) == content_digest({"b": b"2", "a": b"1"})
    others = [{"a": b"2", "b": b"1"}, {"a": b"12"}, {"ab": b"2"}, {"a": b"1", "c": b"2"}, {}, {"a": b"1b\x002"}]
    assert len({content_digest(other) for other in others}) == len(others)


def test_takes_packages_inside_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are copied with their way, those of compiled files are not."""
    package = tmp_path / "package"
    for name in ("a.py", "inner/b.py", "inner/__pycache__/b.pyc", "__pycache__/a.pyc"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(name)
    monkeypatch.setattr(agentcore_copy, "files", lambda _: package)
    place = install_agentcore(tmp_path / "data")
    found = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    assert found == {"agentcore/a.py", "agentcore/inner/b.py"}
    assert install_agentcore(tmp_path / "data") == place
    assert len(list(place.parent.iterdir())) == 1
