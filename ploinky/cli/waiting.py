"""Wait for what a deployment is becoming, telling each step once."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ploinky.cli.failures import CommandFailed, ExitCode
from ploinky.cli.outcomes import is_settled, scale_failure, scale_text
from ploinky.cli.output import cell_text, field
from ploinky.cli.targets import id_of, name_of

if TYPE_CHECKING:
    from ploinky.client import JsonObject, PloinkyClient

POLL_INTERVAL_SECONDS = 0.3
WAIT_LIMIT_SECONDS = 3600.0
LOST_ANSWERS_LIMIT = 20
"""So many polls in a row may stay without an answer: a server may be restarted while it deploys."""

GOES_ON = "It goes on without this command; look again with `ploinky deployments`."
STEPS = {
    "source": "fetching source",
    "image": "preparing image",
    "install": "installing dependencies",
    "start": "starting",
    "verify": "serving, and watched for a while",
}
SERVING_STATES = {"running", "restarting", "deploying"}
OVER_STATES = {"succeeded", "failed", "cancelled", "dead"}


def follow_rollout(client: "PloinkyClient", deployment: "JsonObject", tell: Callable[[str], None]) -> "JsonObject":
    """Wait until the newest rollout has ended and give the deployment as it then is, however it ended."""
    deployment_id = id_of(deployment)
    wanted = 0
    told: set[str] = set()
    poll = Poll(f"{name_of(deployment)} is still being deployed")
    while True:
        step = _step_text(deployment)
        if step and step not in told:
            told.add(step)
            tell(step)
        wanted = max(wanted, _generation(deployment, "rollout"))
        if deployment.get("rollout") is None and _generation(deployment, "lastRollout") >= wanted:
            break
        deployment = poll(lambda: client.deployment(deployment_id))
    if field(deployment, "lastRollout.outcome") == "succeeded":
        for warning in deployment.get("warnings") or []:
            tell(f"warning: {warning}")
        tell("ready")
    return deployment


def follow_scale(
    client: "PloinkyClient", deployment: "JsonObject", before: Mapping[str, object], tell: Callable[[str], None]
) -> "JsonObject":
    """Wait until as many instances serve as are wanted and give the deployment as it then is.

    Ends early when nothing of it should run, or when an instance ended that is none of those that had `before`.
    """
    deployment_id = id_of(deployment)
    told = ""
    poll = Poll(f"{name_of(deployment)} is still being scaled")
    while deployment.get("state") in SERVING_STATES:
        text = scale_text(deployment)
        if text != told:
            told = text
            tell(text)
        is_over = is_settled(deployment) or scale_failure(deployment, before) is not None
        if deployment.get("rollout") is None and is_over:
            break
        deployment = poll(lambda: client.deployment(deployment_id))
    return deployment


def wait_for_state(client: "PloinkyClient", deployment: "JsonObject", state: str) -> "JsonObject":
    """Wait until a deployment is in a state."""
    deployment_id = id_of(deployment)
    poll = Poll(f"{name_of(deployment)} is still {cell_text(deployment.get('state'))}")
    while deployment.get("state") != state:
        deployment = poll(lambda: client.deployment(deployment_id))
    return deployment


def wait_until_removed(client: "PloinkyClient", deployment: "JsonObject") -> None:
    """Wait until a deployment is gone."""
    from ploinky.client import ApiError

    deployment_id = id_of(deployment)
    poll = Poll(f"{name_of(deployment)} is still being removed")
    while deployment.get("state") != "removed":
        try:
            deployment = poll(lambda: client.deployment(deployment_id))
        except ApiError as error:
            if error.status != 404:
                raise
            return


def wait_for_task(task_id: str, read: Callable[[], "JsonObject"], limit_seconds: float) -> "JsonObject":
    """Wait until a task has ended and give it. **Raises** `CommandFailed` after the limit."""
    poll = Poll(f"task {task_id} is not over yet", limit_seconds, hint=f"It goes on: `ploinky task {task_id} --wait`.")
    task = read()
    while task.get("state") not in OVER_STATES:
        task = poll(read)
    return task


class Poll:
    """Read again after a while, bounded in time and in lost answers."""

    def __init__(self, waited_for: str, limit_seconds: float = WAIT_LIMIT_SECONDS, *, hint: str = GOES_ON) -> None:
        self._waited_for = waited_for
        self._hint = hint
        self._deadline = time.monotonic() + limit_seconds

    def __call__(self, read: Callable[[], "JsonObject"]) -> "JsonObject":
        """Give what `read` gives next. **Raises** `CommandFailed` when time is up, else what `read` raises."""
        from ploinky.client import ConnectionFailed

        lost = 0
        while True:
            self._pause()
            try:
                return read()
            except ConnectionFailed:
                lost += 1
                if lost > LOST_ANSWERS_LIMIT:
                    raise

    def _pause(self) -> None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise CommandFailed(self._waited_for, code="WAIT_TIMEOUT", exit_code=ExitCode.GENERAL, hint=self._hint)
        time.sleep(min(POLL_INTERVAL_SECONDS, remaining))


def _step_text(deployment: "JsonObject") -> str:
    """Say what is being done; empty while nothing is."""
    step = field(deployment, "rollout.step")
    if not isinstance(step, str):
        return ""
    watched = field(deployment, "rollout.watchSeconds")
    if step == "verify" and isinstance(watched, int | float):
        return f"serving, and watched for {watched:g} s"
    return STEPS.get(step, step)


def _generation(deployment: "JsonObject", name: str) -> int:
    generation = field(deployment, f"{name}.generation")
    return generation if isinstance(generation, int) else 0
