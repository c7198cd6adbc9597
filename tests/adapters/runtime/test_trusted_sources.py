"""Which repositories may run where nothing keeps an agent apart."""

import os
from pathlib import Path

import pytest

from ploinky.adapters.trusted_sources import TrustedSources

TEAM = "https://git.example.com/team"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def trusts(tmp_path: Path, repository: str, *prefixes: str) -> bool:
    return TrustedSources(prefixes, tmp_path / "data")(repository)


@pytest.mark.parametrize(
    "repository", [TEAM, f"{TEAM}/", f"{TEAM}/a", f"{TEAM}/a/b.git", "HTTPS://Git.Example.com/team/a"]
)
def test_what_the_operator_named(tmp_path: Path, repository: str) -> None:
    """A repository that is named, or lies below what is named, is trusted; hosts are written as anybody likes."""
    assert trusts(tmp_path, repository, "https://elsewhere.example.com", TEAM)


@pytest.mark.parametrize(
    "repository",
    [
        "https://git.example.com/teammate/a",
        "https://git.example.com/team/../other/a",
        "https://git.example.com/team/%2e%2e/other/a",
        "https://git.example.com/team//a",
        "https://git.example.com/Team/a",
        "http://git.example.com/team/a",
        "https://git.example.com:8443/team/a",
        "https://git.example.com.evil.example/team/a",
        "https://git.example.com",
        "https://[/team/a",
        "git.example.com/team/a",
    ],
)
def test_nothing_that_only_looks_like_it(tmp_path: Path, repository: str) -> None:
    """Another scheme, host, port or folder is not what was named, and no path may lead out again."""
    assert not trusts(tmp_path, repository, TEAM)


def test_a_whole_host(tmp_path: Path) -> None:
    """A host alone stands for all of it."""
    assert trusts(tmp_path, f"{TEAM}/a", "https://git.example.com")


@pytest.mark.parametrize("form", ["{}", "file://{}", "{}/agent"])
def test_folders_of_ones_own(tmp_path: Path, own: Path, form: str) -> None:
    """A folder of the server's user needs no naming, wherever in it the agent lies."""
    (own / "agent").mkdir()
    assert trusts(tmp_path, form.format(own))


def test_no_folder_that_others_may_write(tmp_path: Path, own: Path) -> None:
    """What others could have put there is nobody's own, also above the repository."""
    (own / "agent").mkdir()
    own.chmod(0o777)
    assert not trusts(tmp_path, str(own))
    assert not trusts(tmp_path, str(own / "agent"))
    own.chmod(0o1777)
    assert trusts(tmp_path, str(own / "agent"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of others")
def test_no_folder_of_others(tmp_path: Path, own: Path) -> None:
    """A folder of somebody else, or below one, is not trusted until it is named."""
    (own / "agent").mkdir()
    os.chown(own, 65534, 65534)
    assert not trusts(tmp_path, str(own))
    assert not trusts(tmp_path, str(own / "agent"))
    assert trusts(tmp_path, str(own / "agent"), str(own))


def test_no_link_to_elsewhere(tmp_path: Path, own: Path) -> None:
    """It is the folder itself that counts, not who made a link to it."""
    (own / "link").symlink_to("/proc")
    assert not trusts(tmp_path, str(own / "link" / "missing"))


def test_nothing_that_was_fetched(tmp_path: Path) -> None:
    """The data directory belongs to the server's user, but what lies there came from somewhere."""
    fetched = tmp_path / "data" / "repos" / "x"
    fetched.mkdir(parents=True)
    assert not trusts(tmp_path, str(fetched))
    assert trusts(tmp_path, str(fetched), str(fetched))


def test_nothing_that_is_missing(tmp_path: Path) -> None:
    """A path without a folder is no folder of anybody."""
    assert not trusts(tmp_path, str(tmp_path / "missing"))
