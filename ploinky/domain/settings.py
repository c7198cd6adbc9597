"""Settings that can be changed while the server runs; each overrides the configuration of the same name."""

from collections.abc import Mapping

import msgspec

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Decider, Decision, refuse_unknown
from ploinky.domain.errors import Invalid
from ploinky.domain.indexes import Indexes

SettingValue = str | int | float | bool

SETTINGS_ID = "main"


class Bounds(msgspec.Struct, frozen=True):
    """What a setting may be."""

    kind: type[int] | type[float]
    least: float
    most: float


SETTINGS: Mapping[str, Bounds] = {
    "taskTimeout": Bounds(float, 0.1, 24 * 3600.0),
    "syncWaitSeconds": Bounds(float, 0.0, 600.0),
    "maxContainers": Bounds(int, 1, 10_000),
    "lastLogsLines": Bounds(int, 1, 10_000),
}
"""`taskTimeout`: seconds of an attempt, where neither deployer nor manifest says. `syncWaitSeconds`: how long a
synchronous caller waits before 202."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the settings."""

    values: Mapping[str, SettingValue] = {}


def decide(command: c.Command, state: Settings, _indexes: Indexes) -> Decision:
    """Decide on a settings command."""
    match command:
        case c.ChangeSetting():
            value = _validated(command.name, command.value)
            is_news = command.name not in state.values or state.values[command.name] != value
            return [e.SettingChanged(name=command.name, value=value)] if is_news else []
        case _:
            return refuse_unknown(command)


def _validated(name: str, value: SettingValue) -> SettingValue:
    bounds = SETTINGS.get(name)
    if bounds is None:
        raise Invalid(f"There is no setting {name!r}", hint=f"There are {', '.join(sorted(SETTINGS))}.")
    if isinstance(value, bool | str):
        raise Invalid(f"{name} must be a number, not {value!r}")
    # Before any conversion: a huge integer has no float.
    if not bounds.least <= value <= bounds.most:
        raise Invalid(f"{name} must be between {bounds.least:g} and {bounds.most:g}, not {value!r}")
    number = bounds.kind(value)
    if number != value:
        raise Invalid(f"{name} must be a whole number, not {value!r}")
    return number


def evolve(state: Settings, event: e.Event) -> Settings:
    """Fold one event in."""
    match event:
        case e.SettingChanged():
            return Settings(values={**state.values, event.name: event.value})
        case _:
            return state


SETTINGS_DECIDER = Decider("settings", Settings(), decide, evolve)
