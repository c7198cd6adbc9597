"""Start one agent, wait for its end and write down how it ended: the parent that outlives the server.

Run with `-I -S` by the process runtime, so it uses the standard library only and imports nothing of ours.
It records itself before the agent exists: whoever finds the folder finds the process, however the server ended.

**Files** in the instance's folder: `launch.json` (what to run; read once, then removed, for it holds secrets),
`process.json` (who runs it; made with `link`, so that exactly one shim ever wins), `exit.json` (how it ended).
**Signals**: SIGTERM is passed on to the agent; SIGUSR1 kills the agent and everything it started.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

LAUNCH_FILE = "launch.json"
PROCESS_FILE = "process.json"
EXIT_FILE = "exit.json"

STARTED = "started"
TAKEN = "taken"
REFUSED = "refused: "

EXIT_NOT_EXECUTABLE = 127
SIGNAL_EXIT_OFFSET = 128
FAILURE_TEXT_BYTES = 4096

RUNS = b"+"
"""What the entry script reports once nothing but the agent's program itself can hinder the agent."""
REPORT_DESCRIPTOR = 3
INFO_DESCRIPTOR = 4
"""Where the sandbox says which process is its first."""
FIRST_HIGH_DESCRIPTOR = 10

GROUP_PROCESSES_FILE = "cgroup.procs"
GROUP_REMOVALS = 50
GROUP_REMOVAL_PAUSE_SECONDS = 0.02

# From the kernel's include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_ORDERS = (signal.SIGTERM, signal.SIGUSR1)


StartLog = Callable[[str, int, int], Callable[[], None]]


class ProcessStat(NamedTuple):
    """What the kernel says of one process."""

    state: str
    """One letter; `Z` is a zombie."""
    parent_pid: int
    session_id: int
    start_ticks: int
    """Since boot. With the boot id it tells a process from a later one that got the same number."""


