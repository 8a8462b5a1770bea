"""What `doctor` makes of facts: each judgement, at its edges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aishell.models import Server
from aishell.reporting.diagnosis import PROGRAMS, Facts, Finding, disk, judge, programs, version
from aishell.reporting.roles import in_force, pattern, roles

SERVER = Server("postgresql", "postgresql", (18, 1), 'the "shop"', identity="x", superuser=True, user="postgres")
ACCESS = {
    "role": [{"role_name": "postgres", "held": []}],
    "owners": [
        {
            "owner": "own er",
            "superuser": False,
            "tables": 2,
            "readable": 0,
            "maintainable": 0,
            "schemas": ["public", 'o"dd'],
        },
        {"owner": "postgres", "superuser": True, "tables": 3, "readable": 0, "maintainable": 0, "schemas": ["public"]},
    ],
    "extensions": [],
    "functions": [],
}
FACTS = Facts(SERVER, "postgresql://…", 0.01, 0.001, ACCESS)


def subjects(facts: Facts) -> dict[str, Finding]:
    return {finding.subject: finding for finding in judge(facts)}


@pytest.mark.parametrize(
    ("product", "number", "level"),
    [
        ("postgresql", (11, 9), "problem"),
        ("postgresql", (12, 0), "ok"),
        ("postgresql", (13, 23), "ok"),
        ("postgresql", (14, 0), "warning"),
        ("postgresql", (14, 3), "warning"),
        ("postgresql", (14, 4), "ok"),
        ("postgresql", (18, 6), "ok"),
        ("postgresql", (19, 0), "warning"),
        ("mariadb", (10, 5, 29), "problem"),
        ("mariadb", (10, 6, 0), "ok"),
        ("mariadb", (12, 1), "ok"),
        ("mysql", (5, 7, 44), "problem"),
        ("mysql", (8, 0, 11), "ok"),
        ("mysql", (9, 5, 0), "ok"),
        ("sqlite", (3, 34, 1), "problem"),
        ("sqlite", (3, 35, 0), "ok"),
    ],
)
def test_versions(product, number, level):
    found = version(replace(SERVER, product=product, version=number))
    assert found.level == level
    assert found.remedy if level != "ok" else not found.remedy


def test_disk():
    big = replace(FACTS, server=replace(SERVER, database_bytes=1000))
    assert disk(replace(big, free_disk=199, disk_seen=True)).level == "warning"
    assert disk(replace(big, free_disk=200, disk_seen=True)).level == "ok"
    assert "free_disk_bytes" in disk(replace(big, free_disk=200)).text
    unseen = disk(big)
    assert unseen.level == "ok"
    assert "free_disk_bytes" in str(unseen.remedy)


def test_programs():
    there = {name: "18.1" for names in PROGRAMS["postgresql"] for name in names}
    assert [finding.level for finding in programs(SERVER, there)] == ["ok"]
    assert [finding.text for finding in programs(SERVER, there | {"psql": None})] == ["not found: psql"]
    (old,) = programs(SERVER, there | {"pg_dump": "17.9"})
    assert "refuses a server of version 18" in old.text
    maria = replace(SERVER, engine="mysql", product="mariadb", version=(10, 11))
    assert [finding.level for finding in programs(maria, {"mysqldump": "8.0", "mysql": "8.0"})] == ["ok"]
    assert list(programs(replace(SERVER, engine="sqlite"), {})) == []


def test_a_sqlite_file():
    server = Server(
        "sqlite", "sqlite", (3, 40, 1), "x.db", identity="", features=frozenset({"dbstat"}), journal_mode="wal"
    )
    good = Facts(server, "sqlite:///x.db", 0.0, 0.0, writable=True)
    assert {finding.level for finding in judge(good)} == {"ok"}
    bad = subjects(replace(good, writable=False, server=replace(server, features=frozenset())))
    assert bad["file"].level == bad["dbstat"].level == "warning"


def test_a_standby_is_told():
    assert "standby" in subjects(replace(FACTS, server=replace(SERVER, standby=True)))["server"].text
    assert "read-only" in subjects(replace(FACTS, server=replace(SERVER, read_only=True)))["server"].text


def test_names_in_statements_are_quoted():
    text = "\n".join(roles(replace(SERVER, version=(13, 2)), ACCESS))
    assert 'ON DATABASE "the ""shop""" TO' in text
    assert 'GRANT USAGE ON SCHEMA "o""dd" TO aishell_inspect;' in text
    assert 'GRANT "own er" TO aishell_maintain;' in text
    assert pattern("a_b%c\\d`") == "`a\\_b\\%c\\\\d```"


def test_statements_fit_the_version():
    def text(*number: int) -> str:
        return "\n".join(roles(replace(SERVER, version=number), ACCESS))

    assert "pg_read_all_data" not in text(13, 9)
    assert "GRANT SELECT ON ALL TABLES IN SCHEMA" in text(13, 9)
    assert "GRANT pg_monitor, pg_read_all_data" in text(14, 0)
    assert "pg_maintain" not in text(16, 4)
    assert "3 table(s) belong to superusers" in text(16, 4)
    assert "\nGRANT pg_maintain TO" in text(17, 0)
    assert '\nGRANT "own er"' not in text(17, 0)


def test_every_lack_of_a_role_comes_with_its_grant():
    found = subjects(replace(FACTS, server=replace(SERVER, superuser=False)))
    assert "5 of 5 tables cannot be read" in found["inspection"].text
    assert found["maintenance"].text.startswith('"postgres" may maintain 0 of 5')
    for subject in ("inspection", "maintenance", "pgstattuple", "amcheck"):
        assert found[subject].level == "warning"
        assert found[subject].remedy


def test_extensions():
    def found(**row: str | None) -> Finding:
        extension = {"name": "amcheck", "installed_version": "1.3", "default_version": "1.3"} | row
        call = {"extension": "amcheck", "signature": "s.f(x)", "allowed": False, "by_everybody": False}
        return subjects(replace(FACTS, access={**ACCESS, "extensions": [extension], "functions": [call]}))["amcheck"]

    assert found(installed_version=None).sql == ("CREATE EXTENSION amcheck;",)
    assert found(default_version="1.5").sql == ("ALTER EXTENSION amcheck UPDATE;",)
    assert found().sql == ('GRANT EXECUTE ON FUNCTION s.f(x) TO "postgres";',)


def test_the_entry_that_counts_on_mysql():
    def row(privilege: str, place: str, entry: str | None = None) -> dict[str, str | None]:
        return {"privilege": privilege, "place": place, "pattern": entry}

    rows = [row("PROCESS", "server"), row("SELECT", "database", "shop%"), row("INSERT", "database", "shop_1")]
    assert in_force({"privileges": rows[:1]}) == (None, {"PROCESS"})
    assert in_force({"privileges": rows[:2]}) == ("shop%", {"PROCESS", "SELECT"})
    exact = row("ALTER", "database", "shop\\_1")
    assert in_force({"privileges": [*rows, exact]}) == ("shop\\_1", {"PROCESS", "ALTER"})
