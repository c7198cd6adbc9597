"""What happened, as the journal has it."""

import sys
from typing import TYPE_CHECKING

import click

from ploinky.cli.output import cell_text, print_json_line, say, style
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.text import one_line

if TYPE_CHECKING:
    from ploinky.client import JsonObject

SHOWN_DATA_CHARACTERS = 100
POSITION_WIDTH = 8


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on; ends with Ctrl-C.")
@click.option("--after", type=click.IntRange(0), metavar="POSITION", help="Only later ones.")
@click.option("--type", "type_prefix", metavar="PREFIX", help="Only types that begin like this.")
@click.option("--stream", metavar="NAME", help="Only of this stream, as deployment/ID.")
@remote_options
@pass_session
def events(session: Session, *, follow: bool, after: int | None, type_prefix: str | None, stream: str | None) -> None:
    """Show what happened, one event a line: position, time, stream, type, and the beginning of its data.

    With --json each line is one whole event.
    """
    with session.client() as client:
        for event in client.events(after, follow=follow, type=type_prefix, stream=stream):
            if not _is_wanted(event, type_prefix, stream):
                continue
            if session.is_json:
                print_json_line(event)
            else:
                say(_line(event))
            if follow:
                sys.stdout.flush()


def _is_wanted(event: "JsonObject", type_prefix: str | None, stream: str | None) -> bool:
    """Hold what was asked for also against servers whose stream takes no filters."""
    is_type = type_prefix is None or str(event.get("type")).startswith(type_prefix)
    return is_type and (stream is None or event.get("stream") == stream)


def _line(event: "JsonObject") -> str:
    position = cell_text(event.get("position")).rjust(POSITION_WIDTH)
    name = style(cell_text(event.get("type")), bold=True)
    shown = one_line(cell_text(event.get("data") or None), SHOWN_DATA_CHARACTERS)
    return f"{position}  {cell_text(event.get('at'))}  {cell_text(event.get('stream'))}  {name}  {shown}"
