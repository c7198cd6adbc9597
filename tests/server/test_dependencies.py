"""An agent with requirements, deployed on a real server: installed once, found by its handlers, explained when not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.sources.git_repositories import GitRepository
from tests.server.running import RunningServer
from tests.server.sample_agent import PUBLIC
from tests.wheels import make_wheel

GREETING = "WORDS = 'hello from a wheel'\n\ndef say():\n    print(WORDS)\n"
GREET = "import greeting\n\ndef handle(params, context):\n    return greeting.WORDS\n"
SAY = "#!/bin/sh\nexec greeting-say\n"


@pytest.fixture(scope="module", params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with its first key, over each runtime that really runs something."""
    changes = {"PLOINKY_CONTAINER_RUNTIME": request.param}
    running = RunningServer(tmp_path_factory.mktemp("server"), changes=changes)
    try:
        running.initialise()
        yield running
        running.stop()
    finally:
        running.kill()


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    """An agent that needs a wheel, which lies in its own folder."""
    repository = GitRepository(tmp_path / "needy")
    wheel = make_wheel(repository.directory / "vendor", "greeting", GREETING)
    os.makedirs(repository.directory / "handlers")
    (repository.directory / "handlers" / "say.sh").write_text(SAY)
    files = {"manifest.json": PUBLIC, "requirements.txt": f"./vendor/{wheel}\n", "handlers/greet.py": GREET}
    repository.commit(files)
    return repository


def dependencies(server: RunningServer, deployment_id: str) -> list[dict[str, object]]:
    """Return what was recorded of installations, oldest first."""
    answer = server.api("GET", f"/events?stream=deployment/{deployment_id}&perPage=100")
    return [event["data"] for event in answer.document["data"] if event["type"] == "deployment.dependencies_ready"]


def test_handlers_find_what_was_installed(server: RunningServer, repository: GitRepository) -> None:
    """A wheel in the agent's folder is installed at deploy time: its module and its program are found."""
    server.serve("/needy", "sample", repository.directory)
    assert server.ask("GET", "/needy/greet").document == "hello from a wheel"
    assert server.ask("GET", "/needy/say").document == "hello from a wheel"


def test_the_same_is_installed_once(server: RunningServer, repository: GitRepository) -> None:
    """A second deployment and a restart use the folder that the first one filled."""
    first = server.serve("/once", "sample", repository.directory)
    second = server.serve("/again", "sample", repository.directory)
    assert server.api("POST", f"/deployments/{first}/restart").status == 202
    server.await_rollout(first)
    records = [*dependencies(server, first), *dependencies(server, second)]
    assert [record.get("is_cached", False) for record in records] == [False, True, True]
    assert len({record["digest"] for record in records}) == 1
    assert server.ask("GET", "/once/greet").document == "hello from a wheel"


def test_what_cannot_be_installed_fails_the_deploy(server: RunningServer, repository: GitRepository) -> None:
    """The rollout ends at the step `install`, with pip's own words."""
    repository.commit({"requirements.txt": "./vendor/missing-1.0-py3-none-any.whl\n"})
    deployment_id = server.deploy("/missing", "sample", repository.directory)
    end = server.await_rollout(deployment_id)["lastRollout"]
    assert (end["outcome"], end["step"], end["code"]) == ("failed", "install", "INSTALL_FAILED")
    assert "missing-1.0" in str(end)


def test_hooks_fill_the_folder_too(server: RunningServer, repository: GitRepository) -> None:
    """A manifest's hook puts programs where the agent finds them, in the folder that it is told."""
    hook = "mkdir -p $PLOINKY_DEPENDENCIES_DIR/bin && cp hello.sh $PLOINKY_DEPENDENCIES_DIR/bin/hooked"
    manifest = f'{{"name": "sample", "access": "public", "install": ["sh", "-ec", "{hook}"]}}'
    program = repository.directory / "hello.sh"
    program.write_text("#!/bin/sh\necho hooked\n")
    program.chmod(0o755)
    repository.commit({"manifest.json": manifest, "handlers/hooked.sh": "#!/bin/sh\nexec hooked\n"})
    server.serve("/hooked", "sample", repository.directory)
    assert server.ask("GET", "/hooked/hooked").document == "hooked"
