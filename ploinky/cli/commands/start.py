"""Run the server."""

import click

PORT = click.IntRange(0, 65_535)


@click.command()
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
def start(
    *,
    with_demo: bool,
    host: str | None,
    port: int | None,
    management_port: int | None,
    data_directory: str | None,
    default_data_directory: str | None,
) -> None:
    """Run the server in the foreground until it is told to stop."""
    from ploinky.server.main import run

    chosen: dict[str, object] = {
        "host": host,
        "port": port,
        "managementPort": management_port,
        "dataDirectory": data_directory,
    }
    overrides = {name: value for name, value in chosen.items() if value is not None}
    raise click.exceptions.Exit(run(overrides, default_data_directory, with_demo))
