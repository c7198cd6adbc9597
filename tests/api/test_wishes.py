"""Change, scale, go back: what people ask of a deployment that is there, on a real server."""

import json
import threading
from pathlib import Path
from typing import Any, Self

import pytest

from tests.server.running import Answer, RunningServer, run_to_end
from tests.server.sample_agent import sample_repository
from tests.waiting import wait_until

BRIEF = """#!/bin/sh
python3 -m agentcore &
while [ ! -e "$PLOINKY_QUEUE_DIR/locks/.ready" ]; do sleep 0.05; done
sleep 1
echo the cellar is flooded
exit 3
"""
"""Is ready, and ends a second later."""
VERSION = "def handle(params):\n    return {!r}\n"


class Callers:
    """Some clients that call a route without a pause until they are told to stop."""

    def __init__(self, server: RunningServer, path: str, count: int = 4) -> None:
        self.answers: list[Answer] = []
        self._is_over = threading.Event()
        self._server, self._path = server, path
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(count)]

    def _call(self) -> None:
        while not self._is_over.is_set():
            self.answers.append(self._server.ask("POST", self._path, {"params": []}))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


def wish(server: RunningServer, deployment_id: str, name: str, body: object = None, **headers: str) -> Any:
    """Ask for something and give how it is when no rollout is under way any more."""
    method, path = ("PUT", "") if name == "change" else ("POST", f"/{name}")
    answer = server.api(method, f"/deployments/{deployment_id}{path}", body, **headers)
    assert answer.status == 202, answer.body
    return server.await_rollout(deployment_id)


def serving(server: RunningServer, deployment_id: str) -> list[str]:
    """Give the instances that take requests."""
    found = server.deployment(deployment_id)
    return [one["id"] for one in found["instances"] if one["isReady"] and one["status"] == "running"]


def colour(server: RunningServer, path: str) -> tuple[object, object]:
    """Give which commit answers, and with what environment."""
    return server.ask("GET", f"{path}/version").document, server.ask("GET", f"{path}/variable?n=COLOUR").document


def test_goes_back_to_commit_and_variables_together(server: RunningServer, tmp_path: Path) -> None:
    """A roll back brings the earlier commit with the earlier variables, also none; another one undoes it."""
    repository = sample_repository(tmp_path / "agent")
    first = repository.commit({"handlers/version.py": VERSION.format("one")})
    key = server.serve("/back", "sample", repository.directory)
    second = repository.commit({"handlers/version.py": VERSION.format("two")})
    found = wish(server, key, "change", {"env": {"COLOUR": "red"}, "concurrency": 2})
    assert (found["commit"], found["concurrency"], found["generation"]) == (second, 2, 2)
    assert colour(server, "/back") == ("two", "red")
    found = wish(server, key, "rollback")
    assert (found["commit"], found["concurrency"], found["generation"]) == (first, 4, 3)
    assert found["lastRollout"]["outcome"] == "succeeded"
    assert colour(server, "/back") == ("one", None)
    found = wish(server, key, "rollback", {"toGeneration": 2})
    assert (found["commit"], found["generation"]) == (second, 4)
    assert colour(server, "/back") == ("two", "red")
    history = server.api("GET", f"/deployments/{key}/history").document
    assert [(one["generation"], one["commit"], one["reason"]) for one in history["data"]] == [
        (4, second, "rollback"),
        (3, first, "rollback"),
        (2, second, "update"),
        (1, first, "deploy"),
    ]
    assert [one["isActive"] for one in history["data"]] == [True, False, False, False]
    assert {one["actor"] for one in history["data"]} == {f"key:{server.key.removeprefix('plk_').split('_')[0]}"}
    assert history["lastRollout"]["outcome"] == "succeeded"
    refused = server.api("POST", f"/deployments/{key}/rollback", {"toGeneration": 99})
    assert (refused.status, refused.code) == (404, "RELEASE_NOT_FOUND")
    assert "4, " not in refused.document["message"]
    assert "1, 2, 3, 4" in refused.document["details"]["hint"]


def test_scales_without_a_failed_call(server: RunningServer, repository: Path) -> None:
    """One, three, one: callers notice nothing, and the first instance goes on through all of it."""
    key = server.serve("/wide", "sample", repository)
    (first,) = serving(server, key)
    with Callers(server, "/wide/echo") as callers:
        assert wish(server, key, "scale", {"replicas": 3})["replicas"] == 3
        wait_until(lambda: len(serving(server, key)) == 3, timeout_seconds=60, what="three instances")
        wish(server, key, "scale", {"replicas": 1})
        wait_until(
            lambda: [one["id"] for one in server.deployment(key)["instances"]] == [first],
            timeout_seconds=60,
            what="one instance",
        )
    assert {answer.status for answer in callers.answers} == {200}
    assert server.deployment(key)["generation"] == 1
    for replicas in (0, -1, 65, 10**12):
        assert server.api("POST", f"/deployments/{key}/scale", {"replicas": replicas}).code == "INVALID_REQUEST"


