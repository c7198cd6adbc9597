"""How identifiers are made of one another."""

from typing import NamedTuple


class InstanceNumber(NamedTuple):
    """What an instance's id says."""

    deployment_id: str
    generation: int
    number: int
    """From 0; which of the generation's replicas."""


def instance_id(deployment_id: str, generation: int, number: int) -> str:
    """Name one instance: `{deployment}.{generation}.{number}`."""
    return f"{deployment_id}.{generation}.{number}"


def parse_instance_id(value: str) -> InstanceNumber:
    """Take an instance's id apart. Raises `ValueError` when it is none."""
    deployment_id, generation, number = value.split(".")
    parsed = InstanceNumber(deployment_id, int(generation), int(number))
    if not deployment_id or instance_id(*parsed) != value:
        raise ValueError(f"{value!r} is not the id of an instance")
    return parsed


def stream_name(kind: str, subject_id: str) -> str:
    """Name the stream of an aggregate."""
    return f"{kind}/{subject_id}"


def split_stream(stream: str) -> tuple[str, str]:
    """Return an aggregate's kind and id."""
    kind, _, subject_id = stream.partition("/")
    return kind, subject_id
