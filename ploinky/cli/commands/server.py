"""Ask how the server is."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from ploinky.cli.output import Column, field, print_fields, print_json, print_table, remark, rows_of
from ploinky.cli.session import Session, pass_session, remote_options

if TYPE_CHECKING:
    from ploinky.client import JsonObject

RUNTIMES = (
    Column("RUNTIME", "kind"),
    Column("USABLE", "isUsable"),
    Column("VERSION", "version"),
    Column("REASON", "reason"),
)


@click.command()
@remote_options
@pass_session
def health(session: Session) -> None:
    """Ask whether the server is well."""
    with session.client() as client:
        document = client.health()
    if session.is_json:
        print_json(document)
        return
    _print_health(client.url, document)


@click.command()
@remote_options
@pass_session
def status(session: Session) -> None:
    """Show the server, its engines and how many deployments are in which state."""
    from ploinky.client import ApiError

    with session.client() as client:
        document = client.health()
        try:
            page = client.deployments()
        except ApiError as error:
            if error.status not in {401, 403}:
                raise
            page = None
    if session.is_json:
        print_json({"url": client.url, "health": document, "deployments": page})
        return
    _print_health(client.url, document)
    if page is None:
        remark("deployments are shown with a key only: `ploinky init` or `ploinky connect`")
        return
    states = Counter(str(row.get("state")) for row in rows_of(page))
    total = field(page, "pagination.total")
    shown = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
    print_fields({"deployments": f"{total if isinstance(total, int) else states.total()} ({shown})"})


def _print_health(url: str, document: "JsonObject") -> None:
    fields: dict[str, Any] = {
        "server": url,
        "status": document.get("status"),
        "version": document.get("version"),
        "journal position": field(document, "journal.position"),
        "journal epoch": field(document, "journal.epoch"),
    }
    print_fields(fields)
    if field(document, "disk.isLow") is True:
        remark(f"the server's disk has {field(document, 'disk.freeBytes')} bytes left: see `ploinky cleanup --dry-run`")
    runtimes = rows_of({"data": document.get("runtimes")})
    if runtimes:
        print_table(runtimes, RUNTIMES)
