"""Settings, repositories and keys."""

import json
import time
from pathlib import Path

import pytest

from ploinky.adapters.hmac_signer import HmacSigner
from tests.server.running import RunningServer, run_to_end


def test_settings_are_shown_and_changed(server: RunningServer) -> None:
    """A setting is the configured one until it is changed; changing it twice to the same is one event."""
    shown = {one["name"]: one for one in server.api("GET", "/settings").document}
    assert shown["lastLogsLines"] == {"name": "lastLogsLines", "value": 200, "isChanged": False}
    for _ in range(2):
        changed = server.api("PUT", "/settings/lastLogsLines", {"value": 50})
        assert changed.document == {"name": "lastLogsLines", "value": 50, "isChanged": True}
    events = server.api("GET", "/events?type=settings.").document["data"]
    assert len(events) == 1
    assert events[0]["actor"].startswith("key:")


def test_the_limit_of_deployments_holds(server: RunningServer, repository: Path, deployment_id: str) -> None:
    """At `maxContainers` deployments no further one is taken; the same one again is."""
    server.api("PUT", "/settings/maxContainers", {"value": 1})
    try:
        wanted = {"domain": "localhost", "path": "/more", "agent": "sample", "repository": str(repository)}
        answer = server.api("POST", "/deployments", wanted)
        assert (answer.status, answer.code) == (409, "CONFLICT")
        assert "maxContainers" in answer.document["details"]["hint"]
        assert server.api("POST", "/deployments", {**wanted, "path": "/sample"}).document["id"] == deployment_id
        server.await_rollout(deployment_id)
    finally:
        server.api("PUT", "/settings/maxContainers", {"value": 100})


def test_the_time_limit_of_new_releases(server: RunningServer, repository: Path) -> None:
    """`taskTimeout` holds for releases made after the change; a task beyond it is ended with 504."""
    server.api("PUT", "/settings/taskTimeout", {"value": 1})
    try:
        server.serve("/hasty", "sample", repository)
    finally:
        server.api("PUT", "/settings/taskTimeout", {"value": 300})
    answer = server.ask("POST", "/hasty/slow", {"params": [30]})
    assert (answer.status, answer.code) == (504, "TASK_TIMEOUT")


def test_cleans_up_on_request(server: RunningServer) -> None:
    """What nothing needs is named first, then removed; the disk is part of the server's health."""
    stray = server.installation / "repos" / "gone-12345678" / "checkouts" / ("0" * 40)
    stray.mkdir(parents=True)
    name = f"checkout gone-12345678/{'0' * 40}"
    dry = server.api("POST", "/cleanup?dryRun=true").document
    assert (dry["isDryRun"], name in dry["removed"], stray.exists()) == (True, True, True)
    done = server.api("POST", "/cleanup").document
    assert (done["isDryRun"], name in done["removed"], stray.exists()) == (False, True, False)
    disk = server.api("GET", "/health").document["disk"]
    assert 0 < disk["freeBytes"] <= disk["totalBytes"]


def test_registries_keep_their_passwords(server: RunningServer) -> None:
    """Who asks a registry can be told, told anew, listed and forgotten; the password comes back nowhere."""
    for password in ("hunter2-a", "hunter2-b"):
        body = {"host": "127.0.0.1:5000", "username": "robot", "password": password}
        answer = server.api("POST", "/registries", body)
        assert (answer.status, answer.document) == (201, {"host": "127.0.0.1:5000", "username": "robot"})
    listed = server.api("GET", "/registries").document["data"]
    assert listed == [{"host": "127.0.0.1:5000", "username": "robot"}]
    assert b"hunter2" not in server.api("GET", "/events?perPage=500").body
    assert len(list((server.installation / "secrets").iterdir())) == 1
    assert server.api("DELETE", "/registries/127.0.0.1:5000").status == 204
    assert server.api("DELETE", "/registries/127.0.0.1:5000").code == "REGISTRY_NOT_FOUND"
    assert list((server.installation / "secrets").iterdir()) == []


