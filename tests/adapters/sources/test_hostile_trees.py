"""A tree from a repository may do nothing outside its folder, and nothing unexpected inside it."""

import os
import stat
from pathlib import Path

import pytest
from dulwich.objects import Commit
from dulwich.repo import Repo

from ploinky.adapters import dulwich_sources_tree
from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.dulwich_sources_failures import Refusal
from ploinky.adapters.dulwich_sources_tree import TreeWriter
from ploinky.domain.errors import SourceInvalid
from ploinky.ports.sources import Source
from tests.adapters.sources.hostile_trees import FILE, FOLDER, LINK, SUBMODULE, Entry, hostile_repository


def write(tmp_path: Path, entries: list[Entry]) -> tuple[Path, list[str]]:
    """Write a tree in this process and return its folder and the warnings."""
    target = tmp_path / "written"
    target.mkdir()
    with Repo(hostile_repository(tmp_path / "hostile.git", entries)) as repo:
        commit = repo[b"refs/heads/master"]
        assert isinstance(commit, Commit)
        writer = TreeWriter(repo.object_store, str(target), print)
        writer.write(commit.tree)
    return target, writer.warnings


def refusal(tmp_path: Path, entries: list[Entry]) -> str:
    with pytest.raises(Refusal) as caught:
        write(tmp_path, entries)
    assert caught.value.kind == "invalid"
    return caught.value.message


@pytest.mark.parametrize(
    "name",
    [
        b"..",
        b".",
        b"",
        b"a/b",
        b"../up",
        b"/etc",
        b".git",
        b".GIT",
        b".Git",
        b"git~1",
        b"GIT~1",
        b".git.",
        b".git ",
        b".git . ",
        b".git::$INDEX_ALLOCATION",
        b".git\\config",
        ".g\u200cit".encode(),
        "\ufeff.git".encode(),
        b"x" * 256,
    ],
)
@pytest.mark.parametrize("depth", [0, 1])
def test_refuses_a_dangerous_name(tmp_path: Path, name: bytes, depth: int) -> None:
    """Names that leave the folder, or are git's own on any file system, are refused at every depth."""
    entries: list[Entry] = [(name, FILE, b"x")]
    assert refusal(tmp_path, [(b"sub", FOLDER, entries)] if depth else entries)
    assert not (tmp_path / "up").exists()


@pytest.mark.parametrize(
    "name", [b".gitignore", b".github", b"git", b"...", b"a\\b", b"-rf", "ä".encode(), b"\xff\xfe"]
)
def test_accepts_a_harmless_name(tmp_path: Path, name: bytes) -> None:
    """Names that merely look like it are files like others."""
    target, _ = write(tmp_path, [(name, FILE, b"x")])
    assert os.listdir(os.fsencode(target)) == [name]


@pytest.mark.parametrize(
    "link",
    [b"/etc/passwd", b"..", b"../x", b"sub/../../x", b"missing/../../x", b"./../../../etc", b"", b"x\0y", b"y" * 5_000],
)
def test_refuses_a_link_that_leaves_the_tree(tmp_path: Path, link: bytes) -> None:
    """A link out, written straight or through other folders, is refused by its path."""
    assert "out" in refusal(tmp_path, [(b"out", LINK, link), (b"sub", FOLDER, [(b"f", FILE, b"")])])


def test_refuses_a_link_that_leaves_by_way_of_another(tmp_path: Path) -> None:
    """What counts is where the links lead together."""
    entries: list[Entry] = [
        (b"a", FOLDER, [(b"b", FOLDER, [(b"f", FILE, b"")])]),
        (b"deep", LINK, b"a/b"),
        (b"out", LINK, b"deep/../../../x"),
    ]
    assert "out" in refusal(tmp_path, entries)


@pytest.mark.parametrize("link", [b"sub/f", b"sub", b"missing", b"sub/../sub/f", b"loop"])
def test_keeps_a_link_inside_the_tree(tmp_path: Path, link: bytes) -> None:
    """A link that stays inside is a link, whether or not it leads anywhere."""
    target, _ = write(tmp_path, [(b"loop", LINK, link), (b"sub", FOLDER, [(b"f", FILE, b"")])])
    assert os.readlink(os.fsencode(target / "loop")) == link


