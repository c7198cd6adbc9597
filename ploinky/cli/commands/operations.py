"""Run commands inside what runs, and see what it takes of the machine."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ploinky.cli.commands.listings import paged
from ploinky.cli.output import Column, print_json, print_json_line, print_page, remark, say
from ploinky.cli.session import Session, pass_session, remote_options
from ploinky.cli.targets import find_deployment, id_of
from ploinky.cli.units import byte_text, percent_text

if TYPE_CHECKING:
    from ploinky.client import JsonObject, PloinkyClient

LONGEST_SECONDS = 600.0
LARGEST_GENERATION = 999_999_999
LARGEST_EXIT_CODE = 255
WATCH_SECONDS = 2.0
CLEAR = "\x1b[2J\x1b[H"


def _with_limit(amount: object, limit: object) -> str | None:
    return None if amount is None else f"{amount} of {limit}" if limit is not None else f"{amount}"


STATS = (
    Column("INSTANCE", "instance"),
    Column("CPU", lambda row: percent_text(row.get("cpuPercent"))),
    Column("CPU SECONDS", lambda row: _rounded(row.get("cpuSeconds"))),
    Column(
        "MEMORY", lambda row: _with_limit(byte_text(row.get("memoryBytes")), byte_text(row.get("memoryLimitBytes")))
    ),
    Column("PROCESSES", lambda row: _with_limit(row.get("pids"), row.get("pidsLimit"))),
    Column("RUNTIME", lambda row: f"{row.get('runtime')}, no answer" if row.get("isUnknown") else row.get("runtime")),
)


def _rounded(value: object) -> str | None:
    return f"{value:.2f}" if isinstance(value, int | float) else None


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("target", metavar="PATH|ID")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--timeout", type=click.FloatRange(0.1, LONGEST_SECONDS), default=30.0, metavar="SECONDS", help="Kill it then."
)
@click.option("--generation", type=click.IntRange(1, LARGEST_GENERATION), metavar="NUMBER", help="Not the serving one.")
@click.option("--instance", type=click.IntRange(0, LARGEST_GENERATION), metavar="NUMBER", help="Of the replicas.")
@click.option("-i", "--stdin", "has_input", is_flag=True, help="Send what comes on standard input.")
@remote_options
@pass_session
@click.pass_context
def exec_command(
    context: click.Context,
    session: Session,
    target: str,
    command: tuple[str, ...],
    *,
    timeout: float,
    generation: int | None,
    instance: int | None,
    has_input: bool,
) -> None:
    """Run a command inside an instance, as its agent's user, and end with its exit code.

    Write `--` before the command: ploinky exec /demo -- ls -l
    """
    stdin = sys.stdin.buffer.read() if has_input else b""
    with session.client() as client:
        deployment_id = _id(client, target)
        done = client.exec(
            deployment_id,
            command,
            stdin=stdin,
            timeout_seconds=timeout,
            generation=generation,
            instance=instance,
        )
    if session.is_json:
        texts = {"stdout": done.stdout.decode("utf-8", "replace"), "stderr": done.stderr.decode("utf-8", "replace")}
        print_json({**done.document, **texts})
    else:
        # As it is, for pipes: `exec` is asked for by whoever owns the agent, who sees what its programs print.
        click.echo(done.stdout, nl=False)
        click.echo(done.stderr, nl=False, err=True)
        _remark(done.document, timeout)
    context.exit(done.exit_code & LARGEST_EXIT_CODE)


def _remark(document: "JsonObject", timeout: float) -> None:
    if document.get("isTruncated"):
        remark("more was written than is kept; the rest is left out")
    if document.get("isTimedOut"):
        remark(f"killed after {timeout:g} s; --timeout allows more")
    elif document.get("exitCode") and document.get("explanation"):
        remark(f"exit code {document.get('exitCode')}: {document.get('explanation')}")


@click.command()
@click.argument("target", metavar="[PATH|ID]", required=False)
@click.option("-w", "--watch", is_flag=True, help="Again every two seconds; ends with Ctrl-C.")
@paged
@remote_options
@pass_session
def stats(session: Session, target: str | None, *, watch: bool, page: int | None, per_page: int | None) -> None:
    """Show what instances take of the machine: processors, memory, processes. A dash is what nobody can tell.

    The share of a processor is that since the last look, so it shows from the second one on.
    """
    with session.client() as client:
        deployment_id = _id(client, target) if target is not None else None
        while True:
            found = client.stats(deployment_id, page=page, per_page=per_page)
            _show(session, found, is_again=watch)
            if not watch:
                return
            sys.stdout.flush()
            time.sleep(WATCH_SECONDS)


def _show(session: Session, found: Mapping[str, Any], *, is_again: bool) -> None:
    if session.is_json:
        (print_json_line if is_again else print_json)(found)
        return
    if is_again and sys.stdout.isatty():
        say(CLEAR)
    print_page(found, STATS, "nothing runs")


def _id(client: "PloinkyClient", target: str) -> str:
    return id_of(find_deployment(client, target)) if "/" in target else target
