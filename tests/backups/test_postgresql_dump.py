"""Dumps of PostgreSQL: what comes back is what was there at one moment, on each server, whoever writes meanwhile."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from aishell.backups.postgresql.dump import PgDump
from aishell.errors import BackupError
from tests.backups.logical import BIG, Logical, Tried, databases, fill_with_everything, let_read_everything
from tests.fix_aishell import Aishell
from tests.postgresql import PostgresqlDatabase

pytestmark = pytest.mark.versions


@pytest.fixture
def tried(pg_current: PostgresqlDatabase, tmp_path: Path) -> Iterator[Tried]:
    """The tools on one server: what differs between them is tested by the command line, and in `test_postgresql_fingerprints`."""
    made = Tried(pg_current, tmp_path / "tried")
    yield made
    made.close()


@contextmanager
def writer(db: PostgresqlDatabase) -> Iterator[None]:
    """An application that writes on: rows, a sequence, and a second table in the same transaction."""
    stop = threading.Event()

    def write() -> None:
        with db.connect() as connection:
            while not stop.is_set():
                with connection.transaction():
                    connection.execute("INSERT INTO app.serials DEFAULT VALUES")
                    connection.execute("UPDATE app.letters SET letter = letter || '!' WHERE codepoint % 50 = 1")
                    connection.execute("DELETE FROM app.twins WHERE ctid IN (SELECT ctid FROM app.twins LIMIT 1)")
                    connection.execute("INSERT INTO app.twins VALUES (2, 'meanwhile'), (2, 'meanwhile')")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_everything_comes_back_while_an_application_writes(pg: PostgresqlDatabase, aishell: Aishell) -> None:
    fill_with_everything(pg)
    pg.execute(BIG.format(50_000))
    logical, before = Logical(aishell, pg), databases(pg)
    with writer(pg):
        ended = logical.back_up("--restore-test")
    made = ended.expect(0).json["output_data"]
    assert made["rung"] == "restored-and-compared"
    steps = {action["step_id"]: action["output"] for action in ended.json["actions_taken"]}
    assert steps["restore_test"]["compared"] > 300
    assert steps["restore_test"]["compared"] == steps["backup"]["objects"]
    assert databases(pg) == before, "the scratch database is gone"
    folder = Path(made["backup_path"])
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} <= {0o600, 0o644}
    assert (folder / "globals.sql").stat().st_mode & 0o777 == 0o600
    aishell("audit", "verify").expect(0)


def test_what_does_not_come_back_as_it_was_is_no_backup(
    pg_distribution: PostgresqlDatabase, aishell: Aishell, tmp_path: Path
) -> None:
    """A pg_restore that loses a row of what it restores, as no exit code tells."""
    pg_distribution.execute(BIG.format(1000))
    pg_distribution.execute("CREATE FUNCTION lost() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in ("pg_dump", "pg_dumpall"):
        (programs / program).symlink_to(pg_distribution.server.bin / program)
    wrapper = programs / "pg_restore"
    wrapper.write_text(
        f"""#!/bin/sh
        "{pg_distribution.server.bin}/pg_restore" "$@" || exit
        case "$*" in *--section=post-data*) ;; *) exit 0;; esac
        for word; do case "$word" in --dbname=*) where="${{word#--dbname=}}";; esac; done
        "{pg_distribution.server.bin}/psql" -qX -d "$where" -c "DELETE FROM big WHERE id = 7; DROP FUNCTION lost()"
        """
    )
    wrapper.chmod(0o755)
    logical = Logical(aishell, pg_distribution, programs)
    before = databases(pg_distribution)
    ended = logical.back_up("--restore-test").expect(1)
    for told in ("rows public.big has 999 rows instead of 1000", "function public.lost() is missing"):
        assert told in ended.out
    assert databases(pg_distribution) == before
    (backup,) = aishell("backups", "list", "--output", "json").json
    assert not backup["verified"]
    assert "restored data of" in backup["problem"]


def test_a_backup_is_restored_beside_the_database_under_its_name_when_it_is_whole(
    pg: PostgresqlDatabase, aishell: Aishell
) -> None:
    fill_with_everything(pg)
    logical, place = Logical(aishell, pg), 'restored "x" 🐘'
    backup_id = logical.made()["backup_id"]
    restored = pg.server.database(place)
    try:
        ended = logical.restore(backup_id, place).expect(0)
        assert ended.json["output_data"] == {
            **ended.json["output_data"],
            "place": place,
            "compared": True,
            "differences": [],
        }
        assert restored.execute("SHOW search_path") == [('app, "$user", public',)]
        query = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        assert restored.execute(query) == pg.execute(query)
        refused = logical.restore(backup_id, place).expect(1)
        assert "already exists" in refused.out
        assert restored.execute("SELECT count(*) FROM app.letters") == pg.execute("SELECT count(*) FROM app.letters")
        assert not [name for name in databases(pg) if name.startswith("aishell_scratch")]
    finally:
        restored.drop()


def test_a_restore_that_was_killed_once_all_was_done_is_not_done_again(tried: Tried) -> None:
    tried.db.execute("CREATE TABLE t (a int)")
    entry, context = tried.backed_up(), tried.context()
    for _ in range(2):  # the same step of the same run
        tried.call("restore_backup", context, backup_id=entry.backup_id, place="once")
    restored = tried.db.server.database("once")
    with pytest.raises(BackupError, match="already exists"):
        tried.call("restore_backup", backup_id=entry.backup_id, place="once")
    again = Tried(restored, tried.home)  # the mark is no part of the database
    assert again.call("restore_test", backup_id=again.backed_up().backup_id)["rung"] == "restored-and-compared"
    again.close()
    restored.drop()


def test_the_rows_of_chosen_tables_alone_come_back_in_the_schema_of_all(tried: Tried) -> None:
    fill_with_everything(tried.db)
    entry = tried.backed_up()
    chosen = ["app.twins", "new\nline.new\nline", 'we"ird`x %s :y; -- 50% \\.we"ird`x %s :y; -- 50% \\', "app.seen"]
    with tried.restored(entry, "some", only=chosen) as restored:
        many = {
            name: restored.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*name)))[0][0]
            for name in (
                ("app", "twins"),
                ("app", "seen"),
                ("app", "letters"),
                ("app", "events"),
                ("new\nline", "new\nline"),
            )
        }
        assert list(many.values()) == [5, 4, 0, 0, 10]
        assert restored.execute("SELECT count(*) FROM pg_indexes WHERE schemaname = 'app'") == tried.db.execute(
            "SELECT count(*) FROM pg_indexes WHERE schemaname = 'app'"
        )
    for wrong in ("app.gone", "twins", "app.events"):
        with pytest.raises(BackupError, match="the backup has no rows of"):
            tried.call("restore_backup", backup_id=entry.backup_id, place="some", only=[wrong])
    with pytest.raises(BackupError, match="of its own time"):
        tried.call("restore_backup", backup_id=entry.backup_id, place="some", until="2026-01-01")
    assert "some" not in databases(tried.db)


def test_indexes_of_partitions_on_two_levels_are_attached_one_after_the_other(tried: Tried) -> None:
    """By several jobs at once they end in a deadlock, some of the times."""
    fill_with_everything(tried.db)
    entry = tried.backed_up()
    with tried.restored(entry, "attached", jobs=4):
        log = tried.db.server.log_file.read_text(errors="replace")
    attaching = re.compile(
        r"\[(\d+)\] \S+@aishell_scratch_\S+ aishell: LOG:  statement: ALTER INDEX .* ATTACH PARTITION"
    )
    by = attaching.findall(log)
    assert len(by) >= 8
    assert len(set(by[-8:])) == 1


def test_a_restore_that_fails_leaves_nothing(tried: Tried) -> None:
    """A foreign key that its rows break: made with the checks switched off."""
    tried.db.execute("CREATE TABLE parents (id int PRIMARY KEY)")
    tried.db.execute("CREATE TABLE children (id int REFERENCES parents)")
    with tried.db.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO children VALUES (1)")
    before = databases(tried.db)
    entry = tried.backed_up()
    for tool, more in (("restore_test", {}), ("restore_backup", {"place": "broken"})):
        with pytest.raises(BackupError, match=r"(?s)pg_restore ended with 1: .*children_id_fkey"):
            tried.call(tool, backup_id=entry.backup_id, **more)
    assert databases(tried.db) == before


def test_only_scratch_databases_are_ever_dropped(tried: Tried) -> None:
    with pytest.raises(BackupError, match="was not dropped"):
        PgDump().drop(tried.work(), tried.db.dbname)
    assert tried.db.dbname in databases(tried.db)


# Who may not read everything


def test_a_role_that_may_not_read_everything_is_told_so_before_anything_is_written(
    pg_distribution: PostgresqlDatabase, aishell: Aishell
) -> None:
    pg_distribution.execute("CREATE TABLE open (a int)")
    pg_distribution.execute("CREATE TABLE shut (a int)")
    pg_distribution.execute("CREATE SCHEMA hidden CREATE TABLE too (a serial)")
    url = pg_distribution.make_role()
    pg_distribution.execute("GRANT SELECT ON open TO app")
    pg_distribution.execute("GRANT SELECT ON ALL TABLES IN SCHEMA hidden TO app")
    logical = Logical(aishell, pg_distribution)
    ended = logical.back_up(url=url).expect(1)
    (left,) = (one for one in ended.json["output_data"]["left_out"] if one["tool"] == "backup_database_full")
    assert left["reason"] == "role app lacks USAGE, SELECT on hidden.too, public.shut"
    assert logical.written() == []
    let_read_everything(pg_distribution, "app")
    assert logical.made(url=url)["rung"] == "readable"


def test_row_level_security_is_not_mistaken_for_few_rows(pg_current: PostgresqlDatabase, aishell: Aishell) -> None:
    pg_current.execute("CREATE TABLE accounts (who text)")
    pg_current.execute("INSERT INTO accounts VALUES ('app'), ('other')")
    pg_current.execute("ALTER TABLE accounts ENABLE ROW LEVEL SECURITY")
    pg_current.execute("CREATE POLICY own ON accounts USING (who = current_user)")
    url = pg_current.make_role()
    let_read_everything(pg_current, "app")
    logical = Logical(aishell, pg_current)
    ended = logical.back_up(url=url).expect(1)
    assert "row-level security lets app see only part of public.accounts" in ended.json["error"]["message"]
    assert logical.written() == []
    pg_current.execute("ALTER ROLE app BYPASSRLS")
    logical.made(url=url)


def test_an_owner_that_is_no_superuser_backs_up_and_compares_all_but_who_owns_what(
    pg_current: PostgresqlDatabase, aishell: Aishell
) -> None:
    url = pg_current.make_role("app", options="CREATEDB")
    pg_current.execute(sql.SQL("ALTER DATABASE {} OWNER TO app").format(sql.Identifier(pg_current.dbname)))
    pg_current.execute("DROP EXTENSION pgstattuple, amcheck")
    pg_current.execute("GRANT ALL ON SCHEMA public TO app")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE mine AS SELECT generate_series(1, 100) AS id")
        if pg_current.server.major >= 14:  # before, only a superuser may read large objects in a database restored
            connection.execute("SELECT lo_from_bytea(0, 'mine')")
        connection.execute("GRANT SELECT ON mine TO PUBLIC")
    logical = Logical(aishell, pg_current)
    if pg_current.server.major >= 14:
        ended = logical.back_up(url=url).expect(1)
        assert "may not read pg_largeobject" in ended.json["error"]["message"]
    let_read_everything(pg_current, "app")
    ended = logical.back_up("--restore-test", url=url).expect(0)
    assert ended.json["output_data"]["rung"] == "restored-and-compared"


def test_a_database_that_is_read_only_by_default_is_backed_up_and_comes_back_as_one(tried: Tried) -> None:
    setting = "ALTER DATABASE {} SET default_transaction_read_only = {}"
    tried.db.execute("CREATE TABLE kept AS SELECT 1 AS id")
    tried.db.execute(sql.SQL(setting).format(sql.Identifier(tried.db.dbname), sql.SQL("on")))
    entry = tried.backed_up()
    with tried.db.connect() as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(sql.SQL(setting).format(sql.Identifier(tried.db.dbname), sql.SQL("off")))
    with tried.restored(entry, "back_again") as restored:
        assert restored.execute("SELECT id FROM kept") == [(1,)]
        assert restored.execute("SHOW default_transaction_read_only") == [("on",)]


def test_roles_that_are_gone_are_named_before_a_restore(tried: Tried) -> None:
    tried.db.make_role("leaver")
    tried.db.execute("CREATE TABLE left_behind (a int)")
    tried.db.execute("ALTER TABLE left_behind OWNER TO leaver")
    entry = tried.backed_up()
    tried.db.execute("DROP OWNED BY leaver")
    tried.db.execute("DROP ROLE leaver")
    with pytest.raises(BackupError, match="do not exist on this server: leaver"):
        tried.call("restore_backup", backup_id=entry.backup_id, place="orphans")
    with tried.restored(entry, "orphans", owners=False) as restored:
        assert restored.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'left_behind'") == [("postgres",)]
