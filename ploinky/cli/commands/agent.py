"""List what can be deployed; the same words for what is deployed as without `agent`."""

from typing import Any

import click

from ploinky.cli.commands.changes import restart, start, stop, update
from ploinky.cli.output import Column, print_json, print_page
from ploinky.cli.session import Session, pass_session, remote_options

AGENT_COLUMNS = (
    Column("REPOSITORY", "repository"),
    Column("AGENT", "name"),
    Column("COMMANDS", "commands"),
    Column("ABOUT", "about"),
)


@click.group()
def agent() -> None:
    """Start, stop, restart or update a deployment, by its path (/demo, localhost/demo) or id; list what can be one."""


for command in (start, stop, restart, update):
    agent.add_command(command)


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
