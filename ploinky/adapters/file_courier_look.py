"""What one look at a queue finds: bounded in names, in findings and in bytes."""

import os
from itertools import islice

from ploinky.adapters.file_courier_folder import QueueFolder
from ploinky.adapters.file_courier_names import ERRORS, LOCKS, RESULTS, parse_attempt
from ploinky.adapters.file_courier_outcomes import read_outcome
from ploinky.adapters.file_courier_removal import remove_file
from ploinky.domain.errors import QueueUnavailable
from ploinky.ports.courier import Claimed, Finding, Quarantined

SCAN_LIMIT_NAMES = 10_000
"""In one folder; more than that is no working agent."""
LOOK_LIMIT_FINDINGS = 512
LOOK_LIMIT_BYTES = 64 * 1024 * 1024
"""Read before a look stops and asks for another; one file may exceed it."""
CLAIM_SCAN_INTERVAL_SECONDS = 1.0
REPORT_AGAIN_SECONDS = 5.0
"""A finding is repeated after this long without having been settled."""


class OpenQueue:
    """An attached queue: its folder, what was sent into it, and what was already reported from it."""

    def __init__(self, folder: QueueFolder) -> None:
        self.folder = folder
        self.open_names: set[str] = set()
        """Sent and not settled."""
        self.stray_count = 0
        self.leftover_count = 0
        self._claims_scanned_at: float | None = None
        self._reported: dict[str, dict[str, float]] = {RESULTS: {}, ERRORS: {}}

    def is_claim_scan_due(self, now_seconds: float) -> bool:
        scanned_at = self._claims_scanned_at
        return scanned_at is None or now_seconds - scanned_at >= CLAIM_SCAN_INTERVAL_SECONDS

    def claims(self, now_seconds: float) -> list[Claimed]:
        """Return every claim there is; the sign of life is the folder's time stamp, meaningful only by its change."""
        self._claims_scanned_at = now_seconds
        found = []
        for name in self._names(self.folder.locks_fd, LOCKS):
            parsed = parse_attempt(name)
            if parsed is None:
                continue
            try:
                status = os.stat(name, dir_fd=self.folder.locks_fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            found.append(
                Claimed(
                    instance_id=self.folder.instance_id,
                    task_id=parsed.task_id,
                    attempt=parsed.attempt,
                    sign_of_life=status.st_mtime_ns,
                )
            )
        return found

    def collect_outcomes(self, findings: list[Finding], now_seconds: float) -> bool:
        """Append new results and errors; return False when a bound left some for the next look."""
        self.stray_count = 0
        remaining_bytes = self._collect(findings, RESULTS, now_seconds, LOOK_LIMIT_BYTES)
        if remaining_bytes is not None:
            remaining_bytes = self._collect(findings, ERRORS, now_seconds, remaining_bytes)
        return remaining_bytes is not None

    def forget(self, name: str) -> None:
        """Report this attempt's files again, should there be any."""
        self._reported[RESULTS].pop(name, None)
        self._reported[ERRORS].pop(name, None)

    def _collect(
        self, findings: list[Finding], folder_name: str, now_seconds: float, remaining_bytes: int
    ) -> int | None:
        folder_fd = self.folder.results_fd if folder_name == RESULTS else self.folder.errors_fd
        reported = self._reported[folder_name]
        names = self._names(folder_fd, folder_name)
        if len(reported) > SCAN_LIMIT_NAMES:
            reported.clear()  # they are gone without having been settled; those that are not are reported again
        for name in names:
            if now_seconds - reported.get(name, float("-inf")) < REPORT_AGAIN_SECONDS:
                continue
            parsed = parse_attempt(name)
            if parsed is None:
                self.stray_count += 1
                continue
            if remaining_bytes <= 0 or len(findings) >= LOOK_LIMIT_FINDINGS:
                return None
            try:
                finding, read_bytes = read_outcome(
                    folder_fd, parsed, self.folder.instance_id, is_success_expected=folder_name == RESULTS
                )
            except FileNotFoundError:
                continue
            if isinstance(finding, Quarantined):
                remove_file(folder_fd, name)
            reported[name] = now_seconds
            remaining_bytes -= read_bytes
            findings.append(finding)
        return remaining_bytes

    def _names(self, folder_fd: int, folder_name: str) -> list[str]:
        with os.scandir(folder_fd) as entries:
            names = [entry.name for entry in islice(entries, SCAN_LIMIT_NAMES + 1)]
        if len(names) > SCAN_LIMIT_NAMES:
            raise QueueUnavailable(
                f"The queue of {self.folder.instance_id} is flooded: over {SCAN_LIMIT_NAMES} names in {folder_name}",
                hint="The agent misbehaves; the instance has to be replaced.",
                instance=self.folder.instance_id,
            )
        return names
