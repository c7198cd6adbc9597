"""Call an agent."""

from typing import TYPE_CHECKING, Any

import click

from ploinky.cli.commands.tasks import result_of
from ploinky.cli.failures import CommandFailed, ExitCode
from ploinky.cli.output import is_terminal, print_json, remark, say
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.targets import DEFAULT_DOMAIN, split_route
from ploinky.cli.text import visible
from ploinky.cli.waiting import wait_for_task

if TYPE_CHECKING:
    from ploinky.client import Called, JsonObject, PloinkyClient

DEFAULT_WAIT_SECONDS = 300.0
SERVER_WAIT_SECONDS = 30.0
"""After so long the server itself answers "not yet"; who waits less long has to ask for that answer at once."""


@click.command()
@click.argument("path")
@click.argument("command")
@click.argument("params", nargs=-1)
@click.option("--domain", metavar="NAME", default=DEFAULT_DOMAIN, show_default=True, help="Whose PATH it is.")
@click.option("--json-params", metavar="ARRAY", help="The params as a JSON array, for other values than texts.")
@click.option("--async", "is_async", is_flag=True, help="Print the task's id instead of waiting for its result.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_WAIT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the result; the task goes on after that.",
)
@remote_options
@pass_session
def call(
    session: Session,
    *,
    path: str,
    command: str,
    params: tuple[str, ...],
    domain: str,
    json_params: str | None,
    is_async: bool,
    timeout_seconds: float,
) -> None:
    """Call COMMAND of the agent at PATH with PARAMS and print its answer: a text as it is, anything else as JSON.

    PARAMS are sent as texts, also 1 and true. One that begins with - goes after --.
    """
    sent = params_of(params, json_params)
    host, route = split_route(path, domain)
    with session.client() as client:
        called = client.call(
            route,
            command,
            sent,
            domain=host,
            is_async=is_async or timeout_seconds < SERVER_WAIT_SECONDS,
        )
        if called.is_finished:
            print_result(called.data, is_json=session.is_json)
        elif is_async:
            _print_accepted(session, called)
        else:
            task = _awaited(client, called, timeout_seconds)
            print_result(result_of(task), is_json=session.is_json)


def params_of(params: tuple[str, ...], json_params: str | None) -> list[Any]:
    """Give what to send as params. **Raises** `click.UsageError`."""
    if json_params is None:
        return [*params]
    if params:
        raise click.UsageError("PARAMS and --json-params exclude each other", click.get_current_context(silent=True))
    import json

    try:
        value = json.loads(json_params)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="'--json-params'") from error
    if not isinstance(value, list):
        raise click.BadParameter("not a JSON array", param_hint="'--json-params'")
    return value


def print_result(value: Any, *, is_json: bool) -> None:
    """Print an agent's answer. What a terminal would obey is shown instead, on a terminal only."""
    if isinstance(value, bytes):
        click.echo(value, nl=False)
    elif is_json or not isinstance(value, str):
        print_json(value)
    else:
        click.echo(visible(value, kept="\n\t") if is_terminal() else value, color=True)


def _print_accepted(session: Session, called: "Called") -> None:
    if session.is_json:
        print_json(called.data)
    else:
        say(called.task_id or "accepted")


def _awaited(client: "PloinkyClient", called: "Called", timeout_seconds: float) -> "JsonObject":
    task_id, location = called.task_id, called.location
    if location is None and task_id is None:
        raise CommandFailed("the server named no task", code="UNREADABLE_ANSWER", exit_code=ExitCode.GENERAL)
    remark(f"waiting for task {task_id}")
    name = task_id or ""
    if location is not None:
        return wait_for_task(name, lambda: client.task_at(location), timeout_seconds)
    return wait_for_task(name, lambda: client.task(name), timeout_seconds)
