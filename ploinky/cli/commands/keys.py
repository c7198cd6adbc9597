"""Keys to the API."""

import click

from ploinky.cli.output import Column, print_json, print_page, remark, say
from ploinky.cli.session import Session, json_option, pass_session, remote_options

COLUMNS = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("CREATED", "createdAt"),
    Column("REVOKED", "isRevoked"),
)


@click.group()
def keys() -> None:
    """List, revoke and recover keys."""


@keys.command("list")
@remote_options
@pass_session
def list_keys(session: Session) -> None:
    """List keys; what they open is never shown again."""
    with session.client() as client:
        page = client.keys()
    if session.is_json:
        print_json(page)
    else:
        print_page(page, COLUMNS, "there are no keys")


@keys.command()
@click.argument("key_id", metavar="ID")
@remote_options
@pass_session
def revoke(session: Session, key_id: str) -> None:
    """Make a key useless for ever."""
    with session.client() as client:
        document = client.revoke_key(key_id)
    if session.is_json:
        print_json(document)
    else:
        say(f"revoked {key_id}")


@keys.command()
@click.option("--data-directory", metavar="PATH", help="Whose key, when no configuration names it.")
@json_option
@pass_session
def recover(session: Session, data_directory: str | None) -> None:
    """Replace all administrators' keys by a new one, on the server's own machine and as its user. Needs no key."""
    from ploinky.server.main import recover_key

    overrides: dict[str, object] = {} if data_directory is None else {"dataDirectory": data_directory}
    document = recover_key(overrides)
    if session.is_json:
        print_json(document)
    else:
        say(document["key"])
        remark("This key is not shown again. Keep it with `ploinky connect URL`.")
