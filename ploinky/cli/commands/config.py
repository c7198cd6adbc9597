"""The configuration of this machine."""

import click

from ploinky.cli.output import Column, print_json, print_table
from ploinky.cli.session import Session, json_option, pass_session

COLUMNS = (Column("NAME", "name"), Column("VALUE", "value"), Column("FROM", "origin"))


@click.group()
def config() -> None:
    """Show the configuration and where each value comes from."""


@config.command()
@json_option
@pass_session
def show(session: Session) -> None:
    """Show what `ploinky start` would run with, here and now."""
    import msgspec

    from ploinky.server.config import load_configuration

    configuration, origins = load_configuration({})
    values = msgspec.to_builtins(configuration)
    rows = [{"name": name, "value": values[name], "origin": origins[name]} for name in sorted(origins)]
    if session.is_json:
        print_json({row["name"]: {"value": row["value"], "from": row["origin"]} for row in rows})
    else:
        print_table(rows, COLUMNS)
