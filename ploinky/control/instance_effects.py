"""Start, stop and remove instances."""

from collections.abc import Callable, Mapping
from hashlib import sha256

import msgspec

from ploinky.control.agent_users import agent_user_id
from ploinky.control.exchanges import Exchanges
from ploinky.control.network_names import network_name, tidy_networks
from ploinky.control.task_traffic import TaskTraffic
from ploinky.control.world import World
from ploinky.domain.commands import (
    Command,
    RecordDiscarded,
    RecordPaused,
    RecordRemoved,
    RecordResumed,
    RecordStarted,
    RecordStartFailed,
    RecordStopped,
)
from ploinky.domain.deployment import Deployment
from ploinky.domain.errors import DeploymentNotFound, InstallFailed, InstanceNotFound, PloinkyError, RuntimeRefused
from ploinky.domain.grants import Grants, Volume
from ploinky.domain.instance import Instance
from ploinky.domain.manifest import parse_manifest
from ploinky.domain.release import environment_of
from ploinky.domain.specs import Evidence, Release
from ploinky.ports import runtime as port
from ploinky.ports.failpoints import reach
from ploinky.views.intents import Intent
from ploinky.views.views import Views

LOG_TAIL_LINES = 40
LOG_TAIL_LIMIT_BYTES = 4_096
KEPT_LOG_LINES = 10_000
DRAIN_LIMIT_SECONDS = 30.0
"""How long requests and WebSockets with the agent's own web server may still take before it is stopped."""
DRAIN_LIMITS_SECONDS = {"stopped": 5.0, "removed": 5.0} | dict.fromkeys(
    ("shutdown", "not_ready", "silent", "overdue", "queue_unavailable", "queue_lost", "orphan"), 0.0
)
"""The same by the reason of a stop, where somebody waits for it or nothing good is expected any more."""


