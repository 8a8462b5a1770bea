"""The head of a preview says of the database only what inspection counts alike on every engine."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.fix_aishell import Aishell
from tests.fix_tools import ENGINES, label


@pytest.fixture(params=ENGINES, ids=label)
def db(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_the_head_counts_relations_and_nothing_that_it_does_not_know(db: Any, aishell: Aishell) -> None:
    db.execute("CREATE TABLE filled (id integer PRIMARY KEY, a integer, b integer)")
    db.execute("CREATE INDEX filled_a ON filled (a)")
    db.execute("CREATE INDEX filled_b ON filled (b)")
    db.execute("INSERT INTO filled VALUES (1, 1, 1)")
    db.execute("CREATE TABLE nothing_in_it (id integer PRIMARY KEY)")
    shown = aishell("run", "maintenance", "--type", "quick", "--url", db.url, "--dry-run").expect(0).out
    assert re.fullmatch(r"2 relation\(s\), database of [\d.,]+ (bytes|[kMG]B)", shown.split("\n")[1]), shown


def test_a_partitioned_table_that_is_named_is_one_relation(pg: Any, aishell: Aishell) -> None:
    pg.execute("CREATE TABLE log (id integer, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)")
    pg.execute("CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')")
    pg.execute("INSERT INTO log SELECT n, '2026-01-05' FROM generate_series(1, 1000) AS n")
    words = ("run", "maintenance", "--type", "quick", "--table", "log", "--url", pg.url, "--dry-run")
    head = aishell(*words).expect(0).out.split("\n")[1]
    assert head.startswith("1 relation(s), database of ")
    assert "with data" not in head
    assert "index" not in head
