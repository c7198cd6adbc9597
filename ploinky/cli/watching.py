"""Deploy a work tree as it is, and again whenever files in it were saved."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ploinky.cli.failures import CommandFailed, ExitCode, report
from ploinky.cli.new_repository import author_options, git_failure, run_git
from ploinky.cli.output import remark

if TYPE_CHECKING:
    from watchfiles import Change

WATCH_REF = "refs/ploinky/watch"
"""Keeps the newest commit of the work tree; no branch, so that nobody finds it among their own."""
LOOK_INTERVAL_MILLISECONDS = 1_000
COMMIT_MESSAGE = "The work tree while it is watched"


def check_can_be_watched(folder: str) -> None:
    """Refuse what has no work tree on this machine. **Raises** `click.UsageError`, `CommandFailed` without git."""
    if not os.path.isabs(folder) or not os.path.isdir(folder):
        raise click.UsageError("--watch needs --repository to be a folder of this machine")
    if shutil.which("git") is None:
        raise CommandFailed(
            "--watch needs git, which is not installed",
            code="GIT_FAILED",
            exit_code=ExitCode.GENERAL,
            hint="Install git, or deploy without --watch.",
        )
    place = run_git(Path(folder), "rev-parse", "--is-inside-work-tree", "--show-prefix")
    if place.returncode != 0 or place.stdout.splitlines() != ["true", ""]:
        raise click.UsageError(f"--watch needs the top folder of a git work tree; {folder} is none")


def keep_deployed(folder: Path, roll_out: Callable[[], None]) -> None:
    """Roll out the work tree, then again for each change of what git keeps of it, until it is interrupted.

    `roll_out` deploys what `WATCH_REF` names. **Raises** what the first rollout raises; later ones only tell it.
    """
    from watchfiles import watch

    tree = commit_work_tree(folder)
    roll_out()
    remark(f"watching {folder}; Ctrl-C ends it")
    has_looked = False
    try:
        changes_of = watch(
            folder,
            watch_filter=_filter_below(folder),
            rust_timeout=LOOK_INTERVAL_MILLISECONDS,
            yield_on_timeout=True,
        )
        for changes in changes_of:
            # The first look comes without any change: something may have been saved before the watch began.
            if changes or not has_looked:
                tree = _deployed_again(folder, tree, roll_out)
                has_looked = True
    except KeyboardInterrupt:
        remark("no longer watching")


def commit_work_tree(folder: Path, known_tree: str = "") -> str:
    """Commit everything that is not ignored to `WATCH_REF`, unless it is `known_tree`, and give the tree's id.

    Neither the branch, the index nor the work tree change. **Raises** `CommandFailed`.
    """
    with tempfile.TemporaryDirectory(prefix="ploinky-watch-") as own:
        index = os.path.join(own, "index")
        present = folder / _git(folder, "rev-parse", "--git-path", "index")
        if present.exists():
            # With its time: git compares it with those of the files to find what was saved in the same instant.
            shutil.copy2(present, index)
        _git(folder, "add", "--all", index=index)
        tree = _git(folder, "write-tree", index=index)
    if tree != known_tree:
        head = run_git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
        parents = ["-p", head.stdout.strip()] if head.returncode == 0 else []
        commit = _git(folder, *author_options(folder), "commit-tree", tree, *parents, "-m", COMMIT_MESSAGE)
        # The user's hooks are for the user's own refs.
        _git(folder, "-c", f"core.hooksPath={os.devnull}", "update-ref", WATCH_REF, commit)
    return tree


def _deployed_again(folder: Path, known_tree: str, roll_out: Callable[[], None]) -> str:
    """Roll out what is new and give its tree; what never reached the server is tried again with the next change."""
    from ploinky.client import ClientError

    tree = known_tree
    try:
        tree = commit_work_tree(folder, known_tree)
        if tree != known_tree:
            roll_out()
    except CommandFailed as error:
        report(error)
    except ClientError as error:
        report(error)
        return known_tree
    return tree


def _filter_below(folder: Path) -> Callable[["Change", str], bool]:
    """Leave out what editors, caches and git itself write; what the folder's own parents are called does not count."""
    from watchfiles import DefaultFilter

    is_source = DefaultFilter()
    return lambda change, path: is_source(change, os.path.relpath(path, folder))


def _git(folder: Path, *arguments: str, index: str | None = None) -> str:
    ended = run_git(folder, *arguments, variables={} if index is None else {"GIT_INDEX_FILE": index})
    if ended.returncode != 0:
        raise git_failure(
            next(word for word in arguments if word in {"rev-parse", "add", "write-tree", "commit-tree", "update-ref"}),
            ended,
            hint=f"`git status` in {folder} may tell more.",
        )
    return ended.stdout.strip("\n")
