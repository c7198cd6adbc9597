"""Install what an agent needs, in throwaways of the image that it will run in."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, NoReturn, TypeVar

from ploinky.control.agent_users import agent_user_id
from ploinky.control.rollout_failures import failed_rollout
from ploinky.control.world import World
from ploinky.domain.commands import Command, RecordDependencies
from ploinky.domain.dependencies import SETTING_PREFIXES, InstallStep, folder_digest, install_steps
from ploinky.domain.deployment import Rollout, Step
from ploinky.domain.errors import DeploymentNotFound, InstallFailed, PloinkyError, RuntimeUnavailable
from ploinky.domain.manifest import parse_manifest
from ploinky.domain.specs import PinnedImage, Release
from ploinky.ports import runtime as port
from ploinky.ports.dependencies import Workplace
from ploinky.ports.failpoints import reach
from ploinky.ports.sources import AgentFolder
from ploinky.views.intents import Intent, IntentKind
from ploinky.views.views import Views

POLL_SECONDS = 0.2
MEASURE_EVERY_POLLS = 25
LEAST_MEMORY_BYTES = 512 << 20
"""Installers need some, however little the agent itself is given."""
CONTENT_LIMIT_BYTES = 2 << 30
TAIL_LINES = 40
TAIL_LIMIT_BYTES = 4_096
LINE_CHARACTERS = 200

Progress = Callable[[str, str], None]
"""Receives a deployment's id and one short line."""
Result = TypeVar("Result")


class _Job(NamedTuple):
    """One installation."""

    intent: Intent
    runtime: port.Runtime
    release: Release
    image: str
    digest: str
    user_id: int | None
    code_directory: str
    files: Mapping[str, bytes]
    steps: tuple[InstallStep, ...]
    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    """Values that no evidence may show."""
    deadline: float


def throwaway_name(deployment_id: str, generation: int) -> str:
    """Name what installs for a generation; always the same, so that what a crash left behind is found."""
    return f"ploinky-{deployment_id}-{generation}-install"


