"""Deploy agents and remove deployments."""

import os
import re
from pathlib import Path
from typing import Any

import click

from ploinky.cli.commands.changes import NO_WAIT
from ploinky.cli.outcomes import conclude, rollout_failure
from ploinky.cli.output import print_json, remark, say
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.spec_options import spec_options
from ploinky.cli.targets import find_at, id_of, name_of
from ploinky.cli.waiting import follow_rollout, wait_until_removed


@click.command()
@click.argument("domain")
@click.argument("path")
@click.argument("agent")
@click.option("--repository", metavar="URL|PATH|NAME", required=True, help="Where the agent's folder is.")
@spec_options
@click.option("--watch", "is_watched", is_flag=True, help="Deploy the local folder as it is, and again on each save.")
@NO_WAIT
@remote_options
@pass_session
def deploy(
    session: Session,
    *,
    domain: str,
    path: str,
    agent: str,
    repository: str,
    options: dict[str, Any],
    is_watched: bool,
    no_wait: bool,
) -> None:
    """Deploy AGENT of a repository at DOMAIN and PATH; at a route that has it already, deploy what is new.

    For example: ploinky deploy localhost /demo demo --repository ./agents
    """
    where = located(repository)
    if is_watched:
        from ploinky.cli.watching import WATCH_REF, check_can_be_watched, keep_deployed

        given = {"--no-wait": no_wait, "--branch": options["branch"], "--revision": options["revision"]}
        for name in (name for name, value in given.items() if value):
            raise click.UsageError(f"--watch cannot be combined with {name}")
        check_can_be_watched(where)
        options["branch"] = WATCH_REF
        keep_deployed(Path(where), lambda: _roll_out(session, (domain, path, agent, where), options))
    else:
        _roll_out(session, (domain, path, agent, where), options, no_wait=no_wait)


def _roll_out(
    session: Session, what: tuple[str, str, str, str], options: dict[str, Any], *, no_wait: bool = False
) -> None:
    with session.client() as client:
        deployment = client.deploy(*what, **options)
        if not no_wait:
            deployment = follow_rollout(client, deployment, remark)
    becomes = "is being deployed" if no_wait else "is ready"
    text = f"{name_of(deployment)} {becomes}: {deployment.get('url') or deployment.get('id')}"
    conclude(session, deployment, text, None if no_wait else rollout_failure(deployment))


@click.command()
@click.argument("domain")
@click.argument("path")
@NO_WAIT
@remote_options
@pass_session
def undeploy(session: Session, *, domain: str, path: str, no_wait: bool) -> None:
    """Remove what is deployed at DOMAIN and PATH."""
    with session.client() as client:
        found = find_at(client, domain, path)
        deployment = client.undeploy(id_of(found)) or found
        if not no_wait:
            remark("removing")
            wait_until_removed(client, {**found, "state": deployment.get("state")})
    if session.is_json:
        print_json(deployment)
    else:
        say(f"{name_of(found)} is {'being removed' if no_wait else 'removed'}")


def located(repository: str) -> str:
    """Make a path of this machine absolute; URLs and names of repositories stay as they are."""
    is_path = repository in {".", "..", "~"} or repository.startswith(("/", "./", "../", "~/"))
    is_address = "://" in repository or re.match(r"[^/]+@[^/]+:", repository)
    is_repository = not is_address and os.path.isdir(os.path.join(repository, ".git"))
    if is_path or is_repository or (not is_address and "/" in repository and os.path.isdir(repository)):
        return os.path.abspath(os.path.expanduser(repository))
    return repository
