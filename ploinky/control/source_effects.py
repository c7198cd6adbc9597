"""The first step of a rollout: get the source and settle the release."""

from collections.abc import Callable

import msgspec

from ploinky.control.rollout_failures import failed_rollout
from ploinky.control.source_access import source_of
from ploinky.control.world import World
from ploinky.domain.commands import Command, RecordSource
from ploinky.domain.dependencies import dependencies_digest, install_steps
from ploinky.domain.deployment import Reason
from ploinky.domain.errors import DeploymentNotFound, PloinkyError
from ploinky.domain.manifest import parse_manifest
from ploinky.domain.release import ReleaseDefaults, environment_of, release_of
from ploinky.domain.specs import DeploymentSpec, Release
from ploinky.ports.sources import Checkout
from ploinky.views.intents import Intent
from ploinky.views.views import Views

Progress = Callable[[str, str], None]
"""Receives a deployment's id and one short line."""


class SourceEffects:
    """Fetch sources; every failure ends the rollout with its reason."""

    def __init__(self, views: Views, world: World, defaults: ReleaseDefaults, progress: Progress) -> None:
        """Take the world, what the configuration says of releases, and who hears of progress."""
        self._views = views
        self._world = world
        self._defaults = defaults
        self._progress = progress

    async def fetch_source(self, intent: Intent) -> Command:
        """Fetch the newest commit and read its manifest."""
        state = self._views.deployments.get(intent.subject_id)
        if state is None or state.rollout is None:
            raise DeploymentNotFound
        spec = state.rollout.spec
        try:
            given = await self._world.environments.of(intent.subject_id, intent.generation)
            # Whether a secret can be read shows at the start; here it counts that it is given.
            given = {**given, **spec.secrets}
            limit = self._views.setting("taskTimeout")
            defaults = self._defaults if limit is None else self._defaults._replace(time_limit_seconds=float(limit))
            # Whoever asks for an update means what the server has now.
            is_fresh = state.rollout.reason == Reason.UPDATE
            release, checkout = await self._world.pools.engine(
                lambda: self._fetch(intent.subject_id, spec, given, defaults, is_fresh=is_fresh)
            )
        except PloinkyError as error:
            return failed_rollout(intent, "source", error)
        finally:
            self._progress(intent.subject_id, "")
        return RecordSource(
            subject_id=intent.subject_id,
            generation=intent.generation,
            release=release,
            is_from_cache=checkout.is_from_cache,
            cache_age_seconds=checkout.age_seconds,
            cache_reason=checkout.reason,
        )

    def _fetch(
        self,
        deployment_id: str,
        spec: DeploymentSpec,
        given: dict[str, str],
        defaults: ReleaseDefaults,
        *,
        is_fresh: bool,
    ) -> tuple[Release, Checkout]:
        source = source_of(spec, self._views, self._world.secrets)
        checkout = self._world.sources.fetch(
            source, lambda line: self._progress(deployment_id, line), is_fresh=is_fresh
        )
        folder = self._world.folders.find(checkout.directory, spec.agent, spec.subfolder)
        manifest = parse_manifest(folder.manifest)
        environment_of(manifest, given)
        release = release_of(
            spec, manifest, checkout.commit, defaults, _warnings(checkout), has_dockerfile=folder.has_dockerfile
        )
        files = folder.dependency_files
        place = f"{checkout.commit}/{spec.subfolder}/{spec.agent}"
        needs = dependencies_digest(install_steps(files, manifest), files, place, given)
        return msgspec.structs.replace(release, dependencies=needs), checkout


def _warnings(checkout: Checkout) -> tuple[str, ...]:
    """Return what whoever deploys should hear of a source."""
    if not checkout.is_from_cache:
        return checkout.warnings
    age = "of unknown age" if checkout.age_seconds is None else f"{checkout.age_seconds:.0f} s old"
    return (f"The commit is from the cache, {age}: {checkout.reason}", *checkout.warnings)
