"""Push to deploy: signed deliveries update what follows the branch, once."""

import hmac
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ploinky.api.webhooks import BODY_LIMIT_BYTES
from tests.adapters.sources.git_repositories import GitRepository, git, git_server
from tests.server.running import Answer, RunningServer

SECRET = "the secret of the webhook"
HANDLER = "def handle(params):\n    return '{}'\n"
WEBHOOKS = "/management/api/webhooks"


@pytest.fixture
def agents(tmp_path: Path) -> GitRepository:
    repository = GitRepository(tmp_path / "served" / "agents")
    repository.commit({"pushed/manifest.json": '{"access": "public"}', "pushed/handlers/say.py": HANDLER.format("one")})
    return repository


@pytest.fixture
def url(server: RunningServer, agents: GitRepository, tmp_path: Path) -> Iterator[str]:
    """A repository's address, known by the name `pushed` with a webhook's secret."""
    with git_server(tmp_path / "served") as served:
        address = served.url("agents/.git")
        wanted = {"name": "pushed", "url": address, "webhookSecret": SECRET}
        assert server.api("POST", "/repositories", wanted).document["hasWebhookSecret"]
        yield address
        server.api("DELETE", "/repositories/pushed")


def headers(
    provider: str, body: bytes, delivery: str, event: str | None = None, secret: str = SECRET
) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, sha256).hexdigest()
    return {
        "github": {
            "X-Hub-Signature-256": f"sha256={digest}",
            "X-GitHub-Event": event or "push",
            "X-GitHub-Delivery": delivery,
        },
        "gitlab": {"X-Gitlab-Token": secret, "X-Gitlab-Event": event or "Push Hook", "X-Gitlab-Event-UUID": delivery},
        "gitea": {"X-Gitea-Signature": digest, "X-Gitea-Event": event or "push", "X-Gitea-Delivery": delivery},
    }[provider]


def push(url: str, commit: str, branch: str = "main") -> bytes:
    addresses = {"clone_url": url, "git_http_url": url, "default_branch": "main"}
    document = {"ref": f"refs/heads/{branch}", "after": commit, "repository": addresses, "project": addresses}
    return json.dumps(document).encode()


def deliver(server: RunningServer, provider: str, body: bytes, sent: dict[str, str], query: str = "") -> Answer:
    """Send it without a key."""
    return server.ask("POST", f"{WEBHOOKS}/{provider}{query}", body, **sent)


def pushes(server: RunningServer) -> list[dict[str, Any]]:
    events = server.api("GET", "/events?type=repository.pushed&limit=1000").document["data"]
    return [event for event in events if event["stream"] == "repository/pushed"]


@pytest.mark.parametrize("provider", ["github", "gitlab", "gitea"])
def test_a_push_updates_what_follows_the_branch(
    server: RunningServer, agents: GitRepository, url: str, provider: str
) -> None:
    """The answer lists what was told; the new commit serves; the same delivery again does nothing."""
    following = server.serve(f"/{provider}", "pushed", url)
    other = server.serve(f"/{provider}-tag", "pushed", url, revision=git(agents.directory, "rev-parse", "HEAD"))
    commit = agents.commit({"pushed/handlers/say.py": HANDLER.format("two")})
    body = push(url, commit)
    sent = headers(provider, body, f"{provider}-1")
    answer = deliver(server, provider, body, sent)
    assert answer.status == 200, answer.body
    assert answer.document["deployments"] == [following]
    assert (answer.document["repositories"], answer.document["commit"]) == (["pushed"], commit)
    assert server.await_rollout(following)["commit"] == commit
    assert server.ask("POST", f"/{provider}/say").document == "two"
    generation = server.deployment(following)["generation"]
    again = deliver(server, provider, body, sent)
    assert (again.status, again.document) == (200, answer.document)
    assert server.await_rollout(following)["generation"] == generation
    (event,) = [event for event in pushes(server) if event["data"]["delivery"] == f"{provider}:{provider}-1"]
    assert event["actor"] == f"webhook:{provider}"
    updates = server.api("GET", f"/events?stream=deployment/{following}&type=deployment.updated").document["data"]
    assert [update["actor"] for update in updates] == [f"webhook:{provider}"]
    for deployment_id in (following, other):
        server.api("DELETE", f"/deployments/{deployment_id}")


