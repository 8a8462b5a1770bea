"""What `make test` leaves to `make test-all`: it marks tests `thorough`."""

from __future__ import annotations

import pytest

from tests.fix_tools import label


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs on both servers of PostgreSQL runs on the older one in `make test-all` only."""
    older, newer = label("pg_distribution"), label("pg_current")
    known = {item.nodeid for item in items}
    for item in items:
        twin = item.nodeid.replace(older, newer)
        if twin != item.nodeid and twin in known:
            item.add_marker(pytest.mark.thorough)
