"""Damage made on purpose is found, named, and never called sound."""

from __future__ import annotations

import pytest

from tests.fix_tools import Engine, not_checked


def check(engine, *tables):
    return engine.call("check_table_corruption", tables=engine.named(*tables))


def damaged(result):
    return {row["table"] for row in result.output["corrupted_tables"]}


def test_sound_tables_are_called_sound(engine):
    tables = [engine.samples.table("first", 500), engine.samples.huge(), engine.samples.empty()]
    result = check(engine, *tables)
    assert (result.status, damaged(result), not_checked(engine, result)) == ("done", set(), [])


def test_what_cannot_be_checked_is_said(engine):
    engine.samples.table()
    result = check(engine, "plain", "not_there")
    assert [row["table"] for row in not_checked(engine, result)] == ["not_there"]


# PostgreSQL


def lose_an_entry(engine):
    """An index that does not know of one of its table's rows."""
    engine.samples.table("hurt", 500, index="hurt_n")
    flags = "UPDATE pg_index SET indisready = {0}, indisvalid = {0} WHERE indexrelid = 'hurt_n'::regclass"
    engine.samples.do(flags.format("false"))
    engine.samples.do("INSERT INTO hurt VALUES (9999, 'unknown to the index', '')", flags.format("true"))


def test_an_index_that_misses_a_row_is_found_and_rebuilt(pg_engine):
    lose_an_entry(pg_engine)
    pg_engine.samples.table("sound")
    result = check(pg_engine, "hurt", "sound")
    assert damaged(result) == {"hurt"}
    (row,) = result.output["corrupted_tables"]
    assert row["index_name"] == "hurt_n"
    assert "lacks matching index tuple" in row["reason"]
    assert result.status == "done", "finding damage is what the check is for"
    pg_engine.samples.do("REINDEX INDEX hurt_n")
    assert damaged(check(pg_engine, "hurt")) == set()


def test_older_versions_find_a_damaged_index_too(pg_engine):
    """The file for 12 and 13, which have no verify_heapam, run on the servers at hand."""
    lose_an_entry(pg_engine)
    pg_engine.version = (13, 0)
    assert "before_14" in pg_engine.pick("check_table_corruption").source
    assert damaged(check(pg_engine, "hurt")) == {"hurt"}


def test_without_the_extension_nothing_is_called_sound(pg_engine):
    lose_an_entry(pg_engine)
    pg_engine.hidden = {"amcheck"}
    output = check(pg_engine, "hurt").output
    assert (output["corrupted_tables"], output["checked"]) == ([], [])
    assert "amcheck" in output["not_checked"][0]["reason"]


@pytest.fixture
def own_pg(pg_server_factory):
    """A server of the test's own, which it may damage."""
    database = pg_server_factory().create("app")
    made = Engine(database)
    yield made
    made.close()


def test_a_damaged_page_is_found_and_counted(own_pg):
    own_pg.samples.table("hurt", 2000)
    own_pg.samples.do("CHECKPOINT")
    server, path = own_pg.db.server, own_pg.samples.value("SELECT pg_relation_filepath('hurt')")
    own_pg.database.close()
    server.stop()
    file = server.data / path
    content = bytearray(file.read_bytes())
    for offset in range(8192 + 4000, 8192 + 4032):
        content[offset] ^= 0xFF
    file.write_bytes(content)
    server.start()
    result = check(own_pg, "hurt")
    assert damaged(result) == {"hurt"}
    assert "invalid page" in result.output["corrupted_tables"][0]["reason"]
    health = own_pg.call("analyze_database_health", check_corruption=True).output["findings"]
    assert [f["severity"] for f in health if f["finding"] == "checksum_failures"] == ["critical"]


# SQLite


def overwrite(engine, name, with_bytes):
    """Overwrite the last leaf page of a table or index."""
    page = engine.samples.value(f"SELECT max(pageno) FROM dbstat WHERE name = '{name}' AND pagetype = 'leaf'")
    size = engine.samples.value("PRAGMA page_size")
    engine.db.close()
    with engine.db.path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write((with_bytes * size)[:size])


