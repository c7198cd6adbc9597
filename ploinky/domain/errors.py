"""Everything that can be refused or can go wrong, as one tree.

    PloinkyError
    ├── Invalid                 the request cannot be understood or allowed as it is
    │   ├── ConfigurationInvalid
    │   ├── ManifestInvalid
    │   ├── SourceInvalid
    │   ├── BodyTooLarge, HeadersTooLarge
    │   └── TransitionInvalid   the thing is in a state that does not allow it
    ├── NotFound
    │   ├── DeploymentNotFound, ReleaseNotFound, InstanceNotFound, TaskNotFound, RepositoryNotFound
    │   ├── KeyNotFound, RegistryNotFound
    │   └── BlobNotFound, SecretNotFound, AgentNotFound
    ├── Conflict
    │   ├── RouteTaken, RepositoryExists, AlreadyInitialised, VersionConflict, IdempotencyConflict
    │   └── JournalConflict
    ├── Denied
    │   └── Unauthenticated, SourceNotTrusted
    ├── Unavailable             try again later
    │   ├── Overloaded, ShuttingDown, DeploymentNotReady
    │   ├── RuntimeUnavailable, SourceUnavailable, QueueUnavailable
    │   ├── AgentUnreachable
    │   └── StorageFull, JournalFull
    └── Broken                  an operator has to look
        ├── RuntimeRefused, ImageUnavailable, InstallFailed, SecretUnreadable, AgentTimeout
        ├── DirectoryBusy, DirectoryUnusable, PortInUse
        ├── JournalBroken, JournalNewer, JournalCorrupt, OutcomeUnknown
        └── Fenced

The class docstring's first line is the default message. `code` is what callers test for, `hint` tells the operator what
to do next.
"""

from typing import ClassVar


class PloinkyError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    hint: ClassVar[str] = ""
    is_retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, hint: str | None = None, **details: object) -> None:
        """Take a message (default: the class docstring), an own hint, and details that are safe to show."""
        self.message = message or (type(self).__doc__ or "").partition("\n")[0].rstrip(".")
        self.details = details
        self.advice = self.hint if hint is None else hint
        super().__init__(self.message)


class Invalid(PloinkyError):
    """The request is not valid."""

    code = "INVALID_REQUEST"


class NotFound(PloinkyError):
    """There is no such thing."""

    code = "NOT_FOUND"


class Conflict(PloinkyError):
    """The request conflicts with what is there."""

    code = "CONFLICT"


class Denied(PloinkyError):
    """This caller may not do that."""

    code = "FORBIDDEN"


class Unavailable(PloinkyError):
    """This cannot be done right now."""

    code = "UNAVAILABLE"
    is_retryable = True


class Broken(PloinkyError):
    """Something outside needs the operator's attention."""

    code = "INTERNAL_ERROR"


class ConfigurationInvalid(Invalid):
    """The configuration is not valid."""

    code = "CONFIGURATION_INVALID"


class ManifestInvalid(Invalid):
    """The agent's manifest.json is not valid."""

    code = "MANIFEST_INVALID"


class SourceInvalid(Invalid):
    """The repository cannot be used."""

    code = "SOURCE_INVALID"


class BodyTooLarge(Invalid):
    """The request's body is too large."""

    code = "BODY_TOO_LARGE"


class HeadersTooLarge(Invalid):
    """The request's headers are too large."""

    code = "HEADERS_TOO_LARGE"


class TransitionInvalid(Invalid):
    """The present state does not allow that."""

    code = "INVALID_STATE"


class DeploymentNotFound(NotFound):
    """No deployment answers here."""

    code = "DEPLOYMENT_NOT_FOUND"
    hint = "See `ploinky deployments`."


class ReleaseNotFound(NotFound):
    """This release is not kept."""

    code = "RELEASE_NOT_FOUND"
    hint = "See `ploinky history`."


class InstanceNotFound(NotFound):
    """There is no such instance."""

    code = "INSTANCE_NOT_FOUND"


class TaskNotFound(NotFound):
    """There is no such task."""

    code = "TASK_NOT_FOUND"


class RepositoryNotFound(NotFound):
    """There is no such repository."""

    code = "REPOSITORY_NOT_FOUND"
    hint = "See `ploinky repo list`."


class KeyNotFound(NotFound):
    """There is no such key."""

    code = "KEY_NOT_FOUND"
    hint = "See `ploinky keys list`."


class RegistryNotFound(NotFound):
    """Nothing is known of this registry of images."""

    code = "REGISTRY_NOT_FOUND"
    hint = "See `ploinky registry list`."


class BlobNotFound(NotFound):
    """The payload is no longer kept."""

    code = "BLOB_NOT_FOUND"


class SecretNotFound(NotFound):
    """There is no such secret."""

    code = "SECRET_NOT_FOUND"


class AgentNotFound(NotFound):
    """The repository has no such agent."""

    code = "AGENT_NOT_FOUND"


