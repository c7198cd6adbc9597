"""Cut lists into pages."""

from collections.abc import Sequence
from math import ceil
from typing import Annotated, TypeVar
from urllib.parse import urlencode

from litestar.params import QueryParameter

from ploinky.api.schemas import Page, Pagination

Item = TypeVar("Item")
PER_PAGE_LIMIT = 500

PageNumber = Annotated[int, QueryParameter(name="page", ge=1, le=1_000_000, description="From 1.")]
PerPage = Annotated[int, QueryParameter(name="perPage", ge=1, le=PER_PAGE_LIMIT, description="Items on a page.")]


def paged(items: Sequence[Item], page: int, per_page: int, path: str, filters: dict[str, str | None]) -> Page[Item]:
    """Return one page with links to its neighbours, which keep the filters."""
    pages = max(1, ceil(len(items) / per_page))
    kept = {name: value for name, value in filters.items() if value is not None}

    def link(number: int) -> str | None:
        return f"{path}?{urlencode({**kept, 'page': number, 'perPage': per_page})}" if 1 <= number <= pages else None

    start = (page - 1) * per_page
    return Page(
        data=list(items[start : start + per_page]),
        pagination=Pagination(page=page, per_page=per_page, total=len(items), pages=pages),
        links={"first": link(1), "prev": link(page - 1), "next": link(page + 1), "last": link(pages)},
    )
