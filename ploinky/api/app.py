"""The Litestar application: all routes, one error format, its OpenAPI description."""

import logging
from functools import cache

from litestar import Litestar, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import OpenAPI
from litestar.types import ExceptionHandlersMap

from ploinky.api.cleanup import CleanUpRoutes
from ploinky.api.deployments import DeploymentRoutes, InstanceRoutes
from ploinky.api.events import EventRoutes
from ploinky.api.logs import LogRoutes
from ploinky.api.operations import OperationRoutes
from ploinky.api.registries import RegistryRoutes
from ploinky.api.repositories import RepositoryRoutes
from ploinky.api.services import AnyRequest, Services, request_id_of
from ploinky.api.system import ProbeRoutes, SystemRoutes
from ploinky.api.tasks import TaskRoutes
from ploinky.api.webhooks import WebhookRoutes
from ploinky.api.wishes import WishRoutes
from ploinky.domain.errors import PloinkyError
from ploinky.usecases.problems import RETRY_AFTER_SECONDS, problem, problem_of, status_of

log = logging.getLogger(__name__)

BODY_LIMIT_BYTES = 64 * 1024 * 1024
CODES = {400: "INVALID_REQUEST", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}


def create_app(services: Services) -> Litestar:
    """Build the application over its services."""
    return _app(services, None)


def describe(services: Services) -> OpenAPI:
    """Return the OpenAPI description of the application."""
    return _app(
        services, OpenAPIConfig(title="Ploinky", version=services.version, use_handler_docstrings=True)
    ).openapi_schema


def _app(services: Services, openapi_config: OpenAPIConfig | None) -> Litestar:
    # What is served has no description of its own: Litestar would answer unknown paths beside it with a page.
    return Litestar(
        route_handlers=[
            DeploymentRoutes,
            InstanceRoutes,
            LogRoutes,
            OperationRoutes,
            WishRoutes,
            TaskRoutes,
            EventRoutes,
            RepositoryRoutes,
            WebhookRoutes,
            RegistryRoutes,
            CleanUpRoutes,
            SystemRoutes,
            ProbeRoutes,
        ],
        dependencies={"services": Provide(lambda: services, sync_to_thread=False)},
        exception_handlers=_exception_handlers(),
        openapi_config=openapi_config,
        request_max_body_size=BODY_LIMIT_BYTES,
        logging_config=None,
        signature_types=[AnyRequest],
        state=State({"description": cache(lambda: describe(services))}),
    )


def _exception_handlers() -> ExceptionHandlersMap:
    return {PloinkyError: _refused, HTTPException: _http, RecursionError: _too_deep, Exception: _unexpected}


def _refused(request: AnyRequest, error: PloinkyError) -> Response[bytes]:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if error.is_retryable else {}
    body = problem_of(error, request_id_of(request))
    return Response(body, status_code=status_of(error), headers=headers, media_type="application/json")


def _http(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    code = CODES.get(error.status_code, f"HTTP_{error.status_code}")
    details = {"errors": error.extra} if isinstance(error, ValidationException) and error.extra else {}
    body = problem(code, error.detail, details, request_id_of(request))
    return Response(body, status_code=error.status_code, headers=error.headers, media_type="application/json")


def _too_deep(request: AnyRequest, _error: RecursionError) -> Response[bytes]:
    body = problem("INVALID_REQUEST", "The body is nested too deeply", {}, request_id_of(request))
    return Response(body, status_code=400, media_type="application/json")


def _unexpected(request: AnyRequest, error: Exception) -> Response[bytes]:
    log.error("request %s failed unexpectedly", request_id_of(request), exc_info=error)
    body = problem("INTERNAL_ERROR", "Something went wrong; the server's log says what", {}, request_id_of(request))
    return Response(body, status_code=500, media_type="application/json")
