"""Deploy, change and take off, as people see it through the API."""

import json
from pathlib import Path

import pytest

from tests.server.outside import Gate
from tests.server.running import RunningServer, run_to_end
from tests.server.sample_agent import sample_repository
from tests.waiting import wait_until


def test_a_new_agent_works_as_it_is(server: RunningServer, tmp_path: Path) -> None:
    """What `new agent` makes can be deployed and called without touching it; it needs a key until told otherwise."""
    made = run_to_end(tmp_path, "new", "agent", "greeter", "--json")
    folder = Path(json.loads(made.stdout)["directory"])
    deployment_id = server.serve("/greeter", "greeter", folder)
    assert server.ask("POST", "/greeter/hello", {"params": ["Ada"]}).code == "UNAUTHENTICATED"
    answer = server.ask("POST", "/greeter/hello", {"params": ["Ada"]}, X_API_Key=server.key)
    assert answer.document == "Hello, Ada!"
    logs = server.api("GET", f"/deployments/{deployment_id}/logs")
    assert logs.headers["content-type"].startswith("text/plain")
    wait_until(
        lambda: b"greeting Ada" in server.api("GET", f"/deployments/{deployment_id}/logs").body, what="the log line"
    )
    assert len(server.api("GET", f"/deployments/{deployment_id}/logs?tail=1").body.splitlines()) == 1


def test_the_deployer_decides_who_may_call(server: RunningServer, repository: Path) -> None:
    """`access` of the request wins over the manifest, in both directions."""
    server.serve("/closed", "sample", repository, access="authenticated")
    assert server.ask("GET", "/closed/echo").status == 401
    assert server.ask("GET", "/closed/echo", X_API_Key=server.key).status == 200
    assert server.ask("GET", "/closed/echo", Authorization=f"Bearer {server.key}").status == 200
    assert server.ask("GET", "/closed/echo", X_API_Key=server.key[:-1]).status == 401


def test_nobody_enters_before_it_is_known_who_may(server: RunningServer, tmp_path: Path) -> None:
    """While the first rollout runs, a deployment that will be public asks for a key; a known caller's task waits."""
    agent = sample_repository(tmp_path / "agent", '{"name": "sample", "access": "public", "run": ["./late"]}')
    gate = Gate()
    host, _, port = str(gate).partition(":")
    waiting = f"import socket; socket.create_connection(('{host}', {port})).recv(1)"
    late = f'#!/bin/sh\npython3 -c "{waiting}" 2>/dev/null\nexec python3 -m agentcore\n'
    (agent.directory / "late").write_text(late)
    (agent.directory / "late").chmod(0o755)
    agent.commit({})
    deployment_id = server.deploy("/early", "sample", agent.directory)
    assert server.ask("POST", "/early/echo", b"x").code == "UNAUTHENTICATED"
    accepted = server.ask("POST", "/early/echo?async=true", b"x", X_API_Key=server.key)
    assert accepted.status == 202
    gate.touch()
    assert server.await_task(accepted.document["id"], "succeeded")["result"] == ["x"]
    assert server.await_rollout(deployment_id)["state"] == "running"
    assert server.ask("POST", "/early/echo", b"x").status == 200


def test_another_agent_may_not_take_a_route(server: RunningServer, repository: Path, deployment_id: str) -> None:
    """A route that is served belongs to its agent until that is undeployed."""
    wanted = {"domain": "localhost", "path": "/sample", "agent": "other", "repository": str(repository)}
    answer = server.api("POST", "/deployments", wanted)
    assert (answer.status, answer.code) == (409, "ROUTE_TAKEN")
    assert answer.document["details"]["deployment"] == deployment_id


def test_lists_what_is_there(server: RunningServer, deployment_id: str) -> None:
    """Deployments, instances and routes are listed in pages and by filter, under both names of the original."""
    listed = server.api("GET", "/deployments?domain=localhost&path=/sample").document
    assert [one["id"] for one in listed["data"]] == [deployment_id]
    assert listed["data"][0]["url"] == f"{server.url}/sample"
    instances = server.api("GET", "/instances").document
    assert instances == server.api("GET", "/containers").document | {"links": instances["links"]}
    assert deployment_id in {one["deployment"] for one in instances["data"]}
    routes = server.api("GET", "/routes?perPage=500").document["data"]
    assert {"domain": "localhost", "path": "/sample", "deployment": deployment_id} in routes