class InstallEffects:
    """Fill the folder of a release's dependencies, unless it is there already."""

    def __init__(self, views: Views, world: World, limit_seconds: float, progress: Progress) -> None:
        """Take the world, how long an installation may take, and who hears of progress."""
        self._views = views
        self._world = world
        self._limit_seconds = limit_seconds
        self._progress = progress

    async def install(self, intent: Intent) -> Command:
        """Make the dependencies of a rollout's release available.

        A folder exists whole or not at all, so a repetition after a crash starts anew or finds it done.
        """
        rollout, release, pin = self._asked(intent)
        began = time.monotonic()
        digest = folder_digest(pin, release.dependencies)
        try:
            is_cached = await self._slow(lambda: self._world.dependencies.find(digest)) is not None
            if not is_cached:
                await self._fill(await self._job(intent, rollout, digest))
        except RuntimeUnavailable:
            raise  # no outcome: the engine may answer later
        except PloinkyError as error:
            return failed_rollout(intent, Step.INSTALL, error)
        finally:
            self._progress(intent.subject_id, "waiting for the agent to be ready")
        return RecordDependencies(
            subject_id=intent.subject_id,
            generation=intent.generation,
            digest=digest,
            is_cached=is_cached,
            seconds=round(time.monotonic() - began, 3),
        )

    def _asked(self, intent: Intent) -> tuple[Rollout, Release, PinnedImage]:
        state = self._views.deployments.get(intent.subject_id)
        release = state.rollout.release if state and state.rollout else None
        if state is None or state.rollout is None or release is None or release.pin is None:
            raise DeploymentNotFound
        return state.rollout, release, release.pin

    async def _job(self, intent: Intent, rollout: Rollout, digest: str) -> _Job:
        _, release, pin = self._asked(intent)
        runtime = self._world.runtimes.get(rollout.runtime)
        user_id = agent_user_id(runtime, intent.subject_id)
        spec = rollout.spec
        given = await self._world.environments.of(intent.subject_id, intent.generation)
        chosen = {name: version for name, version in spec.secrets.items() if name.startswith(SETTING_PREFIXES)}

        def prepare() -> tuple[AgentFolder, str, dict[str, str]]:
            checkout = self._world.sources.checkout(spec.repository, release.commit)
            folder = self._world.folders.find(checkout.directory, spec.agent, spec.subfolder)
            code = self._world.folders.prepare(folder.directory, f"{intent.subject_id}/{intent.generation}", user_id)
            return folder, code, {name: self._world.secrets.get(version).decode() for name, version in chosen.items()}

        folder, code_directory, secrets = await self._engine(prepare)
        plain = {name: value for name, value in given.items() if name.startswith(SETTING_PREFIXES)}
        return _Job(
            intent=intent,
            runtime=runtime,
            release=release,
            image=pin.digest if rollout.image else "",
            digest=digest,
            user_id=user_id,
            code_directory=code_directory,
            files=folder.dependency_files,
            steps=install_steps(folder.dependency_files, parse_manifest(folder.manifest)),
            environment={**plain, **secrets},
            secrets=tuple(secrets.values()),
            deadline=time.monotonic() + self._limit_seconds,
        )

    async def _fill(self, job: _Job) -> None:
        owner = f"{job.intent.subject_id}-{job.intent.generation}"
        folders = self._world.dependencies
        workplace = await self._slow(lambda: folders.begin(job.digest, owner, job.files, job.user_id))
        try:
            for step in job.steps:
                await self._run(job, step, workplace, owner)
            reach("install.filled")
            await self._slow(lambda: folders.finish(job.digest, owner))
        except BaseException:
            await self._slow(lambda: folders.abandon(job.digest, owner))
            raise

    async def _run(self, job: _Job, step: InstallStep, workplace: Workplace, owner: str) -> None:
        """Run one command to its end. Raises `InstallFailed` when that is not a good one."""
        name = throwaway_name(job.intent.subject_id, job.intent.generation)
        await self._engine(lambda: job.runtime.remove(name))  # what a crash left
        try:
            await self._engine(lambda: job.runtime.create(self._spec(job, step, workplace, name)))
            reach("install.made")
            await self._engine(lambda: job.runtime.start(name))
            seen = await self._await_end(job, step, name, owner)
            if seen.exit_code != 0:
                why = "ran out of memory" if seen.is_out_of_memory else f"ended with code {seen.exit_code}"
                await self._refuse(job, name, f"{step.name} {why}", seen)
        finally:
            await self._engine(lambda: job.runtime.remove(name))

    def _spec(self, job: _Job, step: InstallStep, workplace: Workplace, name: str) -> port.InstanceSpec:
        return port.InstanceSpec(
            name=name,
            labels={
                port.LABEL_JOURNAL: self._world.site.journal_id,
                port.LABEL_DEPLOYMENT: job.intent.subject_id,
                port.LABEL_GENERATION: str(job.intent.generation),
                port.LABEL_OPERATION: str(job.intent.operation),
                port.LABEL_SPEC_DIGEST: f"{job.digest}-{step.name}",
                port.LABEL_EPOCH: str(self._world.site.epoch),
            },
            image=job.image,
            command=step.command,
            environment=job.environment,
            code_directory=job.code_directory,
            agentcore_directory=self._world.site.agentcore_directory,
            queue_directory="",
            log_path=workplace.log_path,
            user_id=job.user_id,
            memory_bytes=max(job.release.memory_bytes, LEAST_MEMORY_BYTES),
            cpus=job.release.cpus,
            pids=job.release.pids,
            dependencies_directory=workplace.directory,
            install_place=step.place,
        )

    async def _await_end(self, job: _Job, step: InstallStep, name: str, owner: str) -> port.Observation:
        polls = 0
        while True:
            seen = await self._engine(lambda: job.runtime.inspect(name))
            if seen is None:
                await self._refuse(job, name, f"{step.name} was removed before it ended", None)
            elif seen.state is port.ObservedState.EXITED:
                return seen
            if not self._is_wanted(job.intent):
                await self._refuse(job, name, "The rollout was given up", None)
            if time.monotonic() > job.deadline:
                await self._refuse(job, name, f"{step.name} did not end within {self._limit_seconds:g} s", seen)
            if polls % MEASURE_EVERY_POLLS == MEASURE_EVERY_POLLS - 1:
                await self._check_size(job, step, name, owner)
                self._show(job, step, await self._engine(lambda: job.runtime.logs(name, 1)))
            polls += 1
            await asyncio.sleep(POLL_SECONDS)

    async def _check_size(self, job: _Job, step: InstallStep, name: str, owner: str) -> None:
        size = await self._slow(lambda: self._world.dependencies.measure(job.digest, owner))
        if size > CONTENT_LIMIT_BYTES:
            await self._refuse(job, name, f"{step.name} wrote more than {CONTENT_LIMIT_BYTES} bytes", None)

    async def _refuse(self, job: _Job, name: str, message: str, seen: port.Observation | None) -> NoReturn:
        output = await self._engine(lambda: job.runtime.logs(name, TAIL_LINES))
        text = output[-TAIL_LIMIT_BYTES:].decode(errors="replace")
        for secret in job.secrets:
            text = text.replace(secret, "***")
        hint = "Its last lines are attached." if text else "It printed nothing. Does the image have this program?"
        raise InstallFailed(message, hint=hint, output=text, exit_code=seen.exit_code if seen else None)

    def _show(self, job: _Job, step: InstallStep, line: bytes) -> None:
        text = line.decode(errors="replace").strip()[:LINE_CHARACTERS]
        printable = "".join(character for character in text if character.isprintable())
        if not any(secret in printable for secret in job.secrets):
            self._progress(job.intent.subject_id, f"{step.name}: {printable}")

    def _is_wanted(self, intent: Intent) -> bool:
        found = self._views.intents.by_stream.get(("deployment", intent.subject_id))
        return found is not None and (found.kind, found.generation) == (intent.kind, intent.generation)

    def _engine(self, function: Callable[[], Result]) -> Awaitable[Result]:
        return self._world.pools.engine(function)

    def _slow(self, function: Callable[[], Result]) -> Awaitable[Result]:
        return self._world.pools.slow(function)


def throwaways_wanted(views: Views) -> set[str]:
    """Return the names of all that installs something now: known, though it is no instance."""
    return {
        throwaway_name(intent.subject_id, intent.generation)
        for intent in views.intents.by_stream.values()
        if intent.kind is IntentKind.INSTALL_DEPENDENCIES
    }
