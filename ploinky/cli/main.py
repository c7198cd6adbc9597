"""Entry point of `ploinky` and `p-cli`. What help and version need is answered before anything is imported."""

import os
import sys
from typing import TextIO

from ploinky.cli.catalog import ALIAS_PROGRAM, completion_variable, program_help

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
EXIT_USAGE = 64


def main() -> int:
    """Run the command of this process's arguments and return its exit code."""
    program = ALIAS_PROGRAM if os.path.basename(sys.argv[0]).startswith(ALIAS_PROGRAM) else "ploinky"
    try:
        code = run(program, sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _silence(sys.stdout)
        return EXIT_BROKEN_PIPE
    return code


def run(program: str, arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    match arguments:
        case _ if completion_variable(program) in os.environ:
            pass  # a shell asks, and gives no arguments
        case ["--help" | "-h" | "help"]:
            print(program_help(program))  # noqa: T201 - the fast path has nothing else to print with
            return 0
        case []:
            print(program_help(program), file=sys.stderr)  # noqa: T201 - as above
            return EXIT_USAGE
        case ["--version"]:
            arguments = ["version"]
        case ["help", *rest]:
            arguments = [*rest, "--help"]
    from ploinky.cli.program import run_command

    return run_command(program, arguments)


def _silence(stream: TextIO) -> None:
    """Send what is still buffered nowhere, or the interpreter complains about the broken pipe when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
