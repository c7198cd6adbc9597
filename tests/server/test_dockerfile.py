"""An agent with a Dockerfile, deployed on a real server."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from ploinky.adapters.debian_image import BASE_REFERENCE
from tests.adapters.sources.git_repositories import GitRepository
from tests.server.running import RunningServer
from tests.server.sample_agent import PUBLIC

pytestmark = pytest.mark.docker

DOCKERFILE = f"FROM {BASE_REFERENCE}\nRUN echo 'from the image' > /greeting\n"
GREET = "def handle(params, context):\n    return open('/greeting').read().strip()\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server over Docker; the images it built go with it."""
    running = RunningServer(tmp_path_factory.mktemp("server"), changes={"PLOINKY_CONTAINER_RUNTIME": "docker"})
    try:
        running.initialise()
        yield running
        found = running.api("GET", "/deployments").document["data"]
        running.stop()
        client = docker.APIClient()
        for deployment in found:
            for image in client.images(filters={"label": f"ploinky.image.deployment={deployment['id']}"}):
                client.remove_image(image["Id"], force=True)
        client.close()
    finally:
        running.kill()


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    repository = GitRepository(tmp_path / "built")
    repository.commit({"manifest.json": PUBLIC, "Dockerfile": DOCKERFILE, "handlers/greet.py": GREET})
    return repository


def images_of(deployment_id: str) -> list[str]:
    client = docker.APIClient()
    try:
        return [image["Id"] for image in client.images(filters={"label": f"ploinky.image.deployment={deployment_id}"})]
    finally:
        client.close()


def test_runs_in_what_its_dockerfile_makes(server: RunningServer, repository: GitRepository) -> None:
    """The image is built at the deploy, the agent runs in it, and a restart builds nothing."""
    deployment_id = server.serve("/built", "sample", repository.directory)
    assert server.ask("GET", "/built/greet").document == "from the image"
    assert server.api("POST", f"/deployments/{deployment_id}/restart").status == 202
    server.await_rollout(deployment_id)
    assert server.ask("GET", "/built/greet").document == "from the image"
    assert len(images_of(deployment_id)) == 1


def test_a_broken_dockerfile_fails_the_deploy(server: RunningServer, repository: GitRepository) -> None:
    """The rollout ends at the image, with the lines of the step that failed; what served goes on."""
    deployment_id = server.serve("/breaks", "sample", repository.directory)
    repository.commit({"Dockerfile": f"FROM {BASE_REFERENCE}\nRUN echo 'no such luck' && exit 7\n"})
    assert server.api("POST", f"/deployments/{deployment_id}/update").status == 202
    end = server.await_rollout(deployment_id)["lastRollout"]
    assert (end["outcome"], end["step"], end["code"]) == ("failed", "image", "IMAGE_UNAVAILABLE")
    assert "no such luck" in str(end)
    assert server.ask("GET", "/breaks/greet").document == "from the image"
