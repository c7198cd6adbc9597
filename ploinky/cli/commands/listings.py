"""Lists of what is deployed, what runs and what answers where."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from ploinky.cli.outcomes import end_text
from ploinky.cli.output import (
    Column,
    cell_text,
    field,
    print_fields,
    print_json,
    print_page,
    print_table,
    rows_of,
    say,
)
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.targets import find_deployment, name_of
from ploinky.cli.units import age_text

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

LARGEST_PAGE_ROWS = 500
SHOWN_COMMIT_CHARACTERS = 10


def short_commit(row: Mapping[str, Any]) -> Any:
    """Give the beginning of a row's commit."""
    commit = row.get("commit")
    return commit[:SHOWN_COMMIT_CHARACTERS] if isinstance(commit, str) else None


def _tasks(row: Mapping[str, Any]) -> str:
    return f"{cell_text(field(row, 'tasks.waiting'))}/{cell_text(field(row, 'tasks.running'))}"


def _status(row: Mapping[str, Any]) -> Any:
    """Show what was last seen only as that while the engine does not answer."""
    if not row.get("isUnobservable"):
        return row.get("status")
    since = row.get("unknownSince")
    return f"unknown since {since}" if since else "unknown"


def _how_it_ended(row: Mapping[str, Any]) -> str | None:
    code, words = row.get("exitCode"), row.get("explanation")
    if code is None:
        return str(words) if words else None
    return f"{code}: {words}" if words else f"{code}"


DEPLOYMENTS = (
    Column("DEPLOYMENT", lambda row: name_of(dict(row))),
    Column("STATE", "state", is_state=True),
    Column("AGENT", "agent"),
    Column("RUNTIME", "runtime"),
    Column("COMMIT", short_commit),
    Column("WAITING/RUNNING", _tasks),
    Column("ID", "id"),
)
INSTANCES = (
    Column("INSTANCE", lambda row: row.get("id") or row.get("name")),
    Column("STATUS", _status, is_state=True),
    Column("READY", "isReady"),
    Column("GENERATION", "generation"),
    Column("RUNTIME", "runtime"),
    Column("AGE", lambda row: age_text(row.get("createdAt"))),
    Column("DEPLOYMENT", "deployment"),
    Column("ENDED", _how_it_ended),
)
ROUTES = (
    Column("DOMAIN", "domain"),
    Column("PATH", "path"),
    Column("DEPLOYMENT", "deployment"),
)


def paged(function: Decorated) -> Decorated:
    """Give a listing `--page` and `--per-page`."""
    rows = click.option("--per-page", type=click.IntRange(1, LARGEST_PAGE_ROWS), metavar="ROWS", help="On one page.")
    return click.option("--page", type=click.IntRange(1), metavar="NUMBER", help="From 1.")(rows(function))


@click.command()
@click.argument("target", metavar="[ID|PATH]", required=False)
@paged
@remote_options
@pass_session
def deployments(session: Session, target: str | None, page: int | None, per_page: int | None) -> None:
    """List deployments, or show the one with that id or at that path (/demo, localhost/demo)."""
    with session.client() as client:
        if target is not None:
            _show_deployment(session, find_deployment(client, target))
            return
        found = client.deployments(page=page, per_page=per_page)
    _show(session, found, DEPLOYMENTS, "nothing is deployed; `ploinky deploy --help` tells how")


@click.command()
@paged
@remote_options
@pass_session
def instances(session: Session, page: int | None, per_page: int | None) -> None:
    """List what runs for the deployments: containers and processes."""
    with session.client() as client:
        found = client.instances(page=page, per_page=per_page)
    _show(session, found, INSTANCES, "nothing runs")


@click.command()
@paged
@remote_options
@pass_session
def routes(session: Session, page: int | None, per_page: int | None) -> None:
    """List which deployment answers where."""
    with session.client() as client:
        found = client.routes(page=page, per_page=per_page)
    _show(session, found, ROUTES, "there are no routes")


def _show(session: Session, page: Mapping[str, Any], columns: Sequence[Column], nothing: str) -> None:
    if session.is_json:
        print_json(page)
    else:
        print_page(page, columns, nothing)


def _show_deployment(session: Session, deployment: dict[str, Any]) -> None:
    if session.is_json:
        print_json(deployment)
        return
    rollout, end = deployment.get("rollout"), deployment.get("lastRollout")
    ran = rows_of({"data": deployment.get("instances")})
    print_fields(
        {
            "deployment": name_of(deployment),
            "id": deployment.get("id"),
            "url": deployment.get("url"),
            "state": deployment.get("state"),
            "desired": deployment.get("desired"),
            "agent": deployment.get("agent"),
            "repository": deployment.get("repository"),
            "branch": deployment.get("branch"),
            "commit": deployment.get("commit"),
            "runtime": deployment.get("runtime"),
            "image": deployment.get("image"),
            "access": deployment.get("access"),
            "concurrency": deployment.get("concurrency"),
            "replicas": deployment.get("replicas"),
            "generation": deployment.get("generation"),
            "rollout": _rollout_text(rollout) if isinstance(rollout, dict) else None,
            "last rollout": end_text(end) if isinstance(end, dict) else None,
            "tasks waiting": field(deployment, "tasks.waiting"),
            "tasks running": field(deployment, "tasks.running"),
            "instances": len(ran),
            "created": deployment.get("createdAt"),
            "updated": deployment.get("updatedAt"),
        }
    )
    if ran:
        say("")
        print_table(ran, [column for column in INSTANCES if column.title != "DEPLOYMENT"])


def _rollout_text(rollout: Mapping[str, Any]) -> str:
    return f"generation {rollout.get('generation')}, {rollout.get('reason')}, at {rollout.get('step')}"