def boot_id() -> str:
    """Return the identity of this run of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def read_stat(pid: int) -> ProcessStat | None:
    """Look one process up; None when there is none. **Source**: proc(5), `/proc/pid/stat`."""
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold spaces and brackets: fields are counted from the last bracket.
    fields = content[content.rindex(b")") + 2 :].split()
    return ProcessStat(fields[0].decode("ascii"), int(fields[1]), int(fields[3]), int(fields[19]))


def all_pids() -> list[int]:
    """List the numbers of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def write_atomically(path: Path, document: dict[str, Any]) -> None:
    """Write a document under another name, then rename it; readable for the owner only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document), "utf-8")
    temporary.rename(path)


def claim(folder: Path) -> bool:
    """Record this process as the one that runs the instance; False when another one is."""
    stat = read_stat(os.getpid())
    temporary = folder / f".{PROCESS_FILE}.{os.getpid()}"
    identity = {"pid": os.getpid(), "start_ticks": stat.start_ticks if stat else 0, "boot_id": boot_id()}
    temporary.write_text(json.dumps(identity), "utf-8")
    try:
        os.link(temporary, folder / PROCESS_FILE)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def become_agent(launch: dict[str, Any], pipes: "Pipes", shim_pid: int) -> NoReturn:
    """Turn the forked child into the sandbox, or the last step before the agent; what hinders that is reported."""
    try:
        os.setpgid(0, 0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != shim_pid:
            os._exit(EXIT_NOT_EXECUTABLE)  # the shim died before the line above could tie us to it
        for group in launch["groups"]:
            Path(group, GROUP_PROCESSES_FILE).write_text("0")
        os.dup2(2, 1)
        pipes.place()
        for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored_by_python, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(launch["command"][0], launch["command"], launch["environment"])  # noqa: S606 - no shell is the point
    except BaseException as error:  # noqa: BLE001 - a forked child may not unwind into its parent's code
        os.write(pipes.report, str(error).encode("utf-8", "replace")[:FAILURE_TEXT_BYTES])
    os._exit(EXIT_NOT_EXECUTABLE)


class Pipes(NamedTuple):
    """What the child gets besides the log, opened beyond the numbers it gets them under."""

    order: int
    report: int
    info: int

    def place(self) -> None:
        """Give each its number: standard input, and the two that the last step and the sandbox know."""
        for descriptor, number in zip(self, (0, REPORT_DESCRIPTOR, INFO_DESCRIPTOR), strict=True):
            os.dup2(descriptor, number)


class Started(NamedTuple):
    """A child, and what is known of it once the agent runs or does not."""

    pid: int
    is_running: bool
    failure: str
    """What hindered the agent from running, where somebody was left to say it."""
    agent: int | None
    """A descriptor of the agent itself where the child is a sandbox around it; None when it has ended already."""


def spawn(launch: dict[str, Any]) -> Started:
    """Fork the child and wait until the agent runs, or does not."""
    shim_pid = os.getpid()
    if not launch["is_sandboxed"]:
        launch["order"]["parent_pid"] = shim_pid
    report, reporting = _high_pipe()
    info, informing = _high_pipe()
    order = _high(os.memfd_create("order"))
    os.write(order, json.dumps(launch["order"]).encode())
    os.lseek(order, 0, os.SEEK_SET)
    pid = os.fork()
    if pid == 0:
        become_agent(launch, Pipes(order, reporting, informing), shim_pid)
    for descriptor in (order, reporting, informing):
        os.close(descriptor)
    with os.fdopen(report, "rb") as reported, os.fdopen(info, "rb") as informed:
        said = reported.read(FAILURE_TEXT_BYTES)
        first = _first_of_sandbox(informed.read(FAILURE_TEXT_BYTES)) if launch["is_sandboxed"] else None
    if said == RUNS:
        return Started(pid, is_running=True, failure="", agent=_open_agent(first))
    failure = said.removeprefix(RUNS).decode("utf-8", "replace")
    return Started(pid, is_running=False, failure=failure, agent=None)


def _first_of_sandbox(info: bytes) -> int | None:
    try:
        return int(json.loads(info)["child-pid"])
    except (ValueError, KeyError):
        return None


def _open_agent(first: int | None) -> int | None:
    """Open the agent: the second process of its namespace, started by the first, which is the sandbox's own."""
    for pid in all_pids() if first is not None else ():
        stat = read_stat(pid)
        if stat is None or stat.parent_pid != first:
            continue
        with contextlib.suppress(OSError):  # it has ended
            descriptor = os.pidfd_open(pid)
            if Path(f"/proc/{pid}/status").read_text().partition("NSpid:")[2].splitlines()[0].split()[-1] == "2":
                return descriptor
            os.close(descriptor)
    return None


def _last_words(path: Path, start: int) -> str:
    """Return the end of what the child wrote into the log before the agent was there to write anything."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as log:
            log.seek(start)
            lines = log.read(FAILURE_TEXT_BYTES).decode("utf-8", "replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it ended before the agent could run")


def _high(descriptor: int) -> int:
    """Move a descriptor out of the way of the numbers that the child gives out."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_HIGH_DESCRIPTOR)
    os.close(descriptor)
    return moved


def _high_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    return _high(reading), _high(writing)


def await_end(started: Started, *, is_sandboxed: bool) -> int:
    """Wait for the agent, obeying the orders; return its exit code as shells count it: 128 + signal.

    SIGTERM goes to the agent itself: a sandbox would not pass it on, but end at once.
    """
    child = os.pidfd_open(started.pid)
    agent = started.agent if is_sandboxed else child

    def pass_on(order: int, _frame: object) -> None:
        # Through the descriptor: the number may be another's as soon as the process has been reaped.
        receiver = child if order == signal.SIGUSR1 else agent
        with contextlib.suppress(ProcessLookupError):  # it ended by itself in this moment
            if receiver is not None:
                signal.pidfd_send_signal(receiver, signal.SIGKILL if order == signal.SIGUSR1 else order)

    for order in _ORDERS:
        signal.signal(order, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ORDERS)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == started.pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else SIGNAL_EXIT_OFFSET - code


def end_descendants() -> None:
    """Kill and reap until nothing is left: as a subreaper, this process inherits whatever the agent started."""
    own_pid = os.getpid()
    while True:
        for pid in all_pids():
            stat = read_stat(pid)
            if stat is not None and stat.parent_pid == own_pid:
                os.kill(pid, signal.SIGKILL)  # our own unreaped child: the number cannot be another's
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def main(folder: str, start_log: StartLog) -> int:
    """Run the instance of a folder in this process, which is there for nothing else."""
    # Descriptors that somebody made inheritable in the server are none of the agent's business.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    return run(Path(folder), start_log)


