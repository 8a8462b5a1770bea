"""kill -9 at every commit of `aishell backups restore`, on each engine: in the end the place is there, whole and compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.backups.conftest import LOGGING
from tests.backups.physical import Restored
from tests.backups.test_sqlite import content
from tests.faults.backed import CONTENT, Backed
from tests.faults.killing import SWEEPS, Sweep
from tests.faults.test_backup_kill import backed
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbServer
from tests.postgresql import PostgresqlDatabase
from tests.servers import wait_until


def into(one: Backed, backup_id: str, place: Callable[[int], str]) -> Callable[[int], tuple[str, ...]]:
    """The command that restores a backup into a place of the kill's own."""
    return lambda number: one.on_it("backups", "restore", backup_id, "--to", place(number))


def assert_compared(one: Backed) -> None:
    """What the last run says it has done."""
    last = "SELECT output FROM steps WHERE tool = 'restore_backup' ORDER BY started_at DESC LIMIT 1"
    ((output,),) = one.site.rows(last)
    assert json.loads(output)["compared"] is True


@SWEEPS
def test_a_dump_of_postgresql(pg_distribution: PostgresqlDatabase, aishell: Aishell, sweep: Sweep) -> None:
    server = pg_distribution.server
    with backed(aishell, pg_distribution) as one:
        backup_id, expected, places = one.back_up(), one.content(), set[str]()

        def place(number: int) -> str:
            places.add(f"{pg_distribution.dbname}_{sweep}_{number}")
            return f"{pg_distribution.dbname}_{sweep}_{number}"

        def look(number: int) -> None:
            assert server.database(place(number)).execute(CONTENT) == expected
            assert_compared(one)

        try:
            one.killed_at_every_commit(into(one, backup_id, place), sweep, look, known=4)
        finally:
            for name in places:
                server.database(name).drop()


@SWEEPS
def test_a_dump_of_mariadb_with_its_binary_logs(
    mariadb_server_factory: Callable[..., MariadbServer], aishell: Aishell, sweep: Sweep
) -> None:
    server = mariadb_server_factory(LOGGING)
    with backed(aishell, server.create("shop")) as one:
        one.back_up()
        one.change()
        backup_id, expected = one.back_up("--type", "incremental"), one.content()

        def look(number: int) -> None:
            assert server.database(f"back_{number}").execute(CONTENT) == expected
            assert_compared(one)

        one.killed_at_every_commit(into(one, backup_id, lambda number: f"back_{number}"), sweep, look, known=4)


@SWEEPS
def test_the_files_of_postgresql(pg_distribution: PostgresqlDatabase, aishell: Aishell, sweep: Sweep) -> None:
    """A server starts on what was restored at the last of the kills."""
    with backed(aishell, pg_distribution) as one:
        restored = Restored(pg_distribution.server)
        try:
            one.back_up("--physical")
            one.change()
            backup_id, expected = one.back_up("--type", "incremental"), one.content()
            folder = restored.data.parent
            place: Callable[[int], str] = lambda number: str(folder / f"data_{number}")  # noqa: E731

            def look(number: int) -> None:
                assert [path.name for path in folder.glob(".*restoring")] == []
                assert (Path(place(number)) / "recovery.signal").exists()
                shutil.rmtree(place(number - 2), ignore_errors=True)

            last = one.killed_at_every_commit(into(one, backup_id, place), sweep, look, known=4)
            restored.data = Path(place(last))
            restored.start()
            assert restored.database(pg_distribution.dbname).execute(CONTENT) == expected
        finally:
            restored.remove()
            pg_distribution.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


@SWEEPS
def test_a_copy_of_sqlite(sqlite: Any, aishell: Aishell, tmp_path: Path, sweep: Sweep) -> None:
    with backed(aishell, sqlite) as one:
        one.back_up()
        one.change()
        backup_id, expected = one.back_up("--type", "incremental"), content(sqlite.path)

        def look(number: int) -> None:
            assert content(tmp_path / f"back_{number}.db") == expected
            assert not list(tmp_path.glob(".back*"))
            assert_compared(one)

        place: Callable[[int], str] = lambda number: str(tmp_path / f"back_{number}.db")  # noqa: E731
        one.killed_at_every_commit(into(one, backup_id, place), sweep, look, known=4)


def test_a_restore_that_is_killed_in_its_middle(
    mariadb_server_factory: Callable[..., MariadbServer], aishell: Aishell
) -> None:
    """MariaDB loads under the final name: what is half there is known as this run's own, and made anew; others' is left alone."""
    server = mariadb_server_factory(LOGGING)
    shop = server.create("shop")
    shop.execute("CREATE TABLE big AS SELECT seq AS id, REPEAT(MD5(seq), 20) AS text FROM seq_1_to_100000")
    one = Backed.made(aishell, shop, "killed")
    backup_id = one.back_up()
    command = one.on_it("backups", "restore", backup_id, "--to", "back")
    running = one.site.start(*command)
    there = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'back' AND TABLE_NAME = 'big'"
    wait_until(lambda: running.ended or shop.execute(there) != [], "its first table")
    running.kill()
    ((run, state),) = one.site.rows("SELECT id, state FROM runs ORDER BY created_at DESC LIMIT 1")
    assert state == "executing"
    assert "already exists" in one.site(*command).expect(1).out
    one.site("runs", "resume", run, "--output", "json").expect(0)
    assert server.database("back").execute("SELECT COUNT(*) FROM big") == [(100_000,)]
    assert_compared(one)
    one.assert_nothing_left()
