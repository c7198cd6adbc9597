"""What every `AgentFolders` has to do, held against memory and the file system."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Protocol

import pytest

from ploinky.adapters.agent_folders import MANIFEST_BYTES, FileAgentFolders
from ploinky.adapters.memory.agent_folders import MemoryAgentFolders
from ploinky.domain.errors import AgentNotFound, SourceInvalid
from ploinky.ports.sources import AgentFolders


class Bench(Protocol):
    folders: AgentFolders

    def checkout(self, files: dict[str, str]) -> str:
        """Put files into a new checkout and return its directory."""

    def read(self, directory: str, path: str) -> str | None:
        """Return a file's text, None when it is not there."""


class MemoryBench:
    def __init__(self) -> None:
        self.trees: dict[str, dict[str, bytes]] = {}
        self.folders: AgentFolders = MemoryAgentFolders(self.trees)

    def checkout(self, files: dict[str, str]) -> str:
        self.trees["/memory/checkout"] = {path: text.encode() for path, text in files.items()}
        return "/memory/checkout"

    def read(self, directory: str, path: str) -> str | None:
        content = self.trees.get(directory, {}).get(path)
        return None if content is None else content.decode()


class FileBench:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.folders: AgentFolders = FileAgentFolders(directory / "releases")

    def checkout(self, files: dict[str, str]) -> str:
        root = self.directory / "checkout"
        root.mkdir()
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return str(root)

    def read(self, directory: str, path: str) -> str | None:
        file = Path(directory) / path
        return file.read_text() if file.is_file() else None


