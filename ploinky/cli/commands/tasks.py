"""Tasks: calls to agents that are recorded."""

from typing import TYPE_CHECKING, Any

import click

from ploinky.cli.commands.listings import paged
from ploinky.cli.failures import CommandFailed, ExitCode
from ploinky.cli.output import Column, cell_text, field, print_fields, print_json, print_page
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.targets import find_deployment, id_of
from ploinky.cli.waiting import WAIT_LIMIT_SECONDS, wait_for_task

if TYPE_CHECKING:
    from ploinky.client import JsonObject

STATES = ("submitted", "running", "succeeded", "failed", "cancelled", "dead")
TASKS = (
    Column("TASK", "id"),
    Column("STATE", "state", is_state=True),
    Column("COMMAND", "command"),
    Column("DEPLOYMENT", "deployment"),
    Column("ATTEMPT", "attempt"),
    Column("SUBMITTED", "submittedAt"),
    Column("ENDED", "endedAt"),
)


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Until it has ended; then fail as the task did.")
@click.option("--cancel", is_flag=True, help="Ask for it to be stopped.")
@remote_options
@pass_session
def task(session: Session, task_id: str, *, wait: bool, cancel: bool) -> None:
    """Show a task; with --wait once it has ended, with --cancel after asking for its end."""
    with session.client() as client:
        found = (client.cancel_task(task_id) if cancel else None) or client.task(task_id)
        if wait:
            found = wait_for_task(task_id, lambda: client.task(task_id), WAIT_LIMIT_SECONDS)
    if session.is_json:
        print_json(found)
    else:
        _print_task(found)
    if wait and not cancel:
        result_of(found)


@click.command()
@click.option("--deployment", "target", metavar="PATH|ID", help="Of this deployment only.")
@click.option("--state", type=click.Choice(STATES), help="In this state only.")
@paged
@remote_options
@pass_session
def tasks(session: Session, target: str | None, state: str | None, page: int | None, per_page: int | None) -> None:
    """List tasks."""
    with session.client() as client:
        deployment = None if target is None else id_of(find_deployment(client, target))
        found = client.tasks(page=page, per_page=per_page, deployment=deployment, state=state)
    if session.is_json:
        print_json(found)
    else:
        print_page(found, TASKS, "there are no such tasks" if target or state else "there are no tasks")


def result_of(found: "JsonObject") -> Any:
    """Give the result of a task that has ended. **Raises** `CommandFailed` when it did not succeed."""
    if found.get("state") == "succeeded":
        return found.get("result")
    hint = field(found, "error.details.hint")
    raise CommandFailed(
        str(field(found, "error.message") or f"the task is {found.get('state')}"),
        code=str(field(found, "error.code") or str(found.get("state")).upper()),
        exit_code=ExitCode.GENERAL,
        hint=hint if isinstance(hint, str) else "",
    )


def _print_task(found: "JsonObject") -> None:
    error = found.get("error")
    result = found.get("result")
    print_fields(
        {
            "task": found.get("id"),
            "state": found.get("state"),
            "command": found.get("command"),
            "deployment": found.get("deployment"),
            "attempt": found.get("attempt"),
            "submitted": found.get("submittedAt"),
            "ended": found.get("endedAt"),
            "result": None if result is None else cell_text(result),
            "error": f"{error.get('message')} ({error.get('code')})" if isinstance(error, dict) else None,
        }
    )
