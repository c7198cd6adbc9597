"""Greet the person who started the server: make the first key, deploy the demo once, say what to try."""

import asyncio
import logging
import shutil
import sys
from importlib.resources import as_file, files
from pathlib import Path
from socket import AF_INET6, socket

from ploinky.adapters.dulwich_new_repository import make_repository
from ploinky.control.runtimes import Runtimes
from ploinky.domain.errors import PloinkyError
from ploinky.domain.routing import Route
from ploinky.domain.specs import DeploymentSpec, RuntimeChoice
from ploinky.journal.dispatcher import Context
from ploinky.ports.runtime import Availability
from ploinky.server.installation import DEMO_REPOSITORY, read_profile, write_address, write_launcher, write_profile
from ploinky.server.node import Node
from ploinky.usecases.deployments import NOTHING_GIVEN

log = logging.getLogger(__name__)

DEMO_DOMAIN, DEMO_PATH, DEMO_AGENT = "localhost", "/demo", "demo"
DEMO_LIMIT_SECONDS = 180.0
CONTEXT = Context("server", "first-run")
WILDCARD_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound


def local_url(listener: socket) -> str:
    """Return where a listening socket is reached from this machine."""
    host, port = listener.getsockname()[:2]
    host = WILDCARD_ADDRESSES.get(host, host)
    if host in {"127.0.0.1", "::1"}:
        return f"http://localhost:{port}"
    return f"http://[{host}]:{port}" if listener.family == AF_INET6 else f"http://{host}:{port}"


class FirstRun:
    """What is done and said once the server runs."""

    def __init__(self, node: Node, url: str, *, with_demo: bool) -> None:
        """Take the running node and its address."""
        self._node = node
        self._url = url
        self._with_demo = with_demo
        self._directory = node.core.storage.directory

    async def run(self) -> None:
        """Initialise and deploy the demo where that has not been done, then say where everything is."""
        write_address(self._directory, self._url)
        launcher = write_launcher(self._directory)
        new_key = await self._initialise() if self._with_demo else None
        if self._with_demo and not await self._was_demo_deployed():
            await self._deploy_demo()
        for line in self._greeting(launcher, new_key):
            say(line)

    async def _initialise(self) -> str | None:
        profile = read_profile(self._directory)
        if self._node.core.dispatcher.indexes.is_initialised:
            if profile is not None:
                write_profile(self._directory, self._url, profile["key"])
            return None
        key = await self._node.keys.initialise(CONTEXT)
        write_profile(self._directory, self._url, key.text)
        return key.text

    async def _was_demo_deployed(self) -> bool:
        found, _ = await self._node.core.feed.page(0, 1, "deployment.requested")
        return bool(found)

    async def _deploy_demo(self) -> None:
        runtime = await self._choose_runtime()
        repository = await self._node.core.pools.slow(lambda: demo_repository(self._directory))
        spec = DeploymentSpec(agent=DEMO_AGENT, repository=str(repository), runtime=RuntimeChoice(runtime))
        try:
            key = await self._node.deployments.deploy(Route(DEMO_DOMAIN, DEMO_PATH), spec, NOTHING_GIVEN, CONTEXT)
            await self._await_demo(key)
        except PloinkyError as error:
            say(f"The demo could not be deployed: {error.message}. {error.advice}")

    async def _choose_runtime(self) -> str:
        """Return the best runtime that can run the demo, saying which and why."""

        def work() -> tuple[str, list[str]]:
            return usable_runtime(self._node.hands.world.runtimes)

        say("Looking for a container engine ...")
        kind, reasons = await self._node.core.pools.engine(work)
        for reason in reasons:
            say(f"  {reason}")
        say(f"Deploying the demo agent at {DEMO_DOMAIN} {DEMO_PATH} with the runtime `{kind}` ...")
        return kind

    async def _await_demo(self, deployment_id: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DEMO_LIMIT_SECONDS
        shown = ""
        while loop.time() < deadline:
            row = self._node.core.views.deployments.rows.get(deployment_id)
            if row is None or row.state.rollout is None:
                break
            line = f"  {row.state.rollout.step}: {self._node.hands.progress.newest(deployment_id)}".rstrip(": ")
            if line != shown:
                say(line)
                shown = line
            await asyncio.sleep(0.05)
        row = self._node.core.views.deployments.rows.get(deployment_id)
        end = row.state.last_end if row else None
        if end is None or not end.is_success:
            why = f"{end.message}. {end.hint}" if end else "it takes longer than expected."
            say(f"The demo is not up: {why} See `ploinky deployments`.")

    def _greeting(self, launcher: Path, new_key: str | None) -> list[str]:
        lines = ["", f"Ploinky is running at {self._url}  (Ctrl-C stops it)"]
        if new_key is not None:
            lines += ["", f"Admin key, shown only now: {new_key}"]
        elif not self._node.core.dispatcher.indexes.is_initialised:
            lines += ["", f"It has no admin key yet: {launcher} --url {self._url} init"]
        elif self._with_demo and read_profile(self._directory) is None:
            lines += ["", f"The key is not on this machine; a lost one is replaced by: {launcher} keys recover"]
        lines += ["", "Try:"]
        if self._node.core.views.find_deployment(DEMO_DOMAIN, DEMO_PATH) is not None:
            body = '{"command": "hello", "params": ["World"]}'
            lines.append(f"  curl -s {self._url.removeprefix('http://')}{DEMO_PATH} -d '{body}'")
        return [*lines, f"  {launcher} deployments", f"  {launcher} new agent my-agent", ""]


def usable_runtime(runtimes: Runtimes) -> tuple[str, list[str]]:
    """Return the first runtime that can get the agents' base image, and a line on each that was asked. Blocks."""
    lines: list[str] = []
    for kind, runtime in runtimes.by_kind.items():
        found = runtime.check()
        if found.is_usable:
            try:
                runtime.resolve_image("", lambda line: say(f"  {line}"))
            except PloinkyError as error:
                found = Availability(is_usable=False, version=found.version, reason=error.message)
            else:
                found = runtime.check()  # only with an image can an engine show that it runs agents
        if found.is_usable:
            lines.append(f"{kind} is usable: {found.version}")
            return kind, lines
        lines.append(f"{kind} is not usable: {found.reason}")
    return "process", lines


def demo_repository(directory: Path) -> Path:
    """Return the git repository of the bundled demo agent, made on the first call."""
    target = directory / DEMO_REPOSITORY
    if (target / ".git" / "refs" / "heads" / "main").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    with as_file(files("ploinky") / "templates" / "demo") as template:
        shutil.copytree(template, target, ignore=shutil.ignore_patterns("__pycache__"))
    make_repository(str(target))
    return target


def say(line: str) -> None:
    """Print a line for the person at the terminal, whole and at once also when the output is no terminal."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
