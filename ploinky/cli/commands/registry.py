"""Who asks private registries of images."""

import click

from ploinky.cli.credentials import secret_value
from ploinky.cli.output import Column, print_json, print_page, say
from ploinky.cli.session import Session, pass_session, remote_options

COLUMNS = (Column("HOST", "host"), Column("USERNAME", "username"))


@click.group()
def registry() -> None:
    """Give passwords for private registries of images."""


@registry.command()
@click.argument("host")
@click.option("--username", metavar="USER", required=True, help="Who asks.")
@click.option(
    "--secret", metavar="NAME", required=True, help="The password; a variable of this name, or - for standard input."
)
@remote_options
@pass_session
def add(session: Session, *, host: str, username: str, secret: str) -> None:
    """Say who asks the registry HOST from now on; images of docker.io are those without a host.

    For example: ploinky registry add images.example.com --username robot --secret -
    """
    with session.client() as client:
        document = client.add_registry(host, username, secret_value(secret))
    _tell(session, document, f"{host} is asked as {username}")


@registry.command()
@click.argument("host")
@remote_options
@pass_session
def remove(session: Session, host: str) -> None:
    """Forget who asks a registry, and the password."""
    with session.client() as client:
        document = client.remove_registry(host)
    _tell(session, document, f"removed {host}")


@registry.command("list")
@remote_options
@pass_session
def list_registries(session: Session) -> None:
    """List the registries with who asks there; passwords are never shown."""
    with session.client() as client:
        page = client.registries()
    if session.is_json:
        print_json(page)
    else:
        print_page(page, COLUMNS, "no registry has a password")


def _tell(session: Session, document: dict[str, object], text: str) -> None:
    if session.is_json:
        print_json(document)
    else:
        say(text)
