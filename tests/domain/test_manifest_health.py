"""What a manifest says of an agent's health, and what a release makes of it."""

import json
from typing import Any

import pytest

from ploinky.domain.errors import ManifestInvalid
from ploinky.domain.manifest import parse_manifest
from ploinky.domain.release import ReleaseDefaults, release_of
from ploinky.domain.specs import DeploymentSpec, Probe, ProbeKind, Release

DEFAULTS = ReleaseDefaults(time_limit_seconds=300.0, start_limit_seconds=60.0, revert_window_seconds=5.0)


def release(**fields: Any) -> Release:
    manifest = parse_manifest(json.dumps(fields).encode())
    return release_of(DeploymentSpec(agent="a", repository="/a"), manifest, "c1", DEFAULTS)


def test_without_a_word_nothing_is_asked() -> None:
    """A task agent's own word is enough, and it never sleeps; changes are watched as the operator says."""
    made = release()
    assert (made.readiness_probe, made.liveness, made.idle_timeout_seconds) == (None, None, 0.0)
    assert made.revert_window_seconds == 5.0


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            {"script": "test -e '/tmp/it is up'"},
            Probe(kind=ProbeKind.SCRIPT, command=("test", "-e", "/tmp/it is up"), interval_seconds=0.5),
        ),
        ({"script": ["./check"]}, Probe(kind=ProbeKind.SCRIPT, command=("./check",), interval_seconds=0.5)),
        ({"tcp": 5432}, Probe(kind=ProbeKind.TCP, port=5432, interval_seconds=0.5)),
        (
            {"http": "/up", "port": 81, "interval": 2, "timeout": 1, "failureThreshold": 4, "successThreshold": 5},
            Probe(
                kind=ProbeKind.HTTP,
                port=81,
                path="/up",
                interval_seconds=2.0,
                timeout_seconds=1.0,
                failure_threshold=4,
                success_threshold=5,
            ),
        ),
    ],
)
def test_reads_a_probe(section: dict[str, Any], expected: Probe) -> None:
    """Each kind with its words; what is left out has a default."""
    assert release(health={"readiness": section}).readiness_probe == expected


def test_a_web_agents_probe_goes_to_its_port() -> None:
    """Without a port of its own a probe asks the agent's web server, seldom where it is about its life."""
    made = release(run="./serve", http={"port": 8080}, health={"liveness": {"http": "/live"}})
    assert made.liveness == Probe(kind=ProbeKind.HTTP, port=8080, path="/live", interval_seconds=10.0)
    assert made.readiness is None
    assert made.readiness_probe is not None
    assert (made.readiness_probe.kind, made.readiness_probe.port) == (ProbeKind.TCP, 8080)


def test_a_readiness_probe_replaces_the_implied_one() -> None:
    """What the author asks for counts instead of the web server's health path."""
    made = release(run="./serve", http={"port": 8080, "health": "/health"}, health={"readiness": {"script": "./check"}})
    assert made.readiness_probe is not None
    assert made.readiness_probe.kind is ProbeKind.SCRIPT


def test_says_when_it_may_sleep() -> None:
    """The idle time is the author's to choose."""
    assert release(idleTimeoutSeconds=90).idle_timeout_seconds == 90.0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"health": {"readiness": {}}}, "health.readiness"),
        ({"health": {"readiness": {"tcp": 1, "http": "/"}}}, "exactly one of"),
        ({"health": {"liveness": {"http": "/up"}}}, "no port"),
        ({"health": {"liveness": {"http": "up", "port": 1}}}, "health.liveness.http"),
        ({"health": {"liveness": {"tcp": 70_000}}}, "health.liveness.tcp"),
        ({"health": {"liveness": {"script": ""}}}, "health.liveness.script"),
        ({"health": {"liveness": {"script": "a", "interval": 0}}}, "health.liveness.interval"),
        ({"health": {"liveness": {"script": "a", "failureThreshold": 0}}}, "failureThreshold"),
        ({"health": []}, "health"),
        ({"health": {"readiness": 5}}, "health.readiness"),
        ({"idleTimeoutSeconds": 0}, "idleTimeoutSeconds"),
    ],
)
def test_refuses_what_cannot_be_asked(fields: dict[str, Any], words: str) -> None:
    """A probe that asks nothing, or two things, or nobody, is refused with its name."""
    with pytest.raises(ManifestInvalid, match=words):
        release(**fields)


def test_warns_of_unknown_words() -> None:
    """A misspelt field of a probe is told, at its place."""
    made = release(health={"readiness": {"tcp": 1, "failureTreshold": 2}, "startup": {"tcp": 1}})
    assert made.warnings == (
        "manifest.json: `health.startup` is unknown",
        "manifest.json: `health.readiness.failureTreshold` is unknown",
    )
