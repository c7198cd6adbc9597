"""What the routes stand on, and what they know of a request."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from ploinky.control.cleanup import Cleaner
from ploinky.control.commander import Commander
from ploinky.control.pools import Pools
from ploinky.control.runtimes import Runtimes
from ploinky.domain.errors import Invalid
from ploinky.domain.settings import SettingValue
from ploinky.journal.dispatcher import Context, Expected
from ploinky.ports.journal_store import Head
from ploinky.usecases.admission import Principal
from ploinky.usecases.deployments import Deployments
from ploinky.usecases.event_feed import EventFeed
from ploinky.usecases.keys import Keys
from ploinky.usecases.log_feed import LogFeed
from ploinky.usecases.operations import Operations
from ploinky.usecases.registries import Registries
from ploinky.usecases.release_history import ReleaseHistory
from ploinky.usecases.repositories import Repositories
from ploinky.usecases.task_accounts import TaskAccounts
from ploinky.usecases.tasks import Tasks
from ploinky.usecases.webhooks import Webhooks
from ploinky.usecases.wishes import Wishes
from ploinky.views.views import Views

VERSION_LIMIT_DIGITS = 18


class Services(NamedTuple):
    """The use cases, and a few things that are only read."""

    views: Views
    commander: Commander
    deployments: Deployments
    wishes: Wishes
    history: ReleaseHistory
    repositories: Repositories
    webhooks: Webhooks
    registries: Registries
    cleaner: Cleaner
    tasks: Tasks
    accounts: TaskAccounts
    keys: Keys
    operations: Operations
    feed: EventFeed
    log_feed: LogFeed
    runtimes: Runtimes
    pools: Pools
    journal_id: str
    head: Callable[[], Head]
    is_ready: Callable[[], bool]
    progress: Callable[[str], str]
    """The newest line of progress of a deployment's rollout."""
    public_url: str
    """Where deployments answer for the local user: `http://localhost:8000`."""
    default_settings: dict[str, int | float]
    version: str

    def setting(self, name: str) -> SettingValue:
        """Return the value in force: as changed, else as configured."""
        changed = self.views.setting(name)
        return self.default_settings[name] if changed is None else changed


Injected = NamedDependency[SkipValidation[Services]]
AnyRequest = Request[Any, Any, Any]


def context_of(request: AnyRequest) -> Context:
    """Return on whose behalf a request's commands are given."""
    scope = cast("dict[str, Any]", request.scope)
    principal: Principal | None = scope.get("principal")
    return Context(principal.actor if principal else "anonymous", request_id_of(request))


def expected_of(request: AnyRequest) -> Expected | None:
    """Read `If-Match`: the version that a deployment must still have. Raises `Invalid`."""
    wanted = request.headers.get("if-match", "*").strip()
    if wanted == "*":
        return None
    version = wanted.strip('"')
    if not (version.isascii() and version.isdecimal() and len(version) <= VERSION_LIMIT_DIGITS):
        raise Invalid(f"If-Match names no version: {wanted[:80]!r}", hint="A deployment's `version` goes there.")
    return Expected(int(version))


def request_id_of(request: AnyRequest) -> str:
    """Return the id that every event and error of a request carries."""
    return str(cast("dict[str, Any]", request.scope).get("request_id", ""))
