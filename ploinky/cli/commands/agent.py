"""Start and stop deployments."""

from typing import TYPE_CHECKING, Any

import click

from ploinky.cli.commands.deploy import NO_WAIT
from ploinky.cli.output import Column, cell_text, print_json, print_page, remark, say
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.targets import find_deployment, id_of, name_of
from ploinky.cli.waiting import follow_rollout, wait_for_state

if TYPE_CHECKING:
    from ploinky.client.api import Change

AGENT_COLUMNS = (
    Column("REPOSITORY", "repository"),
    Column("AGENT", "name"),
    Column("COMMANDS", "commands"),
    Column("ABOUT", "about"),
)
TARGET = click.argument("target", metavar="PATH|ID")


@click.group()
def agent() -> None:
    """Start, stop, restart or update a deployment, by its path (/demo, localhost/demo) or id; list what can be one."""


@agent.command()
@TARGET
@NO_WAIT
@remote_options
@pass_session
def start(session: Session, target: str, *, no_wait: bool) -> None:
    """Run a stopped deployment again."""
    _change(session, target, "start", no_wait=no_wait)


@agent.command()
@TARGET
@NO_WAIT
@remote_options
@pass_session
def stop(session: Session, target: str, *, no_wait: bool) -> None:
    """Stop a deployment; its route answers that it is stopped, and its tasks wait."""
    _change(session, target, "stop", no_wait=no_wait)


@agent.command()
@TARGET
@NO_WAIT
@remote_options
@pass_session
def restart(session: Session, target: str, *, no_wait: bool) -> None:
    """Replace a deployment's instances by new ones of the same commit."""
    _change(session, target, "restart", no_wait=no_wait)


@agent.command()
@TARGET
@NO_WAIT
@remote_options
@pass_session
def update(session: Session, target: str, *, no_wait: bool) -> None:
    """Fetch the repository again and deploy its newest commit."""
    _change(session, target, "update", no_wait=no_wait)


@agent.command("list")
@click.argument("repository", required=False)
@remote_options
@pass_session
def list_agents(session: Session, repository: str | None) -> None:
    """List the agents of a named REPOSITORY, or of all of them, as their manifests say."""
    with session.client() as client:
        names = [repository] if repository else [str(row["name"]) for row in _rows(client.repositories())]
        agents = [{"repository": name, **row} for name in names for row in _rows(client.agents(name, per_page=500))]
    if session.is_json:
        print_json(agents)
        return
    shown = [{**row, "commands": ", ".join(row.get("commands") or []), "about": _about(row)} for row in agents]
    print_page({"data": shown}, AGENT_COLUMNS, "no agent there; an agent is a folder with a manifest.json or handlers")


def _rows(page: dict[str, Any]) -> list[dict[str, Any]]:
    return page.get("data") or []


def _about(row: dict[str, Any]) -> str:
    return f"cannot be used: {row['error']}" if row.get("error") else str(row.get("about") or "")


def _change(session: Session, target: str, change: "Change", *, no_wait: bool) -> None:
    with session.client() as client:
        deployment = client.change(id_of(find_deployment(client, target)), change)
        if not no_wait and change == "stop":
            deployment = wait_for_state(client, deployment, "stopped")
        elif not no_wait and (deployment.get("rollout") is not None or deployment.get("state") == "deploying"):
            deployment = follow_rollout(client, deployment, remark)
    if session.is_json:
        print_json(deployment)
    else:
        say(f"{name_of(deployment)} is {cell_text(deployment.get('state'))}")
