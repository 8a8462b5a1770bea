"""`make test-versions`: with AISHELL_TEST_POSTGRESQL=12 `pg_current` is that server, and the tests about versions stay alone.

These are, of those that run on it, all in tests/tools and tests/cases and what is marked `versions`: the main runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fix_postgresql import CHOSEN

FOLDERS = tuple(Path(__file__).parent / name for name in ("tools", "cases"))


def _about_versions(item: pytest.Item) -> bool:
    return item.get_closest_marker("versions") is not None or any(folder in item.path.parents for folder in FOLDERS)


def _on_the_chosen(item: pytest.Item) -> bool:
    """Whether a test runs on the server chosen: it names its fixture, or is given it as a parameter."""
    parameters = (
        item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    )
    named = {parameter for parameter in parameters if isinstance(parameter, str)}
    if named & {"pg_current", "current"}:
        return True
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(fixtures & {"pg_current", "pg_server_factory"}) and not named & {"pg_distribution", "distribution"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if CHOSEN is None:
        return
    about = {item for item in items if _about_versions(item) and _on_the_chosen(item)}
    config.hook.pytest_deselected(items=[item for item in items if item not in about])
    items[:] = [item for item in items if item in about]
