"""Wait for what a deployment is becoming, telling each step once."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ploinky.cli.failures import CommandFailed, ExitCode
from ploinky.cli.output import cell_text, field
from ploinky.cli.targets import id_of, name_of

if TYPE_CHECKING:
    from ploinky.client import JsonObject, PloinkyClient

POLL_INTERVAL_SECONDS = 0.3
WAIT_LIMIT_SECONDS = 3600.0
LOST_ANSWERS_LIMIT = 20
"""So many polls in a row may stay without an answer: a server may be restarted while it deploys."""
LOG_TAIL_LIMIT_LINES = 40

GOES_ON = "It goes on without this command; look again with `ploinky deployments`."
STEPS = {"source": "fetching source", "image": "preparing image", "start": "starting"}
OVER_STATES = {"succeeded", "failed", "cancelled", "dead"}


def follow_rollout(client: "PloinkyClient", deployment: "JsonObject", tell: Callable[[str], None]) -> "JsonObject":
    """Wait until the newest rollout has ended and give the deployment as it then is.

    **Raises** `CommandFailed` (4) when the rollout failed, with what the server knows about it.
    """
    deployment_id = id_of(deployment)
    wanted = 0
    told: set[str] = set()
    poll = Poll(f"{name_of(deployment)} is still being deployed")
    while True:
        step = field(deployment, "rollout.step")
        if isinstance(step, str) and step not in told:
            told.add(step)
            tell(STEPS.get(step, step))
        wanted = max(wanted, _generation(deployment, "rollout"))
        if deployment.get("rollout") is None and _generation(deployment, "lastRollout") >= wanted:
            break
        deployment = poll(lambda: client.deployment(deployment_id))
    if field(deployment, "lastRollout.outcome") == "failed":
        raise rollout_failure(deployment)
    for warning in deployment.get("warnings") or []:
        tell(f"warning: {warning}")
    tell("ready")
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


def rollout_failure(deployment: "JsonObject") -> CommandFailed:
    """Say how the last rollout failed, with the last lines of the instance's log."""
    end = deployment.get("lastRollout")
    last = end if isinstance(end, dict) else {}
    evidence = [f"step: {cell_text(last.get('step'))}"]
    if last.get("exitCode") is not None:
        words = last.get("explanation")
        evidence.append(f"exit code: {cell_text(last['exitCode'])}{f' ({words})' if words else ''}")
    tail = last.get("logTail")
    lines = tail.splitlines() if isinstance(tail, str) else tail if isinstance(tail, list) else []
    if lines:
        evidence += ["last log lines:", *(f"  {line}" for line in lines[-LOG_TAIL_LIMIT_LINES:])]
    hint = last.get("hint")
    return CommandFailed(
        f"{name_of(deployment)} was not deployed: {last.get('message') or 'the rollout failed'}",
        code=str(last.get("code") or "ROLLOUT_FAILED"),
        exit_code=ExitCode.DEPLOY,
        hint=hint if isinstance(hint, str) else "",
        evidence=evidence,
    )


def _generation(deployment: "JsonObject", name: str) -> int:
    generation = field(deployment, f"{name}.generation")
    return generation if isinstance(generation, int) else 0
