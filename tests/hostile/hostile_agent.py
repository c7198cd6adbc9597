"""Agents that mean harm, as programs of their own instead of the runner; the environment chooses the attack."""

import json
from pathlib import Path

from tests.adapters.sources.git_repositories import GitRepository

AGENT = "hostile"

PROGRAM = """
import json
import os
import shutil
import time

QUEUE = os.environ["PLOINKY_QUEUE_DIR"]
ATTACK = os.environ["ATTACK"]
OUTSIDE = os.environ.get("OUTSIDE", "")


def ready():
    open(f"{QUEUE}/locks/.ready", "w").close()


def next_task(seen):
    while True:
        try:
            names = sorted(os.listdir(f"{QUEUE}/tasks"))
        except OSError:
            names = []
        for name in names:
            if not name.startswith(".") and name not in seen:
                seen.add(name)
                with open(f"{QUEUE}/tasks/{name}") as file:
                    return name, json.load(file)
        time.sleep(0.01)


def claim(name):
    os.mkdir(f"{QUEUE}/locks/{name}")


def put(folder, name, content):
    temporary = f"{QUEUE}/{folder}/.own-{name}"
    with open(temporary, "w") as file:
        file.write(content if isinstance(content, str) else json.dumps(content))
    os.rename(temporary, f"{QUEUE}/{folder}/{name}")


def result_of(task, **changes):
    return {"id": task["id"], "attempt": task["attempt"], "success": True, "data": "well", **changes}


def answer(name, task):
    put("results", name, result_of(task))


def linked_result(name, task):
    os.symlink(OUTSIDE, f"{QUEUE}/results/{name}")


def linked_error(name, task):
    os.symlink(OUTSIDE, f"{QUEUE}/errors/{name}")


def linked_folder(name, task):
    os.rename(f"{QUEUE}/results", f"{QUEUE}/results-aside")
    os.symlink(os.path.dirname(OUTSIDE), f"{QUEUE}/results")
    os.rename(f"{QUEUE}/locks", f"{QUEUE}/locks-aside")
    os.symlink(os.path.dirname(OUTSIDE), f"{QUEUE}/locks")


def linked_socket(name, task):
    os.symlink("/var/run/docker.sock", f"{QUEUE}/agent.sock")
    answer(name, task)


def pipe(name, task):
    os.mkfifo(f"{QUEUE}/results/{name}")


def folder(name, task):
    os.makedirs(f"{QUEUE}/results/.own/deep/er")
    os.rename(f"{QUEUE}/results/.own", f"{QUEUE}/results/{name}")


def wrong_id(name, task):
    put("results", name, result_of(task, id="0" * 20))


def wrong_attempt(name, task):
    put("results", f"{task['id']}.{task['attempt'] + 5}", result_of(task, attempt=task["attempt"] + 5))
    answer(name, task)


def of_others(name, task):
    victim = task["params"][0]
    for attempt in range(1, 5):
        stolen = {"id": victim, "attempt": attempt}
        put("results", f"{victim}.{attempt}", result_of({**task, **stolen}, data="stolen"))
        put("errors", f"{victim}.{attempt}", {**stolen, "success": False, "code": "STOLEN", "message": "stolen"})
    answer(name, task)


def huge(name, task):
    with open(f"{QUEUE}/results/.own", "wb") as file:
        file.truncate(1 << 30)
    os.rename(f"{QUEUE}/results/.own", f"{QUEUE}/results/{name}")


def half_written(name, task):
    put("results", name, json.dumps(result_of(task))[:-9])


def both(name, task):
    put("errors", name, {"id": task["id"], "attempt": task["attempt"], "success": False, "code": "NO", "message": "no"})
    answer(name, task)


def flood(name, task):
    for number in range(20_000):
        os.close(os.open(f"{QUEUE}/results/{number:020d}.1", os.O_CREAT | os.O_WRONLY, 0o600))
    answer(name, task)


def wiped_tasks(name, task):
    shutil.rmtree(f"{QUEUE}/tasks")
    shutil.rmtree(f"{QUEUE}/cancel")
    os.symlink(os.path.dirname(OUTSIDE), f"{QUEUE}/tasks")
    os.symlink(os.path.dirname(OUTSIDE), f"{QUEUE}/cancel")
    answer(name, task)


def wiped_queue(name, task):
    shutil.rmtree(QUEUE)
    os.symlink(os.path.dirname(OUTSIDE), QUEUE)


def main():
    if ATTACK == "exits":
        ready()
        time.sleep(0.3)
        raise SystemExit(7)
    ready()
    seen = set()
    while True:
        name, task = next_task(seen)
        is_good = task["command"] == "well" or (ATTACK == "silent" and task["attempt"] > 1)
        if ATTACK == "never_claims" and not is_good:
            continue
        claim(name)
        if is_good:
            answer(name, task)
        elif ATTACK != "silent":
            globals()[ATTACK](name, task)


main()
"""


def hostile_repository(directory: Path, retries: int = 0) -> Path:
    """Return a repository whose agent runs the program; a lost attempt is repeated `retries` times."""
    repository = GitRepository(directory)
    manifest = {
        "name": AGENT,
        "run": ["python3", "hostile.py"],
        "access": "public",
        "retries": {"max": retries, "backoffSeconds": 0.1},
    }
    repository.commit({"hostile.py": PROGRAM, "manifest.json": json.dumps(manifest)})
    return repository.directory
