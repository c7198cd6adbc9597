"""Tests of what can be configured, and of the order in which it is read."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ploinky.domain.errors import ConfigurationInvalid
from ploinky.domain.settings import SETTINGS
from ploinky.server.config import Configuration, Loaded, allowed_values, choose_queue_directory, load_configuration
from ploinky.server.config_layers import variable_name


class Machine:
    """A system folder, a home and a working directory of a test's own."""

    default: str | None = None

    def __init__(self, root: Path) -> None:
        self.system_file = root / "etc" / "config.json"
        self.home = root / "home"
        self.work = root / "work"
        self.home_file = self.home / ".ploinky" / "config.json"
        self.work_file = self.work / ".ploinky" / "config.json"
        for path in (self.system_file, self.home_file, self.work_file):
            path.parent.mkdir(parents=True)

    def load(self, overrides: Mapping[str, object] | None = None, /, **environ: str) -> Loaded:
        return load_configuration(
            overrides or {},
            default_data_directory=self.default,
            environ=environ,
            working_directory=self.work,
            home=self.home,
            system_file=self.system_file,
        )

    def refusal(self, overrides: Mapping[str, object] | None = None, /, **environ: str) -> ConfigurationInvalid:
        with pytest.raises(ConfigurationInvalid) as caught:
            self.load(overrides, **environ)
        return caught.value


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_needs_no_file(machine: Machine) -> None:
    """Without anything given the defaults are used, and say that they are defaults."""
    configuration, origins = machine.load()
    assert (configuration.host, configuration.port, configuration.management_port) == ("127.0.0.1", 8000, 8001)
    assert (configuration.task_timeout, configuration.max_containers) == (300.0, 100)
    assert (configuration.container_runtime, configuration.agent_image) == ("auto", "python:3-slim")
    assert configuration.data_directory == str(machine.home / ".ploinky" / "data")
    assert configuration.queue_directory is None
    assert set(origins) == set(Configuration.__struct_encode_fields__)
    assert set(origins.values()) == {"default"}


def test_later_layers_win(machine: Machine) -> None:
    """Each layer overrides the ones before it, and each value knows its own."""
    names = ["maxContainers", "lastLogsLines", "taskTimeout", "syncWaitSeconds", "port"]
    for number, path in enumerate((machine.system_file, machine.home_file, machine.work_file)):
        path.write_text(json.dumps(dict.fromkeys(names[number:], 10 + number)))
    configuration, origins = machine.load({"port": 14}, PLOINKY_SYNC_WAIT_SECONDS="13", PLOINKY_PORT="13")
    assert [configuration.max_containers, configuration.last_logs_lines] == [10, 11]
    assert [configuration.task_timeout, configuration.sync_wait_seconds, configuration.port] == [12, 13, 14]
    assert [origins[name] for name in names] == [
        str(machine.system_file),
        str(machine.home_file),
        str(machine.work_file),
        "PLOINKY_SYNC_WAIT_SECONDS",
        "option",
    ]


@pytest.mark.parametrize(
    ("variable", "text", "attribute", "value"),
    [
        ("PLOINKY_PORT", "0", "port", 0),
        ("PLOINKY_TASK_TIMEOUT", "0.5", "task_timeout", 0.5),
        ("PLOINKY_AGENT_START_TIMEOUT_MS", "1500", "agent_start_timeout_ms", 1500),
        ("PLOINKY_STOP_AGENTS_ON_EXIT", "false", "stop_agents_on_exit", False),
        ("PLOINKY_STOP_AGENTS_ON_EXIT", "1", "stop_agents_on_exit", True),
        ("PLOINKY_LOG_LEVEL", "debug", "log_level", "debug"),
        ("PLOINKY_HOST", "::1", "host", "::1"),
        ("CONTAINER_RUNTIME", "process", "container_runtime", "process"),
    ],
)
def test_reads_the_environment(machine: Machine, variable: str, text: str, attribute: str, value: object) -> None:
    """A variable's text becomes the value of its type."""
    loaded = machine.load(**{variable: text})
    assert getattr(loaded.configuration, attribute) == value
    assert variable in loaded.origins.values()


