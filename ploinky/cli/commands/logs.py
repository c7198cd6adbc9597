"""What instances wrote."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ploinky.cli.output import is_terminal, print_json, print_json_line, remark
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.targets import find_deployment, id_of
from ploinky.cli.text import visible

if TYPE_CHECKING:
    from ploinky.client import JsonObject

LARGEST_TAIL_LINES = 10_000
LARGEST_NUMBER = 999_999_999


@click.command()
@click.argument("target", metavar="PATH|ID")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, also by later generations.")
@click.option("--tail", type=click.IntRange(0, LARGEST_TAIL_LINES), metavar="LINES", help="Only so many, the newest.")
@click.option("--generation", type=click.IntRange(1, LARGEST_NUMBER), metavar="NUMBER", help="Also one that is gone.")
@click.option("--instance", type=click.IntRange(0, LARGEST_NUMBER), metavar="NUMBER", help="Of the replicas.")
@click.option("--raw", is_flag=True, help="Leave what steers a terminal as it is.")
@remote_options
@pass_session
def logs(
    session: Session,
    target: str,
    *,
    follow: bool,
    tail: int | None,
    generation: int | None,
    instance: int | None,
    raw: bool,
) -> None:
    """Show what an instance of a deployment wrote; with --json as {"deployment", "lines"}.

    It is the newest instance of the generation that serves. Following ends with Ctrl-C.
    """
    is_raw = raw or not is_terminal()
    with session.client() as client:
        deployment_id = id_of(find_deployment(client, target)) if "/" in target else target
        if follow:
            events = client.follow_logs(deployment_id, tail, generation=generation, instance=instance)
            _show_events(events, is_json=session.is_json, is_raw=is_raw)
            return
        text = client.logs(deployment_id, tail, generation=generation, instance=instance)
    if session.is_json:
        print_json({"deployment": deployment_id, "lines": text.splitlines()})
    elif text:
        shown = text if is_raw else visible(text, kept="\n\t")
        click.echo(shown, nl=not shown.endswith("\n"), color=True)


def _show_events(events: "Iterator[JsonObject]", *, is_json: bool, is_raw: bool) -> None:
    for event in events:
        if is_json:
            print_json_line(event)
        elif "remark" in event:
            remark(f"-- {event['remark']}")
        else:
            for line in event.get("lines") or ():
                click.echo(str(line) if is_raw else visible(str(line), kept="\t"), color=True)
        sys.stdout.flush()