class RouteTaken(Conflict):
    """Another deployment owns this route."""

    code = "ROUTE_TAKEN"
    hint = "Undeploy it first, or choose another path."


class RepositoryExists(Conflict):
    """A repository of this name exists with another URL."""

    code = "REPOSITORY_EXISTS"


class AlreadyInitialised(Conflict):
    """This installation already has its admin key."""

    code = "ALREADY_INITIALISED"
    hint = "A lost key is replaced on the machine itself: `ploinky keys recover`."


class VersionConflict(Conflict):
    """It was changed by somebody else in the meantime."""

    code = "VERSION_CONFLICT"
    hint = "Read it again and repeat."


class IdempotencyConflict(Conflict):
    """This Idempotency-Key was used with another request."""

    code = "IDEMPOTENCY_CONFLICT"
    hint = "Use a new key for a new request."


class JournalConflict(Conflict):
    """The journal already has an event at this place."""

    code = "JOURNAL_CONFLICT"


class Unauthenticated(Denied):
    """A valid key is needed."""

    code = "UNAUTHENTICATED"
    hint = "Send it as `X-API-Key` or `Authorization: Bearer`."


class SourceNotTrusted(Denied):
    """This repository is not trusted to run without being kept apart."""

    code = "SOURCE_NOT_TRUSTED"
    hint = (
        "Install bubblewrap, start the server as root, or use a container engine; or name the repository, or the "
        "folder of it, in `trustedSources` if its code may do all that the server's user may."
    )


class Overloaded(Unavailable):
    """Too much work is waiting."""

    code = "OVERLOADED"


class ShuttingDown(Unavailable):
    """The server is stopping."""

    code = "SHUTTING_DOWN"


class DeploymentNotReady(Unavailable):
    """The deployment is not ready to take requests."""

    code = "DEPLOYMENT_NOT_READY"
    hint = "See `ploinky deployments` for its state."


class RuntimeUnavailable(Unavailable):
    """The container engine does not answer."""

    code = "RUNTIME_UNAVAILABLE"


class SourceUnavailable(Unavailable):
    """The repository's server does not answer."""

    code = "SOURCE_UNAVAILABLE"


class QueueUnavailable(Unavailable):
    """The instance's queue cannot be used."""

    code = "QUEUE_UNAVAILABLE"


class AgentUnreachable(Unavailable):
    """The agent's web server does not answer as it should."""

    code = "AGENT_UNREACHABLE"
    hint = "See `ploinky logs` for what the agent says."


class StorageFull(Unavailable):
    """The disk is full."""

    code = "STORAGE_FULL"
    hint = "Free some disk space; nothing accepted so far is lost."


class JournalFull(Unavailable):
    """The disk is full; no new work is taken."""

    code = "JOURNAL_FULL"
    hint = "Free some disk space; nothing accepted so far is lost."


class RuntimeRefused(Broken):
    """The container engine refused."""

    code = "RUNTIME_REFUSED"


class ImageUnavailable(Broken):
    """The image cannot be had."""

    code = "IMAGE_UNAVAILABLE"


class AgentTimeout(Broken):
    """The agent's web server did not answer in time."""

    code = "AGENT_TIMEOUT"
    hint = "The limit is `timeoutSeconds` of its manifest."


class InstallFailed(Broken):
    """The agent's dependencies cannot be installed."""

    code = "INSTALL_FAILED"


class SecretUnreadable(Broken):
    """A secret cannot be decrypted with this key file."""

    code = "SECRET_UNREADABLE"
    hint = "Restore the `keys` folder that belongs to this data directory."


class DirectoryBusy(Broken):
    """Another Ploinky server uses this data directory."""

    code = "DIRECTORY_BUSY"
    hint = "Stop it first, or choose another directory with PLOINKY_DATA_DIRECTORY."


class DirectoryUnusable(Broken):
    """The data directory cannot be used."""

    code = "DIRECTORY_UNUSABLE"


class PortInUse(Broken):
    """The port is in use."""

    code = "PORT_IN_USE"
    hint = "Stop what listens there, or choose another with PLOINKY_PORT."


class JournalBroken(Broken):
    """Writing the journal failed."""

    code = "JOURNAL_BROKEN"
    hint = "Check the disk, then start again: nothing acknowledged is lost."


class JournalNewer(Broken):
    """The journal was written by a newer Ploinky."""

    code = "JOURNAL_NEWER"
    hint = "Start the version that wrote it, or a later one."


class JournalCorrupt(Broken):
    """The journal is damaged."""

    code = "JOURNAL_CORRUPT"
    hint = "Restore the data directory from a backup."


class OutcomeUnknown(Broken):
    """Whether this happened is not known yet."""

    code = "OUTCOME_UNKNOWN"
    hint = "Look again after the restart."


class Fenced(Broken):
    """Another writer took the journal over."""

    code = "FENCED"
    hint = "This server must stop."
