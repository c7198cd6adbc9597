"""Lists come in pages that know their neighbours."""

import pytest

from ploinky.api.paging import paged


@pytest.mark.parametrize(
    ("total", "page", "per_page", "items", "pages"),
    [
        (0, 1, 10, [], 1),
        (10, 1, 10, list(range(10)), 1),
        (11, 1, 10, list(range(10)), 2),
        (11, 2, 10, [10], 2),
        (11, 3, 10, [], 2),
        (3, 2, 1, [1], 3),
        (3, 1_000_000, 500, [], 1),
    ],
)
def test_cuts_pages(total: int, page: int, per_page: int, items: list[int], pages: int) -> None:
    """A page holds its part; pages beyond the end are empty."""
    found = paged(range(total), page, per_page, "/x", {})
    assert found.data == items
    assert found.pagination.pages == pages
    assert found.pagination.total == total


def test_links_lead_through_all_pages() -> None:
    """Following `next` from the first page visits each item once; ends have no further link."""
    first = paged(range(25), 1, 10, "/x", {})
    assert first.links == {
        "first": "/x?page=1&perPage=10",
        "prev": None,
        "next": "/x?page=2&perPage=10",
        "last": "/x?page=3&perPage=10",
    }
    assert paged(range(25), 3, 10, "/x", {}).links["next"] is None
    assert paged(range(25), 3, 10, "/x", {}).links["prev"] == "/x?page=2&perPage=10"


def test_links_keep_the_filters() -> None:
    """Filters that were given are in the links, encoded; those that were not are left out."""
    links = paged(range(3), 1, 1, "/x", {"path": "/a b&c", "domain": None}).links
    assert links["next"] == "/x?path=%2Fa+b%26c&page=2&perPage=1"
