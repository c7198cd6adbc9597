"""`/management/api/tasks`."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import QueryParameter

from ploinky.api.paging import PageNumber, PerPage, paged
from ploinky.api.schemas import Page, SubmitRequest, TaskAccepted, TaskShape
from ploinky.api.services import AnyRequest, Injected, context_of, request_id_of
from ploinky.api.shapes import account_shape, task_shape
from ploinky.usecases.classify import TaskRequest
from ploinky.usecases.problems import timestamp

PATH = "/management/api/tasks"


class TaskRoutes(Controller):
    """Submit, look, cancel."""

    path = PATH
    tags = ("tasks",)

    @get()
    async def list_tasks(
        self,
        services: Injected,
        page: PageNumber = 1,
        per_page: PerPage = 50,
        deployment: Annotated[str | None, QueryParameter(name="deployment")] = None,
        task_state: Annotated[str | None, QueryParameter(name="state")] = None,
    ) -> Page[TaskShape]:
        """List open tasks and the recent ended ones, newest first."""
        rows = services.accounts.list(deployment, task_state)
        shapes = [task_shape(key, row) for key, row in rows]
        return paged(shapes, page, per_page, PATH, {"deployment": deployment, "state": task_state})

    @post(status_code=202)
    async def submit(self, request: AnyRequest, services: Injected, data: SubmitRequest) -> Response[TaskAccepted]:
        """Accept a task; it is durable before this answers."""
        services.deployments.get(data.deployment)
        context = context_of(request)
        key = request.headers.get("idempotency-key", "")
        metadata = {
            "method": "POST",
            "url": PATH,
            "headers": {},
            "timestamp": timestamp(),
            "securityContext": {
                "userId": context.actor,
                "roles": ["admin"],
                "permissions": ["*"],
                "isAuthenticated": True,
                "timestamp": timestamp(),
                "requestId": request_id_of(request),
            },
        }
        submission = await services.tasks.submit(
            data.deployment,
            TaskRequest(data.command, msgspec.json.encode(data.params)),
            metadata,
            context,
            wait_seconds=0,
            idempotency=(context.actor, key) if key else None,
        )
        location = f"{PATH}/{submission.task_id}"
        accepted = TaskAccepted(id=submission.task_id, state="submitted", location=location)
        return Response(accepted, headers={"Location": location})

    @get("/{task_id:str}")
    async def get_task(self, services: Injected, task_id: str) -> TaskShape:
        """Show a task with its result or error. An anonymous caller's `?token=` opens this task only."""
        return account_shape(await services.accounts.read(task_id))

    @delete("/{task_id:str}", status_code=202)
    async def cancel(self, request: AnyRequest, services: Injected, task_id: str) -> TaskShape:
        """Stop a task: at once when it waits, through its agent when it runs."""
        await services.tasks.cancel(task_id, context_of(request))
        return account_shape(await services.accounts.read(task_id))
