"""Decide what happens to a test whose engine or program is missing, and keep runs repeatable."""

import functools
import gc
import os
import shutil
import subprocess
import warnings

import pytest
from hypothesis import HealthCheck, settings

# In a run with several processes only the plugins of this file see the reports of all of them.
pytest_plugins = ["tests.crash.kill_table", "tests.server.served"]

ENGINE_PROBE_TIMEOUT_SECONDS = 10

# Shared machines stall for seconds, so hypothesis measures no time; CI repeats the same examples in every run.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")


def why_docker_is_missing() -> str | None:
    import docker

    try:
        client = docker.from_env(timeout=ENGINE_PROBE_TIMEOUT_SECONDS)
        try:
            client.ping()
        finally:
            client.close()
    except docker.errors.DockerException as error:
        return f"no Docker engine answers: {error}"
    finally:
        # The library leaves a socket behind that could not be connected: collected here, it is no test's warning.
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            gc.collect()
    return None


def why_podman_is_missing() -> str | None:
    """Say why no Podman service can run a container: asked with the smallest one there is."""
    from ploinky.adapters.docker_runtime import PodmanRuntime

    runtime = PodmanRuntime()
    try:
        return runtime.check().reason or None
    finally:
        runtime.close()


def why_redis_is_missing() -> str | None:
    return None if shutil.which("redis-server") else "redis-server is not installed"


def why_strace_is_missing() -> str | None:
    if not shutil.which("strace"):
        return "strace is not installed"
    trial = subprocess.run(
        ["strace", "-o", os.devnull, "true"],
        check=False,
        capture_output=True,
        text=True,
        timeout=ENGINE_PROBE_TIMEOUT_SECONDS,
    )
    return None if trial.returncode == 0 else f"strace may not trace here: {trial.stderr.strip()}"


def why_sshd_is_missing() -> str | None:
    found = [shutil.which("sshd", path="/usr/sbin:/usr/local/sbin"), shutil.which("ssh"), shutil.which("ssh-keygen")]
    return None if all(found) else "OpenSSH's server and client are not installed"


def why_bubblewrap_is_missing() -> str | None:
    from ploinky.adapters.process_runtime_confinement import find_confinement

    return find_confinement().why_no_sandbox or None


def why_registry_is_missing() -> str | None:
    return None if shutil.which("docker-registry") else "docker-registry is not installed"


PROBES = {
    "bubblewrap": why_bubblewrap_is_missing,
    "docker": why_docker_is_missing,
    "podman": why_podman_is_missing,
    "redis": why_redis_is_missing,
    "registry": why_registry_is_missing,
    "sshd": why_sshd_is_missing,
    "strace": why_strace_is_missing,
}


@functools.cache
def why_missing(engine: str) -> str | None:
    return PROBES[engine]()


def required_engines() -> frozenset[str]:
    """Name the engines whose absence is a failure: `REQUIRE_ENGINES=docker,redis`.

    **Raises** `pytest.UsageError` for a name that nothing probes, which would otherwise require nothing.
    """
    names = {name.strip() for name in os.environ.get("REQUIRE_ENGINES", "").split(",")} - {""}
    if unknown := names - PROBES.keys():
        message = f"REQUIRE_ENGINES names {', '.join(sorted(unknown))}; known are {', '.join(sorted(PROBES))}"
        raise pytest.UsageError(message)
    return frozenset(names)


def pytest_configure(config: pytest.Config) -> None:
    required_engines()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for engine in PROBES:
        if item.get_closest_marker(engine) is None:
            continue
        reason = why_missing(engine)
        if reason is None:
            continue
        if engine in required_engines():
            pytest.fail(f"{reason} (required by REQUIRE_ENGINES)", pytrace=False)
        pytest.skip(reason)
