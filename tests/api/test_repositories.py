"""Repositories: what opens them, what is in them, and that no secret is ever seen again."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.adapters.sources.git_repositories import GitRepository, GitServer, git, git_server
from tests.server.running import RunningServer

PASSWORD = "an-Unlikely-Word-4711"
HANDLER = "def handle(params):\n    return '{}'\n"


@pytest.fixture
def agents(tmp_path: Path) -> GitRepository:
    """A repository with two agents in a folder."""
    repository = GitRepository(tmp_path / "served" / "agents")
    repository.commit(
        {
            "team/first/manifest.json": json.dumps(
                {"about": "The first", "commands": {"shout": "echo"}, "access": "public"}
            ),
            "team/first/handlers/say.py": HANDLER.format("one"),
            "team/broken/manifest.json": "{",
        }
    )
    return repository


@pytest.fixture
def private(tmp_path: Path, agents: GitRepository) -> Iterator[GitServer]:
    with git_server(tmp_path / "served", PASSWORD) as served:
        yield served


def check_nothing_leaked(server: RunningServer) -> None:
    """Look for the secret in everything that is kept or said in plain."""
    with closing(sqlite3.connect(server.installation / "journal.db")) as journal:
        tables = [name for (name,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = "".join(str(row) for table in tables for row in journal.execute(f"SELECT * FROM {table}"))
    files = [path for path in server.installation.rglob("*") if path.is_file() and path.stat().st_size < 1 << 20]
    assert PASSWORD not in kept
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    for path in ("/repositories", "/deployments", "/events?limit=1000"):
        assert PASSWORD not in json.dumps(server.api("GET", path).document)
    assert PASSWORD not in server.errors + server.output


def test_a_private_repository_is_deployed_by_name(server: RunningServer, private: GitServer) -> None:
    """Its credentials are given once, kept as a secret, used for each fetch, and never seen again."""
    wanted = {"name": "private", "url": private.url("agents/.git")}
    refused = server.api("POST", "/repositories", {**wanted, "credentials": {"username": "user"}})
    assert (refused.status, refused.code) == (400, "INVALID_REQUEST")
    added = server.api("POST", "/repositories", {**wanted, "credentials": {"username": "user", "password": PASSWORD}})
    assert (added.document["credentials"], added.document["username"]) == ("basic", "user")
    deployment_id = server.deploy("/private", "first", Path("private"), subfolder="team")
    deployment = server.await_rollout(deployment_id)
    assert (deployment["repository"], deployment["subfolder"]) == (wanted["url"], "team")
    assert server.ask("POST", "/private/say").document == "one"
    check_nothing_leaked(server)
    server.api("DELETE", f"/deployments/{deployment_id}")
    assert server.api("DELETE", "/repositories/private").status == 204


def test_a_deployment_may_have_credentials_of_its_own(server: RunningServer, private: GitServer) -> None:
    """Without them the rollout fails with a hint; with them it works, and works again without giving them again."""
    options = {"subfolder": "team"}
    url = private.url("agents/.git")
    failed = server.await_rollout(server.deploy("/own", "first", url, **options))
    assert failed["lastRollout"]["code"] == "SOURCE_INVALID"
    assert "--token-secret" in failed["lastRollout"]["hint"]
    given = {"credentials": {"username": "user", "password": PASSWORD}, **options}
    server.await_rollout(server.deploy("/own", "first", url, **given))
    deployment_id = server.deploy("/own", "first", url, **options)
    server.await_rollout(deployment_id)
    check_nothing_leaked(server)
    server.api("DELETE", f"/deployments/{deployment_id}")


def test_credentials_in_an_address_are_refused(server: RunningServer) -> None:
    """For a name and for a deployment; the answer has a hint and not the secret."""
    url = f"https://user:{PASSWORD}@git.example.com/a.git"
    wanted = {"domain": "localhost", "path": "/x", "agent": "a", "repository": url}
    for path, document in (("/repositories", {"name": "x", "url": url}), ("/deployments", wanted)):
        answer = server.api("POST", path, document)
        assert answer.status == 400
        assert "--username" in answer.document["details"]["hint"]
        assert PASSWORD not in json.dumps(answer.document)


def test_agents_of_a_repository_are_listed(server: RunningServer, agents: GitRepository) -> None:
    """Each has name, description and commands; a broken manifest is shown with its error."""
    server.api("POST", "/repositories", {"name": "listed", "url": str(agents.directory)})
    first, broken = sorted(server.api("GET", "/repositories/listed/agents").document["data"], key=lambda a: a["error"])
    assert first == {"name": "team/first", "about": "The first", "commands": ["say", "shout"], "error": ""}
    assert broken["name"] == "team/broken"
    assert "line 1" in broken["error"]
    assert server.api("GET", "/repositories/nowhere/agents").status == 404
    server.api("DELETE", "/repositories/listed")


def test_an_update_shows_what_changed(server: RunningServer, agents: GitRepository) -> None:
    """The first one has nothing to compare with; nothing is deployed by it."""
    server.api("POST", "/repositories", {"name": "watched", "url": str(agents.directory)})
    first = server.api("POST", "/repositories/watched/update").document
    assert (first["before"], first["changes"]) == (None, [])
    commit = agents.commit({"new": "x", "team/first/handlers/say.py": HANDLER.format("two")})
    second = server.api("POST", "/repositories/watched/update").document
    assert (second["before"], second["commit"]) == (first["commit"], commit)
    assert second["changes"] == ["+ new", "~ team/first/handlers/say.py"]
    (row,) = [one for one in server.api("GET", "/repositories").document["data"] if one["name"] == "watched"]
    assert row["cache"]["heads"] == {"HEAD": commit}
    assert row["cache"]["lastError"] == ""
    server.api("DELETE", "/repositories/watched")


def test_a_revision_stays(server: RunningServer, agents: GitRepository) -> None:
    """A deployment of a tag serves that commit, however the branch moves, and an update does not move it."""
    git(agents.directory, "tag", "v1")
    tagged = git(agents.directory, "rev-parse", "HEAD")
    agents.commit({"team/first/handlers/say.py": HANDLER.format("two")})
    options = {"subfolder": "team", "revision": "v1"}
    deployment_id = server.deploy("/tagged", "first", agents.directory, **options)
    assert server.await_rollout(deployment_id)["commit"] == tagged
    server.api("POST", f"/deployments/{deployment_id}/update")
    assert server.await_rollout(deployment_id)["commit"] == tagged
    assert server.ask("POST", "/tagged/say").document == "one"
    server.api("DELETE", f"/deployments/{deployment_id}")


def test_pointers_of_large_files_are_a_warning(server: RunningServer, agents: GitRepository) -> None:
    """Whoever deploys hears that a file's content is not there."""
    agents.commit({"team/first/model.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"})
    deployment_id = server.serve("/large", "first", agents.directory, subfolder="team")
    (warning,) = server.deployment(deployment_id)["warnings"]
    assert "team/first/model.bin" in warning
    server.api("DELETE", f"/deployments/{deployment_id}")


