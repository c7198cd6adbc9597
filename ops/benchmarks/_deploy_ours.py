"""Ploinky's side of the deploy benchmark: redeploy from a new commit, and what each step took."""

import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import docker

from ops.benchmarks._deploy_agents import KINDS, AgentKind, AgentRepository, await_condition, await_version
from ops.benchmarks._server import Started, await_serving
from ploinky.client import PloinkyClient
from ploinky.domain.ids import instance_id
from ploinky.ports.runtime import LABEL_DEPLOYMENT

MILESTONES = (
    "deployment.rollout_requested",
    "deployment.source_fetched",
    "deployment.image_ready",
    "instance.created",
    "instance.started",
    "instance.ready",
    "deployment.switched",
)


class Ours:
    """Deployments of both kinds of agents on one server."""

    def __init__(self, engine: docker.DockerClient, server: Started, folder: Path) -> None:
        """Deploy first versions."""
        self._engine = engine
        self._server = server
        self._client = PloinkyClient(server.url, server.key)
        self._repositories = {kind.name: AgentRepository(kind, folder / kind.name) for kind in KINDS}
        self._ids: dict[str, str] = {}
        for kind in KINDS:
            repository = str(self._repositories[kind.name].folder)
            self._client.deploy("127.0.0.1", f"/{kind.name}", kind.name, repository, runtime="docker")
        for kind in KINDS:
            self._ids[kind.name] = await_serving(self._client, f"/{kind.name}")
            self._await_one_left(kind)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def redeploy(self, kind: AgentKind, version: str) -> float:
        """Return the seconds until the version answers on the deployment's URL; waits until the old one is gone."""
        self._repositories[kind.name].publish(version)
        began = time.perf_counter()
        self._client.change(self._ids[kind.name], "update")
        await_version(f"{self._server.url}/{kind.name}/version", version)
        took = time.perf_counter() - began
        self._await_one_left(kind)
        return took

    def steps(self, kind: AgentKind) -> dict[str, float]:
        """Return the milliseconds between the recorded steps of the newest rollout."""
        deployment_id = self._ids[kind.name]
        generation = self._client.deployment(deployment_id)["generation"]
        streams = (f"deployment/{deployment_id}", f"instance/{instance_id(deployment_id, generation, 0)}")
        at: dict[str, datetime] = {}
        for stream in streams:
            for event in self._client.events(follow=False, stream=stream):
                at[event["type"]] = datetime.fromisoformat(event["at"])
        named = [(name, at[name]) for name in MILESTONES]
        return {name: (later - earlier).total_seconds() * 1000 for (_, earlier), (name, later) in pairwise(named)}

    def _await_one_left(self, kind: AgentKind) -> None:
        label = f"{LABEL_DEPLOYMENT}={self._ids[kind.name]}"
        await_condition(
            lambda: len(self._engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)) == 1,
            "the old generation was never removed",
        )
