"""Where an agent that runs as a process finds what: in its sandbox as in a container, else where it really lies."""

from pathlib import Path

from ploinky.adapters.docker_runtime_places import own_environment, working_directory
from ploinky.adapters.process_runtime_confinement import AgentPython
from ploinky.domain.dependencies import InstallPlace, installer_variables, search_paths
from ploinky.ports.runtime import InstanceSpec

inner_directory = working_directory
"""Where the command begins in a sandbox."""


def outer_directory(spec: InstanceSpec) -> str:
    """Return where the command begins, as a folder of this machine."""
    is_filling = spec.install_place is InstallPlace.DEPENDENCIES
    return spec.dependencies_directory if is_filling else spec.code_directory


def inner_environment(spec: InstanceSpec, python: AgentPython, path: str) -> dict[str, str]:
    """Return the variables that say where everything is in a sandbox; `path` is that of programs."""
    return _with_pip(own_environment(spec, path), spec, python)


def outer_environment(spec: InstanceSpec, python: AgentPython, path: str) -> dict[str, str]:
    """Return the variables that say where everything is on this machine; `path` is that of programs."""
    found = search_paths(spec.dependencies_directory) if spec.dependencies_directory else {}
    environment = {"AGENT_DIR": spec.code_directory}
    if spec.install_place is None:
        environment["PLOINKY_QUEUE_DIR"] = spec.queue_directory
        found["PYTHONPATH"] = [spec.agentcore_directory, *found.get("PYTHONPATH", [])]
    else:
        environment |= installer_variables(spec.dependencies_directory)
    if "PATH" in found:
        found["PATH"] = [*found["PATH"], path]
        environment["PLOINKY_DEPENDENCIES_DIR"] = spec.dependencies_directory
    joined = {name: ":".join(places) for name, places in found.items()}
    return _with_pip({**environment, **joined}, spec, python)


def _with_pip(environment: dict[str, str], spec: InstanceSpec, python: AgentPython) -> dict[str, str]:
    """Let installations use the pip that Python itself brings along: nothing else need have one."""
    if spec.install_place is None:
        return environment
    major, minor = python.version[:2]
    bundled = Path(python.prefix, "lib", f"python{major}.{minor}", "ensurepip", "_bundled")
    found = [str(wheel) for place in (bundled, Path("/usr/share/python-wheels")) for wheel in _newest_pip(place)]
    return {**environment, "PYTHONPATH": ":".join([environment.get("PYTHONPATH", ""), *found[:1]]).strip(":")}


def _newest_pip(place: Path) -> list[Path]:
    return sorted(place.glob("pip-*.whl"))[-1:]