def test_a_branch_and_a_revision_contradict_each_other(server: RunningServer, agents: GitRepository) -> None:
    """A deployment follows the one or stays at the other."""
    wanted = {"domain": "localhost", "path": "/x", "agent": "first", "repository": str(agents.directory)}
    answer = server.api("POST", "/deployments", {**wanted, "branch": "main", "revision": "v1"})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("subfolder", ["..", "a/../../b", "./x", "a//b", "a\u0000b"])
def test_a_subfolder_stays_inside(server: RunningServer, agents: GitRepository, subfolder: str) -> None:
    """What leaves the repository is refused before anything is fetched."""
    wanted = {"domain": "localhost", "path": "/x", "agent": "first", "repository": str(agents.directory)}
    assert server.api("POST", "/deployments", {**wanted, "subfolder": subfolder}).status == 400


def test_the_event_says_that_the_cache_served_and_why(
    server: RunningServer, agents: GitRepository, tmp_path: Path
) -> None:
    """With the git server away, the commit fetched last is deployed, and the journal says how old it is."""
    with git_server(tmp_path / "served") as served:
        url = served.url("agents/.git")
        deployment_id = server.deploy("/cached", "first", url, subfolder="team")
        server.await_rollout(deployment_id)
        assert server.deployment(deployment_id)["warnings"] == []
        served.status = 503
        server.api("POST", f"/deployments/{deployment_id}/update")
        (warning,) = server.await_rollout(deployment_id)["warnings"]
        assert "from the cache" in warning
        assert "503" in warning
    events = server.api("GET", f"/events?stream=deployment/{deployment_id}&type=deployment.source_fetched").document
    fresh, cached = (event["data"] for event in events["data"])
    assert "is_from_cache" not in fresh
    assert cached["is_from_cache"]
    assert cached["cache_age_seconds"] >= 0
    assert "503" in cached["cache_reason"]
    server.api("DELETE", f"/deployments/{deployment_id}")
