"""The documents of this checkout, taken apart: links, code, commands and tables."""

import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.tidy.tree import ROOT, source_files

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}(\S.*)$", re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
PROGRAMS = ("ploinky", "p-cli")


class Document(NamedTuple):
    """One file of Markdown."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def prose(self) -> str:
        """The text without its fenced and indented code."""
        return INDENTED.sub("", FENCE.sub("", self.text))

    def blocks(self, language: str) -> list[str]:
        """Give the fenced code of a language."""
        return [body for kind, body in FENCE.findall(self.text) if kind == language]

    def shell_lines(self) -> list[str]:
        """Give every line of shell, fenced or indented, that calls one of our programs."""
        lines = [line for block in self.blocks("sh") for line in block.splitlines()]
        lines += INDENTED.findall(FENCE.sub("", self.text))
        return [line for line in lines if line.startswith(tuple(f"{program} " for program in PROGRAMS))]

    def code(self) -> list[str]:
        """Give each piece of code inside a sentence, on one line."""
        return [" ".join(piece.split()) for piece in INLINE.findall(self.prose)]

    def links(self) -> list[str]:
        return LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """Give the anchors of the headings, made the way code hosts make them."""
        titles = (title.replace("`", "").lower() for title in HEADING.findall(FENCE.sub("", self.text)))
        return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}

    def section(self, title: str) -> str:
        """Give what stands below a heading, up to the next one."""
        return re.split(rf"^#+ {re.escape(title)}$", self.text, flags=re.MULTILINE)[1].split("\n#", 1)[0]


def documents() -> tuple[Document, ...]:
    """Read every document, the agents' templates included."""
    return tuple(Document(path, path.read_text(encoding="utf-8")) for path in source_files() if path.suffix == ".md")


@functools.cache
def document(name: str) -> Document:
    path = ROOT / name
    return Document(path, path.read_text(encoding="utf-8"))


def rows(text: str) -> Iterator[list[str]]:
    """Give the cells of each row of the tables in a text, headings and rulers left out."""
    for table in re.findall(r"(?:^\|.*\|\n?)+", text, flags=re.MULTILINE):
        for line in table.splitlines()[2:]:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def words(line: str) -> list[str]:
    """Split a line of shell, its comment left out."""
    return shlex.split(line, comments=True)
