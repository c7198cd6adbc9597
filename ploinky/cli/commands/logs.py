"""What instances wrote."""

import click

from ploinky.cli.output import is_terminal, print_json
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.targets import find_deployment, id_of
from ploinky.cli.text import visible

LARGEST_TAIL_LINES = 10_000


@click.command()
@click.argument("target", metavar="PATH|ID")
@click.option("--tail", type=click.IntRange(1, LARGEST_TAIL_LINES), metavar="LINES", help="Only so many, the newest.")
@remote_options
@pass_session
def logs(session: Session, target: str, tail: int | None) -> None:
    """Show what the instances of a deployment wrote; with --json as {"deployment", "lines"}."""
    with session.client() as client:
        deployment_id = id_of(find_deployment(client, target)) if "/" in target else target
        text = client.logs(deployment_id, tail)
    if session.is_json:
        print_json({"deployment": deployment_id, "lines": text.splitlines()})
    elif text:
        shown = visible(text, kept="\n\t") if is_terminal() else text
        click.echo(shown, nl=not shown.endswith("\n"), color=True)
