"""MariaDB's bytes before and after a table or its partitions were rewritten or dropped, against the files themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HOSTILE_NAMES_MYSQL
from tests.fix_tools import Engine

NAMES = ("log", "Log.1", *HOSTILE_NAMES_MYSQL)
CUTOFF = "2026-06-01 00:00:00"


def files(engine: Engine, part: str = "") -> int:
    """Bytes of the database's files, of which `part` stands in the name."""
    folder = Path(engine.db.server.data) / engine.db.dbname
    return sum(path.stat().st_size for path in folder.glob("*.ibd") if part in path.name)


def worn(engine: Engine, table: str, divided: str = "") -> None:
    """A table that has just lost most of its rows: its statistics tell of neither before nor after."""
    s = engine.samples
    s.do(
        f"CREATE TABLE {s.ref(table)} (id int, at datetime NOT NULL, note varchar(200), PRIMARY KEY (id, at)){divided}",
        f"INSERT INTO {s.ref(table)} SELECT seq, IF(seq % 10, '2026-03-01', '2026-09-01'), REPEAT('x', 200) FROM seq_1_to_40000",
        f"ANALYZE TABLE {s.ref(table)}",
        f"DELETE FROM {s.ref(table)} WHERE id > 8000",
    )


@pytest.mark.parametrize("tool", ["optimize_table", "rebuild_table"])
@pytest.mark.parametrize("table", NAMES)
def test_a_rewritten_table_gave_back_what_its_file_did(mariadb_engine: Engine, table: str, tool: str) -> None:
    worn(mariadb_engine, table)
    before = files(mariadb_engine)
    result = mariadb_engine.call(tool, schema=mariadb_engine.schema, table=table)
    assert result.status == "done", result.reason
    told = result.output
    assert (told["bytes_before"], told["bytes_after"]) == (before, files(mariadb_engine))
    assert told["bytes_after"] < before / 2
    assert told["bytes_method"] == "file size"


DIVIDED = {
    "ranges": " PARTITION BY RANGE COLUMNS (at) ({})",
    "subdivided": " PARTITION BY RANGE (TO_DAYS(at)) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 ({})",
}


@pytest.mark.parametrize("way", DIVIDED)
@pytest.mark.parametrize("name", ["p1", "P.1", "p #P# 1", "P$ö"])
def test_dropped_partitions_gave_back_their_files(mariadb_engine: Engine, way: str, name: str) -> None:
    bounds = ("'2026-04-01'", "'2026-12-01'", "'2027-01-01'")
    bounds = bounds if way == "ranges" else tuple(f"TO_DAYS({bound})" for bound in bounds)
    parts = zip((name, "p1x", "last"), bounds, strict=True)
    quoted = ", ".join(f"PARTITION {mariadb_engine.samples.q(one)} VALUES LESS THAN ({bound})" for one, bound in parts)
    worn(mariadb_engine, "log", DIVIDED[way].format(quoted))
    before = files(mariadb_engine)
    given = {"schema": mariadb_engine.schema, "table": "log", "date_column": "at", "cutoff": CUTOFF}
    planned = mariadb_engine.rows("inspect_partitions", **given)
    result = mariadb_engine.call("drop_old_partitions", **given)
    assert result.status == "done", result.reason
    told: dict[str, Any] = result.output
    assert [row["partition"] for row in told["dropped"]] == [name]
    assert told["bytes_before"] - told["bytes_after"] == before - files(mariadb_engine) > 0
    assert planned[0]["bytes"] == told["bytes_before"]
    assert sum(row["bytes"] for row in planned) == before
    assert told["bytes_method"] == "file size"


@pytest.mark.parametrize("tool", ["optimize_table", "rebuild_table"])
def test_without_process_the_statistics_are_named_as_what_they_are(mariadb_engine: Engine, tool: str) -> None:
    mariadb_engine.hidden = {"process"}
    worn(mariadb_engine, "log")
    told = mariadb_engine.call(tool, schema=mariadb_engine.schema, table="log").output
    assert told["bytes_method"] == "statistics"
    assert told["bytes_before"] > told["bytes_after"] > 0


def test_without_process_partitions_have_the_bytes_of_the_statistics(mariadb_engine: Engine) -> None:
    mariadb_engine.hidden = {"process"}
    worn(
        mariadb_engine,
        "log",
        DIVIDED["ranges"].format(
            "PARTITION a VALUES LESS THAN ('2026-04-01'), PARTITION b VALUES LESS THAN (MAXVALUE)"
        ),
    )
    told = mariadb_engine.call(
        "drop_old_partitions", schema=mariadb_engine.schema, table="log", date_column="at", cutoff=CUTOFF
    ).output
    assert (told["bytes_method"], told["partitions_dropped"]) == ("statistics", 1)


def test_the_database_is_as_large_as_its_files(mariadb_engine: Engine) -> None:
    worn(mariadb_engine, "log")
    mariadb_engine.samples.do("CREATE TABLE plain (id int) ENGINE = MyISAM", "INSERT INTO plain VALUES (1), (2)")
    folder = Path(mariadb_engine.db.server.data) / mariadb_engine.db.dbname
    kept = sum(path.stat().st_size for path in folder.glob("*.MY[ID]"))
    (server,) = mariadb_engine.rows("inspect_server")
    assert server["database_bytes"] == files(mariadb_engine) + kept
