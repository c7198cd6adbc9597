"""Make a folder a git repository with everything in one commit, where git itself may not be installed."""

import os

from dulwich import porcelain
from dulwich.errors import GitProtocolError, NotGitRepository
from dulwich.repo import Repo

from ploinky.domain.errors import SourceInvalid

BRANCH = b"main"
AUTHOR = b"Ploinky <ploinky@localhost>"
MESSAGE = b"Begin with the template"


def make_repository(path: str) -> None:
    """Commit everything in a folder on the branch `main` of a new repository there.

    Raises `SourceInvalid` when it is a repository already, or cannot become one.
    """
    if os.path.exists(os.path.join(path, ".git")):
        raise SourceInvalid(f"{path} is a git repository already")
    try:
        with Repo.init(path, default_branch=BRANCH) as repository:
            porcelain.add(repository)
            porcelain.commit(repository, message=MESSAGE, author=AUTHOR, committer=AUTHOR)
    except (OSError, GitProtocolError, NotGitRepository) as error:
        raise SourceInvalid(f"{path} cannot be made a git repository: {error}") from error
