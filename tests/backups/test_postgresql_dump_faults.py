"""Dumps of PostgreSQL when something is in the way: kills, locks, damage, programs and roles that do not fit; and passwords."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pyrage
import pytest

from aishell.errors import AishellError, BackupError
from tests.backups.logical import BIG, Logical, Tried, databases
from tests.faults.killing import assert_no_finished_step_ran_again
from tests.fix_aishell import Aishell
from tests.fix_postgresql import PROGRAMS
from tests.postgresql import PostgresqlDatabase, PostgresqlServer
from tests.servers import wait_until

PASSWORD = """:\\#'" %µ"""


@contextmanager
def locked(db: PostgresqlDatabase, table: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else has a table: pg_dump waits for it, until the connection is closed."""
    with db.connect(autocommit=False) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield connection


def programs_of(home: Path) -> dict[int, tuple[str, str]]:
    """The client programs that run on the backups below `home`: process -> command line and environment."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, variables = (
                (folder / name).read_bytes().decode(errors="replace") for name in ("cmdline", "environ")
            )
        except OSError:
            continue
        if "/pg_" in words.split("\0")[0] and str(home) in words:
            found[int(folder.name)] = (words, variables)
    return found


def waiting(db: PostgresqlDatabase) -> bool:
    """Whether pg_dump waits for a lock."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ '^LOCK'"
    return bool(db.execute(query))


def assert_nothing_unfinished(logical: Logical) -> None:
    assert not [path for path in logical.written() if path.name.startswith((".partial", ".work"))]
    assert programs_of(logical.aishell.home) == {}


# Ended from outside


def test_a_dump_that_is_killed_leaves_no_program_and_is_made_anew(pg: PostgresqlDatabase, aishell: Aishell) -> None:
    pg.execute(BIG.format(1000))
    logical = Logical(aishell, pg)
    with locked(pg, "big"):
        running = aishell.start(*logical.arguments("--restore-test"))
        wait_until(lambda: waiting(pg), "pg_dump at the lock")
        running.kill()
        left = programs_of(aishell.home)
        assert left, "pg_dump lives on without us"
        resumed = aishell.start("runs", "resume", aishell.only_run(), "--output", "json")
        wait_until(lambda: not left.keys() & programs_of(aishell.home).keys(), "its end")
        wait_until(lambda: waiting(pg), "another pg_dump at the lock")
    ended = resumed.wait().expect(0)
    assert ended.json["output_data"]["rung"] == "restored-and-compared"
    (backup,) = aishell("backups", "list", "--output", "json").json
    assert backup["verified"]
    assert_nothing_unfinished(logical)
    assert_no_finished_step_ran_again(aishell)
    assert not [name for name in databases(pg) if name.startswith("aishell_scratch")]
    aishell("audit", "verify").expect(0)


def test_an_interrupt_ends_the_dump_and_leaves_nothing_of_it(pg: PostgresqlDatabase, aishell: Aishell) -> None:
    pg.execute(BIG.format(1000))
    logical = Logical(aishell, pg)
    with locked(pg, "big"):
        running = aishell.start(*logical.arguments())
        wait_until(lambda: waiting(pg), "pg_dump at the lock")
        running.signal()
        ended = running.wait().expect(130)
    assert ended.json["state"] == "paused"
    assert_nothing_unfinished(logical)
    wait_until(
        lambda: pg.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'aishell%'") == [(0,)],
        "its sessions to be gone",
    )
    assert aishell.resume(ended.run_id).expect(0).json["status"] == "success"


def test_a_restore_test_that_is_killed_leaves_its_database_to_the_next(
    pg_current: PostgresqlDatabase, aishell: Aishell
) -> None:
    pg = pg_current
    pg.execute(BIG.format(200_000))
    logical, before = Logical(aishell, pg), databases(pg)
    running = aishell.start(*logical.arguments("--restore-test"))
    wait_until(lambda: databases(pg) != before, "the scratch database")
    running.kill()
    assert databases(pg) != before
    assert aishell.resume(aishell.only_run()).expect(0).json["output_data"]["rung"] == "restored-and-compared"
    assert databases(pg) == before
    assert_nothing_unfinished(logical)


@pytest.fixture
def tried(pg: PostgresqlDatabase, tmp_path: Path) -> Iterator[Tried]:
    made = Tried(pg, tmp_path / "tried")
    yield made
    made.close()


def test_a_lock_that_is_not_given_up_fails_the_backup(pg: PostgresqlDatabase, tried: Tried) -> None:
    pg.execute(BIG.format(100))
    tried.lock_timeout = 0.5
    with locked(pg, "big"), pytest.raises(AishellError, match=r"lock timeout|statement timeout\n.*LOCK TABLE"):
        tried.backed_up()
    assert not [path for path in tried.backup_store.repository.root.rglob("*") if path.is_file()]
    assert tried.backed_up().verified


def test_a_server_that_goes_away_fails_the_backup(pg: PostgresqlDatabase, aishell: Aishell) -> None:
    pg.execute(BIG.format(1000))
    logical = Logical(aishell, pg)
    with locked(pg, "big"):
        running = aishell.start(*logical.arguments())
        wait_until(lambda: waiting(pg), "pg_dump at the lock")
        pg.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'aishell%' AND query ~ '^LOCK'"
        )
        ended = running.wait().expect(1)
    assert "terminating connection" in ended.out
    assert_nothing_unfinished(logical)


# Secrets


def test_a_password_of_every_kind_of_character_is_used_and_seen_nowhere(
    pg: PostgresqlDatabase, aishell: Aishell
) -> None:
    pg.execute(BIG.format(1000))
    pg.make_role("keeper", PASSWORD, options="SUPERUSER")
    Logical(aishell, pg)
    url = pg.url_as("keeper", quote(PASSWORD, safe=""))
    aishell.configure(
        "targets.yaml",
        f"targets:\n  shop: {{url: '{pg.url_as('keeper')}', environment: test, password_env: SHOP_PASSWORD}}\n",
    )
    seen = {}
    for arguments, variables in (
        (("--url", url, "--environment", "test"), {}),
        (("--target", "shop"), {"SHOP_PASSWORD": PASSWORD, "PGPASSWORD": "another one", "SHOP_URL": url}),
    ):
        with locked(pg, "big"):
            command = ("run", "backup", "--restore-test", "--yes", "-v", *arguments)
            running = aishell.start(*command, **variables)
            wait_until(lambda: waiting(pg), "pg_dump at the lock")
            seen |= programs_of(aishell.home)
        running.wait().expect(0)
    assert seen
    secrets = (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), PASSWORD.replace("\\", "\\\\").replace(":", "\\:"))
    for words, environment in seen.values():
        assert not [secret for secret in secrets if secret in words + environment]
    for path in (path for path in aishell.home.rglob("*") if path.is_file()):
        content = path.read_bytes().decode(errors="replace")
        assert not [secret for secret in secrets if secret in content], path


def test_an_encrypted_dump_shows_no_row_and_comes_back(
    pg_current: PostgresqlDatabase, aishell: Aishell, tmp_path: Path
) -> None:
    pg_current.execute("CREATE TABLE notes AS SELECT 'a secret of row ' || n AS note FROM generate_series(1, 100) AS n")
    logical, key = Logical(aishell, pg_current), tmp_path / "backup.agekey"
    identity = pyrage.x25519.Identity.generate()
    key.touch(0o600)
    key.write_text(f"{identity}\n")
    with (aishell.config / "aishell.yaml").open("a") as file:
        file.write(f"backup_recipients: [{identity.to_public()}]\nbackup_identity: {key}\n")
    assert logical.made("--restore-test")["rung"] == "restored-and-compared"
    assert [path.name for path in logical.root.rglob("toc.dat*")] == ["toc.dat.age"]
    plain = (".age", ".json", ".log", ".md")
    assert not [path for path in logical.written() if path.is_file() and path.suffix not in plain]
    assert_nothing_unfinished(logical)


# Damage


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


#: What is done to which file, and what is said of it.
DAMAGE: Mapping[str, tuple[str, Callable[[Path], object], str]] = {
    "cut off": ("rows", cut, "instead of"),
    "a flipped bit": ("rows", flip, "was changed or is damaged"),
    "emptied": ("rows", lambda path: path.write_bytes(b""), "has 0 bytes"),
    "rows missing": ("rows", Path.unlink, "is missing"),
    "contents missing": ("toc.dat", Path.unlink, "dump/toc.dat is missing"),
    "contents damaged": ("toc.dat", flip, "dump/toc.dat was changed or is damaged"),
    "roles damaged": ("globals.sql", flip, "globals.sql was changed or is damaged"),
}


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_damage_is_refused_and_named(pg_distribution: PostgresqlDatabase, tmp_path: Path, compression: str) -> None:
    pg_distribution.execute(BIG.format(20_000))
    tried = Tried(pg_distribution, tmp_path / "site")
    entry = tried.backed_up(compression=compression)
    rows = max((entry.folder / "dump").glob("*.dat*"), key=lambda path: path.stat().st_size)
    assert rows.suffix == (".gz" if compression == "gzip" else ".dat")
    for name, damage, said in DAMAGE.values():
        path = rows if name == "rows" else entry.folder / "dump" / name if name == "toc.dat" else entry.folder / name
        whole = path.read_bytes()
        damage(path)
        for tool, more in (("validate_backup", {}), ("restore_test", {}), ("restore_backup", {"place": "damaged"})):
            with pytest.raises(BackupError) as caught:
                tried.call(tool, backup_id=entry.backup_id, **more)
            assert path.name in str(caught.value)
            assert said in str(caught.value)
        assert not tried.backup_store.catalog.find(entry.backup_id).verified
        path.write_bytes(whole)
    tried.call("validate_backup", backup_id=entry.backup_id)
    assert tried.backup_store.catalog.find(entry.backup_id).verified
    assert "damaged" not in databases(pg_distribution)
    tried.close()


def test_what_was_damaged_before_its_digest_was_taken_is_found_by_reading(
    pg_distribution: PostgresqlDatabase, tmp_path: Path
) -> None:
    """The program that writes the dump cuts it off, and says that all is well."""
    pg_distribution.execute(BIG.format(20_000))
    server = pg_distribution.server
    for damage, said in (
        ('tail=$(ls -S "$d"/*.dat.gz | head -1); truncate -s -100 "$tail"', "could not|unexpected|error"),
        ('rm "$d"/*.dat.gz', "could not open|No such file"),
        ('truncate -s 300 "$d"/toc.dat', "unexpected|could not|end of file|corrupt|found"),
    ):
        programs = tmp_path / f"bin{len(damage)}"
        programs.mkdir()
        for program in ("pg_dumpall", "pg_restore"):
            (programs / program).symlink_to(server.bin / program)
        (programs / "pg_dump").write_text(
            f"""#!/bin/sh
            "{server.bin}/pg_dump" "$@" || exit
            for word; do case "$word" in --file=*) d="${{word#--file=}}";; esac; done
            [ -z "$d" ] || {{ {damage}; }}
            """
        )
        (programs / "pg_dump").chmod(0o755)
        tried = Tried(pg_distribution, tmp_path / f"site{len(damage)}", programs=programs)
        try:
            with pytest.raises(BackupError, match=f"(?s)pg_restore ended with 1: .*({said})"):
                tried.backed_up(compare=False)
            assert not [entry for entry in tried.backup_store.catalog.all() if entry.verified]
        finally:
            tried.close()


# Programs and servers that do not fit each other


def test_programs_older_than_the_server_are_refused_before_anything_is_written(
    pg_current: PostgresqlDatabase, pg_distribution_server: PostgresqlServer, aishell: Aishell
) -> None:
    logical = Logical(aishell, pg_current, pg_distribution_server.bin)
    ended = logical.back_up().expect(1)
    message = ended.json["error"]["message"]
    assert "PostgreSQL 18" in message
    assert "is version 15" in message
    assert logical.written() == []


def test_newer_programs_than_the_server_s_make_and_restore_backups_too(
    pg_distribution: PostgresqlDatabase, aishell: Aishell
) -> None:
    """pg_restore 18 sets a timeout that server 15 does not know."""
    pg_distribution.execute(BIG.format(1000))
    logical = Logical(aishell, pg_distribution, PROGRAMS["current"])
    assert logical.made("--restore-test")["rung"] == "restored-and-compared"
    pg_distribution.execute("CREATE TABLE parents (id int PRIMARY KEY)")
    pg_distribution.execute("CREATE TABLE children (id int REFERENCES parents)")
    with pg_distribution.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO children VALUES (1)")
    ended = logical.back_up("--restore-test").expect(1)
    assert "children_id_fkey" in ended.out, "any other error counts"


def test_a_backup_is_not_blamed_for_programs_that_cannot_read_it(
    pg_current: PostgresqlDatabase, pg_distribution_server: PostgresqlServer, tmp_path: Path
) -> None:
    tried = Tried(pg_current, tmp_path / "site")
    entry = tried.backed_up()
    old = Tried(pg_current, tmp_path / "site", programs=pg_distribution_server.bin)
    with pytest.raises(AishellError, match=r"was made by pg_dump 18.*15"):
        old.call("validate_backup", backup_id=entry.backup_id)
    assert old.backup_store.catalog.find(entry.backup_id).verified
    tried.close()
    old.close()


def test_zstd_is_taken_where_the_program_has_it_and_refused_where_not(pg: PostgresqlDatabase, tried: Tried) -> None:
    with pytest.raises(BackupError, match=r"zstd|ZSTD"):
        tried.backed_up(compression="zstd")  # 15 is too old, and PyPI's 18 was built without it
    assert not [path for path in tried.backup_store.repository.root.rglob("*") if path.is_file()]


def test_a_folder_inside_the_server_s_own_is_refused(
    pg_server_factory: Callable[..., PostgresqlServer], aishell: Aishell
) -> None:
    server = pg_server_factory("distribution")
    logical = Logical(aishell, server.database("postgres"))
    backups = server.data / "backups"
    with (aishell.config / "aishell.yaml").open("a") as file:
        file.write(f"backups: {backups}\n")
    ended = logical.back_up().expect(1)
    assert "is inside the server's data directory" in ended.json["error"]["message"]
    assert not backups.exists()


def test_a_standby_is_backed_up(pg_standby: PostgresqlDatabase, tmp_path: Path) -> None:
    """What it cannot have, unlogged rows, is empty in the dump, and known to be."""
    primary = pg_standby.primary  # type: ignore[attr-defined]
    primary.execute(BIG.format(1000))
    primary.execute("CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS a")
    pg_standby.wait_for_replay(primary)
    there = Tried(pg_standby, tmp_path / "site")
    entry = there.backed_up()
    rows = {one.name: one.rows for one in there.manifest(entry).prints or () if one.kind == "rows"}
    assert rows == {"public.big": 1000, "public.fleeting": 0}
    here = Tried(primary, tmp_path / "site")
    assert here.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
    there.close()
    here.close()


#: How a database is made, and on which server: PyPI's was built without ICU, and the distribution's knows no builtin locales.
KINDS = {
    "latin 1": ("distribution", "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"),
    "no encoding": ("current", "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"),
    "windows": ("current", "ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C'"),
    "icu": ("distribution", "LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kn-true'"),
    "builtin": ("current", "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"),
}
MADE = """
    SELECT to_jsonb(d) - '{oid,datname,datfrozenxid,datminmxid,datcollversion}'::text[]
    FROM pg_database AS d WHERE datname = current_database()
"""


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", KINDS)
def test_a_database_of_another_encoding_or_locale_comes_back_as_such(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    which, how = KINDS[kind]
    server: PostgresqlServer = request.getfixturevalue(f"pg_{which}_server")
    server.database("postgres").execute(f"CREATE DATABASE other TEMPLATE template0 {how}")
    other = server.database("other")
    try:
        with other.connect(client_encoding="UTF8") as connection:
            connection.execute('DROP SCHEMA public; CREATE SCHEMA "é"; CREATE TABLE "é"."ü" ("ö" serial, t text)')
            connection.execute("""INSERT INTO "é"."ü" (t) VALUES ('ß'), ('a')""")
        tried = Tried(other, tmp_path / "site")
        entry = tried.backed_up()
        assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
        with tried.restored(entry, "again") as again:
            assert again.execute(MADE) == other.execute(MADE)
            assert again.execute("SELECT nspname FROM pg_namespace WHERE nspname = 'public'") == []
        tried.close()
    finally:
        other.drop()
