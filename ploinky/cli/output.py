"""Print documents: as JSON for programs, as aligned tables for people."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from ploinky.cli.text import one_line

CELL_LIMIT_CHARACTERS = 200
GAP = "  "
STATE_COLOURS = {
    "running": "green",
    "succeeded": "green",
    "ready": "green",
    "ok": "green",
    "failed": "red",
    "dead": "red",
    "deploying": "yellow",
    "restarting": "yellow",
    "removing": "yellow",
    "suspect": "yellow",
    "idle": "bright_black",
    "stopped": "bright_black",
    "cancelled": "bright_black",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. `read` takes a row's value out; a text is a path of keys: `journal.position`."""

    title: str
    read: str | Callable[[Mapping[str, Any]], Any]
    is_state: bool = False

    def cell(self, row: Mapping[str, Any]) -> str:
        value = field(row, self.read) if isinstance(self.read, str) else self.read(row)
        return cell_text(value)


def print_json(document: Any) -> None:
    """Print JSON: indented, with every character that is no ASCII as it is."""
    import json

    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_json_line(document: Any) -> None:
    """Print JSON on one line, and let the reader have it at once."""
    import json

    click.echo(json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Print rows below the columns' titles, coloured on a terminal only."""
    cells = [[column.cell(row) for column in columns] for row in rows]
    widths = [max(map(len, values)) for values in zip([column.title for column in columns], *cells, strict=True)]
    say(style(_line([column.title for column in columns], widths), bold=True))
    for row in cells:
        shown = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        for index, column in enumerate(columns):
            if column.is_state:
                shown[index] = style(shown[index], fg=STATE_COLOURS.get(row[index]))
        say(GAP.join(shown).rstrip())


def print_page(page: Mapping[str, Any], columns: Sequence[Column], nothing: str) -> None:
    """Print a page of a list; `nothing` tells what it means that it is empty."""
    rows = rows_of(page)
    if rows:
        print_table(rows, columns)
    else:
        remark(nothing)
    pagination = page.get("pagination")
    pages = field(page, "pagination.pages")
    if isinstance(pagination, dict) and isinstance(pages, int) and pages > 1:
        shown, total = pagination.get("page"), pagination.get("total")
        remark(f"page {cell_text(shown)} of {pages}, {cell_text(total)} in all; --page shows another")


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print one thing as `name  value` lines; what is None is left out."""
    shown = {name: cell_text(value) for name, value in fields.items() if value is not None}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        say(f"{name.ljust(width)}{GAP}{style(value, fg=STATE_COLOURS.get(value))}".rstrip())


def remark(text: str) -> None:
    """Tell a person something that is no part of the result, on stderr."""
    click.echo(one_line(text), err=True)


def say(text: str) -> None:
    """Print one line of the result."""
    click.echo(text)


def style(text: str, *, fg: str | None = None, bold: bool | None = None) -> str:
    """Colour a text; click takes the colours out again where stdout is no terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=fg, bold=bold)


def is_terminal() -> bool:
    """Tell whether a person looks at stdout."""
    return sys.stdout.isatty()


def rows_of(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the objects of a page."""
    data = page.get("data")
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def field(document: Any, path: str) -> Any:
    """Follow a path of keys; None where it leads nowhere."""
    for key in path.split("."):
        if not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def cell_text(value: Any) -> str:
    """Write a value the way a person reads it, on one line."""
    match value:
        case None | "":
            return "-"
        case True:
            return "yes"
        case False:
            return "no"
        case str() | int() | float():
            return one_line(value, CELL_LIMIT_CHARACTERS)
        case _:
            import json

            return one_line(json.dumps(value, ensure_ascii=False), CELL_LIMIT_CHARACTERS)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip()
