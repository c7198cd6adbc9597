"""What the documents point at is there."""

import ast
import json
import re

import pytest

from tests.docs.documents import Document, documents
from tests.tidy.tree import ROOT

PLACE = re.compile(r"(?:\./)?((?:ploinky|agentcore|ops|tests|migrations|replay|\.ci)/[\w./*-]+|[a-z]+\.toml)")

every_document = pytest.mark.parametrize("text", documents(), ids=lambda text: text.name)


@every_document
def test_every_link_leads_somewhere(text: Document) -> None:
    """Each relative link names a file or folder of the checkout, and a heading that is in it."""
    for link in text.links():
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (text.path.parent / path).resolve() if path else text.path
        assert target.exists(), link
        if anchor:
            assert anchor in Document(target, target.read_text(encoding="utf-8")).anchors(), link


@every_document
def test_every_path_is_there(text: Document) -> None:
    """Each path of the checkout that is written as code exists."""
    if "templates" in text.path.parts:
        return
    for place in (match[1] for piece in text.code() for word in piece.split() if (match := PLACE.fullmatch(word))):
        assert list(ROOT.glob(place.rstrip("/"))), place


@every_document
def test_code_in_blocks_can_be_read(text: Document) -> None:
    """Python and JSON in blocks are Python and JSON."""
    for block in text.blocks("python"):
        ast.parse(block)
    for block in text.blocks("json"):
        json.loads(block)


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [("## After kill -9", "after-kill--9"), ("# One `key`, two", "one-key-two"), ("## A/B: c", "ab-c")],
)
def test_anchors_are_made_like_those_of_code_hosts(heading: str, anchor: str) -> None:
    """Punctuation goes, blanks become dashes, dashes stay."""
    assert Document(ROOT / "x.md", heading).anchors() == {anchor}