def test_our_own_variable_wins_over_the_common_one(machine: Machine) -> None:
    """`PLOINKY_CONTAINER_RUNTIME` is meant for this server, `CONTAINER_RUNTIME` for many programs."""
    loaded = machine.load(CONTAINER_RUNTIME="docker", PLOINKY_CONTAINER_RUNTIME="process")
    assert loaded.configuration.container_runtime == "process"


def test_ignores_variables_that_are_no_configuration(machine: Machine) -> None:
    """What the command line, tests and agents use is no configuration, nor is an empty variable."""
    names = "URL KEY PROFILE FAILPOINTS FAILPOINTS_LOG FAILPOINTS_ARMED"
    of_agents = "AGENT DOMAIN PATH QUEUE_DIR CONCURRENCY DRAIN_SECONDS"
    given = {f"PLOINKY_{name}": "anything" for name in f"{names} {of_agents}".split()}
    assert machine.load(**given, PLOINKY_PORT="", PORT="1", WORKERS="9") == machine.load()


def test_takes_options_in_both_spellings(machine: Machine) -> None:
    """Options are given as attributes or as keys; None is an option that was not given."""
    loaded = machine.load({"max_containers": 5, "lastLogsLines": 6, "host": None})
    assert (loaded.configuration.max_containers, loaded.configuration.last_logs_lines) == (5, 6)
    assert (loaded.origins["maxContainers"], loaded.origins["host"]) == ("option", "default")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("port", value) for value in (-1, 65536, 1.5, "8000", True, None, [8000], {"a": 1})],
        *[("taskTimeout", value) for value in (0, 86_401, "fast", True)],
        *[("logLevel", value) for value in ("trace", "INFO", 1)],
        *[("containerRuntime", value) for value in ("lxc", "memory", "")],
        *[("agentImage", value) for value in ("", "a b", "-x", "x\n")],
        *[
            ("networkPool", value)
            for value in ("", "10.0.0.0", "10.0.0.0/25", "10.0.0.1/16", "8.0.0.0/16", "fd00::/8", 5)
        ],
        *[("host", value) for value in ("", "a b", "http://x", "x\n")],
        *[("dataDirectory", value) for value in ("", "/", "~other/x", "a\0b", "a\nb", "x" * 1025, None)],
        *[("stopAgentsOnExit", value) for value in (1, "yes")],
        *[("allowedMounts", value) for value in ("/srv", [""], [1], ["x"] * 101)],
        ("queueDirectory", 5),
        ("maxContainers", 0),
    ],
)
def test_refuses_a_value_that_does_not_fit(machine: Machine, key: str, value: object) -> None:
    """The refusal names key, value and file, and says what is allowed."""
    machine.home_file.write_text(json.dumps({key: value}))
    error = machine.refusal()
    assert error.message.startswith(f"{key} cannot be ")
    assert str(machine.home_file) in error.message
    assert json.dumps(value)[:20] in error.message
    assert error.advice.startswith(f"{key} is ")
    assert len(error.message) < 400


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "nan", "1e99", "[", '"8000"', "9" * 5000, "\u0661"])
def test_refuses_a_variable_that_is_no_number(machine: Machine, text: str) -> None:
    """The refusal names the variable, whatever stands in it."""
    error = machine.refusal(PLOINKY_PORT=text)
    assert "port cannot be" in error.message
    assert "PLOINKY_PORT" in error.message
    assert "from 0 to 65535" in error.advice


def test_a_value_that_is_overridden_is_not_looked_at(machine: Machine) -> None:
    """Only what is used has to be right, so that an option gets a server going."""
    machine.work_file.write_text('{"port": "wrong"}')
    assert machine.load({"port": 1}).configuration.port == 1


@pytest.mark.parametrize("key", ["prot", "Port", "PORT", "max_containers", "workers", "cacheTimes", "", "\u00e9"])
def test_refuses_an_unknown_key(machine: Machine, key: str) -> None:
    """A key nobody knows is an error with key, value and file: a typo must not be ignored."""
    machine.work_file.write_text(json.dumps({key: 4711}))
    error = machine.refusal()
    assert json.dumps(key) in error.message
    assert "4711" in error.message
    assert str(machine.work_file) in error.message