@pytest.mark.parametrize(
    ("field", "value"), [("host", "https://x"), ("host", "a/b"), ("username", ""), ("password", "a\nb")]
)
def test_refuses_what_no_registry_can_be_asked_with(server: RunningServer, field: str, value: str) -> None:
    """A host is a host, and nothing that could break a header is taken."""
    body = {"host": "images.example.com", "username": "robot", "password": "x", field: value}
    assert server.api("POST", "/registries", body).status == 400


def test_repositories_have_names(server: RunningServer, repository: Path) -> None:
    """A name stands for a repository until it is removed; adding it again is idempotent, changing it a conflict."""
    wanted = {"name": "samples", "url": str(repository)}
    assert [server.api("POST", "/repositories", wanted).status for _ in range(2)] == [201, 201]
    conflict = server.api("POST", "/repositories", {**wanted, "url": "/srv/other"})
    assert (conflict.status, conflict.code) == (409, "REPOSITORY_EXISTS")
    assert [one["name"] for one in server.api("GET", "/repositories").document["data"]] == ["samples"]
    deployment_id = server.deploy("/named", "sample", Path("samples"))
    assert server.await_rollout(deployment_id)["repository"] == str(repository)
    assert server.api("DELETE", "/repositories/samples").status == 204
    assert server.api("GET", "/repositories").document["data"] == []
    assert server.ask("GET", "/named/echo").status == 200


def test_a_revoked_key_opens_nothing(server: RunningServer) -> None:
    """Revoking is for ever and idempotent; whoever revoked the last key recovers on the machine itself."""
    old = server.key
    key_id = old.split("_")[1]
    assert server.api("DELETE", f"/keys/{key_id}").status == 204
    assert server.api("GET", "/keys").status == 401
    made = run_to_end(server.directory, "keys", "recover", "--json")
    assert made.returncode == 0, made.stderr
    server.key = json.loads(made.stdout)["key"]
    listed = {one["id"]: one["isRevoked"] for one in server.api("GET", "/keys").document["data"]}
    assert listed[key_id] is True
    assert listed[server.key.split("_")[1]] is False
    assert server.api("DELETE", f"/keys/{key_id}").status == 204


def test_secrets_of_keys_are_nowhere(server: RunningServer) -> None:
    """No file of the installation but the person's own holds a key's secret, and no event shows it."""
    secret = server.key.split("_")[2].encode()
    files = [path for path in server.installation.rglob("*") if path.is_file() and path.name != "profile.json"]
    assert files
    assert not [path for path in files if secret in path.read_bytes()]
    assert secret not in server.api("GET", "/events?limit=1000").body


@pytest.mark.parametrize("change", [0, 61, -61, 10**6])
def test_a_proof_is_good_for_a_minute(server: RunningServer, change: int) -> None:
    """A proof of being on the machine is refused when it is another installation's or too old."""
    issued_at = int(time.time()) + change
    proof = HmacSigner.in_directory(server.installation).token("recovery", str(issued_at + (change == 0)))
    answer = server.ask("POST", "/management/api/keys/recover", {"issuedAt": issued_at, "proof": proof})
    assert (answer.status, answer.code) == (403, "FORBIDDEN")


def test_health_says_how_it_is(server: RunningServer) -> None:
    """Health names the version, the journal's head and each runtime with whether it can be used."""
    health = server.api("GET", "/health").document
    assert health["status"] == "ok"
    assert health["journal"]["epoch"] == 1
    assert [(one["kind"], one["isUsable"]) for one in health["runtimes"]] == [("process", True)]
    assert server.api("GET", "/health").document["journal"]["id"] == health["journal"]["id"]
    assert server.ask("GET", "/management/api/check-auth", X_API_Key=server.key).document == {"isAuthenticated": True}
