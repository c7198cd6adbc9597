"""Settings: names, kinds and bounds."""

import math

import pytest

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.errors import Invalid
from ploinky.domain.settings import SETTINGS, SETTINGS_ID, Settings, SettingValue, evolve
from tests.domain.specification import given

STREAM = f"settings/{SETTINGS_ID}"


def change(name: str, value: SettingValue) -> c.ChangeSetting:
    return c.ChangeSetting(subject_id=SETTINGS_ID, name=name, value=value)


@pytest.mark.parametrize("name", SETTINGS)
def test_accepts_both_bounds(name: str) -> None:
    """The least and the most are allowed, and come out as the setting's kind."""
    bounds = SETTINGS[name]
    for bound in (bounds.least, bounds.most):
        world = given().when(change(name, bound)).then(e.SettingChanged(name=name, value=bounds.kind(bound)))
        assert type(world.state(STREAM).values[name]) is bounds.kind


@pytest.mark.parametrize("name", SETTINGS)
def test_refuses_beyond_the_bounds(name: str) -> None:
    """Just below, just above, far away, and what is no number at all."""
    bounds = SETTINGS[name]
    step = 1 if bounds.kind is int else 0.001
    for value in (bounds.least - step, bounds.most + step, 10**400, -(10**400), math.inf, -math.inf, math.nan):
        refusal = given().when(change(name, value)).then_refused(Invalid, "INVALID_REQUEST")
        assert name in refusal.message


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("value", ["5", "", True, False])
def test_refuses_what_is_no_number(name: str, value: SettingValue) -> None:
    """Text is not read as a number, and neither is a truth value."""
    given().when(change(name, value)).then_refused(Invalid)


@pytest.mark.parametrize("name", [name for name in SETTINGS if SETTINGS[name].kind is int])
def test_refuses_a_part_of_a_whole(name: str) -> None:
    """Counts are whole numbers, however they are written."""
    given().when(change(name, 2.5)).then_refused(Invalid)
    given().when(change(name, 2.0)).then(e.SettingChanged(name=name, value=2))


def test_refuses_an_unknown_name_and_tells_the_known_ones() -> None:
    """A typo is answered with what there is."""
    refusal = given().when(change("tasktimeout", 5)).then_refused(Invalid)
    assert "tasktimeout" in refusal.message
    assert all(name in refusal.advice for name in SETTINGS)


def test_the_same_value_again_decides_nothing() -> None:
    """Also when it is written otherwise."""
    past = [(STREAM, e.SettingChanged(name="taskTimeout", value=5.0))]
    given(past).when(change("taskTimeout", 5)).then_nothing()
    given(past).when(change("taskTimeout", 6)).then(e.SettingChanged(name="taskTimeout", value=6.0))


def test_settings_do_not_touch_each_other() -> None:
    """The last value of each name counts."""
    state = Settings()
    for name, value in (("maxContainers", 1), ("taskTimeout", 2.0), ("maxContainers", 3)):
        state = evolve(state, e.SettingChanged(name=name, value=value))
    assert state.values == {"maxContainers": 3, "taskTimeout": 2.0}
    assert evolve(state, e.KeyRevoked()) == state
