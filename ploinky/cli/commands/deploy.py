"""Deploy agents and remove deployments."""

import os
import re
from pathlib import Path
from typing import Any

import click

from ploinky.cli.credentials import credential_options
from ploinky.cli.output import print_json, remark, say
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.targets import find_at, id_of, name_of
from ploinky.cli.waiting import follow_rollout, wait_until_removed

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LARGEST_CONCURRENCY = 1_000

NO_WAIT = click.option("--no-wait", is_flag=True, help="Return once it is accepted.")


@click.command()
@click.argument("domain")
@click.argument("path")
@click.argument("agent")
@click.option("--repository", metavar="URL|PATH|NAME", required=True, help="Where the agent's folder is.")
@click.option("--branch", metavar="NAME", help="Of the repository; else its own default.")
@click.option("--revision", metavar="TAG|COMMIT", help="Stay at it; a commit may be shortened.")
@click.option("--subfolder", metavar="FOLDER", help="Of the repository, where its agents are.")
@credential_options("--repository-")
@click.option("--runtime", type=click.Choice(["auto", "docker", "podman", "process"]), help="What to run it with.")
@click.option("--image", metavar="REFERENCE", help="The container image; else the manifest's.")
@click.option("--access", metavar="public|authenticated|PERMISSION", help="Who may call it; else the manifest's.")
@click.option("--concurrency", type=click.IntRange(1, LARGEST_CONCURRENCY), help="Tasks at the same time.")
@click.option("--task-timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="For each attempt.")
@click.option("--env", "variables", metavar="NAME=VALUE", multiple=True, help="Repeatable; NAME takes it from here.")
@click.option("--secret", "secrets", metavar="NAME", multiple=True, help="Repeatable; its value here, kept encrypted.")
@click.option("--watch", "is_watched", is_flag=True, help="Deploy the local folder as it is, and again on each save.")
@NO_WAIT
@remote_options
@pass_session
def deploy(  # noqa: PLR0913 - one parameter for each option
    session: Session,
    *,
    domain: str,
    path: str,
    agent: str,
    repository: str,
    branch: str | None,
    revision: str | None,
    subfolder: str | None,
    credentials: dict[str, str] | None,
    runtime: str | None,
    image: str | None,
    access: str | None,
    concurrency: int | None,
    task_timeout: float | None,
    variables: tuple[str, ...],
    secrets: tuple[str, ...],
    is_watched: bool,
    no_wait: bool,
) -> None:
    """Deploy AGENT of a repository at DOMAIN and PATH; at a route that has it already, deploy what is new.

    For example: ploinky deploy localhost /demo demo --repository ./agents
    """
    where = located(repository)
    if is_watched:
        from ploinky.cli.watching import WATCH_REF, check_can_be_watched, keep_deployed

        given = {"--no-wait": no_wait, "--branch": branch, "--revision": revision}
        for name in (name for name, value in given.items() if value):
            raise click.UsageError(f"--watch cannot be combined with {name}")
        check_can_be_watched(where)
        branch = WATCH_REF
    options = {
        "branch": branch,
        "revision": revision,
        "subfolder": subfolder,
        "credentials": credentials,
        "runtime": runtime,
        "image": image,
        "access": access,
        "concurrency": concurrency,
        "timeoutSeconds": task_timeout,
        "env": environment_of(variables) or None,
        "secrets": secrets_of(secrets) or None,
    }
    if is_watched:
        keep_deployed(Path(where), lambda: _roll_out(session, (domain, path, agent, where), options))
    else:
        _roll_out(session, (domain, path, agent, where), options, no_wait=no_wait)


def _roll_out(
    session: Session, what: tuple[str, str, str, str], options: dict[str, Any], *, no_wait: bool = False
) -> None:
    with session.client() as client:
        deployment = client.deploy(*what, **options)
        if not no_wait:
            try:
                deployment = follow_rollout(client, deployment, remark)
            finally:
                if session.is_json:
                    print_json(deployment)
        elif session.is_json:
            print_json(deployment)
    if not session.is_json:
        becomes = "is being deployed" if no_wait else "is ready"
        say(f"{name_of(deployment)} {becomes}: {deployment.get('url') or deployment.get('id')}")


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


def environment_of(variables: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME=VALUE`, and `NAME` with the value it has here. **Raises** `click.UsageError`."""
    environment: dict[str, str] = {}
    for variable in variables:
        name, equals, value = variable.partition("=")
        if not VARIABLE_NAME.fullmatch(name):
            raise click.BadParameter(f"{name!r} is not the name of a variable", param_hint="'--env'")
        if not equals and name not in os.environ:
            raise click.BadParameter(f"{name} has no value here; write {name}=VALUE", param_hint="'--env'")
        environment[name] = value if equals else os.environ[name]
    return environment


def secrets_of(names: tuple[str, ...]) -> dict[str, str]:
    """Take secret values from this environment, so that no list of processes shows them; ask for what is not there."""
    for name in names:
        if not VARIABLE_NAME.fullmatch(name):
            raise click.BadParameter(f"{name!r} is not the name of a variable", param_hint="'--secret'")
    return {name: os.environ.get(name) or click.prompt(name, hide_input=True, err=True) for name in names}