@pytest.mark.parametrize(
    ("key", "meant"),
    [("prot", "port"), ("PORT", "port"), ("max_containers", "maxContainers"), ("tasktimeout", "taskTimeout")],
)
def test_names_the_nearest_known_key(machine: Machine, key: str, meant: str) -> None:
    """The hint says what was probably meant."""
    machine.system_file.write_text(json.dumps({key: 1}))
    assert machine.refusal().advice == f"Did you mean {meant}?"


def test_refuses_an_unknown_variable_without_showing_it(machine: Machine) -> None:
    """A mistyped variable is named with the nearest known one, its value is not: it may be a key."""
    error = machine.refusal(PLOINKY_MAX_CONTAINER="plk_secret")
    assert "PLOINKY_MAX_CONTAINER" in error.message
    assert error.advice == "Did you mean PLOINKY_MAX_CONTAINERS?"
    assert "plk_secret" not in f"{error.message}{error.advice}{error.details}"


@pytest.mark.parametrize("name", ["PLOINKY_", "PLOINKY__PORT", "PLOINKY_PORT__", "PLOINKY_HOST__NAME", "PLOINKY____"])
def test_refuses_variables_that_lead_nowhere(machine: Machine, name: str) -> None:
    """Names that nest where nothing nests are refused, not read as something else."""
    assert name in machine.refusal(**{name: "x"}).message


def test_refuses_equal_ports(machine: Machine) -> None:
    """Two fronts cannot share a port; both origins are named."""
    machine.home_file.write_text('{"port": 9000}')
    error = machine.refusal(PLOINKY_MANAGEMENT_PORT="9000")
    assert "9000" in error.message
    assert str(machine.home_file) in error.message
    assert "PLOINKY_MANAGEMENT_PORT" in error.message


def test_allows_both_ports_to_be_any(machine: Machine) -> None:
    """0 means any free one, so twice 0 is two ports."""
    configuration = machine.load({"port": 0, "managementPort": 0}).configuration
    assert (configuration.port, configuration.management_port) == (0, 0)


@pytest.mark.parametrize(
    ("text", "place"),
    [("data", "work/data"), ("./a/../b/", "work/b"), ("~", "home"), ("~/x", "home/x"), ("a~", "work/a~")],
)
def test_makes_directories_absolute(machine: Machine, tmp_path: Path, text: str, place: str) -> None:
    """Folders count from the working directory, and ~ is the home."""
    configuration = machine.load({"dataDirectory": text, "queueDirectory": text}).configuration
    assert configuration.data_directory == configuration.queue_directory == str(tmp_path / place)


def test_a_callers_default_is_below_every_layer(machine: Machine, tmp_path: Path) -> None:
    """Who starts the server from a checkout gets its folder, unless any layer names one."""
    own = machine.default = str(tmp_path / "own")
    assert machine.load().configuration.data_directory == own
    assert machine.load().origins["dataDirectory"] == "default"
    machine.system_file.write_text('{"dataDirectory": "/srv/ploinky"}')
    assert machine.load().configuration.data_directory == "/srv/ploinky"


def test_finds_the_home_by_its_variable(machine: Machine) -> None:
    """Without being told, the home is where HOME says."""
    loaded = load_configuration(
        {}, environ={"HOME": str(machine.home)}, working_directory=machine.work, system_file=machine.system_file
    )
    assert loaded.configuration.data_directory == str(machine.home / ".ploinky" / "data")


