"""Settings of the running server."""

from typing import Any

import click

from ploinky.cli.output import Column, print_json, print_table, say
from ploinky.cli.session import Session, pass_session, remote_options

COLUMNS = (Column("NAME", "name"), Column("VALUE", "value"), Column("CHANGED", "isChanged"))


@click.group()
def settings() -> None:
    """Show and change settings of the running server."""


@settings.command()
@remote_options
@pass_session
def show(session: Session) -> None:
    """Show all settings."""
    with session.client() as client:
        found = client.settings()
    if session.is_json:
        print_json(found)
    else:
        print_table(found, COLUMNS)


@settings.command("set")
@click.argument("name")
@click.argument("value")
@remote_options
@pass_session
def set_setting(session: Session, name: str, value: str) -> None:
    """Change one setting. A VALUE that is JSON (30, true) is sent as such, anything else as text."""
    with session.client() as client:
        document = client.change_setting(name, _value(value))
    if session.is_json:
        print_json(document)
    else:
        say(f"{name} is {value}")


def _value(text: str) -> Any:
    import json

    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, int | float | bool) else text
