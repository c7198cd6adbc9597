"""`/management/api/cleanup`."""

from typing import Annotated

from litestar import Controller, post
from litestar.params import QueryParameter

from ploinky.api.schemas import Wire
from ploinky.api.services import Injected

DryRun = Annotated[bool, QueryParameter(name="dryRun")]


class CleanUpShape(Wire):
    """What was removed, or would be."""

    removed: list[str]
    freed_bytes: int
    is_dry_run: bool
    reason: str
    """Why nothing was looked at; empty when it was."""


class CleanUpRoutes(Controller):
    """Space on the disk."""

    path = "/management/api/cleanup"
    tags = ("system",)

    @post(status_code=200)
    async def clean_up(self, services: Injected, *, dry_run: DryRun = False) -> CleanUpShape:
        """Remove what no deployment needs, to run or to be rolled back; with `dryRun`, say only what that is."""
        done = await services.cleaner.clean(is_dry_run=dry_run)
        return CleanUpShape(
            removed=[*done.removed], freed_bytes=done.freed_bytes, is_dry_run=done.is_dry_run, reason=done.reason
        )
