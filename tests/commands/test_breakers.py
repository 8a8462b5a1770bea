"""A server that is gone is tried three times, then once a minute, by whatever process; nothing else on the site waits for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aishell.state.store import Store
from tests.fix_aishell import Aishell
from tests.scheduled import back, nightly, rows
from tests.unit.state.test_breakers import rest

on_each = pytest.mark.parametrize("server", ["mariadb", pytest.param("pg_current", marks=pytest.mark.thorough)])


def gauge(site: Aishell) -> str:
    out = site("metrics").expect(0).out
    return next(line.split()[-1] for line in out.splitlines() if line.startswith('aishell_breaker_open{target="shop"'))


def told(site: Aishell) -> dict[str, Any] | None:
    (one,) = site("targets", "health", "--output", "json").expect(0).json
    return one["breaker"] and dict(one["breaker"])


@on_each
def test_a_server_that_goes_and_comes_back(aishell: Aishell, server: str, request: pytest.FixtureRequest) -> None:
    database = request.getfixturevalue(server)
    nightly(aishell, database.url)
    back(aishell, "nightly", 2)
    quick = ("run", "maintenance", "--type", "quick", "--target", "shop", "--yes")
    aishell(*quick).expect(0)
    assert (gauge(aishell), told(aishell)) == ("0.0", None)
    database.server.stop()
    for _ in range(3):
        assert "are suspended since" not in aishell(*quick).expect(2).err
    fourth = aishell(*quick).expect(2)
    assert "connections to shop are suspended since" in fourth.err
    assert gauge(aishell) == "1.0"
    # A night whose time has come is not lost to it: its row says why it waits, and no process is started for it.
    aishell("schedule", "run-due").expect(4)
    (row,) = rows(aishell)
    assert (row.status, row.attempts) == ("due", 0)
    assert "are suspended since" in row.reason
    store = Store.open(aishell.state)
    rest(store)
    assert gauge(aishell) == "0.5"
    aishell(*quick, "--dry-run").expect(2)  # who looks takes no try from others
    assert gauge(aishell) == "0.5"
    aishell(*quick).expect(2)
    assert gauge(aishell) == "1.0", "that one try failed"
    database.server.start()
    aishell(*quick).expect(2)
    aishell("targets", "test", "shop").expect(0)
    assert (gauge(aishell), told(aishell)) == ("0.0", None)
    aishell("schedule", "run-due").expect(0)
    store.close()
    assert [row.status for row in rows(aishell)] == ["done"]


@on_each
def test_what_a_server_refuses_opens_nothing(aishell: Aishell, server: str, request: pytest.FixtureRequest) -> None:
    database = request.getfixturevalue(server)
    wrong = database.url_as("nobody_of_that_name", "wrong")
    aishell.configure(
        "targets.yaml",
        f"targets:\n  shop: {{url: {json.dumps(database.url)}}}\n  wrong: {{url: {json.dumps(wrong)}}}\n",
    )
    aishell("run", "maintenance", "--type", "quick", "--target", "shop", "--yes").expect(0)
    for _ in range(4):
        aishell("run", "maintenance", "--type", "quick", "--target", "wrong", "--yes").expect(2)
    assert not aishell.rows("SELECT * FROM breakers")
