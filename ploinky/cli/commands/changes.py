"""Change what is deployed: start, stop, restart, update, scale, go back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ploinky.cli.commands.listings import short_commit
from ploinky.cli.outcomes import conclude, end_text, ended_instances, rollout_failure, scale_failure
from ploinky.cli.output import Column, cell_text, print_json, print_page, remark
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.spec_options import LARGEST_REPLICAS, NAMES, check_name, spec_options
from ploinky.cli.targets import find_deployment, id_of, name_of
from ploinky.cli.units import age_text
from ploinky.cli.waiting import follow_rollout, follow_scale, wait_for_state

if TYPE_CHECKING:
    from ploinky.client import JsonObject, PloinkyClient
    from ploinky.client.api import Change

TARGET = click.argument("target", metavar="PATH|ID")
NO_WAIT = click.option("--no-wait", is_flag=True, help="Return once it is accepted.")
RESETTABLE = {
    name.replace("_", "-"): wire
    for name, wire in NAMES.items()
    if name in {"branch", "revision", "image", "access", "concurrency", "task_timeout"}
}
HISTORY = (
    Column("GENERATION", "generation"),
    Column("SERVES", "isActive"),
    Column("REASON", "reason"),
    Column("COMMIT", short_commit),
    Column("IMAGE", "image"),
    Column("RUNTIME", "runtime"),
    Column("INSTANCES", "replicas"),
    Column("SINCE", lambda row: age_text(row.get("switchedAt"))),
    Column("BY", "actor"),
)


@click.command()
@TARGET
@NO_WAIT
@remote_options
@pass_session
def start(session: Session, target: str, *, no_wait: bool) -> None:
    """Run a stopped deployment again."""
    change_deployment(session, target, "start", no_wait=no_wait)


@click.command()
@TARGET
@NO_WAIT
@remote_options
@pass_session
def stop(session: Session, target: str, *, no_wait: bool) -> None:
    """Stop a deployment; its route answers that it is stopped, and its tasks wait."""
    change_deployment(session, target, "stop", no_wait=no_wait)


@click.command()
@TARGET
@NO_WAIT
@remote_options
@pass_session
def restart(session: Session, target: str, *, no_wait: bool) -> None:
    """Replace a deployment's instances by new ones of the same commit."""
    change_deployment(session, target, "restart", no_wait=no_wait)


@click.command()
@TARGET
@spec_options
@click.option("--unset-env", "unset_env", metavar="NAME", multiple=True, help="Take a variable away. Repeatable.")
@click.option("--unset-secret", "unset_secrets", metavar="NAME", multiple=True, help="The same for a secret one.")
@click.option(
    "--reset", type=click.Choice([*RESETTABLE]), multiple=True, help="Leave it to the manifest again. Repeatable."
)
@NO_WAIT
@remote_options
@pass_session
def update(
    session: Session,
    target: str,
    *,
    options: dict[str, Any],
    unset_env: tuple[str, ...],
    unset_secrets: tuple[str, ...],
    reset: tuple[str, ...],
    no_wait: bool,
) -> None:
    """Deploy the newest commit, with what is said here changed; everything else stays as it is.

    For example: ploinky update /demo --env COLOUR=red --unset-env SIZE
    """
    changes = _changes(options, {"env": unset_env, "secrets": unset_secrets}, reset)
    with session.client() as client:
        found = find_deployment(client, target)
        key = id_of(found)
        deployment = client.change_settings(key, **changes) if changes else client.change(key, "update")
        if changes.keys() == {"replicas"}:
            _see_scale_through(session, client, deployment, found, no_wait=no_wait)
        else:
            _see_rollout_through(session, client, deployment, no_wait=no_wait)


@click.command()
@TARGET
@click.option("--to", "to_generation", type=click.IntRange(1), metavar="GENERATION", help="As `ploinky history` says.")
@NO_WAIT
@remote_options
@pass_session
def rollback(session: Session, target: str, *, to_generation: int | None, no_wait: bool) -> None:
    """Bring back what the newest change replaced, or another GENERATION: its commit, image, settings and variables."""
    with session.client() as client:
        deployment = client.roll_back(id_of(find_deployment(client, target)), to_generation)
        _see_rollout_through(session, client, deployment, no_wait=no_wait)


@click.command()
@TARGET
@click.argument("replicas", metavar="INSTANCES", type=click.IntRange(1, LARGEST_REPLICAS))
@NO_WAIT
@remote_options
@pass_session
def scale(session: Session, target: str, replicas: int, *, no_wait: bool) -> None:
    """Let so many INSTANCES of a deployment serve; those that go on are not touched."""
    with session.client() as client:
        found = find_deployment(client, target)
        deployment = client.scale(id_of(found), replicas)
        _see_scale_through(session, client, deployment, found, no_wait=no_wait)


@click.command()
@TARGET
@remote_options
@pass_session
def history(session: Session, target: str) -> None:
    """List the releases that `ploinky rollback` can bring back, newest first."""
    with session.client() as client:
        found = client.history(id_of(find_deployment(client, target)))
    if session.is_json:
        print_json(found)
        return
    print_page(found, HISTORY, "nothing has served here yet")
    end = found.get("lastRollout")
    if isinstance(end, dict) and end.get("outcome") != "succeeded":
        remark(f"last rollout: {end_text(end)}")


def change_deployment(session: Session, target: str, change: "Change", *, no_wait: bool) -> None:
    """Start, stop or restart a deployment and see it through."""
    with session.client() as client:
        deployment = client.change(id_of(find_deployment(client, target)), change)
        if change != "stop":
            _see_rollout_through(session, client, deployment, no_wait=no_wait)
            return
        if not no_wait:
            deployment = wait_for_state(client, deployment, "stopped")
    conclude(session, deployment, _state_text(deployment))


def _see_rollout_through(session: Session, client: "PloinkyClient", deployment: "JsonObject", *, no_wait: bool) -> None:
    failure = None
    if not no_wait and (deployment.get("rollout") is not None or deployment.get("state") == "deploying"):
        deployment = follow_rollout(client, deployment, remark)
        failure = rollout_failure(deployment)
    conclude(session, deployment, _state_text(deployment), failure)


def _see_scale_through(
    session: Session, client: "PloinkyClient", deployment: "JsonObject", found: "JsonObject", *, no_wait: bool
) -> None:
    failure, before = None, ended_instances(found)
    if not no_wait:
        deployment = follow_scale(client, deployment, before, remark)
        failure = scale_failure(deployment, before)
    replicas = cell_text(deployment.get("replicas"))
    conclude(session, deployment, f"{_state_text(deployment)}, instances wanted: {replicas}", failure)


def _state_text(deployment: "JsonObject") -> str:
    return f"{name_of(deployment)} is {cell_text(deployment.get('state'))}"


def _changes(
    options: Mapping[str, Any], unset: Mapping[str, tuple[str, ...]], reset: tuple[str, ...]
) -> dict[str, Any]:
    """Join what was said into the API's fields. **Raises** `click.UsageError` for what contradicts itself."""
    changes = {name: value for name, value in options.items() if value is not None}
    for kind, names in unset.items():
        option = "--unset-env" if kind == "env" else "--unset-secret"
        given = changes.get(kind) or {}
        for name in names:
            check_name(name, option)
            if name in given:
                raise click.UsageError(f"{option} takes {name} away, which is given as well")
        if names:
            changes[kind] = {**given, **dict.fromkeys(names)}
    for name in reset:
        if RESETTABLE[name] in changes:
            raise click.UsageError(f"--reset {name} contradicts --{name}")
        changes[RESETTABLE[name]] = None
    return changes
