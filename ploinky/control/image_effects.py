"""The second step of a rollout: choose a runtime, and get the image that its instances run in."""

from collections.abc import Callable
from hashlib import sha256

from ploinky.control.rollout_failures import failed_rollout
from ploinky.control.world import World
from ploinky.domain.commands import Command, RecordImage
from ploinky.domain.deployment import Reason, Step
from ploinky.domain.errors import DeploymentNotFound, ImageUnavailable, PloinkyError
from ploinky.domain.specs import DeploymentSpec, Release
from ploinky.ports.images import (
    LABEL_IMAGE_DEPLOYMENT,
    LABEL_IMAGE_JOURNAL,
    LABEL_IMAGE_SOURCE,
    BuildSpec,
    RegistryLogin,
    is_moving,
    registry_of,
)
from ploinky.ports.runtime import Image, Runtime
from ploinky.views.intents import Intent
from ploinky.views.views import Views

BUILD_LIMIT_SECONDS = 1_800.0
BUILT_REPOSITORY = "ploinky-agent"
COMMIT_CHARACTERS = 12
SOURCE_CHARACTERS = 8
RENEWING = frozenset({Reason.DEPLOY, Reason.UPDATE})
"""Reasons of rollouts for which a moving tag is asked for again. A restart runs what ran."""

Progress = Callable[[str, str], None]
"""Receives a deployment's id and one short line."""


class ImageEffects:
    """Pull, build, or find again; every failure ends the rollout with its reason."""

    def __init__(self, views: Views, world: World, progress: Progress) -> None:
        """Take the world, and who hears of progress."""
        self._views = views
        self._world = world
        self._progress = progress

    async def ready_image(self, intent: Intent) -> Command:
        """Choose the runtime and make the image available."""
        state = self._views.deployments.get(intent.subject_id)
        rollout = state.rollout if state else None
        if rollout is None or rollout.release is None:
            raise DeploymentNotFound
        spec, release, reason = rollout.spec, rollout.release, rollout.reason

        def work() -> Command:
            runtime = self._world.runtimes.choose(spec.runtime, spec.repository, needs_image=spec.image is not None)
            image = self._image(runtime, intent.subject_id, spec, release, reason)
            return RecordImage(
                subject_id=intent.subject_id,
                generation=intent.generation,
                runtime=runtime.kind,
                image=image.reference,
                digest=image.digest,
                repository_digest=image.repository_digest,
            )

        try:
            return await self._world.pools.engine(work)
        except PloinkyError as error:
            return failed_rollout(intent, Step.IMAGE, error)
        finally:
            self._progress(intent.subject_id, "waiting for the agent to be ready")

    def _image(
        self, runtime: Runtime, deployment_id: str, spec: DeploymentSpec, release: Release, reason: str
    ) -> Image:
        def tell(line: str) -> None:
            self._progress(deployment_id, line)

        reference = self._built_reference(deployment_id, spec, release) or release.image
        login = self._login(reference)
        pin = release.pin
        if pin is not None and pin.runtime == runtime.kind:
            found = runtime.restore_image(reference, pin, login)
            if found is not None:
                return found
        if release.dockerfile:
            return runtime.build_image(self._build(deployment_id, spec, release, reference), tell)
        if pin is not None and pin.runtime == runtime.kind and reference:
            raise ImageUnavailable(
                f"the image that {reference} stood for when this release was first started is gone",
                hint="Update the deployment: that takes what the name stands for now.",
            )
        is_renewed = reason in RENEWING and is_moving(reference)
        return runtime.resolve_image(reference, tell, is_renewed=is_renewed, login=login)

    def _login(self, reference: str) -> RegistryLogin | None:
        host = registry_of(reference)
        known = self._views.registries.get(host) if reference else None
        if known is None:
            return None
        password = self._world.secrets.get(known.secret).decode()
        return RegistryLogin(host=host, username=known.username, password=password)

    def _logins(self) -> tuple[RegistryLogin, ...]:
        """Return all there are: what a Dockerfile builds from is known to the engine only."""
        found = (self._login(f"{host}/any") for host, _ in self._views.registries.items())
        return tuple(login for login in found if login is not None)

    def _built_reference(self, deployment_id: str, spec: DeploymentSpec, release: Release) -> str:
        if not release.dockerfile:
            return ""
        source = _source(spec, release)[:SOURCE_CHARACTERS]
        return f"{BUILT_REPOSITORY}/{deployment_id.lower()}:{release.commit[:COMMIT_CHARACTERS]}-{source}"

    def _build(self, deployment_id: str, spec: DeploymentSpec, release: Release, reference: str) -> BuildSpec:
        checkout = self._world.sources.checkout(spec.repository, release.commit)
        folder = self._world.folders.find(checkout.directory, spec.agent, spec.subfolder)
        return BuildSpec(
            reference=reference,
            labels={
                LABEL_IMAGE_JOURNAL: self._world.site.journal_id,
                LABEL_IMAGE_DEPLOYMENT: deployment_id,
                LABEL_IMAGE_SOURCE: _source(spec, release),
            },
            context_directory=folder.directory,
            dockerfile=release.dockerfile,
            limit_seconds=BUILD_LIMIT_SECONDS,
            logins=self._logins(),
        )


def _source(spec: DeploymentSpec, release: Release) -> str:
    """Return a digest of what is built: a commit says all that is in a folder."""
    return sha256(f"{release.commit}/{spec.subfolder}/{spec.agent}/{release.dockerfile}".encode()).hexdigest()
