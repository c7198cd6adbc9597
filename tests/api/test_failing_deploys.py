"""A deploy that cannot succeed says why, where, and what to do."""

from pathlib import Path
from typing import Any

from tests.adapters.sources.git_repositories import GitRepository
from tests.server.running import RunningServer
from tests.server.sample_agent import sample_repository
from tests.waiting import wait_until


def failure(server: RunningServer, path: str, agent: str, repository: Path, **fields: object) -> Any:
    """Deploy what cannot succeed; return how the rollout ended."""
    deployment_id = server.deploy(path, agent, repository, **fields)
    found = server.await_rollout(deployment_id)
    assert found["state"] in {"failed", "restarting"}, found
    end = found["lastRollout"]
    assert end["outcome"] == "failed"
    assert end["message"]
    return end


def test_no_such_repository(server: RunningServer, tmp_path: Path) -> None:
    """A path without a repository fails at the source, naming it."""
    end = failure(server, "/no-repository", "sample", tmp_path / "nothing")
    assert end["step"] == "source"
    assert end["code"].startswith("SOURCE_")
    assert "nothing" in end["message"]
    assert end["hint"]


def test_no_such_branch(server: RunningServer, repository: Path) -> None:
    """An unknown branch is named."""
    end = failure(server, "/no-branch", "sample", repository, branch="nothing")
    assert (end["step"], end["code"]) == ("source", "SOURCE_INVALID")
    assert "nothing" in end["message"]


def test_an_odd_branch(server: RunningServer, repository: Path) -> None:
    """A branch that no repository can have ends the rollout as well."""
    for number, branch in enumerate(("", "a\0b", "../..", "--upload-pack=x", "b" * 5_000)):
        answer = server.api(
            "POST",
            "/deployments",
            {
                "domain": "localhost",
                "path": f"/odd-branch-{number}",
                "agent": "sample",
                "repository": str(repository),
                "branch": branch,
            },
        )
        if answer.status == 202:
            end = server.await_rollout(answer.document["id"])["lastRollout"]
            assert (end["outcome"], end["step"]) == ("failed", "source"), branch
        else:
            assert answer.status == 400, branch


def test_no_such_agent(server: RunningServer, tmp_path: Path) -> None:
    """A repository of other agents does not have this one."""
    repository = GitRepository(tmp_path / "agents")
    repository.commit({"one/handlers/a.py": "def handle(params):\n    return 1\n", "two/manifest.json": "{}"})
    end = failure(server, "/no-agent", "three", repository.directory)
    assert (end["step"], end["code"]) == ("source", "AGENT_NOT_FOUND")
    assert "three" in end["message"]


def test_a_broken_manifest(server: RunningServer, tmp_path: Path) -> None:
    """A manifest that cannot be read is refused with line and column."""
    repository = sample_repository(tmp_path / "agent", '{\n  "name": "sample",\n  "access" "public"\n}')
    end = failure(server, "/broken-manifest", "sample", repository.directory)
    assert (end["step"], end["code"]) == ("source", "MANIFEST_INVALID")
    assert "line 3" in end["message"]
    assert "column" in end["message"]


def test_a_missing_variable(server: RunningServer, tmp_path: Path) -> None:
    """A required variable that was not given is named with the option to give it; given, the deploy succeeds."""
    manifest = '{"name": "sample", "access": "public", "env": [{"varName": "TOKEN", "required": true}]}'
    repository = sample_repository(tmp_path / "agent", manifest)
    end = failure(server, "/variables", "sample", repository.directory)
    assert (end["step"], end["code"]) == ("source", "MANIFEST_INVALID")
    assert "TOKEN" in end["message"]
    assert "--env TOKEN=" in end["hint"]
    server.serve("/variables", "sample", repository.directory, env={"TOKEN": "s3cret"})
    assert server.ask("GET", "/variables/variable?n=TOKEN").document == "s3cret"
    assert b"s3cret" not in server.api("GET", "/events?limit=1000").body
    assert b"s3cret" not in server.api("GET", "/deployments").body


def test_an_agent_that_exits(server: RunningServer, tmp_path: Path) -> None:
    """An agent that ends at once is shown with its exit code and its last words."""
    manifest = '{"name": "sample", "run": ["sh", "-c", "echo the cellar is flooded; exit 7"]}'
    repository = sample_repository(tmp_path / "agent", manifest)
    end = failure(server, "/exits", "sample", repository.directory)
    assert end["step"] in {"start", "readiness"}
    assert end["exitCode"] == 7
    assert "the cellar is flooded" in end["logTail"]


def test_an_agent_that_cannot_start(server: RunningServer, tmp_path: Path) -> None:
    """A command that does not exist is a failed deploy, not a crash of the server."""
    repository = sample_repository(tmp_path / "agent", '{"name": "sample", "run": ["./no-such-program"]}')
    end = failure(server, "/no-program", "sample", repository.directory)
    assert "no-such-program" in end["message"] + end["logTail"]
    assert server.ask("GET", "/management/health/ready").status == 200


def test_what_served_goes_on_serving(server: RunningServer, tmp_path: Path) -> None:
    """A failing update leaves the old generation at work."""
    repository = sample_repository(tmp_path / "agent")
    deployment_id = server.serve("/steady", "sample", repository.directory)
    repository.commit({"manifest.json": "{broken"})
    assert server.api("POST", f"/deployments/{deployment_id}/update").status == 202
    found = server.await_rollout(deployment_id)
    assert (found["state"], found["generation"]) == ("running", 1)
    assert found["lastRollout"]["code"] == "MANIFEST_INVALID"
    assert server.ask("GET", "/steady/echo").status == 200


def test_nobody_waits_for_a_deploy_that_failed(server: RunningServer, tmp_path: Path) -> None:
    """Tasks that waited for the first rollout end with its reason, and later calls are refused at once."""
    deployment_id = server.deploy("/hopeless", "sample", tmp_path / "nothing")
    server.await_rollout(deployment_id)
    answer = server.ask("POST", "/hopeless/echo", X_API_Key=server.key)
    assert (answer.status, answer.code) == (503, "DEPLOYMENT_NOT_READY")
    assert server.api("DELETE", f"/deployments/{deployment_id}").status == 202
    wait_until(lambda: server.deployment(deployment_id) is None, what="the removal")
