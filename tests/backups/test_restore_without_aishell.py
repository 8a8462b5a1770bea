"""docs/restore-without-aishell.md does what it says: each of its blocks is run, on backups of every kind, on bare servers.

What restores is bash and the engine's own programs. What comes back is compared with what was backed up.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from aishell.backups.methods import METHODS
from aishell.backups.store.repository import PAGE as TRAVELS_AS
from tests.backups import mariadb_physical
from tests.backups import physical as postgresql_physical
from tests.backups.fix_pgbackrest import Rested
from tests.backups.logical import Logical, fill_with_everything
from tests.backups.mariadb_samples import Backups, change, content, fill
from tests.backups.page import ENABLE, FIRST, PAGE, STEPS, VARIABLES, Night, blocks
from tests.backups.physical import Physical, flip, hashes
from tests.backups.test_encryption import new_key
from tests.backups.test_sqlite import back_up, made
from tests.backups.test_sqlite import change as change_sqlite
from tests.backups.test_sqlite import content as content_of_file
from tests.backups.test_sqlite import fill as fill_sqlite
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase
from tests.mariadb import MariadbDatabase, MariadbServer
from tests.postgresql import PostgresqlDatabase, PostgresqlServer

Copied = Callable[..., list[tuple[str, list[str]]]]

encrypted_or_not = pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
#: Of a cluster each file is encrypted by itself, and there are a thousand.
plain_first = pytest.mark.parametrize(
    "encrypted", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["plain", "encrypted"]
)


def recipient(key: Path) -> str:
    return key.read_text().split("public key: ")[1].splitlines()[0]


def test_every_block_is_run_and_every_method_has_some() -> None:
    assert {*chain(*STEPS.values()), *FIRST, VARIABLES, ENABLE} == blocks().keys()
    assert {method for method, _ in STEPS} == METHODS.keys()
    table = [line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert sorted(table) == sorted(["method", *METHODS])


def differing(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not as it was, with what it was."""
    keys = found.keys() | expected.keys()
    return {key: (found.get(key), expected.get(key)) for key in keys if found.get(key) != expected.get(key)}


# SQLite


@pytest.fixture
def copied(aishell: Aishell, sqlite: SqliteDatabase, tmp_path: Path) -> Copied:
    """Makes a chain of backups that are copied to a second place: their names, and what each is of."""

    def make(increments: int = 1, *, encrypted: bool = False) -> list[tuple[str, list[str]]]:
        key = new_key(tmp_path / "key")
        (tmp_path / "second").mkdir()
        chosen: dict[str, Any] = {"backup_copies": [str(tmp_path / "second")]}
        if encrypted:
            chosen |= {"backup_recipients": [recipient(key)], "backup_identity": str(key)}
        aishell.configure("aishell.yaml", json.dumps(chosen))
        fill_sqlite(sqlite, 500)
        points = []
        for number, kind in enumerate(("full", *["incremental"] * increments)):
            change_sqlite(sqlite, number)
            points.append((made(back_up(aishell, sqlite, "--type", kind))["backup_id"], content_of_file(sqlite.path)))
        return points

    return make


@encrypted_or_not
@pytest.mark.parametrize("place", ["backups", "second"])
@pytest.mark.sampled
def test_sqlite(aishell: Aishell, copied: Copied, tmp_path: Path, encrypted: bool, place: str) -> None:
    points = copied(1, encrypted=encrypted)
    night = Night(tmp_path / "night")
    night.carry(aishell.site / "backups" if place == "backups" else tmp_path / "second")
    shutil.copy(tmp_path / "key", night.home / "key")
    shutil.rmtree(aishell.site)
    for number, kind in ((0, "full"), (0, "incremental"), (1, "incremental")):
        (backup_id, expected), target = points[number], tmp_path / f"restored {number} {kind}"
        said = night.follow(backup_id, STEPS["sqlite", kind], target, WORK=str(night.home / f"work {number} {kind}"))
        assert "sound" in said.splitlines()
        assert content_of_file(target) == expected


