"""The server itself: initialising, health, keys, settings."""

from typing import Any

from litestar import Controller, MediaType, Response, delete, get, post, put

from ploinky.api.docs_page import docs_page
from ploinky.api.paging import PageNumber, PerPage, paged
from ploinky.api.schemas import (
    Alive,
    DiskShape,
    HealthShape,
    JournalShape,
    KeyShape,
    NewKeyShape,
    Page,
    RecoveryRequest,
    RuntimeShape,
    SettingRequest,
    SettingShape,
)
from ploinky.api.services import AnyRequest, Injected, Services, context_of
from ploinky.domain.commands import ChangeSetting
from ploinky.domain.errors import NotFound, Unavailable
from ploinky.domain.settings import SETTINGS, SETTINGS_ID


class ProbeRoutes(Controller):
    """Answers for whoever watches the server; no key needed."""

    path = "/management"
    tags = ("system",)

    @get("/health/live")
    async def live(self) -> Alive:
        """Answer as long as the server runs."""
        return Alive(status="ok")

    @get("/health/ready")
    async def ready(self, services: Injected) -> Alive:
        """Answer 200 once everything from before the start is found again, else 503."""
        if not services.is_ready():
            raise Unavailable("The server is still finding its instances again")
        return Alive(status="ok")

    @get("/docs", media_type=MediaType.HTML, include_in_schema=False)
    async def docs(self, request: AnyRequest) -> Response[str]:
        """Show what the API can do, as a page that loads nothing from elsewhere."""
        return Response(docs_page(request.app.state.description()), media_type=MediaType.HTML)

    @get("/openapi.json", include_in_schema=False)
    async def openapi(self, request: AnyRequest) -> dict[str, Any]:
        """Describe the API for machines."""
        schema: dict[str, Any] = request.app.state.description().to_schema()
        return schema

    @get(["/api/check-auth"])
    async def check_auth(self, request: AnyRequest) -> dict[str, bool]:
        """Tell whether the caller's key is valid."""
        return {"isAuthenticated": context_of(request).actor != "anonymous"}


class SystemRoutes(Controller):
    """Initialising, health, keys, settings."""

    path = "/management/api"
    tags = ("system",)

    @post("/init", status_code=201)
    async def initialise(self, request: AnyRequest, services: Injected) -> NewKeyShape:
        """Make the admin key, once; 409 ever after."""
        key = await services.keys.initialise(context_of(request))
        return NewKeyShape(key_id=key.key_id, key=key.text)

    @get("/health")
    async def health(self, services: Injected) -> HealthShape:
        """Show how the server is and which runtimes it can use."""
        found = await services.pools.engine(services.runtimes.check_all)
        head = services.head()
        space = await services.cleaner.watch_space()
        return HealthShape(
            status="ok" if services.is_ready() else "starting",
            version=services.version,
            journal=JournalShape(id=services.journal_id, position=head.position, epoch=head.epoch),
            disk=DiskShape(free_bytes=space.disk.free_bytes, total_bytes=space.disk.total_bytes, is_low=space.is_low),
            runtimes=[
                RuntimeShape(kind=kind, is_usable=known.is_usable, version=known.version, reason=known.reason)
                for kind, known in found.items()
            ],
        )

    @get("/keys")
    async def list_keys(self, services: Injected, page: PageNumber = 1, per_page: PerPage = 50) -> Page[KeyShape]:
        """List the admin keys, revoked ones included, without their secrets."""
        shapes = [
            KeyShape(id=key, name=row.state.name, is_revoked=row.state.is_revoked, created_at=row.created_at)
            for key, row in services.views.access.items()
        ]
        return paged(shapes, page, per_page, "/management/api/keys", {})

    @delete("/keys/{key_id:str}", status_code=204)
    async def revoke_key(self, request: AnyRequest, services: Injected, key_id: str) -> None:
        """Revoke a key; it opens nothing from here on."""
        await services.keys.revoke(key_id, context_of(request))

    @post("/keys/recover", status_code=201)
    async def recover_key(self, request: AnyRequest, services: Injected, data: RecoveryRequest) -> NewKeyShape:
        """Replace all admin keys, for somebody who can read this installation's key files."""
        key = await services.keys.recover(data.issued_at, data.proof, context_of(request))
        return NewKeyShape(key_id=key.key_id, key=key.text)

    @get("/settings")
    async def list_settings(self, services: Injected) -> list[SettingShape]:
        """Show the settings that can be changed while the server runs."""
        return [_setting(services, name) for name in sorted(SETTINGS)]

    @put("/settings/{name:str}")
    async def change_setting(
        self, request: AnyRequest, services: Injected, name: str, data: SettingRequest
    ) -> SettingShape:
        """Change a setting. Idempotent."""
        if name not in SETTINGS:
            raise NotFound(f"There is no setting {name!r}", hint=f"There are {', '.join(sorted(SETTINGS))}.")
        command = ChangeSetting(subject_id=SETTINGS_ID, name=name, value=data.value)
        await services.commander.execute(command, context_of(request))
        return _setting(services, name)


def _setting(services: Services, name: str) -> SettingShape:
    is_changed = services.views.setting(name) is not None
    return SettingShape(name=name, value=services.setting(name), is_changed=is_changed)
