"""Run the server, or a stopped deployment."""

import click

from ploinky.cli.commands.changes import NO_WAIT, change_deployment
from ploinky.cli.session import Session, pass_session, remote_options

PORT = click.IntRange(0, 65_535)


@click.command()
@click.argument("target", metavar="[PATH|ID]", required=False)
@click.option("--demo", "with_demo", is_flag=True, help="Deploy the demo agent at /demo when it is not there yet.")
@click.option("--host", metavar="ADDRESS", help="Where to listen. [127.0.0.1]")
@click.option("--port", type=PORT, metavar="PORT", help="For agents and management. [8000]")
@click.option("--management-port", type=PORT, metavar="PORT", help="For browsers managing it. [8001]")
@click.option("--data-directory", metavar="PATH", help="Where everything is kept. [~/.ploinky/data]")
@click.option(
    "--default-data-directory",
    "--data-directory-default",
    "default_data_directory",
    metavar="PATH",
    help="The same, unless a configuration names one.",
)
@NO_WAIT
@remote_options
@pass_session
def start(  # noqa: PLR0913 - one parameter for each option
    session: Session,
    *,
    target: str | None,
    no_wait: bool,
    with_demo: bool,
    host: str | None,
    port: int | None,
    management_port: int | None,
    data_directory: str | None,
    default_data_directory: str | None,
) -> None:
    """Run the server in the foreground until it is told to stop; with PATH, run that stopped deployment again."""
    chosen: dict[str, object] = {
        "host": host,
        "port": port,
        "managementPort": management_port,
        "dataDirectory": data_directory,
    }
    if target is not None:
        if with_demo or default_data_directory or any(value is not None for value in chosen.values()):
            raise click.UsageError("this option is for running the server, and PATH is for starting a deployment")
        change_deployment(session, target, "start", no_wait=no_wait)
        return
    from ploinky.server.main import run

    overrides = {name: value for name, value in chosen.items() if value is not None}
    raise click.exceptions.Exit(run(overrides, default_data_directory, with_demo))