def test_what_is_damaged_or_missing_is_named(aishell: Aishell, copied: Copied, tmp_path: Path) -> None:
    last = copied()[-1][0]
    night = Night(tmp_path / "night")

    def told(damage: Callable[[], object]) -> str:
        night.carry(aishell.site / "backups")
        damage()
        said = night.follow(last, (), tmp_path / "nothing").splitlines()[-1]
        shutil.rmtree(night.home)
        return said

    def full() -> Path:
        return next(night.repository.rglob("*-full-*"))

    assert told(lambda: None) == "sound"
    assert told(lambda: flip(full() / "database.sqlite")).startswith("DAMAGED: ")
    assert told(lambda: (full() / "database.sqlite").unlink()).startswith("DAMAGED: ")
    assert told(lambda: flip(full() / "manifest.json")).startswith("DAMAGED: ")
    assert told(lambda: flip(night.found(last) / "pages.bin")).startswith("DAMAGED: ")
    assert told(lambda: shutil.rmtree(full())).startswith("MISSING: ")


def test_nothing_that_is_there_is_written_over(aishell: Aishell, copied: Copied, tmp_path: Path) -> None:
    full = copied(0)[0][0]
    night, target = Night(tmp_path / "night"), tmp_path / "mine"
    night.carry(aishell.site / "backups")
    target.write_text("mine")
    for kind in ("full", "incremental"):
        with pytest.raises(AssertionError):
            night.follow(full, STEPS["sqlite", kind], target)
    target.unlink()
    target.mkdir()
    (target / "mine").touch()
    for block in ("pg_basebackup-copy", "pgbackrest", "mariadb-backup"):
        with pytest.raises(AssertionError, match="exists"):
            night.follow(full, (block,), target)
    assert [path.name for path in target.iterdir()] == ["mine"]


# PostgreSQL


