"""Make a folder a git repository."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ploinky.cli.failures import CommandFailed, ExitCode

BRANCH = "main"
FIRST_MESSAGE = "Begin with the template"
FALLBACK_AUTHOR = {"user.name": "Ploinky", "user.email": "ploinky@localhost"}
GIT_TIMEOUT_SECONDS = 60


def make_repository(folder: Path) -> None:
    """Commit everything in a folder on branch `main` of a new repository, with git where it is installed.

    **Raises** `CommandFailed`; `PloinkyError` where git is not installed.
    """
    if shutil.which("git") is None:
        from ploinky.server.main import init_repository

        init_repository(str(folder))
        return
    _git(folder, "init", "--quiet", "--template=")
    _git(folder, "symbolic-ref", "HEAD", f"refs/heads/{BRANCH}")  # `init --initial-branch` is not known to older gits
    _git(folder, "add", "--all")
    author = author_options(folder)
    _git(folder, *author, "-c", "commit.gpgSign=false", "commit", "--quiet", "--no-verify", "-m", FIRST_MESSAGE)


def author_options(folder: Path) -> list[str]:
    """Give git options that name an author where git's configuration names none."""
    return [
        word
        for name, value in FALLBACK_AUTHOR.items()
        if run_git(folder, "config", "--get", name).returncode != 0
        for word in ("-c", f"{name}={value}")
    ]


def git_failure(what: str, ended: subprocess.CompletedProcess[str], hint: str) -> CommandFailed:
    """Say how a command of git failed, in the last words it said itself."""
    said = ended.stderr.strip().splitlines()
    return CommandFailed(
        f"git {what} failed: {said[-1] if said else f'exit code {ended.returncode}'}",
        code="GIT_FAILED",
        exit_code=ExitCode.GENERAL,
        hint=hint,
    )


def run_git(
    folder: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run git on this folder alone, whatever repository the caller's environment speaks of."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**environment, **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=GIT_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(
            f"git did not end within {GIT_TIMEOUT_SECONDS} s", code="GIT_FAILED", exit_code=ExitCode.GENERAL
        ) from error


def _git(folder: Path, *arguments: str) -> None:
    ended = run_git(folder, *arguments)
    if ended.returncode != 0:
        what = next(word for word in arguments if word in {"init", "symbolic-ref", "add", "commit"})
        raise git_failure(what, ended, hint=f"The files are in {folder}; make it a repository yourself.")
