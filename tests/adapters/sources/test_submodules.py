"""Submodules are fetched with their repository, from where they may be, within bounds; a failing one is an error."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dulwich.object_store import MemoryObjectStore
from dulwich.objects import Blob, ObjectID, Tree

from ploinky.adapters import dulwich_sources_submodules, dulwich_sources_tree
from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.dulwich_sources_failures import Refusal
from ploinky.adapters.dulwich_sources_submodules import Submodule, located, submodules_of
from ploinky.adapters.dulwich_sources_tree import TreeWriter
from ploinky.domain.errors import SourceInvalid
from ploinky.domain.source_urls import parse_location
from ploinky.ports.sources import Credentials, Source
from tests.adapters.sources.git_repositories import GitRepository, GitServer, git, git_server
from tests.adapters.sources.hostile_trees import FILE, LINK, SUBMODULE

PASSWORD = "a-password-4711"


def add_submodule(parent: GitRepository, path: str, url: str, commit: str) -> str:
    """Commit a submodule without git fetching it."""
    git(parent.directory, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    (parent.directory / path).mkdir(parents=True, exist_ok=True)
    file = parent.directory / ".gitmodules"
    known = file.read_text() if file.exists() else ""
    file.write_text(f'{known}[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n')
    git(parent.directory, "add", ".gitmodules")
    git(parent.directory, "commit", "-q", "-m", "submodule")
    return git(parent.directory, "rev-parse", "HEAD")


@pytest.fixture
def inner(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "served" / "inner")


@pytest.fixture
def outer(tmp_path: Path) -> GitRepository:
    repository = GitRepository(tmp_path / "served" / "outer")
    repository.commit({"agent.py": "outer"})
    return repository


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "served") as served:
        yield served


@pytest.fixture
def sources(tmp_path: Path) -> DulwichSources:
    return DulwichSources(tmp_path / "repos", timeout_seconds=60)


def test_a_submodule_is_fetched_by_a_relative_address(
    sources: DulwichSources, inner: GitRepository, outer: GitRepository, server: GitServer, tmp_path: Path
) -> None:
    """It is the commit that the repository names, in its place, and has a cache of its own."""
    wanted = inner.commit({"lib/code.py": "inner"})
    inner.commit({"lib/code.py": "newer"})
    commit = add_submodule(outer, "vendor/inner", "../../inner/.git", wanted)
    found = sources.fetch(Source(server.url("outer/.git")), print)
    assert found.commit == commit
    assert (Path(found.directory) / "vendor/inner/lib/code.py").read_text() == "inner"
    assert found.warnings == ()
    assert len(list((tmp_path / "repos").iterdir())) == 2


def test_a_checkout_with_submodules_is_made_again_without_a_server(
    sources: DulwichSources, inner: GitRepository, outer: GitRepository, server: GitServer
) -> None:
    """A rollback finds all of it in the caches."""
    commit = add_submodule(outer, "inner", "../../inner/.git", inner.commit({"f": "inner"}))
    url = server.url("outer/.git")
    shutil.rmtree(sources.fetch(Source(url), print).directory)
    server.status = 503
    assert (Path(sources.checkout(url, commit).directory) / "inner/f").read_text() == "inner"


def test_what_is_to_be_said_of_a_submodule_is_said(
    sources: DulwichSources, inner: GitRepository, outer: GitRepository, server: GitServer
) -> None:
    """A pointer of Git LFS in it is a warning of the whole, each time."""
    commit = inner.commit({"large": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"})
    add_submodule(outer, "inner", "../../inner/.git", commit)
    for _ in range(2):
        (warning,) = sources.fetch(Source(server.url("outer/.git")), print).warnings
        assert warning.startswith("inner: Git LFS")
        assert "large" in warning


def test_submodules_of_submodules_are_fetched(
    sources: DulwichSources, inner: GitRepository, outer: GitRepository, server: GitServer, tmp_path: Path
) -> None:
    """To a bounded depth: one that goes deeper is refused."""
    url, commit = "../../inner/.git", inner.commit({"f": "bottom"})
    names = [f"level{number}" for number in range(dulwich_sources_submodules.SUBMODULE_DEPTH)]
    for name in names:
        level = GitRepository(tmp_path / "served" / name)
        level.commit({"f": name})
        commit = add_submodule(level, "sub", url, commit)
        url = f"../../{name}/.git"
    found = sources.fetch(Source(server.url(f"{names[-1]}/.git")), print)
    assert (Path(found.directory) / "/".join(["sub"] * len(names)) / "f").read_text() == "bottom"
    add_submodule(outer, "sub", url, commit)
    with pytest.raises(SourceInvalid, match="deeper"):
        DulwichSources(tmp_path / "other").fetch(Source(server.url("outer/.git")), print)


def test_a_failing_submodule_is_a_clear_error(
    sources: DulwichSources, outer: GitRepository, inner: GitRepository, server: GitServer
) -> None:
    """It names the submodule, its address and what is wrong."""
    add_submodule(outer, "missing", "../../inner/.git", "1" * 40)
    inner.commit({"f": "x"})
    with pytest.raises(SourceInvalid, match=r"Submodule missing from http://.*/inner/.git: .*1{40}"):
        sources.fetch(Source(server.url("outer/.git")), print)


def test_credentials_go_to_their_own_place_only(
    sources: DulwichSources, inner: GitRepository, outer: GitRepository, tmp_path: Path
) -> None:
    """A submodule beside its repository is opened with the same ones; another host never sees them."""
    commit = inner.commit({"f": "x"})
    with git_server(tmp_path / "served", PASSWORD) as private, git_server(tmp_path / "served") as elsewhere:
        add_submodule(outer, "beside", "../../inner/.git", commit)
        source = Source(private.url("outer/.git"), credentials=Credentials("user", PASSWORD))
        assert (Path(sources.fetch(source, print).directory) / "beside/f").exists()
        add_submodule(outer, "elsewhere", elsewhere.url("inner/.git"), commit)
        with pytest.raises(SourceInvalid, match="another host"):
            sources.fetch(source, print)
        assert elsewhere.requests == 0
        allowed = DulwichSources(tmp_path / "repos", submodule_hosts=["127.0.0.1"])
        assert (Path(allowed.fetch(source, print).directory) / "elsewhere/f").exists()
        assert elsewhere.requests > 0
        assert elsewhere.authorizations == []


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_a_remote_repository_reaches_no_disk(
    sources: DulwichSources, inner: GitRepository, outer: GitRepository, server: GitServer, scheme: str
) -> None:
    """A submodule on the server's own disk is refused, unless its repository is there too."""
    add_submodule(outer, "inner", f"{scheme}{inner.directory}", inner.commit({"f": "secret of this machine"}))
    with pytest.raises(SourceInvalid, match="own files"):
        sources.fetch(Source(server.url("outer/.git")), print)
    assert (Path(sources.fetch(Source(str(outer.directory)), print).directory) / "inner/f").exists()


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/ran",
        "--upload-pack=touch ran",
        "-oProxyCommand=touch ran",
        "ssh://-oProxyCommand=id/x",
        "ssh://example.org/x",
        "git@example.org:x",
        "https://other.example/x",
        "http://example.org/x",
        "https://user:word@example.org/x",
        "file:///etc",
        "/etc",
        "git://example.org/x",
        "",
        "x" * 3_000,
    ],
)
def test_a_submodule_leads_nowhere_else(url: str) -> None:
    """Other hosts, other schemes of the same host, other programs and this machine are refused by name."""
    with pytest.raises(Refusal, match="Submodule sub") as caught:
        located(
            Submodule(b"sub", "1" * 40, url), parse_location("https://example.org/team/agents.git"), ["allowed.example"]
        )
    assert "word" not in caught.value.message


