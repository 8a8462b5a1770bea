"""analyze_database_health: each finding with a database that has it, and none where all is well."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from aishell.backups.postgresql.wal import slot_name


def findings(engine, **params):
    output = engine.call("analyze_database_health", **params).output
    for row in output["findings"]:
        assert set(row) >= {"finding", "severity", "object", "value", "detail"}
        assert row["severity"] in ("info", "warning", "critical")
        assert row["detail"]
    return {(row["finding"], row["object"]) for row in output["findings"]}


def names(engine, **params):
    return {finding for finding, _ in findings(engine, **params)}


def about_tables(found):
    return {(finding, str(name).rpartition(".")[2]) for finding, name in found if name}


def test_counts_and_size(engine):
    engine.samples.table()
    engine.samples.empty()
    output = engine.call("analyze_database_health").output
    assert output["tables"] == 2
    assert output["database_bytes"] > 0


def test_a_table_without_a_primary_key(engine):
    engine.samples.without_key()
    engine.samples.table()
    missing = {name for finding, name in about_tables(findings(engine)) if finding == "missing_primary_key"}
    assert missing == {"keyless"}


def test_findings_are_limited_to_the_named_tables(engine):
    engine.samples.without_key("one")
    engine.samples.without_key("two")
    found = about_tables(findings(engine, tables=engine.named("one")))
    assert {name for finding, name in found if finding == "missing_primary_key"} == {"one"}


def test_an_index_that_another_covers(engine):
    samples = engine.samples
    samples.table(index="single")
    samples.index("plain", "n", "twin")
    samples.do(
        f"CREATE INDEX wide ON {samples.q('plain') if engine.name == 'sqlite' else samples.ref('plain')} (n, note)"
    )
    found = {finding for finding in names(engine) if finding in ("duplicate_index", "redundant_index")}
    assert found == {"duplicate_index", "redundant_index"}


def test_an_invalid_index_on_postgresql(pg_engine):
    pg_engine.samples.table(index="broken")
    pg_engine.samples.do("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass")
    assert "invalid_index" in names(pg_engine)


def test_a_table_never_analyzed_on_postgresql(pg_engine):
    pg_engine.samples.table(rows=2000)
    assert "never_analyzed" in names(pg_engine)
    pg_engine.call("update_table_statistics", schema="public", table="plain")
    assert "never_analyzed" not in names(pg_engine)


def test_a_sequence_near_its_end_on_postgresql(pg_engine):
    pg_engine.samples.do("CREATE TABLE counted (id serial PRIMARY KEY)", "SELECT setval('counted_id_seq', 2000000000)")
    assert any("sequence" in name for name in names(pg_engine))


def value_of(engine, finding):
    (row,) = (f for f in engine.call("analyze_database_health").output["findings"] if f["finding"] == finding)
    return row["value"]


def test_a_sequence_is_full_when_nothing_is_left_of_it_on_postgresql(pg_engine):
    pg_engine.samples.do("CREATE TABLE counted (id serial PRIMARY KEY)", "SELECT setval('counted_id_seq', 2147483646)")
    assert value_of(pg_engine, "sequence_near_end") == "99.9 % (2147483646 of 2147483647)"
    pg_engine.samples.do("SELECT setval('counted_id_seq', 2147483647)")
    assert value_of(pg_engine, "sequence_near_end").startswith("100.0 %")


@pytest.mark.parametrize("sign", ["signed", "unsigned"])
@pytest.mark.parametrize(
    ("type_", "bits"), [("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)]
)
def test_a_counter_near_its_end_on_mariadb(mariadb_engine, type_, bits, sign):
    largest = 2 ** (bits - (sign == "signed")) - 1
    counter = largest - 1
    mariadb_engine.samples.do(
        f"CREATE TABLE counted (id {type_} {sign} AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = {counter}"
    )
    told = value_of(mariadb_engine, "auto_increment_near_end")
    assert told.endswith(f"(next is {counter} of {largest})")
    assert float(told.partition(" %")[0]) == 1000 * counter // largest / 10 < 100


@contextmanager
def slot(engine, name, how="pg_create_physical_replication_slot(%s, true)"):
    """What is found of a replication slot that is there meanwhile."""
    engine.samples.do(f"SELECT {how % repr(name)}")
    try:
        (found,) = (f for f in engine.call("analyze_database_health").output["findings"] if f["object"] == name)
        yield found
    finally:
        engine.samples.do(f"SELECT pg_drop_replication_slot({name!r})")


def test_what_a_replication_slot_keeps_on_postgresql(pg_engine):
    with slot(pg_engine, "idle") as wal:
        assert (wal["finding"], wal["severity"]) == ("inactive_replication_slot", "warning")
        assert wal["value"].startswith("WAL kept: ")
        assert " of WAL" in wal["detail"]
        assert "dead rows" not in wal["detail"], "its xmin is NULL"
    with slot(pg_engine, "unreserved", "pg_create_physical_replication_slot(%s)") as nothing:
        assert nothing["value"] == "WAL kept: none"
        assert "retains nothing" in nothing["detail"]
    with slot(pg_engine, "logical", "pg_create_logical_replication_slot(%s, 'pgoutput')") as both:
        assert "of WAL and dead rows of the system catalogs" in both["detail"]


def test_a_slot_that_backups_rest_on_is_not_to_be_dropped(pg_engine, tmp_path):
    with slot(pg_engine, slot_name("identity", "target", tmp_path)) as own:
        assert (own["finding"], own["severity"]) == ("backup_slot", "info")
        assert "belongs to aishell: the next increment" in own["detail"]
        assert "Do not drop it" in own["detail"]
        assert "pg_drop" not in own["detail"]
    with slot(pg_engine, "aishell_dashboard") as foreign:
        assert foreign["finding"] == "inactive_replication_slot", "somebody's, called alike"
    with slot(
        pg_engine,
        slot_name("identity", "target", tmp_path),
        "pg_create_logical_replication_slot(%s, 'pgoutput')",
    ) as logical:
        assert logical["finding"] == "inactive_replication_slot", "no backup reads from such a one"


def test_settings_that_make_maintenance_useless_on_postgresql(pg_engine):
    assert "autovacuum" in str(findings(pg_engine)), "the test servers run without autovacuum"


def test_a_file_without_statistics(sqlite_engine):
    sqlite_engine.samples.table()
    assert "no_statistics" in names(sqlite_engine)
    sqlite_engine.call("update_table_statistics", schema="main", table="plain")
    assert "no_statistics" not in names(sqlite_engine)


def test_a_file_with_free_pages(sqlite_engine):
    assert "free_space" not in names(sqlite_engine)
    sqlite_engine.samples.bloated()
    assert "free_space" in names(sqlite_engine)


@pytest.mark.parametrize("checked", [False, True])
def test_a_sound_file_has_no_damage(engine, checked):
    engine.samples.table()
    assert not {"corruption", "checksum_failures"} & names(engine, check_corruption=checked)


def test_an_engine_that_loses_data_in_a_crash_on_mariadb(mariadb_engine):
    mariadb_engine.samples.do("CREATE TABLE fragile (id integer PRIMARY KEY) ENGINE=MyISAM")
    assert "not_crash_safe" not in names(mariadb_engine, tables=mariadb_engine.named("another"))
    (row,) = (
        row
        for row in mariadb_engine.call("analyze_database_health").output["findings"]
        if row["finding"] == "not_crash_safe"
    )
    assert "fragile" in row["detail"]
