"""Fixtures for physical backups: `physical` is the tools on a fresh database, on a server of each kind in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backups.physical import Physical
from tests.postgresql import PostgresqlServer

FILL = """
CREATE TABLE plain (id integer PRIMARY KEY, note text, made timestamptz DEFAULT now());
INSERT INTO plain SELECT n, repeat(md5(n::text), 5) FROM generate_series(1, 20000) AS n;
CREATE TABLE "we""ird`x %% s :y; -- 50%%" ("select" text);
INSERT INTO "we""ird`x %% s :y; -- 50%%" VALUES ('odd'), (NULL), ('é 漢 🐘');
CREATE UNLOGGED TABLE fleeting (id integer);
CREATE INDEX ON plain (note);
"""


#: (which server, what increments are made of)
KINDS = [("distribution", "wal"), ("current", "pages")]


both_kinds = pytest.mark.parametrize("physical", KINDS, indirect=True, ids="-".join)
every_kind = pytest.mark.parametrize(
    "physical", [*KINDS, pytest.param(("current", "wal"), marks=pytest.mark.thorough)], indirect=True, ids="-".join
)
of_wal = pytest.mark.parametrize("physical", [KINDS[0]], indirect=True, ids="-".join)


@pytest.fixture(scope="module")
def servers(request: pytest.FixtureRequest) -> Iterator[Callable[[str], PostgresqlServer]]:
    """One server of each version for all tests here; the newer one summarizes its WAL."""
    from tests.fix_postgresql import _programs

    made: dict[str, PostgresqlServer] = {}

    def server(which: str) -> PostgresqlServer:
        if which not in made:
            settings = {"summarize_wal": "on"} if which == "current" else {}
            made[which] = PostgresqlServer(_programs(request.config, which), settings)
            made[which].initialise()
            made[which].start()
        return made[which]

    yield server
    for one in made.values():
        one.remove()


@pytest.fixture(params=[pytest.param(KINDS[0], marks=pytest.mark.thorough), KINDS[1]], ids="-".join)
def physical(
    request: pytest.FixtureRequest, servers: Callable[[str], PostgresqlServer], tmp_path: Path
) -> Iterator[Physical]:
    which, kind = request.param
    database = servers(which).create(f"test_{time.monotonic_ns()}")
    for statement in filter(str.strip, FILL.replace("%%", "%").split(";\n")):
        database.execute(statement)
    made = Physical(database, tmp_path / "vault", kind=kind)
    yield made
    made.close()
    database.drop()