@pytest.mark.parametrize(
    "entries",
    [
        [(b"a", LINK, b"sub"), (b"a", FOLDER, [(b"f", FILE, b"through")]), (b"sub", FOLDER, [])],
        [(b"a", FILE, b"1"), (b"a", FILE, b"2")],
        [(b"a", FOLDER, [(b"f", FILE, b"")]), (b"a", FILE, b"2")],
        [(b"a", FILE, b"1"), (b"a", FOLDER, [(b"f", FILE, b"")])],
    ],
)
def test_refuses_a_name_that_is_there_twice(tmp_path: Path, entries: list[Entry]) -> None:
    """A folder of a link's name would be written through the link."""
    assert "a is there twice" in refusal(tmp_path, entries)


def test_a_container_s_user_can_read_it(tmp_path: Path) -> None:
    """Modes are those two of git, whatever else the tree says."""
    previous = os.umask(0o022)  # as the child process sets it
    try:
        entries: list[Entry] = [
            (b"run", 0o104777, b""),
            (b"read", 0o100600, b""),
            (b"sub", FOLDER, [(b"f", FILE, b"")]),
        ]
        target, _ = write(tmp_path, entries)
    finally:
        os.umask(previous)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in target.iterdir()}
    assert modes == {"run": 0o755, "read": 0o644, "sub": 0o755}


def test_a_submodule_without_an_address_is_an_empty_folder(tmp_path: Path) -> None:
    """What no `.gitmodules` speaks of stays empty, and is told as a warning."""
    target, warnings = write(tmp_path, [(b"module", SUBMODULE, b"")])
    assert list((target / "module").iterdir()) == []
    assert any("module" in warning for warning in warnings)


def test_pointers_of_large_files_are_told(tmp_path: Path) -> None:
    """A file whose content lies with Git LFS is named, so that nobody takes the pointer for it."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
    many: list[Entry] = [(b"m%02d" % number, FILE, pointer) for number in range(25)]
    _, warnings = write(tmp_path, [(b"sub", FOLDER, many), (b"plain", FILE, b"version")])
    (warning,) = warnings
    assert "sub/m00" in warning
    assert "5 more" in warning


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([(b"odd", 0o020000, b"")], "mode"),
        ([(b"odd", FOLDER, b"no tree")], "folder"),
        ([(b"odd", FILE, [])], "no file"),
    ],
)
def test_refuses_an_entry_that_is_not_what_it_says(tmp_path: Path, entries: list[Entry], reason: str) -> None:
    """A device, a file in a folder's place or a folder in a file's is refused."""
    message = refusal(tmp_path, entries)
    assert "odd" in message
    assert reason in message


def test_refuses_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of entries is bounded, also where one folder stands in many places."""
    monkeypatch.setattr(dulwich_sources_tree, "ENTRIES", 100)
    bomb: list[Entry] = [(b"f", FILE, b"")]
    for _ in range(10):
        bomb = [(b"a", FOLDER, bomb), (b"b", FOLDER, bomb)]
    assert "more than 100" in refusal(tmp_path, bomb)


def test_refuses_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content of all files together is bounded."""
    monkeypatch.setattr(dulwich_sources_tree, "CONTENT_BYTES", 100)
    assert "100 bytes" in refusal(tmp_path, [(b"a", FILE, b"x" * 60), (b"b", FILE, b"x" * 60)])


def test_refuses_a_deep_tree(tmp_path: Path) -> None:
    """The depth is bounded."""
    deep: list[Entry] = [(b"f", FILE, b"")]
    for _ in range(dulwich_sources_tree.DEPTH + 2):
        deep = [(b"a", FOLDER, deep)]
    assert "deep" in refusal(tmp_path, deep)


def test_nothing_of_a_refused_tree_is_served(tmp_path: Path) -> None:
    """Through the whole adapter: the error names the path, and no checkout, clone or half of one is left."""
    url = hostile_repository(tmp_path / "hostile.git", [(b"ok", FILE, b"x"), (b"evil", LINK, b"/etc/passwd")])
    with pytest.raises(SourceInvalid, match="evil") as caught:
        DulwichSources(tmp_path / "repos").fetch(Source(url), print)
    assert caught.value.advice
    (cache,) = (tmp_path / "repos").iterdir()
    assert sorted(str(path.relative_to(cache)) for path in cache.rglob("*")) == ["cache.json", "checkouts", "lock"]
