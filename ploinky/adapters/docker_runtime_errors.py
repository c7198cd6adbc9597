"""Turn whatever the engine's library raises into errors of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from docker import errors as engine

from ploinky.domain.errors import ImageUnavailable, PloinkyError, RuntimeRefused, RuntimeUnavailable

MAX_REASON_CHARACTERS = 500
MAX_CAUSES = 20
NOT_FOUND = 404
CONFLICT = 409


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Translate everything raised inside; `action` says what was tried, as in `create web-1`.

    **Raises** `ImageUnavailable` for a missing image, `RuntimeRefused` for any other error the engine answered with,
    `RuntimeUnavailable` for no answer and for one that makes no sense.
    """
    try:
        yield
    except PloinkyError:
        raise
    except Exception as error:
        raise translate(action, error) from error


def translate(action: str, error: Exception) -> PloinkyError:
    """Say in our words what a library error means."""
    reason = reason_of(error)
    if isinstance(error, engine.ImageNotFound):
        return ImageUnavailable(f"cannot {action}: the engine does not have the image", reason=reason)
    if isinstance(error, engine.APIError):
        return RuntimeRefused(f"cannot {action}: {reason}", status=status_of(error))
    # Besides connection errors and time-outs: broken JSON, and the library stumbling over missing fields.
    return RuntimeUnavailable(f"cannot {action}: {reason}", hint=advice_for(error))


def status_of(error: Exception) -> int:
    """Return the HTTP status the engine answered with, 0 when it did not."""
    return error.status_code or 0 if isinstance(error, engine.APIError) else 0


def reason_of(error: Exception) -> str:
    """Return what the engine or the library says, shortened."""
    text = str(getattr(error, "explanation", None) or error) or type(error).__name__
    return text if len(text) <= MAX_REASON_CHARACTERS else text[: MAX_REASON_CHARACTERS - 1] + "…"


def advice_for(error: Exception) -> str:
    """Tell the operator what to do when the engine does not answer."""
    causes = _causes(error)
    if any(isinstance(cause, PermissionError) for cause in causes):
        return (
            "Join the group that owns Docker's socket (`sudo usermod -aG docker $USER`, then log in again), or use a "
            "Podman of your own (`systemctl --user start podman.socket`)."
        )
    if any(isinstance(cause, FileNotFoundError | ConnectionRefusedError) for cause in causes):
        return "Install and start Docker or Podman, or set DOCKER_HOST or CONTAINER_HOST to where it listens."
    return "Look at the engine's own log."


def _causes(error: Exception) -> list[BaseException]:
    """Collect the errors behind an error; the library wraps the system's own several times, also as an argument."""
    found: list[BaseException] = []
    waiting: list[BaseException] = [error]
    while waiting and len(found) < MAX_CAUSES:
        cause = waiting.pop()
        if cause in found:
            continue
        found.append(cause)
        behind = [cause.__cause__, cause.__context__, *cause.args]
        waiting.extend(item for item in behind if isinstance(item, BaseException))
    return found
