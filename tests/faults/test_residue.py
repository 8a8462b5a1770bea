"""What runs that were killed have left: doctor lists it, a tool that asks removes it; not of a run that lives, nor of others."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aishell.state.locks import FileLock
from tests.commands.terminal import Terminal
from tests.faults.backed import CONTENT, FILL
from tests.faults.killed import Fault
from tests.faults.killing import KILLED
from tests.faults.test_log_cleanup_kill import arguments, renewed
from tests.fix_aishell import Aishell, Ended
from tests.mariadb import MariadbDatabase
from tests.postgresql import PostgresqlDatabase
from tests.servers import wait_until

#: What a server itself tells: the databases on it, and the marks of restored ones.
DATABASES = {
    "postgresql": "SELECT datname FROM pg_database",
    "mysql": "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA",
}
MARKS = {
    "postgresql": "SELECT d.datname FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase "
    "WHERE s.setconfig::text LIKE '%aishell.restored_by%'",
    "mysql": "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_COMMENT LIKE '%aishell%'",
}
SLOTS = "SELECT slot_name FROM pg_replication_slots"
INVALID = "SELECT x.relname FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid WHERE NOT i.indisvalid"


@dataclass
class Left:
    """A site with one target, `shop`, whose runs are killed."""

    site: Aishell
    db: Any

    @property
    def engine(self) -> str:
        return str(self.db.url).partition(":")[0]

    @property
    def root(self) -> Path:
        return self.site.site / "backups"

    def run(self, *words: str, fault: Fault | None = None) -> Ended:
        return self.site(*words, fault=fault)

    def yes(self, *words: str, fault: Fault | None = None) -> Ended:
        return self.run(*words, "--target", "shop", "--yes", "--output", "json", fault=fault)

    def back_up(self, *more: str) -> str:
        return str(self.yes("run", "backup", *more).expect(0).json["output_data"]["backup_id"])

    def killed(self, *words: str, fault: Fault) -> str:
        """Kill a command; the id of its run."""
        assert self.yes(*words, fault=fault).code == KILLED
        return str(self.site.rows("SELECT id FROM runs ORDER BY created_at DESC LIMIT 1")[0][0])

    def killed_over(self, *words: str) -> tuple[str, str]:
        """Kill a command right after it has made a database; the id of its run, and the database."""
        before = self.databases
        for at in range(1, 9):
            run = self.killed(*words, fault=Fault(at, "after", of="change"))
            if self.databases - before:
                break
            self.run("runs", "cancel", run)
            self.clear()
        (made,) = self.databases - before
        return run, made

    def listed(self) -> dict[str, dict[str, Any]]:
        """What doctor lists, by name."""
        findings = self.run("doctor", "--target", "shop", "--output", "json").json["findings"]
        return {one["residue"]["name"]: one for one in findings if one["residue"] is not None}

    def goes(self) -> set[str]:
        """The names of what is said to be removable."""
        found = {name for name, one in self.listed().items() if one["residue"]["kept"] is None}
        assert all(self.listed()[name]["remedy"].endswith(" run residue --target shop") for name in found)
        return found

    def clear(self) -> Ended:
        return self.yes("run", "residue")

    def removed(self) -> list[str]:
        return list(self.clear().expect(0).json["output_data"]["removed"])

    def names(self, query: str) -> set[str]:
        return {name for (name,) in self.db.execute(query)}

    @property
    def databases(self) -> set[str]:
        return self.names(DATABASES[self.engine])

    @property
    def marked(self) -> set[str]:
        return self.names(MARKS[self.engine])


def make(aishell: Aishell, db: Any) -> Left:
    aishell.configure("targets.yaml", f"targets: {{shop: {{url: {db.url!r}, environment: test}}}}")
    aishell.configure(
        "aishell.yaml", f"programs: {db.server.bin}\n" if db.url.startswith("postgresql") else "jobs: 2\n"
    )
    for statement in FILL:
        db.execute(statement)
    return Left(aishell, db)


@pytest.fixture(params=["pg_distribution", "mariadb"])
def left(request: pytest.FixtureRequest, aishell: Aishell) -> Iterator[Left]:
    """On each server that has databases to leave behind; what a test makes there goes."""
    db = request.getfixturevalue(request.param)
    made = make(aishell, db)
    before = made.databases
    yield made
    for name in made.databases - before:
        db.server.database(name).drop()


@contextlib.contextmanager
def driven(one: Left, run: str) -> Iterator[None]:
    """The run is driven by a process that lives: this one has its lock."""
    lock = FileLock(one.site.state.parent / ".aishell-locks" / f"run-{run}.lock", run)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def inside(db: Any, name: str) -> Iterator[None]:
    """Somebody is in a database."""
    with contextlib.closing(db.server.database(name).connect()):
        yield


@pytest.mark.sampled(1)
def test_a_scratch_database(left: Left) -> None:
    """That of a restore test which was killed over it, with the folder that it worked in."""
    left.back_up()
    before = left.databases
    run, scratch = left.killed_over("run", "backup", "--restore-test")
    assert scratch == f"aishell_scratch_{run[:8]}"
    work = f"{left.root}/.work-{run[:8]}-restore_test"
    aliens = ("aishell_scratch_00000000", "aishell_scratch_of_mine")
    for name in aliens:
        left.db.server.create(name)

    with driven(left, run):
        assert {scratch, work} & set(left.listed()) == set(), "its run lives"
    waits = left.listed()
    assert f"runs cancel {run[:8]}" in waits[scratch]["remedy"], "it can be resumed"
    assert left.removed() == []
    assert scratch in left.databases

    left.run("runs", "cancel", run).expect(0)
    assert left.goes() == {scratch, work}
    told = left.listed()[scratch]["residue"]
    assert (told["kind"], told["run_id"]) == ("scratch database", run)
    assert told["since"]
    said = left.run("doctor", "--target", "shop").out
    assert f"scratch database {scratch}" in said
    assert " run residue --target shop" in said
    with inside(left.db, scratch):
        assert scratch not in left.listed(), "somebody is in it"
    alien = left.listed()["aishell_scratch_00000000"]
    assert (alien["level"], alien["residue"]["certain"]) == ("ok", False)
    assert alien["text"].startswith("perhaps: ")

    waiting = left.run("run", "residue", "--target", "shop", "--output", "json").expect(3)
    assert scratch in left.databases, "it asks"
    left.run("runs", "cancel", waiting.run_id).expect(0)
    shown = (
        left.run("run", "residue", "--target", "shop", "--dry-run", "--output", "json").expect(0).json["plan"]["steps"]
    )
    quoted = f'"{scratch}"' if left.engine == "postgresql" else f"`{scratch}`"
    assert [one["sql"] for step in shown for one in step["statements"]] == [f"DROP DATABASE IF EXISTS {quoted}"]
    assert set(left.removed()) == {scratch, work}
    assert left.databases == before | set(aliens)
    assert not Path(work).exists()
    assert left.goes() == set()
    left.run("audit", "verify").expect(0)


@pytest.mark.sampled(1)
def test_one_that_somebody_enters_before_it_goes_stays(left: Left) -> None:
    left.back_up()
    run, scratch = left.killed_over("run", "backup", "--restore-test")
    left.run("runs", "cancel", run).expect(0)
    waiting = left.run("run", "residue", "--target", "shop", "--output", "json").expect(3)
    for one in left.run("approvals", "list", "--output", "json").json:
        left.run("approvals", "approve", one["id"]).expect(0)
    with inside(left.db, scratch):
        ended = left.run("runs", "resume", waiting.run_id, "--output", "json")
        assert ended.code in (1, 4), ended.out
        assert "session" in ended.out
    assert scratch in left.databases


@pytest.mark.sampled(1)
def test_the_mark_of_a_restore(left: Left) -> None:
    """A restore that comes to its end leaves none; one that is killed before that and given up leaves the database with it."""
    backup = left.back_up()
    left.yes("backups", "restore", backup, "--to", "shop_whole").expect(0)
    assert left.marked == set()
    for at in range(1, 9):
        run = left.killed("backups", "restore", backup, "--to", "shop_marked", fault=Fault(at, "after"))
        if left.marked:
            break
        left.run("runs", "cancel", run)
        left.clear()
    assert left.marked == {"shop_marked"}
    with driven(left, run):
        assert left.listed() == {}
    assert (
        "runs resume" in left.listed()["shop_marked"]["remedy"] or "resume it" in left.listed()["shop_marked"]["remedy"]
    )
    left.run("runs", "cancel", run).expect(0)
    # Where it was killed before its folder was gone, that goes along.
    assert {name for name in left.goes() if "/.work-" not in name} == {"shop_marked"}
    assert [name for name in left.removed() if "/.work-" not in name] == ["shop_marked"]
    assert (left.goes(), left.marked) == (set(), set())
    assert left.db.server.database("shop_marked").execute(CONTENT) == left.db.execute(CONTENT), (
        "the database itself stays"
    )


@pytest.mark.sampled(1)
def test_a_mark_of_another_site_stays(left: Left) -> None:
    backup = left.back_up()
    left.yes("backups", "restore", backup, "--to", "shop_theirs").expect(0)
    theirs = f"{'0' * 32}:restore"
    left.db.execute(
        f"ALTER DATABASE shop_theirs SET aishell.restored_by = '{theirs}'"
        if left.engine == "postgresql"
        else f"ALTER DATABASE shop_theirs COMMENT = 'restored by aishell {theirs}'"
    )
    assert left.listed()["shop_theirs"]["residue"]["certain"] is False
    assert left.removed() == []
    assert left.marked == {"shop_theirs"}


def test_a_database_that_a_restore_had_begun_to_fill(aishell: Aishell, mariadb: MariadbDatabase) -> None:
    """MariaDB fills it under the name that a person gave: that it goes is reviewed."""
    left = make(aishell, mariadb)
    backup, before = left.back_up(), left.databases
    run, half = left.killed_over("backups", "restore", backup, "--to", "shop_half")
    assert half == "shop_half"
    left.run("runs", "cancel", run).expect(0)
    assert "shop_half" in left.goes()
    waiting = left.clear().expect(3)
    asked = left.run("approvals", "list", "--output", "json").json
    for one in asked:
        left.run("approvals", "approve", one["id"], "--confirm-target", "shop").expect(0)
    done = left.run("runs", "resume", waiting.run_id, "--output", "json").expect(0)
    assert "drop_unfinished_restore" in {action["tool"] for action in done.json["actions_taken"]}
    read = {one["source"] for event in aishell.events("statements_read") for one in event["statements"]}
    assert {"inspect_residue"} & {Path(source).stem for source in read}, "what is left is looked for by a tool"
    assert left.databases == before


def test_a_slot_that_no_backup_needs(aishell: Aishell, pg_distribution: PostgresqlDatabase) -> None:
    left = make(aishell, pg_distribution)
    before = left.names(SLOTS)
    try:
        backup = left.back_up("--physical")
        (slot,) = left.names(SLOTS) - before
        pg_distribution.execute("SELECT pg_create_physical_replication_slot('aishell_00000000', true)")
        assert slot not in left.listed(), "increments on the backup need it"
        (folder,) = left.root.glob(f"*/{backup}")
        folder.rename(left.site.home / "away")
        found = left.listed()
        assert found[slot]["residue"]["kept"] is None
        assert found[slot]["residue"]["bytes"] > 0, "the WAL that it keeps"
        assert found["aishell_00000000"]["residue"]["certain"] is False
        words = [
            pg_distribution.server.bin / "pg_receivewal",
            "-D",
            aishell.home,
            "-S",
            slot,
            "-d",
            pg_distribution.url,
        ]
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as reader:
            active = f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'"
            wait_until(lambda: pg_distribution.execute(active) == [(True,)], "somebody reads from it")
            assert slot not in left.listed(), "it is in use"
            assert left.removed() == []
            reader.terminate()
        wait_until(lambda: pg_distribution.execute(active) == [(False,)], "nobody reads from it")
        assert left.removed() == [slot]
        assert left.names(SLOTS) == before | {"aishell_00000000"}
    finally:
        pg_distribution.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '^aishell_'"
        )


def test_the_copy_of_an_index(aishell: Aishell, pg_current: PostgresqlDatabase) -> None:
    """Its rebuild waits for an old transaction when aishell is killed, and is ended on the server by a person."""
    left = make(aishell, pg_current)
    pg_current.execute("CREATE TABLE worn (id int, n text)")
    pg_current.execute("CREATE INDEX worn_n ON worn (n)")
    pg_current.execute("INSERT INTO worn SELECT i, md5(i::text) FROM generate_series(1, 30000) AS i")
    pg_current.execute("DELETE FROM worn WHERE id % 10 <> 0")
    pg_current.execute("VACUUM ANALYZE worn")
    words = ("run", "maintenance", "--type", "full", "--table", "worn", "--set", "min_index_size=0")
    with contextlib.closing(pg_current.connect(autocommit=False)) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM orders")
        running = aishell.start(*words, "--target", "shop", "--yes", "--output", "json")
        wait_until(lambda: pg_current.execute(INVALID) != [], "its copy")
        running.kill()
        left.run("runs", "cancel", aishell.only_run()).expect(0)
        assert left.listed() == {}, "its statement still runs on the server"
        pg_current.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'REINDEX%'")
        busy = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'REINDEX%'"
        wait_until(lambda: pg_current.execute(busy) == [], "its end")
    assert left.goes() == {"public.worn.worn_n_ccnew"}
    pg_current.execute("ALTER INDEX orders_pkey RENAME TO orders_ccnew")
    pg_current.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_ccnew'::regclass")
    assert left.listed()["public.orders.orders_ccnew"]["residue"]["certain"] is False
    left.clear().expect(0)
    assert pg_current.execute(INVALID) == [("orders_ccnew",)]
    assert pg_current.execute("SELECT to_regclass('worn_n') IS NOT NULL") == [(True,)]


def leave_files(left: Left) -> dict[str, str]:
    """Kill a backup, an archiving and a removal; what each has left -> its run, empty for what nobody can go on with."""
    url = left.db.url
    run = left.killed("run", "backup", fault=Fault(1, of="begin"))
    (partial,) = left.root.glob("*/.partial-*")
    found = {str(partial): run}
    renewed(left.db, "sqlite")
    words = [word for word in arguments(left.db) if word not in ("--url", url, "--environment", "test")]
    assert left.run(*words, "--target", "shop", "--archive", fault=Fault(8, "after")).code == KILLED
    (archive,) = (left.site.site / "archives").rglob("*.partial")
    found[str(archive)] = str(left.site.rows("SELECT id FROM runs ORDER BY created_at DESC LIMIT 1")[0][0])
    left.back_up()
    left.back_up()
    assert left.run("backups", "prune", "--set", "count=1", "--yes", fault=Fault(2, "before")).code == KILLED
    (trash,) = left.root.glob("*/.trash-*")
    return found | {str(trash): ""}


def test_files(aishell: Aishell, sqlite: Any) -> None:
    """On SQLite nothing is left in the database: backups, archives, what was being removed, servers that were tried."""
    aishell.configure("targets.yaml", f"targets: {{shop: {{url: {sqlite.url!r}, environment: test}}}}")
    for statement in FILL:
        sqlite.execute(statement)
    left = Left(aishell, sqlite)
    found = leave_files(left)
    runs = dict.fromkeys(run for run in found.values() if run)
    alien = next(left.root.glob("*/.partial-*")).with_name(".partial-20260101T000000Z-full-00000000-backup")
    alien.mkdir()
    with contextlib.ExitStack() as held:
        for run in runs:
            held.enter_context(driven(left, run))
        assert set(left.listed()) == {str(alien), *(path for path, run in found.items() if not run)}
    assert left.goes() == {path for path, run in found.items() if not run}
    assert "runs cancel" in left.listed()[next(iter(found))]["remedy"]
    for run in runs:
        left.run("runs", "cancel", run).expect(0)
    begun = next(iter(runs))
    server = (
        left.root / f".aishell_scratch_{begun[:8]}"
    )  # where one is started for a physical backup (backups/restore/scratch_server.py)
    (server / "data").mkdir(parents=True)
    (server / "data" / "PG_VERSION").write_text("15")
    assert left.goes() == {*found, str(server)}
    assert left.listed()[str(server)]["residue"]["bytes"] == 2
    command = [sys.executable, "-m", "aishell", *aishell.command("run", "residue", "--target", "shop")]
    with Terminal(command, env=aishell.environment(), cwd=str(aishell.site)) as terminal:
        terminal.until("remove_leftovers")
        terminal.until("decide later")
        terminal.type("q")
        assert terminal.end() == 3
    assert all(map(os.path.exists, found)), "nobody has said yes"
    assert set(left.removed()) == {*found, str(server)}
    assert not any(map(os.path.exists, (*found, server)))
    assert alien.is_dir()
    assert left.goes() == set()
    assert left.run("backups", "list", "--output", "json").expect(0).json
    left.run("audit", "verify").expect(0)


def test_a_path_that_is_nobodys_is_not_removed(aishell: Aishell, sqlite: Any, tmp_path: Path) -> None:
    """The tool looks at each path itself: a saved plan can be of yesterday."""
    aishell.configure("targets.yaml", f"targets: {{shop: {{url: {sqlite.url!r}, environment: test}}}}")
    for statement in FILL:
        sqlite.execute(statement)
    left = Left(aishell, sqlite)
    run = left.killed("run", "backup", fault=Fault(1, of="begin"))
    (partial,) = left.root.glob("*/.partial-*")
    left.run("runs", "cancel", run).expect(0)
    waiting = left.run("run", "residue", "--target", "shop", "--output", "json").expect(3)
    (one,) = left.run("approvals", "list", "--output", "json").json
    left.run("approvals", "approve", one["id"]).expect(0)
    partial.rename(partial.with_name(".partial-20260101T000000Z-full-00000000-backup"))
    partial.symlink_to(tmp_path)
    ended = left.run("runs", "resume", waiting.run_id, "--output", "json")
    assert tmp_path.is_dir()
    assert ended.code in (0, 1)
    assert any(left.root.glob("*/.partial-*00000000*"))
