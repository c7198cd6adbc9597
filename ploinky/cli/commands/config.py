"""The configuration of this machine."""

import click

from ploinky.cli.output import Column, print_json, print_table
from ploinky.cli.server_side import effective_configuration
from ploinky.cli.session import Session, json_option, pass_session

DEFAULT_ORIGIN = "default"
COLUMNS = (Column("NAME", "name"), Column("VALUE", "value"), Column("FROM", "origin"))


@click.group()
def config() -> None:
    """Show the configuration and where each value comes from."""


@config.command()
@json_option
@pass_session
def show(session: Session) -> None:
    """Show what `ploinky start` would run with, here and now."""
    found = effective_configuration()
    rows = [
        {"name": name, "value": value, "origin": found.origins.get(name, DEFAULT_ORIGIN)}
        for name, value in sorted(found.values.items())
    ]
    if session.is_json:
        print_json({row["name"]: {"value": row["value"], "from": row["origin"]} for row in rows})
    else:
        print_table(rows, COLUMNS)
