"""Say in a command why a step of a rollout failed."""

from ploinky.domain.commands import FailRollout
from ploinky.domain.errors import PloinkyError
from ploinky.domain.specs import Evidence
from ploinky.views.intents import Intent

OUTPUT_LIMIT_CHARACTERS = 4_096


def failed_rollout(intent: Intent, step: str, error: PloinkyError) -> FailRollout:
    """Return the record of a failure; an error's details `output` and `exit_code` are its evidence."""
    exit_code = error.details.get("exit_code")
    evidence = Evidence(
        exit_code=exit_code if isinstance(exit_code, int) else None,
        log_tail=str(error.details.get("output", ""))[-OUTPUT_LIMIT_CHARACTERS:],
    )
    return FailRollout(
        subject_id=intent.subject_id,
        generation=intent.generation,
        step=step,
        code=error.code,
        message=error.message,
        hint=error.advice,
        evidence=evidence,
    )