@pytest.mark.parametrize("garbage", [b"\xde\xad\xbe\xef", b"\0"], ids=["garbage", "zeros"])
@pytest.mark.parametrize("part", ["hurt", "hurt_n"])
def test_an_overwritten_page_is_found(sqlite_engine, garbage, part):
    sqlite_engine.samples.table("hurt", 2000)
    sqlite_engine.samples.table("sound", 100)
    overwrite(sqlite_engine, part, garbage)
    result = check(sqlite_engine, "hurt", "sound")
    assert damaged(result) == {"hurt"}
    assert result.output["corrupted_tables"][0]["reason"]
    assert [row["table"] for row in result.output["checked"]] == ["sound"]
    found = sqlite_engine.call("analyze_database_health", check_corruption=True).output["findings"]
    assert "critical" in {f["severity"] for f in found if f["finding"] == "corruption"}


def test_a_truncated_file_is_found(sqlite_engine):
    sqlite_engine.samples.table("hurt", 2000)
    sqlite_engine.db.close()
    size = sqlite_engine.db.path.stat().st_size
    with sqlite_engine.db.path.open("r+b") as file:
        file.truncate(size - size // 4 // 4096 * 4096)
    result = sqlite_engine.step("check_table_corruption", tables=sqlite_engine.named("hurt"))
    if result.output:
        assert damaged(result) == {"hurt"}
    else:  # cut so short that the schema cannot be read either
        assert "malformed" in result.reason


def test_a_stale_index_is_found_and_rebuilt(sqlite_engine):
    """quick_check misses it: the rows that the index does not know were written while the schema did not name it."""
    samples = sqlite_engine.samples
    samples.table("hurt", 500, index="hurt_n")
    ((entry,),) = sqlite_engine.db.execute("SELECT sql FROM sqlite_schema WHERE name = 'hurt_n'")
    root = samples.value("SELECT rootpage FROM sqlite_schema WHERE name = 'hurt_n'")
    with sqlite_engine.db.connect() as connection:
        version = connection.execute("PRAGMA schema_version").fetchone()[0]
        connection.execute("PRAGMA writable_schema = on")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'hurt_n'")
        connection.execute(f"PRAGMA schema_version = {version + 1}")
    samples.fill("hurt", 501, 600)
    with sqlite_engine.db.connect() as connection:
        connection.execute("PRAGMA writable_schema = on")
        connection.execute("INSERT INTO sqlite_schema VALUES ('index', 'hurt_n', 'hurt', ?, ?)", [root, entry])
        connection.execute(f"PRAGMA schema_version = {version + 2}")
    assert sqlite_engine.db.execute("PRAGMA quick_check") == [("ok",)]
    result = check(sqlite_engine, "hurt")
    assert damaged(result) == {"hurt"}
    assert "missing from index hurt_n" in result.output["corrupted_tables"][0]["reason"]
    samples.do("REINDEX main.hurt_n")
    assert damaged(check(sqlite_engine, "hurt")) == set()


def test_orphans_are_counted_and_not_called_damage(sqlite_engine):
    sqlite_engine.samples.do(
        "CREATE TABLE parents (id integer PRIMARY KEY)",
        "CREATE TABLE children (id integer PRIMARY KEY, parent integer REFERENCES parents)",
        "INSERT INTO children VALUES (1, 42)",
    )
    result = check(sqlite_engine, "children")
    assert damaged(result) == set()
    assert [row["foreign_key_violations"] for row in result.output["checked"]] == [1]


# MariaDB


@pytest.mark.parametrize(
    ("storage", "suffix", "start"),
    [("MyISAM", "MYD", 3000), ("MyISAM", "MYI", 2048), ("Aria", "MAD", 16500), ("Aria", "MAI", 16500)],
)
def test_a_damaged_file_is_found(mariadb_engine, storage, suffix, start):
    samples, server = mariadb_engine.samples, mariadb_engine.db.server
    samples.do(
        f"CREATE TABLE hurt (id integer PRIMARY KEY, n varchar(64), note varchar(200), KEY (n)) ENGINE={storage}"
    )
    samples.fill("hurt", 1, 3000)
    samples.table("sound")
    mariadb_engine.database.close()
    server.stop()
    file = server.data / mariadb_engine.schema / f"hurt.{suffix}"
    content = bytearray(file.read_bytes())
    for offset in range(start, min(start + 3000, len(content))):
        content[offset] ^= 0xA5
    file.write_bytes(content)
    server.start()
    result = check(mariadb_engine, "hurt", "sound")
    assert damaged(result) == {"hurt"}
    assert result.output["corrupted_tables"][0]["reason"]
    samples.do("DROP TABLE hurt")