class InstanceEffects:
    """Bring about what instances' intents ask for; each step can be repeated after a crash."""

    def __init__(
        self,
        views: Views,
        world: World,
        traffic: TaskTraffic,
        exchanges: Exchanges,
        explain: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Take the world, and the traffic of tasks and requests, which ends with an instance.

        `explain` tells of an instance with a web server why it is not ready.
        """
        self._views = views
        self._world = world
        self._traffic = traffic
        self._exchanges = exchanges
        self._explain = explain

    async def start(self, intent: Intent) -> Command:
        """Make the queue, create and start. A name that exists already is adopted by the runtime."""
        instance = self._instance(intent)
        deployment = self._views.deployments.get(instance.deployment_id)
        if deployment is None:
            raise DeploymentNotFound
        runtime = self._world.runtimes.get(instance.runtime)
        user_id = self._user_id(instance)
        try:
            given = await self._world.environments.of(instance.deployment_id, instance.generation)
            queue_directory = self._world.courier.provision(intent.subject_id, user_id)
            reach("instance.queue_made")
            identity = self._traffic.attach(intent.subject_id)
            engine_id = await self._world.pools.engine(
                lambda: self._start(runtime, intent, instance, deployment, given, queue_directory)
            )
        except PloinkyError as error:
            if error.is_retryable:
                raise
            return RecordStartFailed(
                subject_id=intent.subject_id, code=error.code, message=error.message, hint=error.advice
            )
        return RecordStarted(subject_id=intent.subject_id, engine_id=engine_id, queue_identity=identity)

    def _start(
        self,
        runtime: port.Runtime,
        intent: Intent,
        instance: Instance,
        deployment: Deployment,
        given: Mapping[str, str],
        queue_directory: str,
    ) -> str:
        if instance.release is None:
            raise InstanceNotFound
        user_id = self._user_id(instance)
        asked = deployment.spec_of(instance.generation)
        checkout = self._world.sources.checkout(asked.repository, instance.release.commit)
        folder = self._world.folders.find(checkout.directory, asked.agent, asked.subfolder)
        secrets = {name: self._world.secrets.get(version).decode() for name, version in asked.secrets.items()}
        environment = {
            **environment_of(parse_manifest(folder.manifest), {**given, **secrets}),
            "PLOINKY_SECRET_NAMES": ",".join(secrets),
            "PLOINKY_AGENT": asked.agent,
            "PLOINKY_DOMAIN": deployment.domain,
            "PLOINKY_PATH": deployment.path,
            "PLOINKY_CONCURRENCY": str(instance.release.concurrency),
        }
        release = f"{instance.deployment_id}/{instance.generation}"
        spec = port.InstanceSpec(
            name=instance.name,
            labels={},
            image=_exact_image(instance.image, instance.release),
            command=instance.release.command,
            environment=environment,
            code_directory=self._world.folders.prepare(folder.directory, release, user_id),
            agentcore_directory=self._world.site.agentcore_directory,
            queue_directory=queue_directory,
            log_path=self._world.logs.path(intent.subject_id),
            log_file_bytes=self._world.site.log_bounds.file_bytes,
            log_file_count=self._world.site.log_bounds.file_count,
            user_id=user_id,
            memory_bytes=instance.release.memory_bytes,
            cpus=instance.release.cpus,
            pids=instance.release.pids,
            has_network=instance.release.has_network,
            http_port=instance.release.http_port,
            dependencies_directory=self._dependencies(instance),
            grants=self._grants(runtime, instance, instance.release.grants, user_id),
            network=network_name(instance.deployment_id),
        )
        labels = self._labels(intent, instance, spec)
        engine_id = runtime.create(msgspec.structs.replace(spec, labels=labels))
        reach("instance.made")
        runtime.start(instance.name)
        return engine_id

    def _grants(self, runtime: port.Runtime, instance: Instance, grants: Grants, user_id: int | None) -> Grants:
        """Return what was granted, with the deployment's own volumes made. Raises `RuntimeRefused` for a process."""
        if runtime.kind == "process" and msgspec.structs.replace(grants, aliases=()) != Grants():
            raise RuntimeRefused(
                "The agent asks for volumes, devices or privileges, which a process cannot be given",
                hint="Deploy it with --runtime docker or podman.",
            )
        volumes = tuple(
            volume
            if volume.source.startswith("/")
            else Volume(self._world.folders.volume(instance.deployment_id, volume.source, user_id), volume.target)
            for volume in grants.volumes
        )
        return msgspec.structs.replace(grants, volumes=volumes)

    def _dependencies(self, instance: Instance) -> str:
        if not instance.dependencies:
            return ""
        found = self._world.dependencies.find(instance.dependencies)
        if found is None:
            raise InstallFailed("What was installed for the agent is gone", hint="Restart it: it is installed again.")
        return found

    async def pause(self, intent: Intent) -> Command:
        """Freeze it."""
        instance = self._instance(intent)
        runtime = self._world.runtimes.get(instance.runtime)
        await self._world.pools.engine(lambda: runtime.pause(instance.name))
        return RecordPaused(subject_id=intent.subject_id)

    async def resume(self, intent: Intent) -> Command:
        """Let it go on."""
        instance = self._instance(intent)
        runtime = self._world.runtimes.get(instance.runtime)
        await self._world.pools.engine(lambda: runtime.resume(instance.name))
        return RecordResumed(subject_id=intent.subject_id)

    async def stop(self, intent: Intent) -> Command:
        """Drain, stop, take in what it still answered, and keep its last words as evidence.

        Nothing new is led to an instance from the moment its stop is wanted.
        """
        instance = self._instance(intent)
        limit_seconds = DRAIN_LIMITS_SECONDS.get(instance.stop_reason, DRAIN_LIMIT_SECONDS)
        await self._exchanges.drain(intent.subject_id, limit_seconds)
        reach("instance.drained")
        runtime = self._world.runtimes.get(instance.runtime)
        seen = await self._world.pools.engine(lambda: runtime.stop(instance.name, instance.grace_seconds))
        reach("instance.stopped")
        self._traffic.adopt(intent.subject_id, instance.queue_identity)
        await self._traffic.ingest(intent.subject_id)
        return await self.stopped(intent.subject_id, instance, seen, "requested")

    async def stopped(
        self, instance_id: str, instance: Instance, seen: port.Observation | None, reason: str
    ) -> Command:
        """Return the record of an end with its evidence, after keeping the log."""
        runtime = self._world.runtimes.get(instance.runtime)

        def last_words() -> str:
            if runtime.kind != "process":
                self._world.logs.save(instance_id, runtime.logs(instance.name, KEPT_LOG_LINES))
            if instance.deployment_id:
                first = instance.generation - self._world.site.log_bounds.generations + 1
                self._world.logs.prune(instance.deployment_id, first)
            tail = self._world.logs.tail(instance_id, LOG_TAIL_LINES)
            return tail[-LOG_TAIL_LIMIT_BYTES:].decode(errors="replace")

        evidence = Evidence(
            exit_code=seen.exit_code if seen else None,
            is_out_of_memory=seen.is_out_of_memory if seen else None,
            log_tail=await self._world.pools.engine(last_words),
            probe=self._explain(instance_id),
        )
        return RecordStopped(subject_id=instance_id, reason=reason, evidence=evidence)

    async def remove(self, intent: Intent) -> Command:
        """Remove the container and its queue."""
        instance = self._instance(intent)
        runtime = self._world.runtimes.get(instance.runtime)
        await self._world.pools.engine(lambda: runtime.remove(instance.name))
        reach("instance.removed")
        self._traffic.release(intent.subject_id)
        return RecordRemoved(subject_id=intent.subject_id)

    async def discard(self, intent: Intent) -> Command:
        """Remove the folders of all releases of a deployment, its logs and its secrets."""
        row = self._views.deployments.get(intent.subject_id)
        last, versions = (row.last_generation, row.secret_versions) if row else (0, ())

        def work() -> None:
            for version in versions:
                self._world.secrets.remove(version)
            for generation in range(1, last + 1):
                self._world.folders.discard(f"{intent.subject_id}/{generation}")
            self._world.folders.discard_volumes(intent.subject_id)
            self._world.logs.discard(intent.subject_id)

        await self._world.pools.slow(work)
        await tidy_networks(self._views, self._world, without=intent.subject_id)
        return RecordDiscarded(subject_id=intent.subject_id)

    def _instance(self, intent: Intent) -> Instance:
        instance = self._views.instances.get(intent.subject_id)
        if instance is None:
            raise InstanceNotFound(instance=intent.subject_id)
        return instance

    def _user_id(self, instance: Instance) -> int | None:
        return agent_user_id(self._world.runtimes.get(instance.runtime), instance.deployment_id)

    def _labels(self, intent: Intent, instance: Instance, spec: port.InstanceSpec) -> dict[str, str]:
        # What the instance is made of, and not who makes it: a repeated create after a crash has the same digest.
        digest = sha256(msgspec.json.encode(spec, order="sorted")).hexdigest()
        return {
            port.LABEL_JOURNAL: self._world.site.journal_id,
            port.LABEL_DEPLOYMENT: instance.deployment_id,
            port.LABEL_GENERATION: str(instance.generation),
            port.LABEL_INSTANCE: intent.subject_id,
            port.LABEL_OPERATION: str(intent.operation),
            port.LABEL_SPEC_DIGEST: digest,
            port.LABEL_EPOCH: str(self._world.site.epoch),
        }


def _exact_image(reference: str, release: Release) -> str:
    """Return what no later pull or build can change under the same name; empty where there are no images."""
    return release.pin.digest if reference and release.pin and release.pin.digest else reference
