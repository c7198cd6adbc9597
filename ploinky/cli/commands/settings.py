"""Settings of the running server."""

from typing import Any

import click

from ploinky.cli.output import print_fields, print_json, say
from ploinky.cli.session import Session, pass_session, remote_options


@click.group()
def settings() -> None:
    """Show and change settings of the running server."""


@settings.command()
@remote_options
@pass_session
def show(session: Session) -> None:
    """Show all settings."""
    with session.client() as client:
        document = client.settings()
    if session.is_json:
        print_json(document)
        return
    data = document.get("data", document)
    if isinstance(data, list):
        print_fields({str(row.get("name")): row.get("value") for row in data if isinstance(row, dict)})
    else:
        print_fields(data if isinstance(data, dict) else {})


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
