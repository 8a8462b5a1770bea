"""Event triggers of a PostgreSQL database: they come back, and fire neither while it is restored nor while that is compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aishell.errors import BackupError
from tests.backups.logical import Tried
from tests.postgresql import PostgresqlDatabase

pytestmark = pytest.mark.versions

#: Events there are on every version; `login` from 17 on.
EVENTS = ("ddl_command_start", "ddl_command_end", "sql_drop", "table_rewrite")
MODES = ("ENABLE", "ENABLE REPLICA", "ENABLE ALWAYS", "DISABLE")
#: Where it was made it writes nothing, so that only a restore can show that it fired.
WATCHING = """CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_database() <> {home} AND current_setting('transaction_read_only') = 'off' THEN
        INSERT INTO public.fired VALUES (TG_EVENT, TG_TAG);
    END IF; END $$"""


@pytest.fixture
def tried(pg: PostgresqlDatabase, tmp_path: Path) -> Iterator[Tried]:
    made = Tried(pg, tmp_path / "tried")
    yield made
    made.close()


def watch(db: PostgresqlDatabase) -> list[str]:
    """Every event, watched in every mode, beside views whose refreshing is DDL; the names of the triggers."""
    events = (*EVENTS, *(["login"] if db.server.major >= 17 else []))
    names = [f"{event}_{mode.replace(' ', '_').lower()}" for event in events for mode in MODES]
    statements = [
        "CREATE TABLE fired (event text, tag text)",
        WATCHING.format(home="'" + db.dbname + "'"),
        "CREATE TABLE counted AS SELECT generate_series(1, 10) AS id",
        *(f"CREATE MATERIALIZED VIEW m_{n} AS SELECT count(*) AS many FROM counted" for n in range(6)),
    ]
    for event in events:
        for mode in MODES:
            name = f"{event}_{mode.replace(' ', '_').lower()}"
            statements.append(f"CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION noted()")
            statements.append(f"COMMENT ON EVENT TRIGGER {name} IS 'watches {mode}'")
            statements.append(f"ALTER EVENT TRIGGER {name} {mode}")
    for statement in statements:
        db.execute(statement)
    return sorted(names)


@pytest.mark.parametrize("jobs", [1, 4])
def test_none_fires_during_a_restore_and_each_comes_back(tried: Tried, jobs: int) -> None:
    names = watch(tried.db)
    entry = tried.backed_up()
    told = tried.call("restore_test", backup_id=entry.backup_id, jobs=jobs)
    assert told["rung"] == "restored-and-compared"
    with tried.restored(entry, "watched", jobs=jobs) as restored:
        query = "SELECT evtname::text FROM pg_event_trigger ORDER BY evtname"
        quiet = "-c event_triggers=off" if tried.db.server.major >= 17 else ""
        with restored.connect(options=quiet) as connection:
            assert [name for (name,) in connection.execute(query)] == names
            assert connection.execute("SELECT * FROM fired").fetchall() == []


def test_the_rows_of_chosen_tables_come_back_without_them_firing_too(tried: Tried) -> None:
    watch(tried.db)
    entry = tried.backed_up()
    with tried.restored(entry, "some", only=["public.counted"]) as restored:
        quiet = "-c event_triggers=off" if tried.db.server.major >= 17 else ""
        with restored.connect(options=quiet) as connection:
            assert connection.execute("SELECT count(*) FROM fired").fetchone() == (0,)
            assert connection.execute("SELECT count(*) FROM counted").fetchone() == (10,)
            assert connection.execute("SELECT count(*) > 15 FROM pg_event_trigger").fetchone() == (True,)


def losing(tried: Tried, tmp_path: Path, times: int) -> Tried:
    """The tools with a pg_restore that loses a row of what it restores, so many times."""
    server, programs = tried.db.server, tmp_path / "bin"
    programs.mkdir()
    for program in ("pg_dump", "pg_dumpall"):
        (programs / program).symlink_to(server.bin / program)
    wrapper = programs / "pg_restore"
    wrapper.write_text(
        f"""#!/bin/sh
        "{server.bin}/pg_restore" "$@"; ended=$?  # not 0 where it is newer than the server: the one error that may be
        case "$*" in *--section=post-data*) ;; *) exit $ended;; esac
        echo x >> "{tmp_path}/tries"
        [ "$(wc -l < "{tmp_path}/tries")" -le {times} ] || exit $ended
        for word; do case "$word" in --dbname=*) where="${{word#--dbname=}}";; esac; done
        "{server.bin}/psql" -qX -d "$where" -c "DELETE FROM counted WHERE id = 7"
        exit $ended
        """
    )
    wrapper.chmod(0o755)
    return Tried(tried.db, tmp_path / "losing", programs=programs)


@pytest.mark.parametrize("times", [1, 2])
def test_a_comparison_that_fails_is_done_again_before_it_is_held_against_a_backup(
    tried: Tried, tmp_path: Path, times: int
) -> None:
    tried.db.execute("CREATE TABLE counted AS SELECT generate_series(1, 10) AS id")
    again = losing(tried, tmp_path, times)
    entry = again.backed_up()
    if times == 1:
        assert again.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
    else:
        with pytest.raises(BackupError, match=r"public\.counted has 9 rows instead of 10"):
            again.call("restore_test", backup_id=entry.backup_id)
        found = again.backup_store.catalog.find(entry.backup_id)
        assert not found.verified
        assert found.problem is None, "it reads whole"
        assert "public.counted has 9 rows" in str(found.differs)
        again.call("validate_backup", backup_id=entry.backup_id)
        assert not again.backup_store.catalog.find(entry.backup_id).verified, (
            "to read it does not tell how it comes back"
        )
        again.call("restore_test", backup_id=entry.backup_id)
    assert again.backup_store.catalog.find(entry.backup_id).compared
    again.close()


def test_what_the_server_does_not_take_is_not_called_readable_any_more(tried: Tried) -> None:
    """A foreign key that its rows break: made with the checks switched off."""
    tried.db.execute("CREATE TABLE parents (id int PRIMARY KEY)")
    tried.db.execute("CREATE TABLE children (id int REFERENCES parents)")
    with tried.db.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO children VALUES (1)")
    for tool, more in (("restore_test", {}), ("restore_backup", {"place": "broken"})):
        entry = tried.backed_up()
        with pytest.raises(BackupError, match="children_id_fkey"):
            tried.call(tool, backup_id=entry.backup_id, **more)
        assert "children_id_fkey" in str(tried.backup_store.catalog.find(entry.backup_id).differs), tool