def test_the_same_agent_again_is_a_new_generation(server: RunningServer, tmp_path: Path) -> None:
    """Deploying again rolls out the newest commit as the next generation of the same deployment."""
    repository = sample_repository(tmp_path / "again")
    first = server.serve("/again", "sample", repository.directory, env={"COLOUR": "red"})
    commit = repository.commit({"handlers/new.py": "def handle(params):\n    return 'new'\n"})
    assert server.serve("/again", "sample", repository.directory) == first
    found = server.deployment(first)
    assert (found["generation"], found["commit"]) == (2, commit)
    assert server.ask("GET", "/again/new").document == "new"
    assert server.ask("GET", "/again/variable?n=COLOUR").document == "red"
    assert server.api("POST", f"/deployments/{first}/update").status == 202
    assert server.await_rollout(first)["generation"] == 3


def test_stops_starts_and_restarts(server: RunningServer, repository: Path) -> None:
    """Stopped, the route stays and calls wait or are refused as unready; started, the same release serves again."""
    deployment_id = server.serve("/sleeper", "sample", repository)
    assert server.api("POST", f"/deployments/{deployment_id}/restart").status == 202
    assert server.await_rollout(deployment_id)["generation"] == 2
    assert server.ask("GET", "/sleeper/echo").status == 200
    assert server.api("POST", f"/deployments/{deployment_id}/stop").status == 202
    wait_until(lambda: server.deployment(deployment_id)["instances"] == [], what="the end of its instances")
    assert server.deployment(deployment_id)["state"] == "stopped"
    refused = server.ask("GET", "/sleeper/echo")
    assert (refused.status, refused.code) == (503, "DEPLOYMENT_NOT_READY")
    assert refused.headers["retry-after"] == "1"
    assert server.api("POST", f"/deployments/{deployment_id}/start").status == 202
    server.await_rollout(deployment_id)
    assert server.ask("GET", "/sleeper/echo").status == 200


@pytest.mark.slow
def test_undeploying_leaves_nothing(server: RunningServer, repository: Path, tmp_path: Path) -> None:
    """The route is gone at once, waiting tasks end with the reason, and no process or folder stays."""
    deployment_id = server.serve("/leaving", "sample", repository, concurrency=1)
    body = {"params": [str(tmp_path / "never")]}
    tasks = [server.ask("POST", "/leaving/gate?async=true", body).document["id"] for _ in range(3)]
    server.await_task(tasks[0], "running")
    assert server.api("DELETE", "/deployments?domain=localhost&path=/leaving").status == 202
    assert server.ask("GET", "/leaving/echo").code == "DEPLOYMENT_NOT_FOUND"
    server.await_gone(deployment_id)
    for task_id in tasks:
        task = server.await_task(task_id, "dead", "cancelled", "failed")
        assert task["error"]["code"] in {"TASK_LOST", "CANCELLED", "DEPLOYMENT_REMOVED"}, task
        assert task["error"]["message"]
    assert not [path for path in server.directory.rglob(f"*{deployment_id}*") if "journal" not in path.name]
    assert all(deployment_id not in (name or "") for name in commands_of(server))
    assert server.api("DELETE", f"/deployments/{deployment_id}").code == "DEPLOYMENT_NOT_FOUND"


def commands_of(server: RunningServer) -> list[str]:
    found = []
    for pid in server.agent_processes():
        try:
            found.append((Path("/proc") / str(pid) / "environ").read_text())
        except OSError:
            continue
    return found


def test_a_route_may_be_taken_again(server: RunningServer, repository: Path) -> None:
    """After an undeploy the route is free for anybody, as a new deployment."""
    first = server.serve("/free", "sample", repository)
    assert server.api("DELETE", f"/deployments/{first}").status == 202
    second = server.serve("/free", "sample", repository)
    assert second != first
    assert server.ask("GET", "/free/echo").status == 200
