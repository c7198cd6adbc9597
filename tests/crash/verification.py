"""What has to hold after a round, whatever was killed when."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from ploinky.adapters.sqlalchemy_journal_reader import SqlalchemyJournalReader
from ploinky.domain import events as e
from ploinky.domain.instance import LIVE
from ploinky.journal import snapshot
from ploinky.journal.chain import verify
from ploinky.journal.codec import Codec, Recorded
from ploinky.ports.journal_store import Record
from ploinky.views.fold_digest import fold_digest
from ploinky.views.views import Views
from tests.crash.agent import LEDGER_FILE
from tests.crash.crashing_server import pids_with
from tests.crash.round import Round
from tests.crash.stage import Stage

ENDS = (e.TaskSucceeded, e.TaskFailed, e.TaskCancelled, e.TaskDead)


class Account(msgspec.Struct):
    """What the journal says of one task."""

    submitted: e.TaskSubmitted
    ends: list[e.Event] = msgspec.field(default_factory=list)
    attempts: int = 0


def every_record(store: SqlalchemyJournalReader) -> list[Record]:
    """Read the whole journal."""
    records: list[Record] = []
    while page := store.read(len(records)):
        records += page
    return records


def check_owners(round_: Stage) -> None:
    """Before the stop: what runs is what the journal says runs, no more and no less."""
    views = round_.watch.now()
    expected = {row.state.name for _, row in views.instances.items() if row.state.status in LIVE}
    if round_.runtime == "docker":
        found = {container.name for container in round_.containers() if container.status == "running"}
    else:
        found = {key for key in expected if pids_with(f"{round_.installation}/processes/{key}")}
    assert found == expected


def check_nothing_is_left(round_: Stage) -> None:
    """After the stop: no process, no container, no network, no file in a queue, no folder that nothing needs."""
    assert pids_with(str(round_.directory)) == []
    if round_.runtime == "docker":
        assert round_.containers() == []
        assert round_.networks() == []
    left = [path for path in (round_.directory / "queues").rglob("*") if not path.is_dir()]
    assert left == []
    assert list((round_.installation / "processes").iterdir()) == []
    releases = round_.installation / "releases"
    living = {key for key, _ in round_.watch.now().deployments.items()}
    assert {folder.name for folder in releases.iterdir()} <= living
    assert [folder for folder in releases.glob("*/*") if not folder.name.isdigit()] == []


def checked_events(round_: Stage) -> list[Recorded]:
    """After the stop: the chain holds and the views are what the events say. Returns the events."""
    store = SqlalchemyJournalReader(str(round_.installation / "journal.db"))
    try:
        head = store.head()
        records = every_record(store)
        verify(records, head)
        codec = Codec()
        events = [recorded for record in records if (recorded := codec.recorded(record)) is not None]
        kept = snapshot.load(round_.installation / "views.snapshot", store, head, fold_digest())  # type: ignore[arg-type]
    finally:
        store.close()
    views = Views()
    views.fold(events)
    assert kept is not None
    assert kept.position == head.position
    content = msgspec.json.encode(views.dump(), order="sorted")
    folded, saved = msgspec.json.decode(content), msgspec.json.decode(bytes(kept.views))
    assert {name: folded[name] for name in folded if folded[name] != saved.get(name)} == {}
    assert content == bytes(kept.views)
    return events


def check_rollouts(events: list[Recorded]) -> None:
    """Each rollout that was asked for has ended, and once."""
    asked = Counter(_generations(events, e.RolloutRequested))
    ended = Counter(_generations(events, e.RolloutSucceeded | e.RolloutFailed))
    assert ended == asked
    assert max(asked.values(), default=1) == 1


def _generations(events: list[Recorded], kind: Any) -> list[tuple[str, int]]:
    return [(one.subject_id, one.event.generation) for one in events if isinstance(one.event, kind)]


def check_tasks(round_: Round, events: list[Recorded]) -> None:
    """Every accepted task is there, once per key, and has ended once; what may succeed has succeeded."""
    accounts = accounts_of(events)
    load = round_.load
    assert load.accepted <= accounts.keys()
    assert {key: found for key, found in load.by_key.items() if len(found) != 1} == {}
    keys = Counter(account.submitted.idempotency for account in accounts.values() if account.submitted.idempotency)
    assert max(keys.values(), default=1) == 1
    assert {key: account for key, account in accounts.items() if len(account.ends) != 1} == {}
    unlucky = {
        key: account
        for key, account in accounts.items()
        if account.submitted.deployment_id in round_.steady_ids and not _is_expected(account, key in load.cancelled)
    }
    assert unlucky == {}
    check_ledgers(round_, accounts)


def accounts_of(events: list[Recorded]) -> dict[str, Account]:
    accounts: dict[str, Account] = {}
    for recorded in events:
        event = recorded.event
        if isinstance(event, e.TaskSubmitted):
            accounts[recorded.subject_id] = Account(event)
        elif isinstance(event, ENDS):
            accounts[recorded.subject_id].ends.append(event)
        elif isinstance(event, e.AttemptStarted):
            accounts[recorded.subject_id].attempts = event.attempt
    return accounts


def _is_expected(account: Account, was_cancelled: bool) -> bool:
    end = account.ends[0]
    return isinstance(end, e.TaskSucceeded) or (was_cancelled and isinstance(end, e.TaskCancelled))


def check_ledgers(round_: Round, accounts: dict[str, Account]) -> None:
    """No attempt was begun twice, none that was not on record, and what succeeded was really executed."""
    begun: Counter[tuple[str, int]] = Counter()
    for ledger in (round_.installation / "releases").glob(f"*/*/{LEDGER_FILE}"):
        for line in ledger.read_text().splitlines():
            task_id, attempt = line.split()
            begun[task_id, int(attempt)] += 1
    assert {name: count for name, count in begun.items() if count != 1} == {}
    assert [name for name in begun if name[0] not in accounts or name[1] > accounts[name[0]].attempts] == []
    succeeded = {
        (key, account.ends[0].attempt)
        for key, account in accounts.items()
        if account.submitted.deployment_id in round_.steady_ids and isinstance(account.ends[0], e.TaskSucceeded)
    }
    assert succeeded <= begun.keys()
    assert succeeded


def check(round_: Round) -> None:
    """Check everything; stops the server."""
    check_tasks(round_, check_stop(round_))


def check_stop(round_: Stage) -> list[Recorded]:
    """Check everything but the tasks; stops the server and returns the events."""
    check_owners(round_)
    assert round_.server.stop() == 0, round_.server.errors
    check_nothing_is_left(round_)
    events = checked_events(round_)
    check_rollouts(events)
    _warn_of_defects(round_)
    return events


def _warn_of_defects(round_: Stage) -> None:
    """No life may have met an error that it did not expect."""
    for errors in round_.directory.glob("errors-*"):
        text = Path(errors).read_text()
        assert "unexpectedly" not in text, text
        assert "Traceback" not in text, text
