"""Remove what nothing needs any more, and only what can be proved to be that."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ploinky.control.world import World
from ploinky.domain.dependencies import folder_digest
from ploinky.domain.errors import PloinkyError
from ploinky.domain.events import DeploymentRemoved, InstanceRemoved, RolloutFailed, RolloutSucceeded
from ploinky.domain.specs import Release
from ploinky.journal.codec import Recorded
from ploinky.ports.leftovers import DiskSpace, Leftover, LeftoverKind
from ploinky.views.views import Views

log = logging.getLogger(__name__)

SETTLING_SECONDS = 60.0
"""After what may have freed something: several things usually end together."""
LONGEST_PAUSE_SECONDS = 24 * 3_600.0

_FREEING = (RolloutSucceeded, RolloutFailed, InstanceRemoved, DeploymentRemoved)


class Needed(msgspec.Struct):
    """What deployments need: to run what runs, to finish what is under way, to go back to what served."""

    commits: set[str] = msgspec.field(default_factory=set)
    images: set[str] = msgspec.field(default_factory=set)
    dependencies: set[str] = msgspec.field(default_factory=set)
    releases: set[str] = msgspec.field(default_factory=set)

    def add(self, release: Release | None) -> None:
        """Take in what a release needs."""
        if release is None:
            return
        self.commits.add(release.commit)
        if release.pin is not None:
            self.images.add(release.pin.digest)
            if release.dependencies:
                self.dependencies.add(folder_digest(release.pin, release.dependencies))


class Space(NamedTuple):
    """How much room there is, and whether that is too little."""

    disk: DiskSpace
    is_low: bool


class CleanUp(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed, or would be."""

    removed: tuple[str, ...] = ()
    """Kind and name of each, as in `image sha256:...`."""
    freed_bytes: int = 0
    is_dry_run: bool = False
    reason: str = ""
    """Why nothing was looked at; empty when it was."""


def needed_by(views: Views) -> Needed:
    """Collect what every deployment and every instance needs, as of now."""
    needed = Needed()
    for deployment_id, row in views.deployments.items():
        for served in row.state.history:
            needed.add(served.release)
            needed.dependencies.add(served.dependencies)
        if row.state.rollout is not None:
            needed.add(row.state.rollout.release)
            needed.releases.add(f"{deployment_id}/{row.state.rollout.generation}")
    for instance in (kept.state for _, kept in views.instances.items()):
        needed.add(instance.release)
        needed.releases.add(f"{instance.deployment_id}/{instance.generation}")
        needed.dependencies.add(instance.dependencies)
    return needed


class Cleaner:
    """Clean up on request, after rollouts, and once a day."""

    def __init__(self, views: Views, world: World, least_free_bytes: int = 0) -> None:
        """Take what is known, what lies about, and below how much free space somebody has to be told."""
        self._least_free_bytes = least_free_bytes
        self._has_warned = False
        self._views = views
        self._world = world
        self._is_due = asyncio.Event()
        self._cleaned_at = time.monotonic()

    def follow(self, batch: Sequence[Recorded]) -> None:
        """Note what may have freed something; made to be one of the dispatcher's followers."""
        if any(isinstance(recorded.event, _FREEING) for recorded in batch):
            self._is_due.set()

    async def run(self) -> None:
        """Clean up whenever something was freed, for ever."""
        while True:
            await asyncio.sleep(SETTLING_SECONDS)
            await self.watch_space()
            is_old = time.monotonic() - self._cleaned_at > LONGEST_PAUSE_SECONDS
            if self._is_due.is_set() or is_old:
                self._is_due.clear()
                done = await self.clean()
                if done.reason:
                    self._is_due.set()

    async def watch_space(self) -> Space:
        """Measure the disk; warn in the log when it gets full, once until it has room again."""
        disk = await self._world.pools.slow(self._world.leftovers.space)
        is_low = disk.free_bytes < self._least_free_bytes
        if is_low and not self._has_warned:
            log.warning("the disk has %d bytes left; `ploinky cleanup` may free some", disk.free_bytes)
        self._has_warned = is_low
        return Space(disk, is_low)

    async def clean(self, *, is_dry_run: bool = False) -> CleanUp:
        """Remove what nothing needs, or say what would be. Safe to cut off at any moment and to repeat."""
        if self._is_busy():
            # What a rollout will need is known only when it has got there.
            return CleanUp(is_dry_run=is_dry_run, reason="a rollout is under way")
        self._cleaned_at = time.monotonic()
        # First what there is, then what is needed: what comes in between is needed, and not in the list.
        leftovers = await self._world.pools.slow(self._world.leftovers.found)
        digests = await self._world.pools.slow(self._world.dependencies.digests)
        images = await self._images()
        needed = needed_by(self._views)
        unneeded = [found for found in leftovers if not _is_needed(found, needed)]
        removed: list[str] = []
        freed_bytes = 0
        for found in unneeded:
            freed_bytes += 0 if is_dry_run else await self._remove_folder(found)
            removed.append(f"{found.kind} {found.name}")
        for digest in (one for one in digests if one not in needed.dependencies):
            freed_bytes += 0 if is_dry_run else await self._remove_dependencies(digest)
            removed.append(f"dependencies {digest}")
        for kind, digest in ((kind, digest) for kind, digest in images if digest not in needed.images):
            if is_dry_run or await self._remove_image(kind, digest):
                removed.append(f"image {digest}")
        if removed and not is_dry_run:
            log.info("cleaned up %d things that nothing needs: %d bytes", len(removed), freed_bytes)
        return CleanUp(removed=tuple(removed), freed_bytes=freed_bytes, is_dry_run=is_dry_run)

    def _is_busy(self) -> bool:
        return any(row.state.rollout is not None for _, row in self._views.deployments.items())

    async def _images(self) -> list[tuple[str, str]]:
        """List the images that this journal had built, by runtime; of one that is away, none."""
        found: list[tuple[str, str]] = []
        for kind, runtime in self._world.runtimes.by_kind.items():
            try:
                listed = await self._world.pools.engine(
                    lambda runtime=runtime: runtime.built_images(self._world.site.journal_id)  # type: ignore[misc]
                )
                found += [(kind, digest) for digest in listed]
            except PloinkyError as error:
                log.debug("images of %s cannot be listed: %s", kind, error.message)
        return found

    async def _remove_folder(self, found: Leftover) -> int:
        return 0 if self._is_busy() else await self._world.pools.slow(lambda: self._world.leftovers.remove(found))

    async def _remove_dependencies(self, digest: str) -> int:
        if self._is_busy():
            return 0
        return await self._world.pools.slow(lambda: self._world.dependencies.remove(digest))

    async def _remove_image(self, kind: str, digest: str) -> bool:
        try:
            await self._world.pools.engine(lambda: self._world.runtimes.get(kind).remove_image(digest))
        except PloinkyError as error:
            log.debug("image %s stays: %s", digest, error.message)
            return False
        return True


def _is_needed(found: Leftover, needed: Needed) -> bool:
    if found.kind is LeftoverKind.RELEASE:
        return found.name in needed.releases
    return found.name.rpartition("/")[2] in needed.commits