def test_an_allowed_host_is_one_whatever_its_scheme() -> None:
    """The operator names hosts; credentials do not go there."""
    parent = parse_location("https://example.org/agents.git")
    submodule = Submodule(b"sub", "1" * 40, "git@allowed.example:x")
    assert located(submodule, parent, ["allowed.example"]).transport == "ssh"


def tree_of(modules: bytes | None, mode: int = FILE, count: int = 1) -> tuple[MemoryObjectStore, Tree]:
    """Make a tree with submodules at `m0`, `m1`, ... and a `.gitmodules`."""
    store, tree = MemoryObjectStore(), Tree()
    for number in range(count):
        tree.add(b"m%d" % number, SUBMODULE, ObjectID(b"1" * 40))
    if modules is not None:
        blob = Blob.from_string(modules)
        store.add_object(blob)
        tree.add(b".gitmodules", mode, blob.id)
    store.add_object(tree)
    return store, tree


def module(number: int, url: str = "../x") -> bytes:
    return f'[submodule "m{number}"]\n\tpath = m{number}\n\turl = {url}\n'.encode()


def test_what_has_no_address_is_no_submodule() -> None:
    """Half an entry, and one for a path that is none, are passed over as git does."""
    store, tree = tree_of(module(7) + b'[submodule "m0"]\n\tpath = m0\n')
    assert submodules_of(store, tree.id) == []
    store, tree = tree_of(module(0))
    assert [(found.path, found.url) for found in submodules_of(store, tree.id)] == [(b"m0", "../x")]


@pytest.mark.parametrize(
    ("modules", "mode"),
    [
        (b"[submodule", FILE),
        (b'[submodule "m0"]\n\tpath = m0\n\turl = \xff\n', FILE),
        (b"x" * (dulwich_sources_submodules.MODULES_BYTES + 1), FILE),
        (b"/etc/passwd", LINK),
    ],
)
def test_a_broken_list_is_refused(modules: bytes, mode: int) -> None:
    """What git could not read, what is too large, and a link to somewhere."""
    store, tree = tree_of(modules, mode)
    with pytest.raises(Refusal, match="gitmodules"):
        submodules_of(store, tree.id)


def test_a_list_includes_no_other_file(tmp_path: Path) -> None:
    """What it names would be read from the server's disk."""
    (tmp_path / "other").write_bytes(module(0))
    store, tree = tree_of(f"[include]\n\tpath = {tmp_path}/other\n".encode())
    assert submodules_of(store, tree.id) == []


def test_the_number_is_bounded() -> None:
    """A repository of thousands is no agent's."""
    count = dulwich_sources_submodules.SUBMODULES + 1
    store, tree = tree_of(b"".join(module(number) for number in range(count)), count=count)
    with pytest.raises(Refusal, match="more than"):
        submodules_of(store, tree.id)


def test_submodules_count_among_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds of a repository hold for all of it."""
    folder, target = tmp_path / "folder", tmp_path / "target"
    folder.mkdir()
    target.mkdir()
    for number in range(20):
        (folder / str(number)).write_text("x" * 100)
    store, tree = tree_of(module(0))
    monkeypatch.setattr(dulwich_sources_tree, "CONTENT_BYTES", 1_500)
    with pytest.raises(Refusal, match="bytes"):
        TreeWriter(store, str(target), print, {b"m0": str(folder)}).write(tree.id)
