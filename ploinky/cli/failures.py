"""Turn whatever went wrong into one line on stderr and an exit code."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import click

from ploinky.cli.text import LINE_LIMIT_CHARACTERS, one_line, visible


class ExitCode(IntEnum):
    """What scripts test for."""

    GENERAL = 1
    CONNECTION = 2
    DENIED = 3
    DEPLOY = 4
    CONFIGURATION = 5
    NOT_FOUND_OR_CONFLICT = 6
    USAGE = 64


CODES = {
    "CONFIGURATION_INVALID": ExitCode.CONFIGURATION,
    "DIRECTORY_BUSY": ExitCode.CONFIGURATION,
    "DIRECTORY_UNUSABLE": ExitCode.CONFIGURATION,
    "PORT_IN_USE": ExitCode.CONFIGURATION,
    "IMAGE_UNAVAILABLE": ExitCode.DEPLOY,
    "INSTALL_FAILED": ExitCode.DEPLOY,
    "RUNTIME_REFUSED": ExitCode.DEPLOY,
    "RUNTIME_UNAVAILABLE": ExitCode.DEPLOY,
}
STATUSES = {
    401: ExitCode.DENIED,
    403: ExitCode.DENIED,
    404: ExitCode.NOT_FOUND_OR_CONFLICT,
    409: ExitCode.NOT_FOUND_OR_CONFLICT,
    412: ExitCode.NOT_FOUND_OR_CONFLICT,
}


class CommandFailed(Exception):
    """A command could not do what it was asked."""

    def __init__(
        self, message: str, *, code: str, exit_code: ExitCode, hint: str = "", evidence: Sequence[str] = ()
    ) -> None:
        """Take what to show. `evidence` are lines to print below."""
        self.message = message
        self.code = code
        self.exit_code = exit_code
        self.hint = hint
        self.evidence = evidence
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Failure:
    """What is told about an error."""

    message: str
    code: str
    exit_code: int
    hint: str = ""
    evidence: Sequence[str] = ()
    is_one_line: bool = False


def report(error: Exception) -> int:
    """Tell on stderr what went wrong and return the exit code."""
    failure = failure_of(error)
    if failure.is_one_line and failure.hint:
        # A server that cannot start says so in one line: it may be all that a log keeps.
        failure = replace(failure, message=f"{failure.message.rstrip('.')}. {failure.hint}", hint="")
    click.echo(f"{click.style('error:', fg='red')} {one_line(failure.message)} ({one_line(failure.code)})", err=True)
    if failure.hint:
        click.echo(f"{click.style('hint:', fg='yellow')} {one_line(failure.hint)}", err=True)
    for line in failure.evidence:
        click.echo(visible(line[:LINE_LIMIT_CHARACTERS], kept="\t"), err=True)
    if failure.code == "INTERNAL_ERROR" and os.environ.get("PLOINKY_TRACEBACK"):
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True)
    return int(failure.exit_code)


def failure_of(error: Exception) -> Failure:
    """Describe any exception. Modules that were never imported cannot have raised it, so none is imported for this."""
    if isinstance(error, CommandFailed):
        return Failure(error.message, error.code, error.exit_code, error.hint, error.evidence)
    if isinstance(error, click.UsageError):
        context = error.ctx
        hint = f"`{context.command_path} --help` shows what it takes." if context else ""
        return Failure(error.format_message(), "USAGE", ExitCode.USAGE, hint)
    if isinstance(error, click.ClickException):
        return Failure(error.format_message(), "FAILED", ExitCode.GENERAL)
    return _client_failure(error) or _local_failure(error) or _unexpected(error)


def _client_failure(error: Exception) -> Failure | None:
    module = sys.modules.get("ploinky.client.errors")
    if module is None or not isinstance(error, module.ClientError):
        return None
    if isinstance(error, module.ConnectionFailed):
        exit_code = ExitCode.CONNECTION
    elif isinstance(error, module.ApiError):
        exit_code = CODES.get(error.code) or STATUSES.get(error.status, ExitCode.GENERAL)
    else:
        exit_code = ExitCode.CONFIGURATION
    hint = error.hint
    if exit_code is ExitCode.DENIED and "--key" not in hint:
        hint = f"{hint} Give a key with PLOINKY_KEY, --key or `ploinky connect`.".strip()
    return Failure(error.message, error.code, exit_code, hint)


def _local_failure(error: Exception) -> Failure | None:
    """Describe an error of the server's own code, which a few commands run in this process."""
    module = sys.modules.get("ploinky.domain.errors")
    if module is None or not isinstance(error, module.PloinkyError):
        return None
    exit_code = CODES.get(error.code, ExitCode.GENERAL)
    if isinstance(error, module.Denied):
        exit_code = ExitCode.DENIED
    elif isinstance(error, module.NotFound | module.Conflict):
        exit_code = ExitCode.NOT_FOUND_OR_CONFLICT
    return Failure(error.message, error.code, exit_code, error.advice, is_one_line=True)


def _unexpected(error: Exception) -> Failure:
    if isinstance(error, OSError):
        what = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        return Failure(what, "SYSTEM_ERROR", ExitCode.GENERAL)
    hint = "PLOINKY_TRACEBACK=1 shows where."
    return Failure(f"this was not expected: {type(error).__name__}: {error}", "INTERNAL_ERROR", ExitCode.GENERAL, hint)
