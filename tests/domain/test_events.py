"""Events and commands: named by hand, and the same after a journey through JSON."""

import inspect
import re
from collections import Counter
from datetime import UTC
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from ploinky.domain import commands, events
from ploinky.domain.commands import Command
from ploinky.domain.deciders import DECIDERS
from ploinky.domain.events import Event
from ploinky.domain.ids import split_stream
from tests.domain.samples import DEPLOYMENT, FIRST, TASK, serving_instance, submitted
from tests.domain.specification import START, World

EVENTS: list[type[Event]] = [kind for kind in Event.__subclasses__() if kind.__module__.startswith("ploinky.domain.")]
COMMANDS: list[type[Command]] = [leaf for kind in Command.__subclasses__() for leaf in kind.__subclasses__()]
MOMENTS = st.datetimes(timezones=st.just(UTC))
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
    type(None): st.none(),
    type(START): MOMENTS,
    dict[str, str]: st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
    tuple[str, ...]: st.lists(st.text(max_size=9), max_size=3).map(tuple),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Make values of an annotation as events use them."""
    if kind in PLAIN:
        return PLAIN[kind]
    if get_origin(kind) in {Union, UnionType}:
        return st.one_of([values_of(part) for part in get_args(kind)])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return instances_of(kind)
    return st.from_type(kind)


def instances_of(kind: type[msgspec.Struct], *, is_bare: bool = False) -> st.SearchStrategy[Any]:
    """Make instances of a record, with and without what has a default; always without when they are to be bare."""
    hints = get_type_hints(kind)
    fields = msgspec.structs.fields(kind)
    required = {field.name: values_of(hints[field.name]) for field in fields if field.required}
    optional = {field.name: values_of(hints[field.name]) for field in fields if not field.required and not is_bare}
    return st.fixed_dictionaries(required, optional=optional).map(lambda chosen: kind(**chosen))


@pytest.mark.parametrize("event", EVENTS)
@settings(max_examples=10)
@examples(st.data())
def test_comes_back_as_it_was(event: type[Event], data: st.DataObject) -> None:
    """Encoded and decoded, every event is equal to itself, and encodes to the same bytes again."""
    sample = data.draw(instances_of(event))
    encoded = msgspec.json.encode(sample)
    decoded = msgspec.json.decode(encoded, type=event)
    assert decoded == sample
    assert msgspec.json.encode(decoded) == encoded


@pytest.mark.parametrize("event", EVENTS)
def test_is_named_by_hand(event: type[Event]) -> None:
    """The name says the aggregate and what happened; it is no import path and not made from the class."""
    assert "TYPE" in vars(event)
    kind, _, happened = event.TYPE.partition(".")
    assert kind in DECIDERS
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", happened)
    assert f'TYPE = "{event.TYPE}"' in inspect.getsource(event)


def test_no_two_events_have_one_name() -> None:
    """The journal finds the class by the name."""
    names = Counter(event.TYPE for event in EVENTS)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("event", EVENTS)
def test_has_its_first_schema(event: type[Event]) -> None:
    """Nothing was released yet, so nothing was changed yet."""
    assert event.SCHEMA == 1


@pytest.mark.parametrize("event", EVENTS)
@settings(max_examples=3)
@examples(st.data())
def test_leaves_defaults_out(event: type[Event], data: st.DataObject) -> None:
    """Bytes are spent on what differs from the default, so that fields added later change no old event."""
    required = {field.name for field in msgspec.structs.fields(event) if field.required}
    bare = data.draw(instances_of(event, is_bare=True))
    assert set(msgspec.json.decode(msgspec.json.encode(bare))) == required


@pytest.mark.parametrize("event", [*EVENTS, *COMMANDS])
def test_cannot_be_changed(event: type[msgspec.Struct]) -> None:
    """What happened happened, and what was asked was asked."""
    assert event.__struct_config__.frozen


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_for_an_aggregate_that_exists(command: type[Command]) -> None:
    """The dispatcher finds a decider for every command."""
    assert command.KIND in DECIDERS
    assert command.__struct_fields__[0] == "subject_id"


@pytest.mark.parametrize("kind", DECIDERS)
def test_an_aggregate_is_found_by_its_kind(kind: str) -> None:
    """Each decider is filed under its own name, and its initial state is one that events can be folded into."""
    decider = DECIDERS[kind]
    assert decider.kind == kind
    assert decider.evolve(decider.initial, Event()) == decider.initial


@pytest.mark.parametrize("command", COMMANDS)
@settings(max_examples=1)
@examples(st.data())
def test_a_command_routed_elsewhere_is_a_defect(command: type[Command], data: st.DataObject) -> None:
    """No aggregate decides what belongs to another one, and each says so loudly."""
    sample = data.draw(instances_of(command))
    world = World([*serving_instance(), submitted()])
    for stream in (DEPLOYMENT, FIRST, TASK, "repository/r", "access/k", "settings/main"):
        decider = DECIDERS[split_stream(stream)[0]]
        if decider.kind != command.KIND:
            with pytest.raises(TypeError, match=command.__name__):
                decider.decide(sample, world.state(stream), world.indexes)


@pytest.mark.parametrize("module", [commands, events])
def test_every_class_says_what_it_means(module: Any) -> None:
    """A newcomer reads these two modules first."""
    assert not [name for name, kind in vars(module).items() if isinstance(kind, type) and not kind.__doc__]
