"""What the deployer asked for, joined with what the author says."""

import pytest
from msgspec.structs import replace

from ploinky.domain.errors import ManifestInvalid
from ploinky.domain.manifest import Http, Manifest, Network, Resources, Retries, RuntimeSection, Variable
from ploinky.domain.release import ReleaseDefaults, environment_of, release_of
from ploinky.domain.specs import DeploymentSpec, Release, RetryPolicy
from tests.domain.samples import SPEC

DEFAULTS = ReleaseDefaults(time_limit_seconds=12.0, start_limit_seconds=34.0)
ASKED = DeploymentSpec(
    agent="a", repository="/r", image="asked:1", access="public", concurrency=7, time_limit_seconds=7.5
)
WRITTEN = Manifest(
    image="written:1",
    access="reports.read",
    concurrency=2,
    timeout_seconds=20.0,
    retries=Retries(max=5, backoff_seconds=0.25),
    runtime=RuntimeSection(resources=Resources(memory=64 << 20, cpus=0.5, pids=16)),
    network=Network(mode="none"),
    run=("./serve", "--now"),
    warnings=("instal: unknown field",),
)


def test_has_defaults_for_everything() -> None:
    """An empty manifest and a bare wish make a release that runs, within the operator's limits."""
    assert release_of(SPEC, Manifest(), "c1", DEFAULTS) == Release(
        commit="c1", time_limit_seconds=12.0, start_limit_seconds=34.0
    )


def test_the_manifest_wins_over_the_defaults() -> None:
    """Whatever the author says is taken."""
    assert release_of(SPEC, WRITTEN, "c1", DEFAULTS) == Release(
        commit="c1",
        image="written:1",
        access="reports.read",
        concurrency=2,
        time_limit_seconds=20.0,
        start_limit_seconds=34.0,
        retries=RetryPolicy(lost=5, failed=5, backoff_seconds=0.25),
        memory_bytes=64 << 20,
        cpus=0.5,
        pids=16,
        has_network=False,
        command=("./serve", "--now"),
        warnings=("instal: unknown field",),
    )


def test_the_deployer_wins_over_the_manifest() -> None:
    """What was asked for explicitly is taken, the rest as the author says."""
    release = release_of(ASKED, WRITTEN, "c1", DEFAULTS)
    assert (release.image, release.access, release.concurrency, release.time_limit_seconds) == (
        "asked:1",
        "public",
        7,
        7.5,
    )
    assert release.memory_bytes == 64 << 20


WEB = Manifest(run=("./serve",), http=Http(port=8080, health="/up"))


class TestWebServer:
    def test_is_in_the_release(self) -> None:
        """Where it listens and what tells that it is ready are part of the release, and it takes no tasks."""
        release = release_of(SPEC, WEB, "c1", DEFAULTS)
        assert (release.http_port, release.http_health_path, release.takes_tasks) == (8080, "/up", False)
        assert release.command == ("./serve",)

    def test_takes_tasks_when_it_says_so(self) -> None:
        """`mode` file says that agentcore runs beside the web server."""
        both = replace(WEB, mode="file")
        assert release_of(SPEC, both, "c1", DEFAULTS).takes_tasks

    def test_may_be_what_the_image_starts(self) -> None:
        """Without a command line of its own, an agent with an image leaves the start to the image."""
        silent = replace(WEB, run=None, image="web:1")
        assert release_of(SPEC, silent, "c1", DEFAULTS).command == ()
        assert release_of(ASKED, replace(WEB, run=None), "c1", DEFAULTS).command == ()
        assert release_of(SPEC, replace(WEB, run=None), "c1", DEFAULTS, has_dockerfile=True).command == ()

    def test_needs_something_that_starts_it(self) -> None:
        """With neither a command line nor an image nothing would ever listen."""
        with pytest.raises(ManifestInvalid, match="nothing says what starts") as refusal:
            release_of(SPEC, replace(WEB, run=None), "c1", DEFAULTS)
        assert "`run`" in refusal.value.advice

    def test_needs_a_network(self) -> None:
        """What is cut off from everything is cut off from us."""
        with pytest.raises(ManifestInvalid, match=r"network\.mode"):
            release_of(SPEC, replace(WEB, network=Network(mode="none")), "c1", DEFAULTS)


VARIABLES = Manifest(
    env=(
        Variable(name="PLAIN"),
        Variable(name="WITH_DEFAULT", default="d"),
        Variable(name="NEEDED", is_required=True),
        Variable(name="NEEDED_WITH_DEFAULT", is_required=True, default="n"),
    )
)


def test_values_given_win_over_defaults() -> None:
    """Names the manifest does not know are passed on; names without a value are left out."""
    assert environment_of(VARIABLES, {"NEEDED": "x", "WITH_DEFAULT": "given", "OWN": "y"}) == {
        "NEEDED": "x",
        "WITH_DEFAULT": "given",
        "NEEDED_WITH_DEFAULT": "n",
        "OWN": "y",
    }


def test_refuses_when_a_needed_value_is_missing() -> None:
    """The refusal names what is missing and how to give it."""
    with pytest.raises(ManifestInvalid, match="NEEDED") as refusal:
        environment_of(VARIABLES, {"OWN": "y"})
    assert refusal.value.details == {"missing": ["NEEDED"]}
    assert "--env NEEDED=" in refusal.value.advice


def test_an_empty_value_is_a_value() -> None:
    """Whoever gives nothing on purpose has given something."""
    assert environment_of(VARIABLES, {"NEEDED": ""})["NEEDED"] == ""