def test_a_redeploy_keeps_the_number_of_instances(server: RunningServer, repository: Path) -> None:
    """`replicas` of a deploy lasts until another deploy says something else."""
    key = server.serve("/many", "sample", repository, replicas=2)
    assert len(serving(server, key)) == 2
    assert server.serve("/many", "sample", repository) == key
    assert server.deployment(key)["replicas"] == 2
    assert wish(server, key, "change", {"replicas": 1})["generation"] == 2


def test_a_change_names_what_is_different(server: RunningServer, repository: Path) -> None:
    """What a change leaves out stays; null gives it back to the manifest, or takes a variable away."""
    key = server.serve(
        "/partial", "sample", repository, access="authenticated", concurrency=2, env={"COLOUR": "red", "SIZE": "1"}
    )
    change = {"access": None, "env": {"SIZE": None}, "secrets": {"PIN": "a secret of its own"}}
    found = wish(server, key, "change", change)
    assert (found["access"], found["concurrency"]) == ("public", 2)
    assert server.ask("GET", "/partial/variable?n=COLOUR").document == "red"
    assert server.ask("GET", "/partial/variable?n=SIZE").document is None
    assert server.ask("GET", "/partial/variable?n=PIN").document == "a secret of its own"
    assert b"a secret of its own" not in server.api("GET", "/events?limit=1000").body


def test_takes_back_what_ends_soon_after_the_switch(server: RunningServer, tmp_path: Path) -> None:
    """A release that ends a second after it was ready is taken back: no call fails, and the command tells why."""
    repository = sample_repository(tmp_path / "agent")
    key = server.serve("/short", "sample", repository.directory)
    (repository.directory / "brief").write_text(BRIEF)
    (repository.directory / "brief").chmod(0o755)
    repository.commit({"manifest.json": '{"name": "sample", "access": "public", "run": ["./brief"]}'})
    known = {"PLOINKY_URL": server.url, "PLOINKY_KEY": server.key}
    with Callers(server, "/short/echo") as callers:
        ran = run_to_end(tmp_path, "update", "/short", "--json", changes=known)
    assert ran.returncode == 4, ran.stderr
    assert "serving, and watched for 5 s" in ran.stderr
    assert "outcome: reverted; generation 1 serves as before" in ran.stderr
    assert "  the cellar is flooded" in ran.stderr
    found = json.loads(ran.stdout)
    assert (found["state"], found["generation"], found["rollout"]) == ("running", 1, None)
    end = found["lastRollout"]
    assert (end["outcome"], end["step"], end["exitCode"]) == ("reverted", "verify", 3)
    assert {answer.status for answer in callers.answers} == {200}
    history = server.api("GET", f"/deployments/{key}/history").document
    assert [one["generation"] for one in history["data"]] == [1]
    assert history["lastRollout"] == end


@pytest.mark.parametrize(
    "body",
    [
        {"concurrency": 0},
        {"branch": "main", "revision": "v1"},
        {"agent": "other"},
        {"replicas": None},
        {"env": {"PLOINKY_X": "1"}},
        {"env": ["A"]},
        {"credentials": {"token": "t"}},
        [],
    ],
)
def test_refuses_a_change_that_cannot_be(server: RunningServer, deployment_id: str, body: object) -> None:
    """What no deployment can be is a 400, and nothing changes."""
    before = server.deployment(deployment_id)["version"]
    answer = server.api("PUT", f"/deployments/{deployment_id}", body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert server.deployment(deployment_id)["version"] == before


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", ""), ("POST", "/scale"), ("POST", "/rollback"), ("POST", "/update"), ("GET", "/history")],
)
def test_what_is_not_there_cannot_be_changed(server: RunningServer, method: str, path: str) -> None:
    """A deployment that is unknown is a 404 to every wish."""
    body = {"replicas": 1} if path == "/scale" else {} if method != "GET" else None
    answer = server.api(method, f"/deployments/unknown{path}", body)
    assert (answer.status, answer.code) == (404, "DEPLOYMENT_NOT_FOUND")


def test_there_may_be_nothing_to_go_back_to(server: RunningServer, repository: Path) -> None:
    """The first release has none before it."""
    key = server.serve("/first", "sample", repository)
    answer = server.api("POST", f"/deployments/{key}/rollback")
    assert (answer.status, answer.code) == (404, "RELEASE_NOT_FOUND")


def test_a_change_can_depend_on_the_version_that_was_seen(server: RunningServer, repository: Path) -> None:
    """With `If-Match` a wish made for an earlier version is a 412; a header that names none is a 400."""
    key = server.serve("/matched", "sample", repository)
    seen = server.deployment(key)["version"]
    assert server.api("POST", f"/deployments/{key}/scale", {"replicas": 2}, If_Match=f'"{seen}"').status == 202
    for method, path, body in (
        ("PUT", "", {"concurrency": 2}),
        ("POST", "/scale", {"replicas": 1}),
        ("POST", "/rollback", {"toGeneration": 1}),
    ):
        late = server.api(method, f"/deployments/{key}{path}", body, If_Match=str(seen))
        assert (late.status, late.code) == (412, "VERSION_CONFLICT")
    assert server.api("PUT", f"/deployments/{key}", {}, If_Match="W/x").code == "INVALID_REQUEST"
    assert server.api("POST", f"/deployments/{key}/scale", {"replicas": 1}, If_Match="*").status == 202
