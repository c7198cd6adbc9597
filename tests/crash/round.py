"""One round: a server under load, killed once or more, recovered, stopped in order."""

import contextlib
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from ploinky.domain.deployment import Desired
from ploinky.ports.runtime import LABEL_DEPLOYMENT
from ploinky.views.views import Views
from tests.crash.agent import AGENT, RELEASE_FILE
from tests.crash.crashing_server import CrashingServer, pids_with
from tests.crash.load import Load
from tests.crash.stage import Stage
from tests.crash.steps import INSTALL, RANDOM, Step, When
from tests.crash.watching import OPEN_STATES, Watch, is_quiet

LATEST_RANDOM_KILL_SECONDS = 1.5
MOST_HITS = 4
AGENT_KILL_SHARE = 0.25
KILL_TRIALS = 4
PATHS = ("/a", "/b", "/c")


class Round(Stage):
    """The lives of one server over one directory."""

    def __init__(
        self, directory: Path, repository: Path, runtime: str, seed: int, note_kill: Callable[[str], None]
    ) -> None:
        """Nothing runs yet; `note_kill` hears at which steps it was killed."""
        super().__init__(directory, runtime)
        self.seed = seed
        self.ids: dict[str, str] = {}
        self.steady_ids: frozenset[str] = frozenset()
        self._random = random.Random(seed)
        self._key = ""
        self._note_kill = note_kill
        self._repository = repository

    def run(self, kills: tuple[Step, ...]) -> None:
        """Kill and recover, wait until everything that was accepted has ended, and stop."""
        self._live(kills[0])
        self._key = self.server.initialise()
        self.watch = Watch(self.installation)
        for path in PATHS:
            self._deploy(path)
        self.steady_ids = frozenset({self.ids["/a"], self.ids["/b"]})
        self._await_serving()
        self.load = Load(self.server.url, self._key, self.installation, self.ids, self.seed)
        self.load.start()
        try:
            for number, step in enumerate(kills):
                self._kill(step, is_alive=number == 0)
            self._live(RANDOM)
        except BaseException:
            self.load.stop(is_hopeless=True)
            raise
        self.load.stop()
        self.load.repeat()
        self.watch.until(self._is_over, "the end of all tasks and rollouts")
        assert self.load.complaints == []

    def _live(self, step: Step) -> None:
        is_frequent = step.when is When.LOAD and step.name.startswith(("journal.", "task."))
        hit = self._random.randint(1, MOST_HITS) if is_frequent else 1
        name = "" if step is RANDOM else step.name
        is_armed = step.when is When.RECOVERY
        self.server = CrashingServer(self.directory, self.runtime, step=name, hit=hit, is_armed=is_armed)
        self.server.key = self._key
        if self.server.url and self._key:
            self.load.url = self.server.url

    def _kill(self, step: Step, *, is_alive: bool) -> None:
        """Have the server end at a step with a task in every open state; what was not all of it is repeated."""
        for _ in range(KILL_TRIALS):
            if not is_alive:
                self._live(step)
            is_alive = False
            self._reach(step)
            states = self.watch.open_states()
            print(f"seed {self.seed} on {self.runtime}: killed at {step.name}; open: {', '.join(sorted(states))}")
            # While it stops, what waits for a moment gets its turn; what holds goes on.
            if states == OPEN_STATES or (states and step.when is When.SHUTDOWN):
                self._note_kill(step.name)
                break
        else:
            raise AssertionError(f"{KILL_TRIALS} times not every open state had a task")
        if self._random.random() < AGENT_KILL_SHARE:
            self._kill_agent()

    def _reach(self, step: Step) -> None:
        """Bring the server to the step, with deployments on their way."""
        if step.when is not When.RECOVERY:
            if self._removed(self.watch.now(), self.ids["/c"]):
                self._deploy("/c")
            self._await_serving()
            self.watch.until(lambda _: self.watch.open_states() == OPEN_STATES, "a task in every open state")
            self._provoke(step)
        self.server.await_kill()

    def _provoke(self, step: Step) -> None:
        self.server.arm()
        match step.when:
            case When.SHUTDOWN:
                self.server.signal(signal.SIGTERM)
            case When.AGENT_KILLED:
                self._kill_agent()
            case _:
                if step.name.startswith(INSTALL):
                    self._forget_installed()
                self._ask("POST", f"/deployments/{self.ids['/b']}/update")
                self._ask("DELETE", f"/deployments/{self.ids['/c']}")
        if step is RANDOM:
            self.load.wait(self._random.uniform(0, LATEST_RANDOM_KILL_SECONDS))
            self.server.kill()

    def _forget_installed(self) -> None:
        """Have the next rollout install again: what was installed for this commit would be found."""
        for folder in (self.installation / "dependencies").iterdir():
            shutil.rmtree(folder)

    def _ask(self, method: str, path: str) -> None:
        """Ask for something that the kill may cut off."""
        self.load.ask(method, f"/management/api{path}")

    def _kill_agent(self) -> None:
        """End the agent of `/a` behind the server's back."""
        if self.runtime == "process":
            for pid in pids_with(f"{self.directory}/queues/{self.ids['/a']}/"):
                os.kill(pid, signal.SIGKILL)
            return
        for container in self.containers():
            if container.labels.get(LABEL_DEPLOYMENT) == self.ids["/a"] and container.status == "running":
                container.kill()

    def _deploy(self, path: str) -> None:
        self.ids[path] = self.server.deploy(path, AGENT, self._repository, env={"STEADY": "yes"})

    def _await_serving(self) -> None:
        self.watch.until(lambda views: all(self._serves(views, key) for key in self.ids.values()), "the deployments")

    @staticmethod
    def _serves(views: Views, deployment_id: str) -> bool:
        return any(instance.is_ready for _, instance in views.instances_of(deployment_id))

    @staticmethod
    def _removed(views: Views, deployment_id: str) -> bool:
        state = views.deployments.get(deployment_id)
        return state is None or state.desired is Desired.REMOVED

    def _is_over(self, views: Views) -> bool:
        for deployment_id in self.steady_ids:
            for folder in (self.installation / "releases" / deployment_id).iterdir():
                with contextlib.suppress(FileNotFoundError):  # a copy that is just being renamed into place
                    (folder / RELEASE_FILE).touch()
        return is_quiet(views)
