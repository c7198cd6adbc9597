"""Names for repositories of agents."""

from typing import Any

import click

from ploinky.cli.commands.deploy import located
from ploinky.cli.credentials import credential_options, secret_value
from ploinky.cli.output import Column, print_json, print_page, remark, say
from ploinky.cli.session import Session, pass_session, remote_options

SHORT_COMMIT_DIGITS = 12

COLUMNS = (
    Column("NAME", "name"),
    Column("URL", "url"),
    Column("BRANCH", "branch"),
    Column("CREDENTIALS", "credentials"),
    Column("FETCHED", "fetched"),
    Column("PROBLEM", "problem"),
)


@click.group()
def repo() -> None:
    """Give names to repositories of agents, and fetch them."""


@repo.command()
@click.argument("name")
@click.argument("repository_url", metavar="URL|PATH")
@click.option("--branch", metavar="NAME", help="What deployments use that name no branch.")
@credential_options("--")
@click.option(
    "--webhook-secret", metavar="NAME", help="Takes signed pushes; NAME is a variable here, - standard input."
)
@click.option("--poll", "poll_seconds", type=click.IntRange(0), metavar="SECONDS", help="Look for pushes; 0 = stop.")
@remote_options
@pass_session
def add(
    session: Session,
    *,
    name: str,
    repository_url: str,
    branch: str | None,
    credentials: dict[str, str] | None,
    webhook_secret: str | None,
    poll_seconds: int | None,
) -> None:
    """Call a repository NAME from now on; again for the same one, change what is given besides.

    For example: ploinky repo add agents https://example.org/agents.git --token-secret AGENTS_TOKEN
    """
    signing = None if webhook_secret is None else secret_value(webhook_secret)
    with session.client() as client:
        document = client.add_repository(
            name,
            located(repository_url),
            branch,
            credentials=credentials,
            webhookSecret=signing,
            pollSeconds=poll_seconds,
        )
    _tell(session, document, f"added {name}")


@repo.command()
@click.argument("name")
@remote_options
@pass_session
def update(session: Session, name: str) -> None:
    """Fetch a repository now and show what changed; nothing is deployed."""
    with session.client() as client:
        document = client.update_repository(name)
    if document.get("isFromCache"):
        remark(f"from the cache: {document.get('reason')}")
    for warning in document.get("warnings") or []:
        remark(f"warning: {warning}")
    before, commit = document.get("before"), str(document.get("commit"))[:SHORT_COMMIT_DIGITS]
    lines = [str(line) for line in document.get("changes") or []]
    if before is None:
        text = f"{name} is at {commit}, fetched for the first time"
    elif before == document.get("commit"):
        text = f"{name} is at {commit} as before"
    else:
        text = f"{name} went from {str(before)[:SHORT_COMMIT_DIGITS]} to {commit}"
    _tell(session, document, "\n".join([text, *lines]))


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
    """List the names, and what was fetched when."""
    with session.client() as client:
        page = client.repositories()
    if session.is_json:
        print_json(page)
        return
    rows = [{**row, **_fetched(row.get("cache"))} for row in page.get("data") or []]
    print_page({**page, "data": rows}, COLUMNS, "no repository has a name yet; `ploinky repo add NAME URL` gives one")


def _fetched(cache: dict[str, Any] | None) -> dict[str, Any]:
    return {"fetched": (cache or {}).get("lastFetchAt"), "problem": (cache or {}).get("lastError")}


def _tell(session: Session, document: dict[str, object], text: str) -> None:
    if session.is_json:
        print_json(document)
    else:
        say(text)
