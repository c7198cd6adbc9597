"""Commands inside instances, and what instances take of the machine."""

import base64
import binascii

from litestar import Controller, get, post

from ploinky.api.paging import PageNumber, PerPage, paged
from ploinky.api.schemas import ExecRequest, ExecShape, Page, UsageShape
from ploinky.api.services import AnyRequest, Injected, context_of
from ploinky.domain.errors import Invalid
from ploinky.domain.exit_codes import explain_end
from ploinky.domain.instance import LIVE
from ploinky.usecases.operations import Measured, Order

PREFIX = "/management/api"


class OperationRoutes(Controller):
    """Work on what runs."""

    path = PREFIX
    tags = ("deployments",)

    @post("/deployments/{deployment_id:str}/exec", status_code=200)
    async def exec(self, request: AnyRequest, services: Injected, deployment_id: str, data: ExecRequest) -> ExecShape:
        """Run a command inside an instance to its end, as its agent's user."""
        order = Order(
            tuple(data.command),
            _decoded(data.stdin, data.encoding),
            data.timeout_seconds,
            data.generation,
            data.instance,
        )
        instance_id, done = await services.operations.exec(deployment_id, order, context_of(request))
        return ExecShape(
            instance=instance_id,
            exit_code=done.exit_code,
            explanation="" if done.is_timed_out else explain_end(done.exit_code, is_out_of_memory=None),
            stdout=_encoded(done.stdout, data.encoding),
            stderr=_encoded(done.stderr, data.encoding),
            is_truncated=done.is_truncated,
            is_timed_out=done.is_timed_out,
        )

    @get("/deployments/{deployment_id:str}/stats")
    async def deployment_stats(
        self, services: Injected, deployment_id: str, page: PageNumber = 1, per_page: PerPage = 50
    ) -> Page[UsageShape]:
        """Show what the instances of a deployment take of the machine."""
        services.deployments.get(deployment_id)
        living = [key for key, state in services.views.instances_of(deployment_id) if state.status in LIVE]
        return await _measured(services, living, page, per_page, f"{PREFIX}/deployments/{deployment_id}/stats")

    @get("/stats")
    async def stats(self, services: Injected, page: PageNumber = 1, per_page: PerPage = 50) -> Page[UsageShape]:
        """Show what all instances take of the machine."""
        living = [key for key, row in services.views.instances.items() if row.state.status in LIVE]
        return await _measured(services, living, page, per_page, f"{PREFIX}/stats")


async def _measured(services: Injected, living: list[str], page: int, per_page: int, path: str) -> Page[UsageShape]:
    """Look only at the instances of the page asked for: each look is a question to an engine."""
    chosen = paged(living, page, per_page, path, {})
    found = {key: services.views.instances.rows[key].state for key in chosen.data}
    shapes = [_usage_shape(measured) for measured in await services.operations.measure(found)]
    return Page(data=shapes, pagination=chosen.pagination, links=chosen.links)


def _usage_shape(measured: Measured) -> UsageShape:
    usage = measured.usage
    return UsageShape(
        instance=measured.instance_id,
        deployment=measured.instance.deployment_id,
        runtime=measured.instance.runtime,
        cpu_seconds=usage.cpu_seconds if usage else None,
        cpu_percent=measured.cpu_percent,
        memory_bytes=usage.memory_bytes if usage else None,
        memory_limit_bytes=usage.memory_limit_bytes if usage else None,
        pids=usage.pids if usage else None,
        pids_limit=usage.pids_limit if usage else None,
        is_unknown=usage is None,
    )


def _decoded(text: str, encoding: str) -> bytes:
    if encoding != "base64":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("stdin is no base64") from error


def _encoded(content: bytes, encoding: str) -> str:
    return base64.b64encode(content).decode() if encoding == "base64" else content.decode(errors="replace")
