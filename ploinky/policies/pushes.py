"""Which deployments follow a branch of a repository."""

from ploinky.domain.deployment import Deployment, Desired
from ploinky.domain.errors import SourceInvalid
from ploinky.domain.source_urls import parse_location
from ploinky.views.views import Views

DEFAULT_BRANCH = "HEAD"
"""Stands for whichever branch the repository's server calls its default one."""


def branch_of(state: Deployment) -> str | None:
    """Return the branch that a deployment follows; None when it stays at a revision or should not run."""
    if state.desired is not Desired.RUNNING or state.spec.revision is not None:
        return None
    return (state.spec.branch or DEFAULT_BRANCH).removeprefix("refs/heads/")


def followers(url: str, views: Views) -> dict[str, Deployment]:
    """Return the deployments, by id, that follow any branch of a repository, however they write its address."""
    wanted = _identity(url)
    return {
        deployment_id: row.state
        for deployment_id, row in views.deployments.items()
        if branch_of(row.state) is not None and _identity(row.state.spec.repository) == wanted
    }


def is_behind(state: Deployment, commit: str) -> bool:
    """Tell whether a deployment would not come to serve a commit by itself.

    A rollout that has not fetched yet will find it.
    """
    release = state.active_release if state.rollout is None else state.rollout.release
    return release is not None and release.commit != commit


def _identity(url: str) -> str:
    try:
        return parse_location(url).identity
    except SourceInvalid:
        return url
