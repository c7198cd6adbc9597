"""How what was asked of a deployment ended: succeeded, reverted or failed, with what is known about it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ploinky.cli.failures import CommandFailed, ExitCode
from ploinky.cli.output import cell_text, print_json, rows_of, say
from ploinky.cli.session import Session
from ploinky.cli.targets import name_of

if TYPE_CHECKING:
    from ploinky.client import JsonObject

LOG_TAIL_LIMIT_LINES = 40
READY_STATUSES = {"running", "paused"}
"""Those that are kept warm are paused."""
SCALED = "scaled"
"""Why an instance was stopped that was one too many."""


def conclude(session: Session, deployment: "JsonObject", text: str, failure: CommandFailed | None = None) -> None:
    """Print the deployment as it is in the end: as JSON in any case, else the text when all went well.

    **Raises** the failure.
    """
    if session.is_json:
        print_json(deployment)
    if failure is not None:
        raise failure
    if not session.is_json:
        say(text)


def rollout_failure(deployment: "JsonObject") -> CommandFailed | None:
    """Say how the last rollout failed or was reverted, with its evidence; None when it succeeded."""
    end = deployment.get("lastRollout")
    last: Mapping[str, Any] = end if isinstance(end, dict) else {}
    is_reverted = last.get("outcome") == "reverted"
    if not is_reverted and last.get("outcome") != "failed":
        return None
    becomes = "was taken back" if is_reverted else "was not deployed"
    hint = last.get("hint")
    return CommandFailed(
        f"{name_of(deployment)} {becomes}: {last.get('message') or 'the rollout failed'}",
        code=str(last.get("code") or "ROLLOUT_FAILED"),
        exit_code=ExitCode.DEPLOY,
        hint=hint if isinstance(hint, str) else "",
        evidence=_evidence(deployment, last),
    )


def _evidence(deployment: "JsonObject", last: Mapping[str, Any]) -> list[str]:
    generation = deployment.get("generation")
    evidence = []
    if generation and deployment.get("state") == "running" and generation != last.get("generation"):
        evidence.append(f"outcome: {last.get('outcome')}; generation {generation} serves as before")
    evidence.append(f"step: {cell_text(last.get('step'))}")
    if last.get("probe"):
        evidence.append(f"probe: {last['probe']}")
    if last.get("exitCode") is not None:
        words = last.get("explanation")
        evidence.append(f"exit code: {cell_text(last['exitCode'])}{f' ({words})' if words else ''}")
    tail = last.get("logTail")
    lines = tail.splitlines() if isinstance(tail, str) else tail if isinstance(tail, list) else []
    if lines:
        evidence += ["last log lines:", *(f"  {line}" for line in lines[-LOG_TAIL_LIMIT_LINES:])]
    return evidence


def instances_of(deployment: "JsonObject") -> list[Mapping[str, Any]]:
    """Give the instances of the generation that serves, without those that are one too many."""
    generation = deployment.get("generation")
    there = rows_of({"data": deployment.get("instances")})
    return [one for one in there if one.get("generation") == generation and one.get("reason") != SCALED]


def count_serving(deployment: "JsonObject") -> int:
    """Count the instances that take requests."""
    return sum(1 for one in instances_of(deployment) if one.get("isReady") and one.get("status") == "running")


def ended_instances(deployment: "JsonObject") -> dict[str, Mapping[str, Any]]:
    """Give the instances that should serve and have ended, by their ids."""
    return {
        str(one.get("id")): one
        for one in instances_of(deployment)
        if one.get("status") == "stopped" or (one.get("reason") and one.get("status") == "created")
    }


def scale_text(deployment: "JsonObject") -> str:
    """Say how far it is to the number of instances that is wanted."""
    serving, wanted = count_serving(deployment), deployment.get("replicas")
    if isinstance(wanted, int) and serving > wanted + _warm(deployment):
        return f"{serving} instances serve, {wanted} will stay"
    return f"{serving} of {cell_text(wanted)} instances serve"


def scale_failure(deployment: "JsonObject", before: Mapping[str, object]) -> CommandFailed | None:
    """Say which instance ended instead of serving, besides those that had before; None when none did."""
    new = [one for key, one in ended_instances(deployment).items() if key not in before]
    if not new:
        return None
    one = new[0]
    code = f" with code {one['exitCode']}" if one.get("exitCode") is not None else ""
    words = f": {one['explanation']}" if one.get("explanation") else ""
    return CommandFailed(
        f"instance {cell_text(one.get('id'))} ended{code} ({cell_text(one.get('reason'))}){words}",
        code="INSTANCE_ENDED",
        exit_code=ExitCode.DEPLOY,
        hint=f"`ploinky logs {name_of(deployment)}` shows what they print; it is tried again.",
        evidence=[scale_text(deployment)],
    )


def end_text(end: Mapping[str, Any]) -> str:
    """Write the end of a rollout on one line."""
    outcome = f"generation {end.get('generation')} {end.get('outcome')}"
    if end.get("outcome") not in {"failed", "reverted"}:
        return outcome
    return f"{outcome} at {end.get('step')}: {end.get('message')} ({end.get('code')})"


def is_settled(deployment: "JsonObject") -> bool:
    """Tell whether as many instances serve as are wanted, those kept warm are ready, and none is left over."""
    replicas, there = deployment.get("replicas"), rows_of({"data": deployment.get("instances")})
    ready = [one for one in instances_of(deployment) if one.get("isReady") and one.get("status") in READY_STATUSES]
    if not isinstance(replicas, int):
        return False
    return count_serving(deployment) >= replicas and len(ready) == len(there) == replicas + _warm(deployment)


def _warm(deployment: "JsonObject") -> int:
    warm = deployment.get("warmInstances")
    return warm if isinstance(warm, int) else 0