def run(folder: Path, start_log: StartLog) -> int:
    """Run the instance of this folder to its end; return this process's own exit status.

    `start_log` lets standard error lead to a log, and returns what waits until everything in it is written.
    """
    os.chdir("/")
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ORDERS)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        launch = json.loads((folder / LAUNCH_FILE).read_bytes())
        is_mine = claim(folder)
    except FileNotFoundError:
        is_mine = False  # removed, or another shim has it already
    if not is_mine:
        _report(TAKEN)
        return 0
    (folder / LAUNCH_FILE).unlink(missing_ok=True)
    try:
        return run_agent(folder, launch, start_log)
    finally:
        clear_away(launch["groups"], launch["temporary"])


def run_agent(folder: Path, launch: dict[str, Any], start_log: StartLog) -> int:
    """Make what the agent needs, run it to its end, and record that."""
    log_path = Path(launch["log"][0])
    log_bytes = log_path.lstat().st_size if log_path.exists() else 0
    try:
        finish_log = start_log(*launch["log"])
    except OSError as error:
        return _give_up(folder, f"the log cannot be written: {error}")
    try:
        os.stat(launch["directory"])
        _make_temporary(launch["temporary"], launch["order"]["user_id"])
        _make_groups(launch["groups"])
    except OSError as error:
        return _give_up(folder, str(error))
    started = spawn(launch)
    if not started.is_running:
        os.waitpid(started.pid, 0)
        end_descendants()
        finish_log()
        return _give_up(folder, started.failure or _last_words(log_path, log_bytes))
    is_sandboxed, memory_events = launch["is_sandboxed"], launch["memory_events"]
    launch["order"].clear()  # its secrets
    _report(STARTED)
    exit_code = await_end(started, is_sandboxed=is_sandboxed)
    end_descendants()
    finish_log()  # whoever sees the end finds everything that was printed
    _record_exit(folder, exit_code, is_out_of_memory=_was_out_of_memory(memory_events))
    return 0


def clear_away(groups: Iterable[str], temporary: str) -> None:
    """Remove what was made for an instance outside its folder. Nothing of it runs any more."""
    for group in groups:
        for _ in range(GROUP_REMOVALS):
            try:
                os.rmdir(group)
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(GROUP_REMOVAL_PAUSE_SECONDS)  # the last of its processes is just leaving
            else:
                break
    if temporary:
        shutil.rmtree(temporary, ignore_errors=True)


def _make_temporary(path: str, user_id: int | None) -> None:
    if path:
        os.mkdir(path, 0o700)
        if user_id is not None:
            os.chown(path, user_id, user_id)


def _make_groups(groups: Mapping[str, Mapping[str, str]]) -> None:
    for group, files in groups.items():
        with contextlib.suppress(FileExistsError):
            os.mkdir(group)
        for file, content in files.items():
            Path(group, file).write_text(content)


def _was_out_of_memory(path: str | None) -> bool | None:
    """Tell whether the kernel ended a process of the agent for want of memory; None where nobody counts."""
    try:
        lines = Path(path).read_text().splitlines() if path else []
    except OSError:
        return None
    counts = [int(line.split()[1]) for line in lines if line.startswith("oom_kill ")]
    return counts[0] > 0 if counts else None


def _give_up(folder: Path, reason: str) -> int:
    _record_exit(folder, EXIT_NOT_EXECUTABLE)
    _report(REFUSED + reason)
    return 1


def _record_exit(folder: Path, exit_code: int, *, is_out_of_memory: bool | None = None) -> None:
    with contextlib.suppress(FileNotFoundError):  # the instance was removed meanwhile
        write_atomically(folder / EXIT_FILE, {"exit_code": exit_code, "is_out_of_memory": is_out_of_memory})


def _report(line: str) -> None:
    """Tell the server, then let go of the pipe, which nobody may read any more."""
    with contextlib.suppress(BrokenPipeError):  # the server has gone; the record stands
        os.write(1, line.encode("utf-8", "replace")[:FAILURE_TEXT_BYTES])
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.close(nothing)


def _prctl(option: int, argument: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
