"""Lives of one server that is killed at one step of a deploy after the other, with good versions and bad ones."""

import contextlib
import json
import shutil
from enum import StrEnum
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from ploinky.domain.deployment import Outcome
from ploinky.views.views import Views
from tests.adapters.sources.git_repositories import GitRepository
from tests.crash.crashing_server import CrashingServer
from tests.crash.stage import Stage
from tests.crash.steps import ENDS_OF_BAD_VERSIONS, INSTALL, INSTANCE_STEPS
from tests.crash.verification import check_owners
from tests.crash.watching import Watch, is_quiet
from tests.waiting import wait_until

PATH, AGENT = "/agent", "agent"
ROLLOUT_EFFECTS = (
    *("fetch_source", "ready_image", "install_dependencies", "start_instance"),
    *("stop_instance", "remove_instance"),
)
RECOVERY_LIMIT_SECONDS = 90.0
SETTINGS = {"PLOINKY_REVERT_WINDOW_SECONDS": "2"}

HANDLER = "def handle(params, context):\n    return {version}\n"
DIES_LATE = """
import os, subprocess, sys, time

agent = subprocess.Popen([sys.executable, "-m", "agentcore"])
while not os.path.exists(os.path.join(os.environ["PLOINKY_QUEUE_DIR"], "locks", ".ready")):
    time.sleep(0.02)
time.sleep(0.5)
agent.kill()
sys.exit(3)
"""


class Version(StrEnum):
    """What becomes of a version."""

    GOOD = "good"
    EXITS = "exits before it is ready"
    DIES_LATE = "dies soon after the switch"


class Kill(NamedTuple):
    """A step of the deploy of such a version."""

    step: str
    version: Version = Version.GOOD


KILLS = (
    *(Kill(f"executor.{place}.{effect}") for effect in ROLLOUT_EFFECTS for place in ("before", "after", "recorded")),
    *(Kill(f"instance.{name}") for name in INSTANCE_STEPS),
    *(Kill(f"{INSTALL}{name}") for name in ("made", "filled")),
    *(Kill(f"rollout.{name}") for name in ("switched", "succeeded")),
    *(Kill(name, Version.EXITS) for name in ("executor.recorded.start_instance", "observer.end_found")),
    *(Kill("rollout.switched", Version.DIES_LATE), Kill("observer.end_recorded", Version.DIES_LATE)),
    *(Kill(name, Version.DIES_LATE) for name in ENDS_OF_BAD_VERSIONS),
)


class DeployRound(Stage):
    """Each life recovers the deploy that the last one was killed in, and is killed in the next."""

    def __init__(self, directory: Path, runtime: str) -> None:
        """Make an agent; nothing runs yet."""
        super().__init__(directory, runtime)
        self._repository = GitRepository(directory / "repository")
        self._key = ""
        self._id = ""
        self._newest = 0
        self._serving = 0
        self._is_good = True

    def run(self, kills: tuple[Kill, ...]) -> None:
        """Kill and recover."""
        self._commit(Version.GOOD)
        for kill in kills:
            self._live(kill.step)
            if self._id:
                self._check_recovered()
            else:
                self._deploy()
            self._commit(kill.version)
            if kill.step.startswith(INSTALL):
                self._forget_installed()
            self.server.arm()
            with contextlib.suppress(OSError, HTTPException):  # the kill may come before the answer
                self.server.api("POST", f"/deployments/{self._id}/update")
            self.server.await_kill()
            self._is_good = kill.version is Version.GOOD
            if self._is_good:
                self._serving = self._newest
        self._live("")
        self._check_recovered()

    def _live(self, step: str) -> None:
        self.server = CrashingServer(self.directory, self.runtime, step=step, is_armed=False, settings=SETTINGS)
        self.server.key = self._key

    def _deploy(self) -> None:
        self._key = self.server.initialise()
        self.watch = Watch(self.installation)
        self._id = self.server.serve(PATH, AGENT, self._repository.directory)
        self._serving = self._newest

    def _commit(self, version: Version) -> None:
        self._newest += 1
        runs: dict[Version, list[str]] = {
            Version.EXITS: ["sh", "-c", "exit 3"],
            Version.DIES_LATE: ["python3", "-c", DIES_LATE],
        }
        changes = {"run": runs[version]} if version in runs else {}
        manifest = {"name": AGENT, "access": "public", "install": ["python3", "-c", "pass"], **changes}
        handler = HANDLER.format(version=self._newest)
        self._repository.commit({"manifest.json": json.dumps(manifest), "handlers/version.py": handler})

    def _forget_installed(self) -> None:
        """Have the next rollout install again: what was installed for this commit would be found."""
        for folder in (self.installation / "dependencies").iterdir():
            shutil.rmtree(folder)

    def _check_recovered(self) -> None:
        """The deploy has ended in one way, what should serve serves, and nothing else runs."""
        self.watch.until(self._is_settled, "the end of the deploy", timeout_seconds=RECOVERY_LIMIT_SECONDS)
        end = self.server.deployment(self._id)["lastRollout"]
        expected = Outcome.SUCCEEDED if self._is_good else Outcome.REVERTED
        assert end["outcome"] == expected, end
        wait_until(lambda: self.server.ask("GET", f"{PATH}/version").document == self._serving, what="the version")
        check_owners(self)

    def _is_settled(self, views: Views) -> bool:
        return is_quiet(views) and len(views.instances_of(self._id)) == 1
