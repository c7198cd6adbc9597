"""`/management/api/webhooks`: open without a key, to whoever can sign."""

from typing import Annotated

from litestar import Controller, post
from litestar.params import QueryParameter

from ploinky.api.repository_schemas import DeliveryShape
from ploinky.api.services import AnyRequest, Injected, request_id_of
from ploinky.usecases.webhooks import Request

BODY_LIMIT_BYTES = 5 * 1024 * 1024


class WebhookRoutes(Controller):
    """Pushes, told by git servers."""

    path = "/management/api/webhooks"
    tags = ("repositories",)

    @post("/{provider:str}", status_code=200, request_max_body_size=BODY_LIMIT_BYTES)
    async def deliver(
        self,
        request: AnyRequest,
        services: Injected,
        provider: str,
        repository: Annotated[str | None, QueryParameter(name="repository", max_length=128)] = None,
    ) -> DeliveryShape:
        """Take a signed delivery of github, gitlab or gitea; a push updates what is deployed from its branch.

        The delivery's id makes it idempotent: a repetition answers the same and does nothing.
        """
        headers = {name.lower(): value for name, value in request.headers.items()}
        services.webhooks.check_is_signed(provider, headers)
        delivery = Request(provider, headers, await request.body(), repository, request_id_of(request))
        done = await services.webhooks.take(delivery)
        return DeliveryShape(
            event=done.event,
            delivery=done.delivery,
            repositories=[*done.repositories],
            branch=done.branch,
            commit=done.commit,
            deployments=[*done.deployments],
            ignored=done.ignored,
        )
