"""Names for repositories of agents."""

import click

from ploinky.cli.commands.deploy import located
from ploinky.cli.output import Column, print_json, print_page, say
from ploinky.cli.session import Session, pass_session, remote_options

COLUMNS = (Column("NAME", "name"), Column("URL", "url"), Column("BRANCH", "branch"))


@click.group()
def repo() -> None:
    """Give names to repositories of agents."""


@repo.command()
@click.argument("name")
@click.argument("repository_url", metavar="URL|PATH")
@click.option("--branch", metavar="NAME", help="What deployments use that name no branch.")
@remote_options
@pass_session
def add(session: Session, name: str, repository_url: str, branch: str | None) -> None:
    """Call a repository NAME from now on."""
    with session.client() as client:
        document = client.add_repository(name, located(repository_url), branch)
    _tell(session, document, f"added {name}")


@repo.command()
@click.argument("name")
@remote_options
@pass_session
def remove(session: Session, name: str) -> None:
    """Forget a name; what is deployed from there stays."""
    with session.client() as client:
        document = client.remove_repository(name)
    _tell(session, document, f"removed {name}")


@repo.command("list")
@remote_options
@pass_session
def list_repositories(session: Session) -> None:
    """List the names."""
    with session.client() as client:
        page = client.repositories()
    if session.is_json:
        print_json(page)
    else:
        print_page(page, COLUMNS, "no repository has a name yet; `ploinky repo add NAME URL` gives one")


def _tell(session: Session, document: dict[str, object], text: str) -> None:
    if session.is_json:
        print_json(document)
    else:
        say(text)
