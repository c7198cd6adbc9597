"""Every error has a status and the one format."""

import inspect
import json
from datetime import datetime

import pytest

from ploinky.domain import errors as e
from ploinky.usecases.problems import STATUSES, problem, problem_of, status_of

CLASSES = [kind for _, kind in inspect.getmembers(e, inspect.isclass) if issubclass(kind, e.PloinkyError)]
EXPECTED = {
    "Invalid": 400,
    "ConfigurationInvalid": 400,
    "ManifestInvalid": 400,
    "SourceInvalid": 400,
    "TransitionInvalid": 409,
    "BodyTooLarge": 413,
    "NotFound": 404,
    "DeploymentNotFound": 404,
    "ReleaseNotFound": 404,
    "InstanceNotFound": 404,
    "TaskNotFound": 404,
    "RepositoryNotFound": 404,
    "RegistryNotFound": 404,
    "KeyNotFound": 404,
    "BlobNotFound": 404,
    "SecretNotFound": 404,
    "AgentNotFound": 404,
    "Conflict": 409,
    "RouteTaken": 409,
    "HeadersTooLarge": 431,
    "AgentUnreachable": 502,
    "AgentTimeout": 504,
    "RepositoryExists": 409,
    "AlreadyInitialised": 409,
    "VersionConflict": 412,
    "IdempotencyConflict": 409,
    "JournalConflict": 409,
    "Denied": 403,
    "SourceNotTrusted": 403,
    "Unauthenticated": 401,
    "Unavailable": 503,
    "Overloaded": 429,
    "ShuttingDown": 503,
    "DeploymentNotReady": 503,
    "RuntimeUnavailable": 503,
    "SourceUnavailable": 503,
    "QueueUnavailable": 503,
    "StorageFull": 507,
    "JournalFull": 507,
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_its_status(kind: type[e.PloinkyError]) -> None:
    """Each class answers with the status of the contract; what needs an operator is 500."""
    assert status_of(kind()) == EXPECTED.get(kind.__name__, 500)


def test_names_no_error_that_is_gone() -> None:
    """The expectations above are about classes that exist."""
    assert EXPECTED.keys() <= {kind.__name__ for kind in CLASSES}
    assert set(STATUSES) <= set(CLASSES)


def test_has_one_format() -> None:
    """An error is code, message, details, timestamp and request id, its advice among the details."""
    document = json.loads(problem_of(e.RouteTaken(path="/x"), "r1"))
    timestamp = document.pop("timestamp")
    assert datetime.fromisoformat(timestamp).utcoffset() is not None
    assert document == {
        "error": True,
        "code": "ROUTE_TAKEN",
        "message": "Another deployment owns this route",
        "details": {"path": "/x", "hint": "Undeploy it first, or choose another path."},
        "requestId": "r1",
    }


def test_shows_details_of_any_type() -> None:
    """A detail that JSON does not know is shown as text."""
    assert json.loads(problem("X", "m", {"where": ValueError("odd")}, ""))["details"] == {"where": "odd"}