def test_other_branches_and_stopped_deployments_are_left_alone(
    server: RunningServer, agents: GitRepository, url: str
) -> None:
    """A push to dev is none to main, and what was stopped stays so."""
    commit = git(agents.directory, "rev-parse", "HEAD")
    git(agents.directory, "branch", "dev")
    main, dev = server.serve("/on-main", "pushed", url), server.serve("/on-dev", "pushed", url, branch="dev")
    body = push(url, commit, "dev")
    assert deliver(server, "github", body, headers("github", body, "dev-1")).document["deployments"] == [dev]
    server.await_rollout(dev)
    server.api("POST", f"/deployments/{main}/stop")
    body = push(url, commit)
    assert deliver(server, "github", body, headers("github", body, "main-1")).document["deployments"] == []
    assert server.deployment(main)["desired"] == "stopped"
    for deployment_id in (main, dev):
        server.api("DELETE", f"/deployments/{deployment_id}")


@pytest.mark.parametrize("provider", ["github", "gitlab", "gitea"])
def test_what_is_not_signed_is_refused(server: RunningServer, url: str, provider: str) -> None:
    """No signature, another secret's, another body's: 401, nothing recorded."""
    body, before = push(url, "a" * 40), len(pushes(server))
    right = headers(provider, body, "bad-1")
    wrong = headers(provider, body, "bad-1", secret="another secret of that length")
    unsigned = {name: value for name, value in right.items() if "Signature" not in name and "Token" not in name}
    for sent in (wrong, unsigned, {}):
        answer = deliver(server, provider, body, sent)
        assert answer.status == 401
        assert SECRET not in answer.body.decode()
    if provider != "gitlab":
        assert deliver(server, provider, push(url, "b" * 40), right).status == 401
    assert len(pushes(server)) == before


def test_other_events_are_acknowledged(server: RunningServer, url: str) -> None:
    """A ping, a tag and a removed branch do nothing, and say why."""
    ping = b'{"zen": "x"}'
    answer = deliver(server, "github", ping, headers("github", ping, "ping-1", "ping"))
    assert (answer.status, answer.document["event"]) == (200, "ping")
    assert "pushes" in answer.document["ignored"]
    removed = push(url, "0" * 40)
    assert deliver(server, "github", removed, headers("github", removed, "gone-1")).document["ignored"]


def test_a_secret_opens_its_own_repository_only(server: RunningServer, url: str) -> None:
    """Whoever may push to one does not deploy another; a delivery that names it may write its address otherwise."""
    body = push("https://git.example.com/other.git", "a" * 40)
    sent = headers("github", body, "other-1")
    assert "another repository" in deliver(server, "github", body, sent).document["ignored"]
    assert deliver(server, "github", body, sent, "?repository=pushed").document["repositories"] == ["pushed"]
    assert deliver(server, "github", body, sent, "?repository=nowhere").status == 401


def test_odd_deliveries_are_refused(server: RunningServer, url: str) -> None:
    """An unknown server, no id, no JSON and too much of it each have their answer."""
    body = push(url, "a" * 40)
    assert deliver(server, "sourcehut", body, headers("github", body, "x")).status == 404
    without_id = {name: value for name, value in headers("github", body, "x").items() if "Delivery" not in name}
    assert deliver(server, "github", body, without_id).status == 400
    assert deliver(server, "github", b"{", headers("github", b"{", "x")).status == 400
    large = b" " * (BODY_LIMIT_BYTES + 1)
    assert deliver(server, "github", large, headers("github", large, "x")).status == 413
    assert server.ask("GET", f"{WEBHOOKS}/github").status == 401


def test_a_webhook_s_secret_can_be_changed_and_taken_away(server: RunningServer, url: str) -> None:
    """The old one signs nothing any more; without one, nothing is taken."""
    body = push(url, "a" * 40)
    other = "another secret here"
    for given, signing, status in ((other, SECRET, 401), (other, other, 200), ("", SECRET, 401)):
        server.api("POST", "/repositories", {"name": "pushed", "url": url, "webhookSecret": given})
        sent = headers("github", body, f"changed-{status}-{len(given)}", secret=signing)
        assert deliver(server, "github", body, sent).status == status
    refused = server.api("POST", "/repositories", {"name": "pushed", "url": url, "webhookSecret": "short"})
    assert refused.status == 400