def text_of(db: PostgresqlDatabase) -> list[str]:
    """All definitions of a database and its own, as pg_dump writes them, line by line; but for casts, which move."""
    login = ["-h", str(db.server.folder), "-p", str(db.server.port), "-U", "postgres"]
    said = subprocess.run(
        [db.server.bin / "pg_dump", *login, "--create", "--schema-only", db.dbname],
        capture_output=True,
        check=True,
        text=True,
    )
    lines = said.stdout.splitlines()
    return [
        line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")) and "::text = ANY (" not in line
    ]


def rows_of(db: PostgresqlDatabase) -> dict[str, Any]:
    """Every table row by row, whatever the order of its columns, which a dump changes in tables that inherit."""
    query = "SELECT count(*), sum(hashtextextended(to_jsonb(t)::text, 0)::numeric) FROM {} AS t"
    names = [sql.Identifier(*table) for table in db.execute(postgresql_physical.TABLES)]
    return {name.as_string(): db.execute(sql.SQL(query).format(name)) for name in names}


def catalog_of(db: PostgresqlDatabase) -> dict[str, list[Any]]:
    """Views, routines, triggers, sequences and the rest by name, with what does not depend on how a server writes it down."""
    kinds = {
        "relations": "SELECT oid::regclass::text, relkind, relowner::regrole::text, relacl::text FROM pg_class"
        " WHERE relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')",
        "routines": "SELECT oid::regprocedure::text, prosrc, proowner::regrole::text, proacl::text FROM pg_proc",
        "triggers": "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal",
        "event triggers": "SELECT evtname, evtevent, evtenabled FROM pg_event_trigger",
        "sequences": "SELECT schemaname, sequencename, last_value, increment_by FROM pg_sequences",
        "constraints": "SELECT conrelid::regclass::text, conname, contype, convalidated FROM pg_constraint",
        "policies": "SELECT tablename, policyname FROM pg_policies",
        "large objects": "SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata",
        "settings": "SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting"
        " WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
        "itself": "SELECT datdba::regrole::text, datacl::text, datconnlimit, shobj_description(oid, 'pg_database')"
        " FROM pg_database WHERE datname = current_database()",
        "roles": "SELECT rolname, rolsuper, rolcanlogin, rolpassword FROM pg_authid LEFT JOIN pg_roles USING (rolname)".replace(
            "rolname, rolsuper, rolcanlogin, rolpassword", "rolname, pg_authid.rolsuper, pg_authid.rolpassword"
        ),
    }
    return {kind: sorted(db.execute(f"{query}"), key=repr) for kind, query in kinds.items()}


@encrypted_or_not
@pytest.mark.parametrize(
    "options",
    [(), pytest.param(("--option", "max_rate=100000"), marks=pytest.mark.thorough)],
    ids=["directory", "one file"],
)
@pytest.mark.sampled
def test_pg_dump(
    aishell: Aishell,
    pg_current: PostgresqlDatabase,
    pg_server_factory: Callable[..., PostgresqlServer],
    tmp_path: Path,
    encrypted: bool,
    options: tuple[str, ...],
) -> None:
    """Under its own name, on a server that has never heard of it."""
    fill_with_everything(pg_current)
    pg_current.execute(f"COMMENT ON DATABASE {pg_current.dbname} IS 'the shop''s'")
    pg_current.execute(f"ALTER DATABASE {pg_current.dbname} CONNECTION LIMIT 17")
    pg_current.execute(
        "CREATE FUNCTION app.refused() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''fired''; END';"
        "CREATE EVENT TRIGGER refusing ON ddl_command_start WHEN TAG IN ('REFRESH MATERIALIZED VIEW')"
        " EXECUTE FUNCTION app.refused()"
    )
    pg_current.execute(f"ALTER DATABASE {pg_current.dbname} SET default_transaction_read_only = on")
    logical, key = Logical(aishell, pg_current), new_key(tmp_path / "key")
    if encrypted:
        chosen = {"programs": str(pg_current.server.bin), "backup_recipients": [recipient(key)]}
        aishell.configure("aishell.yaml", json.dumps(chosen))
    backup_id = logical.made(*options)["backup_id"]
    bare = pg_server_factory("current")
    night = Night(
        tmp_path / "night", bare.bin, {}, {"PGHOST": str(bare.folder), "PGPORT": str(bare.port), "PGUSER": "postgres"}
    )
    night.carry(logical.root)
    shutil.copy(key, night.home / "key")
    expected, text, rows = catalog_of(pg_current), text_of(pg_current), rows_of(pg_current)
    night.follow(backup_id, STEPS["pg_dump", "full"], tmp_path / "nothing")
    back = bare.database(pg_current.dbname)
    assert differing(rows_of(back), rows) == {}
    assert differing(catalog_of(back), expected) == {}
    other = set(text_of(back)) ^ set(text)
    assert not other, other


def now(source: Physical) -> str:
    """The moment as the page has it."""
    text = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    return str(source.database.execute(text)[0][0])


@contextmanager
def restored_to(server: PostgresqlServer, night: Night, *arguments: Any, **given: Any) -> Iterator[PostgresqlServer]:
    """Follow the page to a data directory and start it: the settings of this machine are put in by hand."""
    settings = {
        "port": server.port,
        "unix_socket_directories": server.folder,
        "fsync": "off",
        "listen_addresses": "127.0.0.1",
    }
    by_hand = "".join(
        f'echo "{name} = \'{value}\'" >>"$TARGET/postgresql.auto.conf"\n' for name, value in settings.items()
    )
    try:
        night.follow(*arguments, server.data, {"pg-start": by_hand}, **given)
        yield server
    except AssertionError as error:
        log = server.data.with_name("data.log")
        raise AssertionError(f"{error}\n{log.read_text()[-3000:] if log.exists() else ''}") from error
    finally:
        server.close_connections()
        if (server.data / "postmaster.pid").exists():
            server.run(server.bin / "pg_ctl", "--pgdata", server.data, "--mode=immediate", "stop")
        server.remove()


@contextmanager
def followed(
    source: Physical, backup_id: str, steps: tuple[str, ...], key: Path | None = None, **given: str
) -> Iterator[PostgresqlDatabase]:
    server = postgresql_physical.Restored(source.database.server)
    night = Night.on(server, PGHOST=str(server.folder), PGPORT=str(server.port))
    night.carry(source.backup_store.repository.root)
    if key is not None:
        shutil.copy(key, night.home / "key")
        night.own()
    with restored_to(server, night, backup_id, steps, **given):
        yield server.database(source.database.dbname)


@plain_first
def test_pg_basebackup(physical: Physical, tmp_path: Path, encrypted: bool) -> None:
    key = new_key(tmp_path / "key") if encrypted else None
    if key is not None:
        secret = Physical(
            physical.database, physical.home / "secret", kind=physical.kind, recipients=(recipient(key),), identity=key
        )
    source = secret if key is not None else physical
    place = source.database.server.folder / f"space {encrypted} {physical.kind}"
    place.mkdir()
    if source.database.server.as_user:
        source.database.server.own(place)
    source.database.execute(f"CREATE TABLESPACE fast LOCATION '{place}'")
    try:
        source.database.execute("CREATE TABLE spaced TABLESPACE fast AS SELECT n FROM generate_series(1, 5000) n")
        source.database.execute("CREATE SEQUENCE counted; SELECT nextval('counted')")
        points = [(source.full(increments=physical.kind), source.hashes(), "full")]
        moments = []
        for number in range(2):
            postgresql_physical.change(source, number)
            moments.append((now(source), source.hashes()))
            postgresql_physical.change(source, number + 2)
            points.append((source.increment(), source.hashes(), physical.kind))
        chosen = [(*points[0], ""), (*points[-1], "")] if encrypted or physical.kind == "pages" else []
        if physical.kind == "wal":
            chosen.append((points[-1][0], moments[-1][1], "wal", moments[-1][0]))
        for manifest, expected, kind, until in chosen:
            with followed(source, manifest.backup_id, STEPS["pg_basebackup", kind], key, UNTIL=until) as database:
                assert differing(hashes(database), expected) == {}
                assert database.execute("SHOW archive_mode") == [("off",)]
                assert database.execute("SELECT nextval('counted') BETWEEN 2 AND 34") == [(True,)]
                ((where,),) = database.execute(
                    "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'"
                )
                assert Path(where).is_relative_to(f"{database.server.data}.tablespaces")
    finally:
        source.database.execute("DROP TABLE spaced")
        source.database.execute("DROP TABLESPACE fast")
        if key is not None:
            source.close()


@pytest.mark.parametrize("to_a_moment", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_pgbackrest(rested: Rested, to_a_moment: bool) -> None:
    first = rested.full()
    postgresql_physical.change(rested, 0)
    moment, then = now(rested), rested.hashes()
    postgresql_physical.change(rested, 1)
    last, expected = rested.increment(), rested.hashes()
    steps = STEPS["pgbackrest", "any"]
    chosen = (
        followed(rested, first.backup_id, steps, UNTIL=moment)
        if to_a_moment
        else followed(rested, last.backup_id, steps)
    )
    with chosen as database:
        assert differing(hashes(database), then if to_a_moment else expected) == {}
        assert database.execute("SHOW archive_mode") == [("off",)]


# MariaDB


def with_definers(shop: MariadbDatabase) -> None:
    """A view on a view, which run with the rights of an account that has some on this database alone; and events that run."""
    shop.make_user("keeper", grants="SELECT, SHOW VIEW, EXECUTE")
    keeper = "DEFINER = keeper@'127.0.0.1'"
    for statement in (
        f"CREATE {keeper} VIEW inner_view AS SELECT id FROM kinds",
        f"CREATE {keeper} VIEW outer_view AS SELECT id, twice(id) AS doubled FROM inner_view",
        "CREATE EVENT running ON SCHEDULE EVERY 1 SECOND DO DELETE FROM empty",
        'CREATE EVENT `wa``king "up"` ON SCHEDULE EVERY 1 DAY DO SELECT 1',
    ):
        shop.execute(statement)


def states(db: MariadbDatabase) -> list[Any]:
    """Events with what becomes of them, and sequences with what they give next."""
    found = db.execute(
        "SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY 1"
    )
    return [*found, *db.execute("SELECT next_not_cached_value FROM numbers")]


@contextmanager
def bare(
    factory: Callable[..., MariadbServer], root: Path, home: Path, key: Path
) -> Iterator[tuple[Night, MariadbServer]]:
    server = factory({"event-scheduler": "ON"})
    night = Night(home)
    night.carry(root)
    shutil.copy(key, night.home / "key")
    (night.home / ".my.cnf").write_text(
        f"[client]\nuser = root\nprotocol = tcp\nhost = 127.0.0.1\nport = {server.port}\n"
    )
    yield night, server


@encrypted_or_not
@pytest.mark.parametrize(
    "kind", ["incremental", "moment", *(pytest.param(one, marks=pytest.mark.thorough) for one in ("full", "elsewhere"))]
)
@pytest.mark.sampled
def test_mariadb_dump(
    backups: Backups,
    shop: MariadbDatabase,
    mariadb_server_factory: Callable[..., MariadbServer],
    tmp_path: Path,
    encrypted: bool,
    kind: str,
) -> None:
    key = new_key(tmp_path / "key")
    if encrypted:
        chosen = {"backup_recipients": [recipient(key)], "backup_identity": str(key)}
        backups.aishell.configure("aishell.yaml", json.dumps(chosen))
    fill(shop)
    with_definers(shop)
    backup_id, until = backups.made("full")["backup_id"], ""
    expected = content(shop), states(shop)
    by_hand = "CREATE TABLE from_elsewhere (id int PRIMARY KEY) COLLATE utf8mb4_bin"
    if kind != "full":
        change(shop, 1)
        backups.made("incremental")
        change(shop, 2)
        shop.make_user("later", grants="SELECT")
        shop.execute("grant /* of the server */ process on *.* to later@'127.0.0.1'")
        shop.execute("CREATE DEFINER = later@'127.0.0.1' VIEW later_view AS SELECT word FROM over_view")
        if kind == "elsewhere":
            by_hand = by_hand.replace("from", f"{shop.dbname}.from")
            shop.server.create("elsewhere").execute(by_hand)
            shop.execute("INSERT INTO from_elsewhere VALUES (1), (2)")
        expected = content(shop), states(shop)
        if kind == "moment":
            ((end,),) = shop.execute("SELECT UTC_TIMESTAMP() + INTERVAL 1 SECOND")
            until = end.replace(tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%S")
            shop.execute("DO SLEEP(1.1)")
            change(shop, 3)
        backup_id = backups.made("incremental")["backup_id"]
    steps = STEPS["mariadb-dump", "full" if kind == "full" else "incremental"]
    with bare(mariadb_server_factory, backups.aishell.site / "backups", tmp_path / "night", key) as (night, server):
        before = {}
        if kind == "elsewhere":
            with pytest.raises(AssertionError, match="from_elsewhere"):
                night.follow(backup_id, steps, tmp_path / "nothing")
            files = [path for path in night.home.rglob("binlog.0*") if path.suffix != ".age"]
            logs = "\n".join(f"mariadb-binlog --no-defaults '{path}'" for path in files)
            assert by_hand in night.bash(logs)
            server.database(None).execute(f"DROP DATABASE {shop.dbname}")
            before = {"mariadb-binlog": f"mariadb --execute='{by_hand}'\n"}
        night.follow(backup_id, steps, tmp_path / "nothing", before, UNTIL=until)
        back = server.database(str(shop.dbname))
        assert differing(content(back), expected[0]) == {}
        assert states(back) == expected[1]
        assert back.execute("SELECT @@event_scheduler") == [("ON",)]
        assert back.execute("SELECT COUNT(*) FROM outer_view") == back.execute("SELECT COUNT(*) FROM kinds")


def test_events_that_aishell_has_restored(backups: Backups, shop: MariadbDatabase, tmp_path: Path) -> None:
    fill(shop)
    with_definers(shop)
    backups.made("full")
    change(shop, 1)
    change(shop, 2)
    last, expected = backups.made("incremental")["backup_id"], states(shop)
    place = backups.restored(last, "back")
    assert {status for _, status in states(place)[:-1]} == {"DISABLED"}
    night = Night(tmp_path / "night")
    night.carry(backups.aishell.site / "backups")
    (night.home / ".my.cnf").write_text(
        f"[client]\nuser = root\nprotocol = tcp\nhost = 127.0.0.1\nport = {shop.server.port}\n"
    )
    night.follow(last, (ENABLE,), tmp_path / "nothing", DATABASE="back")
    assert states(place) == expected


@plain_first
@pytest.mark.parametrize("kind", [pytest.param("full", marks=pytest.mark.thorough), "incremental"])
def test_mariadb_backup(source: MariadbDatabase, tmp_path: Path, encrypted: bool, kind: str) -> None:
    key = new_key(tmp_path / "key")
    settings = json.dumps({"backup_recipients": [recipient(key)], "backup_identity": str(key)}) if encrypted else ""
    cluster = mariadb_physical.Physical(source, tmp_path / "physical", settings=settings)
    try:
        fill(source)
        with_definers(source)
        mariadb_physical.lay(source)
        entry, expected = cluster.full(), mariadb_physical.whole(source)
        for number in (1,) if kind == "incremental" else ():
            change(source, number)
            mariadb_physical.write(source, number)
            entry, expected = cluster.increment(), mariadb_physical.whole(source)
        server = mariadb_physical.Restored(source.server)
        try:
            night = Night.on(server)
            night.carry(cluster.site.backup_store.repository.root)
            shutil.copy(key, night.home / "key")
            night.own()
            said = night.follow(entry.backup_id, STEPS["mariadb-backup", "any"], server.data)
            assert said.count("completed OK!") == (1 if kind == "full" else 2)
            server.start()
            assert differing(mariadb_physical.whole(server.database(str(source.dbname))), expected) == {}
        finally:
            server.remove()
    finally:
        cluster.close()


def test_the_page_travels_with_every_folder_of_backups(aishell: Aishell, copied: Copied, tmp_path: Path) -> None:
    copied(0)
    for root in (aishell.site / "backups", tmp_path / "second"):
        assert (root / TRAVELS_AS).read_text() == PAGE.read_text()
        assert not list(root.glob(".*"))
