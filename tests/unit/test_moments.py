"""One way to show a moment."""

import ast
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import aishell
from aishell.moments import at, nominal


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-11-22T02:30:59.123456+00:00", "2026-11-22 02:30Z"),
        ("2026-11-22T02:30:59", "2026-11-22 02:30Z"),
        ("2026-11-22T03:30:00+01:00", "2026-11-22 03:30+01:00"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1), "2026-10-25 02:30+01:00"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01 00:00Z"),
    ],
)
def test_a_moment_names_its_zone_and_can_be_read_back(moment, shown):
    assert at(moment) == shown
    assert datetime.fromisoformat(shown).tzinfo is not None


def test_seconds_are_shown_where_they_are_asked_for_or_were_written():
    assert at("2026-11-22T02:30:59.9+00:00", seconds=True) == "2026-11-22 02:30:59Z"
    assert nominal("2026-11-22T03:30:00+01:00") == "2026-11-22 03:30+01:00"
    assert nominal("2026-11-22T03:30:15+01:00") == "2026-11-22 03:30:15+01:00"


def test_no_other_module_shows_a_moment_in_a_way_of_its_own():
    """A text that is cut to a date and a time, or formatted as one, in a sentence."""
    own = []  # those of cut-offs are as a database's column writes them
    package = Path(aishell.__file__).parent
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FormattedValue) and _cuts(node):
                own.append(f"{path.relative_to(package)}:{node.lineno}")
    assert [
        one for one in own if not one.startswith(("agents/log_cleanup/dates.py", "agents/log_cleanup/discovery.py"))
    ] == []
    assert own


def _cuts(node: ast.FormattedValue) -> bool:
    pattern = ast.unparse(node.format_spec) if node.format_spec is not None else ""
    cut = ast.unparse(node.value)
    return (
        "%Y-%m-%d" in pattern or "%H:%M:%S" in pattern or cut.endswith(("_at[:16]", "_at[:19]", ".at[:19]", ".at[:16]"))
    )
