"""What `doctor` makes of facts: each judgement, at its edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aishell.backups.store.catalog import CatalogEntry
from aishell.databases.quoting import pattern
from aishell.databases.tls import Encryption
from aishell.engines import PROFILES, profile
from aishell.models import Finding, Server
from aishell.planning.privileges import in_force
from aishell.reporting.diagnosis import TargetFacts, backup, disk, judge, programs, tls, version
from aishell.reporting.roles import roles

SERVER = Server("postgresql", "postgresql", (18, 1), 'the "shop"', identity="x", superuser=True, user="postgres")
ACCESS = {
    "role": [{"role_name": "postgres", "held": [], "replicates": True}],
    "owners": [
        {
            "owner": "own er",
            "superuser": False,
            "held": False,
            "tables": 2,
            "readable": 0,
            "maintainable": 0,
            "schemas": ["public", 'o"dd'],
        },
        {
            "owner": "postgres",
            "superuser": True,
            "held": True,
            "tables": 3,
            "readable": 0,
            "maintainable": 0,
            "schemas": ["public"],
        },
    ],
    "extensions": [],
    "functions": [],
    "tables": [],
    "obstacles": [],
}
FACTS = TargetFacts(SERVER, "postgresql://…", 0.01, 0.001, ACCESS)


def subjects(facts: TargetFacts) -> dict[str, Finding]:
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
    engine = next(name for name, known in PROFILES.items() if product in known.supported)
    found = version(replace(SERVER, engine=engine, product=product, version=number))
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
    there = {name: "18.1" for names in profile("postgresql").programs for name in names}
    assert [finding.level for finding in programs(SERVER, there)] == ["ok"]
    assert [finding.text for finding in programs(SERVER, there | {"pg_restore": None})] == ["not found: pg_restore"]
    (old,) = programs(SERVER, there | {"pg_dump": "17.9"})
    assert old.text == "older than the server (postgresql 18): pg_dump 17.9"
    assert "18 or newer" in str(old.remedy)
    both = programs(SERVER, there | {"pg_dump": "17.9", "pg_basebackup": None})
    assert [finding.level for finding in both] == ["warning", "warning"]
    assert list(programs(replace(SERVER, engine="sqlite"), {})) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"mariadb-dump": "10.11.6", "mariadb": "10.11.6", "mariadb-binlog": "10.11.6"}, []),
        ({"mariadb-dump": "11.4.2", "mysql": "10.11.0", "mysqlbinlog": "3.5"}, []),
        ({"mariadb-dump": "10.6.9", "mariadb": "10.11.6", "mariadb-binlog": "10.11.6"}, ["mariadb-dump 10.6.9"]),
        ({"mysqldump": "8.0", "mysql": "8.0.36", "mysqlbinlog": "10.11"}, ["mysqldump 8.0", "mysql 8.0.36"]),
        ({"mariadb-dump": "10.11.6", "mariadb": "10.11.6"}, ["mariadb-binlog"]),
    ],
)
def test_programs_of_mariadb_go_by_either_name_and_must_not_be_older(found, told):
    findings = list(programs(replace(SERVER, engine="mysql", product="mariadb", version=(10, 11, 6)), found))
    assert [finding.level for finding in findings] == (["warning"] if told else ["ok"])
    for name in told:
        assert name in findings[0].text


NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def made(hours: float, **facts: Any) -> CatalogEntry:
    """A verified full backup that was begun so many hours ago."""
    at = (NOW - timedelta(hours=hours)).isoformat()
    known = {"target": "shop", "identity": "it", "engine": "sqlite", "kind": "full", "method": "sqlite", "parent": None}
    known |= {"database": "d", "started_at": at, "finished_at": at, "path": "/b", "bytes": 1, "source_bytes": 1}
    known |= {"run_id": "r", "digest": "d", "verification_level": "readable", "verification_level_at": at}
    return CatalogEntry(**{"backup_id": f"b{hours:g}", **known, **facts})


@pytest.mark.parametrize(
    ("known", "level", "told"),
    [
        ([], "warning", "there is none"),
        ([made(2)], "ok", "2 h 0 min old, readable: b2"),
        ([made(2, verification_level="restored-and-compared")], "ok", "2 h 0 min old, restored and compared: b2"),
        ([made(7 * 24)], "ok", "7 days old, readable: b168"),
        ([made(7 * 24 + 1)], "warning", "7 days old, readable: b169"),
        ([made(3, verification_level="checksummed"), made(2, problem="x")], "warning", "none of 2 is verified"),
        (
            [made(9), made(2, problem="holes")],
            "warning",
            "9 h 0 min old, readable: b9; the newest, b2, does not count: holes",
        ),
        (
            [made(9), made(2, verification_level="written")],
            "warning",
            "9 h 0 min old, readable: b9; the newest, b2, does not count: it was not verified",
        ),
        (
            [made(9), made(2, backup_id="x-safety")],
            "warning",
            "9 h 0 min old, readable: b9; the newest, x-safety, does not count: a restore in place has replaced its database",
        ),
        ([made(2, backup_id="x-safety")], "warning", "none of 1 is of the restored database"),
        ([made(2, identity="other")], "warning", "there is none; 1 of another database under this name"),
        ([made(9), made(2, identity="other")], "ok", "9 h 0 min old, readable: b9"),
        ([made(-1)], "ok", "0.0 s old, readable: b-1"),
    ],
)
def test_the_age_of_the_last_verified_backup(known, level, told):
    finding = backup("shop", known, NOW, identity="it")
    assert (finding.subject, finding.level, finding.text) == ("backup of shop", level, told)
    assert (finding.remedy is not None) == (level == "warning")


def test_a_target_that_was_not_asked_goes_by_its_name():
    assert backup("shop", [made(2, identity="other")], NOW).level == "ok"
    nameless = backup("sqlite:///x", [], NOW)
    assert (nameless.subject, nameless.remedy) == ("backup", "aishell run backup --url sqlite:///x")


def test_a_sqlite_file():
    server = Server(
        "sqlite", "sqlite", (3, 40, 1), "x.db", identity="", features=frozenset({"dbstat"}), journal_mode="wal"
    )
    good = TargetFacts(server, "sqlite:///x.db", 0.0, 0.0, writable=True)
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


@pytest.mark.parametrize(
    ("found", "local", "level", "said"),
    [
        (Encryption(), True, "ok", "plain text, on this host"),
        (Encryption("TLSv1.3", "AES"), True, "ok", "TLSv1.3, AES, server not verified, on this host"),
        (Encryption(), False, "warning", "plain text: anyone on the network can read"),
        (Encryption("TLSv1.3", "AES"), False, "warning", "another server can pose as it"),
        (Encryption("TLSv1.3", "AES", "certificate"), False, "ok", "TLSv1.3, AES, certificate verified"),
    ],
)
def test_what_protects_the_connection(found, local, level, said):
    for engine in ("postgresql", "mysql"):
        finding = tls(found, local=local, engine=engine)
        assert finding.level == level
        assert said in finding.text
        assert bool(finding.remedy) is (level == "warning")


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
        call = {"extension": "amcheck", "schema": "s", "signature": "s.f(x)", "allowed": False, "granted": False}
        call |= {"reached": False, "by_everybody": False, "reached_by_everybody": True}
        return subjects(replace(FACTS, access={**ACCESS, "extensions": [extension], "functions": [call]}))["amcheck"]

    assert found(installed_version=None).sql == ("CREATE EXTENSION amcheck;",)
    assert found(default_version="1.5").sql == ("ALTER EXTENSION amcheck UPDATE;",)
    assert found().sql == (
        'GRANT USAGE ON SCHEMA "s" TO "postgres";',
        'GRANT EXECUTE ON FUNCTION s.f(x) TO "postgres";',
    )
    assert "left out of plans" in found().text


def test_the_entry_that_counts_on_mysql():
    def row(privilege: str, place: str, entry: str | None = None) -> dict[str, str | None]:
        return {"privilege": privilege, "place": place, "pattern": entry}

    rows = [row("PROCESS", "server"), row("SELECT", "database", "shop%"), row("INSERT", "database", "shop_1")]
    assert in_force({"privileges": rows[:1]}) == (None, {"PROCESS"})
    assert in_force({"privileges": rows[:2]}) == ("shop%", {"PROCESS", "SELECT"})
    exact = row("ALTER", "database", "shop\\_1")
    assert in_force({"privileges": [*rows, exact]}) == ("shop\\_1", {"PROCESS", "ALTER"})