@pytest.fixture(params=["memory", "files"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return MemoryBench() if request.param == "memory" else FileBench(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> FileBench:
    return FileBench(tmp_path)


def test_finds_the_folder_of_that_name(bench: Bench) -> None:
    """An agent is the folder of its name, with its own manifest."""
    checkout = bench.checkout({"manifest.json": "{}", "hello/manifest.json": '{"about": "hi"}', "hello/agent.py": ""})
    found = bench.folders.find(checkout, "hello")
    assert (found.directory, found.manifest) == (f"{checkout}/hello", b'{"about": "hi"}')


def test_finds_a_folder_further_down(bench: Bench) -> None:
    """A name may be a path below the root."""
    checkout = bench.checkout({"agents/hello/agent.py": ""})
    assert bench.folders.find(checkout, "agents/hello").directory == f"{checkout}/agents/hello"


def test_a_folder_needs_no_manifest(bench: Bench) -> None:
    """Without a manifest, None says so."""
    assert bench.folders.find(bench.checkout({"hello/agent.py": ""}), "hello").manifest is None


def test_is_the_root_when_its_manifest_has_the_name(bench: Bench) -> None:
    """The root's own name wins over a folder of that name."""
    checkout = bench.checkout({"manifest.json": '{"name": "hello"}', "hello/agent.py": ""})
    found = bench.folders.find(checkout, "hello")
    assert (found.directory, found.manifest) == (checkout, b'{"name": "hello"}')


@pytest.mark.parametrize("manifest", ["{}", "{broken", "[]", ""])
def test_is_the_root_when_there_is_no_such_folder(bench: Bench, manifest: str) -> None:
    """A repository of one agent needs no folder, whatever its manifest is like."""
    checkout = bench.checkout({"manifest.json": manifest, "agent.py": ""})
    found = bench.folders.find(checkout, "hello")
    assert (found.directory, found.manifest) == (checkout, manifest.encode())


@pytest.mark.parametrize("files", [{"one/agent.py": "", "two/manifest.json": "{}"}, {"README.md": ""}])
def test_refuses_an_agent_that_is_not_there(bench: Bench, files: dict[str, str]) -> None:
    """A repository whose root is no agent does not have every name."""
    with pytest.raises(AgentNotFound, match="three"):
        bench.folders.find(bench.checkout(files), "three")


@pytest.mark.parametrize("sign", ["agent.py", "index.js", "handlers/hello.sh"])
def test_a_root_needs_no_manifest(bench: Bench, sign: str) -> None:
    """A root that holds commands is an agent, whatever it is called."""
    checkout = bench.checkout({sign: ""})
    assert bench.folders.find(checkout, "hello").directory == checkout


@pytest.mark.parametrize("agent", ["", ".", "..", "../other", "a/../../b", "/etc", "a//b", ".git", "a/.git"])
def test_refuses_a_name_that_leaves_the_checkout(bench: Bench, agent: str) -> None:
    """A name is a path downwards, and never git's own folder."""
    with pytest.raises(SourceInvalid):
        bench.folders.find(bench.checkout({"a/b": ""}), agent)


def test_prepares_a_copy_of_the_agent_alone(bench: Bench) -> None:
    """The release has the agent's files, folders included, and nothing from beside it."""
    checkout = bench.checkout({"hello/handlers/a.py": "x", "hello/.git/config": "", "other/b.py": ""})
    release = bench.folders.prepare(f"{checkout}/hello", "deployment1/1")
    assert release.endswith("deployment1/1")
    assert bench.read(release, "handlers/a.py") == "x"
    assert bench.read(release, ".git/config") is None


def test_prepares_once(bench: Bench) -> None:
    """A release prepared before is returned as it is."""
    checkout = bench.checkout({"a": "x"})
    assert bench.folders.prepare(checkout, "d/1") == bench.folders.prepare("/nowhere", "d/1")


def test_prepares_once_for_all_that_come_at_a_time(bench: Bench) -> None:
    """Instances of one release are started side by side: each gets the same folder, whole."""
    checkout = bench.checkout({"manifest.json": "{}", **{f"handlers/{number}.py": "x" for number in range(200)}})
    start = Barrier(8)

    def prepare(_number: int) -> str:
        start.wait()
        return bench.folders.prepare(checkout, "d1/1")

    with ThreadPoolExecutor(8) as threads:
        (prepared,) = set(threads.map(prepare, range(8)))
    assert bench.read(prepared, "handlers/199.py") == "x"


def test_discards_twice(bench: Bench) -> None:
    """A discarded release is gone, and discarding again is fine; another one stays."""
    checkout = bench.checkout({"a": "x"})
    first, second = (bench.folders.prepare(checkout, release) for release in ("d/1", "d/2"))
    bench.folders.discard("d/1")
    bench.folders.discard("d/1")
    assert (bench.read(first, "a"), bench.read(second, "a")) == (None, "x")


@pytest.mark.parametrize("release", ["", "d", "../1", "d/..", "d/1/2", "/etc/1", "d/x"])
def test_refuses_what_is_no_release(bench: Bench, release: str) -> None:
    """Anything but deployment and number is refused before it becomes a path."""
    with pytest.raises(SourceInvalid):
        bench.folders.discard(release)


def test_copies_modes_and_links(files: FileBench) -> None:
    """Executables stay executable, links stay links, all readable by whoever runs the agent."""
    checkout = Path(files.checkout({"run": "x", "sub/file": "y"}))
    (checkout / "run").chmod(0o700)
    (checkout / "sub" / "file").chmod(0o600)
    (checkout / "link").symlink_to("sub/file")
    release = Path(files.folders.prepare(str(checkout), "d/1"))
    modes = {name: stat.S_IMODE((release / name).stat().st_mode) for name in ("", "run", "sub", "sub/file")}
    assert modes == {"": 0o755, "run": 0o755, "sub": 0o755, "sub/file": 0o644}
    assert os.readlink(release / "link") == "sub/file"


def test_has_an_empty_queue_to_mount_on(files: FileBench) -> None:
    """A queue that another instance left in the source is not copied."""
    checkout = files.checkout({"a": "", ".ploinky/queue/tasks/old": ""})
    release = Path(files.folders.prepare(checkout, "d/1"))
    assert list((release / ".ploinky" / "queue").iterdir()) == []


@pytest.mark.parametrize("target", ["/etc/passwd", "../other/secret", "sub/../../other"])
def test_refuses_a_link_that_leaves_the_agent(files: FileBench, target: str) -> None:
    """A link out of the agent's folder would point at another release, or at the machine."""
    checkout = Path(files.checkout({"hello/sub/a": "", "other/secret": ""}))
    (checkout / "hello" / "link").symlink_to(target)
    with pytest.raises(SourceInvalid, match="link") as caught:
        files.folders.prepare(str(checkout / "hello"), "d/1")
    assert caught.value.advice
    assert list((files.directory / "releases" / "d").iterdir()) == []


def test_refuses_a_pipe(files: FileBench) -> None:
    """What is no file would block the copy, or be something else inside a container."""
    checkout = files.checkout({"a": ""})
    os.mkfifo(Path(checkout) / "pipe")
    with pytest.raises(SourceInvalid, match="pipe"):
        files.folders.prepare(checkout, "d/1")


def test_refuses_a_missing_source(files: FileBench) -> None:
    """A source that is not there is named."""
    with pytest.raises(SourceInvalid, match="nowhere"):
        files.folders.prepare(str(files.directory / "nowhere"), "d/1")


def test_refuses_a_folder_that_is_a_link(files: FileBench) -> None:
    """An agent's folder is a folder, wherever a link of its name would lead."""
    checkout = Path(files.checkout({"real/agent.py": ""}))
    (checkout / "linked").symlink_to("real")
    for agent in ("linked", "linked/sub"):
        with pytest.raises(SourceInvalid, match="link"):
            files.folders.find(str(checkout), agent)


def test_refuses_a_manifest_that_is_a_link(files: FileBench) -> None:
    """A manifest that leads elsewhere is never read."""
    checkout = Path(files.checkout({"hello/agent.py": ""}))
    (checkout / "hello" / "manifest.json").symlink_to("/etc/passwd")
    with pytest.raises(SourceInvalid, match=r"manifest\.json"):
        files.folders.find(str(checkout), "hello")


def test_refuses_a_huge_manifest(files: FileBench) -> None:
    """A manifest is read up to its bound."""
    checkout = files.checkout({"hello/manifest.json": " " * (MANIFEST_BYTES + 1)})
    with pytest.raises(SourceInvalid, match=str(MANIFEST_BYTES)):
        files.folders.find(checkout, "hello")


def test_starts_over_after_half_a_copy(files: FileBench) -> None:
    """What a killed copy left behind is removed, and the release is whole."""
    checkout = files.checkout({"a": "x"})
    left_behind = files.directory / "releases" / "d" / ".tmp-1-abc"
    left_behind.mkdir(parents=True)
    release = Path(files.folders.prepare(checkout, "d/1"))
    assert sorted(path.name for path in release.parent.iterdir()) == ["1"]


def test_discards_read_only_folders(files: FileBench) -> None:
    """Folders the agent made read-only do not keep a release alive, and links in it are not followed."""
    outside = files.directory / "outside"
    outside.mkdir(mode=0o500)
    release = Path(files.folders.prepare(files.checkout({"sub/a": "x"}), "d/1"))
    (release / "link").symlink_to(outside)
    (release / "sub").chmod(0o500)
    release.chmod(0o500)
    files.folders.discard("d/1")
    assert not release.parent.exists()
    assert stat.S_IMODE(outside.stat().st_mode) == 0o500


class TestVolume:
    def test_is_one_folder_for_a_deployment_and_a_name(self, bench: Bench) -> None:
        """The same name is the same folder, until all of a deployment's are discarded."""
        cache = bench.folders.volume("d1", "cache")
        assert cache == bench.folders.volume("d1", "cache")
        assert len({cache, bench.folders.volume("d1", "other"), bench.folders.volume("d2", "cache")}) == 3
        bench.folders.discard_volumes("d1")
        bench.folders.discard_volumes("d1")

    @pytest.mark.parametrize("name", ["", "..", "a/b", "/etc"])
    def test_is_never_elsewhere(self, bench: Bench, name: str) -> None:
        """What is no plain name is refused."""
        with pytest.raises(SourceInvalid):
            bench.folders.volume("d1", name)

    def test_keeps_its_files_until_it_is_discarded(self, tmp_path: Path) -> None:
        """Files outlive everything but the end of the deployment, of which only its own are removed."""
        folders = FileAgentFolders(tmp_path / "releases", tmp_path / "data")
        for name in ("d1", "d2"):
            Path(folders.volume(name, "cache"), "file").write_text("kept")
        assert Path(folders.volume("d1", "cache"), "file").read_text() == "kept"
        folders.discard_volumes("d1")
        assert not (tmp_path / "data" / "d1").exists()
        assert (tmp_path / "data" / "d2" / "cache" / "file").exists()
