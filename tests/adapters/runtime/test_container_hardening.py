"""What a container may do, asked from inside a real one."""

import json
import os

import pytest

from ploinky.domain.errors import ImageUnavailable, RuntimeRefused
from tests.contracts.runtime_harness import NOBODY, Bench, Exits, Says, Sleeps, eventually

TRIES_TO_WRITE = """
import json, os
def tries(path):
    try:
        open(path, "w").close()
        return "written"
    except OSError as error:
        return os.strerror(error.errno)
print(json.dumps({path: tries(path) for path in %r}))
"""


@pytest.fixture
def bench(engine_bench: Bench) -> Bench:
    return engine_bench


def tries_to_write(bench: Bench, *paths: str) -> dict[str, str]:
    answer: dict[str, str] = json.loads(bench.output_of("writes", TRIES_TO_WRITE % (paths,)))
    return answer


def test_has_no_privileges(bench: Bench) -> None:
    """The agent is nobody, without any capability, and can gain none."""
    output = bench.output_of("status", "print(open('/proc/self/status').read())")
    status = dict(line.split(":\t", 1) for line in output.splitlines() if ":\t" in line)
    expected = str(NOBODY if os.getuid() == 0 else os.getuid())
    assert status["Uid"].split() == [expected] * 4
    assert status["Gid"].split()[0] == (expected if os.getuid() == 0 else str(os.getgid()))
    for kind in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
        assert int(status[kind], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_runs_as_the_servers_user_when_none_is_asked_for(bench: Bench) -> None:
    """Without a user of its own the agent has the server's number."""
    output = bench.output_of("whoami", "import os; print(os.getuid(), os.getgid())", user_id=None)
    assert output.split() == [str(os.getuid()), str(os.getgid())]


def test_writes_its_own_code_its_results_and_temporary_files(bench: Bench) -> None:
    """The three places where an agent may write are writable, and land in the instance's folders."""
    assert set(tries_to_write(bench, "/agent/x", "/agent/.ploinky/queue/x", "/tmp/x").values()) == {"written"}
    assert (bench.folder / "code" / "x").exists()
    assert (bench.folder / "queue" / "x").exists()


def test_writes_nothing_else(bench: Bench) -> None:
    """The system, the runner, the tasks and the cancellations cannot be changed."""
    read_only = (
        "/x",
        "/usr/bin/x",
        "/etc/passwd",
        "/agentCore/x",
        "/agent/.ploinky/queue/tasks/x",
        "/agent/.ploinky/queue/cancel/x",
    )
    os.chmod(bench.folder / "agentcore", 0o777)
    os.chmod(bench.folder / "queue" / "tasks", 0o777)
    os.chmod(bench.folder / "queue" / "cancel", 0o777)
    assert tries_to_write(bench, *read_only) == dict.fromkeys(read_only, "Read-only file system")


def test_sees_what_the_server_puts_into_the_queue(bench: Bench) -> None:
    """A task that the server renames into place appears inside while the agent runs."""
    source = (
        "import os, time\nwhile not os.path.exists('/agent/.ploinky/queue/tasks/t.1'): time.sleep(0.02)\nprint('seen')"
    )
    name = bench.run("queue", Says(source))
    tasks = bench.folder / "queue" / "tasks"
    (tasks / ".t").write_text("{}")
    (tasks / ".t").rename(tasks / "t.1")
    assert bench.await_exit(name).exit_code == 0


def test_finds_its_folders_by_the_environment(bench: Bench) -> None:
    """The fixed variables name the places inside, whatever a deployment sets; its other variables are there."""
    output = bench.output_of(
        "env",
        "import os, json; print(json.dumps([os.environ[n] for n in ('AGENT_DIR', 'PLOINKY_QUEUE_DIR', 'PYTHONPATH')]"
        " + [os.getcwd(), os.environ['OWN']]))",
        environment={"AGENT_DIR": "/elsewhere", "OWN": "a=b c"},
    )
    assert json.loads(output) == ["/agent", "/agent/.ploinky/queue", "/agentCore", "/agent", "a=b c"]


def test_imports_the_runner_from_its_folder(bench: Bench) -> None:
    """What lies in the runner's folder can be run as a module."""
    (bench.folder / "agentcore" / "probe.py").write_text("print('the right one')")
    assert bench.output_of("module", "", command=("python3", "-m", "probe")) == "the right one\n"


def test_has_no_network_when_none_is_given(bench: Bench) -> None:
    """Only the loopback interface exists."""
    output = bench.output_of("isolated", "import socket; print([name for _, name in socket.if_nameindex()])")
    assert output.strip() == "['lo']"


def test_has_an_interface_when_network_is_given(bench: Bench) -> None:
    """Outbound network is there when it was asked for, and no port is published."""
    source = "import socket; print([name for _, name in socket.if_nameindex()])"
    assert "eth0" in bench.output_of("online", source, has_network=True)


def test_bounds_memory_and_tells_when_it_was_exceeded(bench: Bench) -> None:
    """What takes more memory than its limit is killed, and the look says why."""
    name = bench.run("greedy", Says("x = bytearray(1 << 30); print(len(x))"), memory_bytes=48 * 1024 * 1024)
    ended = bench.await_exit(name)
    assert ended.is_out_of_memory is (True if bench.runtime.kind == "docker" else None)
    assert ended.exit_code == 137


def test_bounds_the_number_of_processes(bench: Bench) -> None:
    """A fork bomb ends at its limit."""
    source = """
import os, signal
made = []
try:
    while len(made) < 100: made.append(os.fork() or signal.pause())
except OSError as error:
    print("refused after", len(made))
for pid in made: os.kill(pid, 9)
"""
    refused = bench.output_of("forks", source, pids=20)
    assert refused.startswith("refused after")
    assert int(refused.split()[-1]) < 20


def test_bounds_temporary_files(bench: Bench) -> None:
    """The temporary folder takes 64 MiB and not more."""
    source = """
try:
    with open("/tmp/x", "wb") as file:
        for _ in range(80): file.write(bytes(1 << 20))
    print("all written")
except OSError as error:
    print(error.strerror)
"""
    assert bench.output_of("fills", source).strip() == "No space left on device"


def test_ends_at_once_when_the_program_is_missing(bench: Bench) -> None:
    """The first process inside finds out: the exit code and the log tell."""
    name = bench.run("nothing", Exits(0), command=("no-such-program",))
    assert bench.await_exit(name).exit_code == (127 if bench.runtime.kind == "docker" else 1)
    assert b"no" in bench.runtime.logs(name, 10).lower()


def test_refuses_a_folder_that_does_not_exist(bench: Bench) -> None:
    """A missing folder is refused at creation, not made by the engine as root."""
    with pytest.raises(RuntimeRefused, match="missing"):
        bench.create("homeless", Exits(0), code_directory=str(bench.folder / "missing"))
    assert not (bench.folder / "missing").exists()


def test_names_an_image_that_is_not_there(bench: Bench) -> None:
    """An image that vanished since it was resolved is named as the reason."""
    with pytest.raises(ImageUnavailable):
        bench.create("imageless", Exits(0), image="ploinky/no-such-image:1")


def test_touches_no_container_that_is_not_ours(bench: Bench) -> None:
    """A stranger that has the name already is neither shown, stopped, removed nor adopted."""
    engine = bench.runtime._connections.separate()  # type: ignore[attr-defined]  # the library's own client
    name = bench.name("stranger")
    stranger = engine.create_container(bench.image, ["python3"], name=name, labels={"ploinky.spec-digest": "digest-1"})
    try:
        with pytest.raises(RuntimeRefused, match="not ours"):
            bench.create("stranger", Sleeps())
        assert bench.runtime.inspect(name) is None
        assert bench.runtime.stop(name, 0) is None
        assert bench.runtime.logs(name, 10) == b""
        bench.runtime.remove(name)
        assert bench.runtime.inspect(stranger["Id"][:12]) is None
        assert engine.inspect_container(name)["Id"] == stranger["Id"]
    finally:
        engine.remove_container(stranger["Id"])
        engine.close()


def test_survives_its_clients_end(bench: Bench) -> None:
    """A runtime that is closed leaves its containers; another one finds them running."""
    first = type(bench.runtime)()
    own = Bench(first, bench.folder, bench.journal_id, bench.image)
    name = own.run("stays", Sleeps())
    first.close()
    eventually(lambda: bench.runtime.logs(name, 10) == b"up\n", "it runs")
    bench.runtime.start(name)
    assert [look.name for look in bench.runtime.list(bench.journal_id)] == [name]
