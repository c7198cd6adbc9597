"""Identifiers made of one another, and content that travels beside an event."""

from hashlib import sha256

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from ploinky.domain.ids import InstanceNumber, instance_id, parse_instance_id, split_stream, stream_name
from ploinky.domain.payload import blob_payload, inline_payload

PLAIN = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=30)


@examples(PLAIN, st.integers(0, 10**6), st.integers(0, 10**6))
def test_reads_the_instance_ids_it_makes(deployment_id: str, generation: int, number: int) -> None:
    """Deployment, generation and number come out as they went in."""
    made = instance_id(deployment_id, generation, number)
    assert parse_instance_id(made) == InstanceNumber(deployment_id, generation, number)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "d",
        "d.1",
        "d.1.x",
        "d.x.0",
        "d.1.0.0",
        ".1.0",
        "d..0",
        "d.01.0",
        "d.1_0.0",
        "d. 1.0",
        "d.+1.0",
        "d.\u0661.0",
    ],
)
def test_refuses_what_is_no_instance_id(value: str) -> None:
    """Only the one spelling that is made is read."""
    with pytest.raises(ValueError):
        parse_instance_id(value)


@examples(st.text(max_size=30))
def test_any_text_is_an_instance_id_or_refused(value: str) -> None:
    """What is read gives the same id again."""
    try:
        parsed = parse_instance_id(value)
    except ValueError:
        return
    assert instance_id(*parsed) == value


@examples(PLAIN, st.text(max_size=30))
def test_splits_the_streams_it_names(kind: str, subject_id: str) -> None:
    """The kind ends at the first slash; an id may hold further ones."""
    assert split_stream(stream_name(kind, subject_id)) == (kind, subject_id)


@examples(st.binary(max_size=100), st.binary(min_size=1, max_size=16))
def test_a_payload_is_described_by_size_and_digest(content: bytes, salt: bytes) -> None:
    """The digest is that of salt and content, wherever the content lies."""
    inline, blob = inline_payload(content, salt), blob_payload(content, salt, "b1")
    assert inline.reference == blob.reference
    assert inline.reference.payload_bytes == len(content)
    assert inline.reference.digest == sha256(salt + content).hexdigest()
    assert (inline.content, inline.blob, blob.content, blob.blob) == (content, None, None, "b1")


def test_equal_contents_do_not_show() -> None:
    """With salts of their own, two payloads of the same content have nothing in common but their size."""
    assert inline_payload(b"same", b"1").reference.digest != inline_payload(b"same", b"2").reference.digest