def test_asks_for_a_directory_where_there_is_no_home(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home, as in some containers, is told which variable helps, and ~ has no meaning."""

    def refuse() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", refuse)

    def load(**environ: str) -> Configuration:
        return load_configuration(
            {}, environ=environ, working_directory=machine.work, system_file=machine.system_file
        ).configuration

    with pytest.raises(ConfigurationInvalid) as caught:
        load()
    assert "PLOINKY_DATA_DIRECTORY" in caught.value.advice
    with pytest.raises(ConfigurationInvalid, match="dataDirectory cannot be"):
        load(PLOINKY_DATA_DIRECTORY="~/data")
    assert load(PLOINKY_DATA_DIRECTORY="/srv/data").data_directory == "/srv/data"


def test_says_when_the_working_directory_is_gone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell may stand in a removed folder: that is said, not raised from inside."""
    gone = machine.work / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigurationInvalid, match="removed"):
        load_configuration({}, environ={}, home=machine.home, system_file=machine.system_file)
    monkeypatch.chdir(machine.work)


def test_says_of_every_key_what_is_allowed() -> None:
    """No key is refused without a word on what it may be, and settings have the same bounds as here."""
    words = allowed_values()
    assert set(words) == set(Configuration.__struct_encode_fields__)
    assert all(words.values())
    assert set(SETTINGS) <= set(words)
    for name, bounds in SETTINGS.items():
        assert f"from {bounds.least:g} to {bounds.most:g}" in words[name]


def test_every_key_has_a_variable_of_its_own(machine: Machine) -> None:
    """Written as a variable and read again, each key reaches itself."""
    good: dict[str, Any] = {"host": "h", "logLevel": "error", "containerRuntime": "docker", "agentImage": "i"}
    good |= {"dataDirectory": "/d", "queueDirectory": "/q", "stopAgentsOnExit": "false", "managementPort": "8002"}
    good |= {"logFileBytes": "100000", "logFiles": "3", "logGenerations": "5"}
    good |= {"allowLocalRepositories": "false", "submoduleHosts": '["h"]', "sshKnownHostsFile": "/k"}
    good["networkPool"] = "10.0.0.0/8"
    good |= {"trustedSources": '["/srv/agents"]'}
    good |= {f"allowed{what}": '["x"]' for what in ("Mounts", "Devices", "Networks", "Privileged")}
    given = {variable_name(key): good.get(key, "2000") for key in Configuration.__struct_encode_fields__}
    given["PLOINKY_SYNC_WAIT_SECONDS"] = "20"
    origins = machine.load(**given).origins
    assert origins == {key: variable_name(key) for key in Configuration.__struct_encode_fields__}


def test_puts_queues_where_it_is_told(machine: Machine, tmp_path: Path) -> None:
    """A configured folder is used and made, and what is there already keeps its mode."""
    queues = tmp_path / "deep" / "queues"
    configuration = machine.load({"queueDirectory": str(queues)}).configuration
    assert choose_queue_directory(configuration) == queues
    queues.chmod(0o750)
    assert choose_queue_directory(configuration) == queues
    assert queues.stat().st_mode & 0o777 == 0o750


def test_puts_queues_beside_the_journal_without_memory(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no memory is to be had, the data directory, made for its owner alone, holds the queues."""
    monkeypatch.setattr("ploinky.server.config.memory_place", lambda _: None)
    configuration = machine.load({"dataDirectory": "data"}).configuration
    assert choose_queue_directory(configuration) == machine.work / "data" / "queues"
    assert (machine.work / "data").stat().st_mode & 0o777 == 0o700


def test_prefers_memory_for_queues(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is memory, it is asked for by data directory."""
    monkeypatch.setattr("ploinky.server.config.memory_place", lambda data: tmp_path / Path(data).name)
    assert choose_queue_directory(machine.load({"dataDirectory": "data"}).configuration) == tmp_path / "data"


def test_says_when_no_queues_can_be_made(machine: Machine, tmp_path: Path) -> None:
    """A file in the way is named, with the key that leads elsewhere."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "queues"):
        configuration = machine.load({"queueDirectory": str(place)}).configuration
        with pytest.raises(ConfigurationInvalid) as caught:
            choose_queue_directory(configuration)
        assert str(place) in caught.value.message
        assert "queueDirectory" in caught.value.advice


def test_is_cheap_to_import() -> None:
    """Showing the configuration starts neither a web framework nor a database."""
    probe = "import sys, ploinky.server.config; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    assert not {"litestar", "sqlalchemy", "uvicorn", "pydantic", "docker", "asyncio"} & set(run.stdout.split())
