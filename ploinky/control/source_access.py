"""Bring a deployment's or repository's source together with what opens it."""

from ploinky.domain.repository import Repository
from ploinky.domain.specs import AccessKind, DeploymentSpec, SourceAccess
from ploinky.ports.secrets import SecretStore
from ploinky.ports.sources import Credentials, Source
from ploinky.views.views import Views

TOKEN_USERNAME = "x-access-token"  # noqa: S105 - a name, no secret
"""What goes beside a token where nobody names a user; GitHub's own word, and others take any."""


def source_of(spec: DeploymentSpec, views: Views, secrets: SecretStore) -> Source:
    """Return what to fetch for a deployment. Slow: reads a secret.

    Raises `SecretNotFound` or `SecretUnreadable`.
    """
    named = views.repositories.get(spec.repository_name)
    # A name may stand for another repository by now, whose credentials are none of ours.
    shared = named.access if named is not None and named.url == spec.repository else None
    credentials = credentials_of(spec.source_access or shared, secrets)
    return Source(spec.repository, spec.branch, spec.revision, credentials)


def repository_source(repository: Repository, secrets: SecretStore, branch: str | None = None) -> Source:
    """Return what to fetch for a named repository. Slow: reads a secret."""
    return Source(repository.url, branch or repository.branch, None, credentials_of(repository.access, secrets))


def credentials_of(access: SourceAccess | None, secrets: SecretStore) -> Credentials | None:
    """Read the secret that opens a repository; None when it is open."""
    if access is None:
        return None
    value = secrets.get(access.secret).decode()
    match access.kind:
        case AccessKind.SSH_KEY:
            return Credentials(ssh_key=value)
        case AccessKind.TOKEN:
            return Credentials(access.username or TOKEN_USERNAME, value)
        case _:
            return Credentials(access.username, value)
