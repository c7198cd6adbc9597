"""Make room on the server's disk."""

import click

from ploinky.cli.output import print_json, remark, say
from ploinky.cli.session import Session, pass_session, remote_options


@click.command()
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Say what would be removed, and remove nothing.")
@remote_options
@pass_session
def cleanup(session: Session, *, is_dry_run: bool) -> None:
    """Remove what no deployment needs, to run or to be rolled back."""
    with session.client() as client:
        document = client.clean_up(is_dry_run=is_dry_run)
    if session.is_json:
        print_json(document)
        return
    for name in document.get("removed") or []:
        say(f"{'would remove' if is_dry_run else 'removed'} {name}")
    if document.get("reason"):
        remark(f"nothing was looked at: {document['reason']}; try again when it has ended")
    elif not is_dry_run:
        remark(f"{document.get('freedBytes')} bytes freed besides images")
