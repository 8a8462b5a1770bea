"""Damage that is named, kills that leave nothing behind, and a password that nobody sees."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from aishell.backups.mariadb.dump import MariadbDump
from aishell.backups.mariadb.full import DUMP
from aishell.clients.clients import WORK
from aishell.errors import BackupError, DatabaseError
from tests.backups.mariadb_samples import Backups, Tried, change, content, databases, fill, still
from tests.faults.killing import SWEEPS, Sweep, new_site
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbDatabase
from tests.servers import processes, wait_until

PASSWORD = ":\\#'\" %"
BIG = "CREATE TABLE big AS SELECT seq AS id, REPEAT(MD5(seq), 20) AS text FROM seq_1_to_{}"


def clients(site: Aishell) -> list[str]:
    """The client programs that work in the backups of a site: others test at the same time."""
    return processes(f"{WORK}={site.site}/", "environ")


@contextmanager
def chain(tried: Tried, shop: MariadbDatabase) -> Iterator[tuple[Path, Path, Path]]:
    """The folders of a full backup and of two increments on it, all of them proven."""
    fill(shop)
    folders = [tried.backed_up().folder]
    for number in range(2):
        change(shop, number)
        still(shop)
        entry = tried.backed_up("incremental")
        folders.append(entry.folder)
    yield folders[0], folders[1], folders[2]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "bytes instead of"),
    "a flipped bit": (flip, "was changed or is damaged"),
    "missing": (lambda path: path.unlink(), "is missing"),
    "empty": (lambda path: path.write_bytes(b""), "has 0 bytes instead of"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("which", ["full", "increment"])
def test_a_damaged_backup_is_named_and_counts_for_nothing(
    tried: Tried, shop: MariadbDatabase, damage: str, which: str
) -> None:
    with chain(tried, shop) as (full, first, last):
        path = full / "dump.sql.zst" if which == "full" else next(iter((first / "binlog").iterdir()))
        DAMAGES[damage][0](path)
        with pytest.raises(BackupError, match=DAMAGES[damage][1]) as told:
            tried.call("validate_backup", backup_id=last.name)
        assert path.name in told.value.message
        catalog = tried.site.backup_store.catalog
        assert not catalog.find(last.name).verified
        with pytest.raises(BackupError, match=DAMAGES[damage][1]):
            tried.call("restore_backup", backup_id=last.name, place="back")
        assert "back" not in databases(shop)


def test_a_chain_without_a_link_is_refused(tried: Tried, shop: MariadbDatabase) -> None:
    with chain(tried, shop) as (_, first, last):
        first.rename(first.with_name(".aside"))
        with pytest.raises(BackupError, match=first.name):
            tried.call("validate_backup", backup_id=last.name)


def test_the_command_line_names_it_and_exits_with_1(backups: Backups, shop: MariadbDatabase) -> None:
    fill(shop)
    backup_id = backups.made("full")["backup_id"]
    backups.aishell("backups", "verify", backup_id).expect(0)
    flip(Path(backups.entry(backup_id)["path"]) / "dump.sql.zst")
    ended = backups.aishell("backups", "verify", backup_id).expect(1)
    assert "dump.sql.zst was changed or is damaged" in ended.out
    assert "dump.sql.zst was changed" in str(backups.entry(backup_id)["problem"])


@pytest.mark.parametrize("cut", ["frame", "text"])
def test_a_dump_that_is_whole_as_a_file_and_not_as_a_dump(tried: Tried, shop: MariadbDatabase, cut: str) -> None:
    """As if it had been damaged before its digest was taken."""
    fill(shop)
    entry = tried.backed_up()
    path, manifest = entry.folder / DUMP, tried.manifest(entry)
    if cut == "frame":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        text = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
        path.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(text[:-50]))
    with pytest.raises(BackupError, match=r"is truncated|cannot be read"):
        MariadbDump().read(tried.work(), entry.folder, manifest)


def test_binary_logs_are_read_event_by_event(tried: Tried, shop: MariadbDatabase) -> None:
    """A byte of an event that is wrong in spite of the right SHA-256."""
    with chain(tried, shop) as (*_, last):
        manifest = tried.site.backup_store.repository.manifest(last)
        flip(next(iter((last / "binlog").iterdir())))
        with pytest.raises(BackupError, match=r"mariadb-binlog ended with|cannot be read"):
            MariadbDump().read(tried.work(), last, manifest)


def test_an_increment_on_a_parent_that_was_made_again_is_refused(tried: Tried, shop: MariadbDatabase) -> None:
    with chain(tried, shop) as (full, _, last):
        other = tried.backed_up().folder
        for name in ("dump.sql.zst", "manifest.json"):
            (full / name).write_bytes((other / name).read_bytes())
        with pytest.raises(BackupError, match=r"differs from the backup .* in the catalog"):
            tried.call("restore_backup", backup_id=last.name, place="back")


def test_a_backup_that_is_killed_is_finished_by_a_resume(backups: Backups, shop: MariadbDatabase) -> None:
    """Killed while the dump is written: the program ends, what it wrote goes, and the backup is made anew."""
    shop.execute(BIG.format(100_000))
    aishell, root = backups.aishell, backups.aishell.site / "backups"
    running = aishell.start(*backups.arguments("full", "--restore-test"))
    written: Callable[[], bool] = lambda: any(path.stat().st_size > 100_000 for path in root.rglob("*.zst"))  # noqa: E731
    wait_until(lambda: running.ended or written(), "the dump is written")
    running.kill()
    (partial,) = root.rglob(".partial-*")
    ended = aishell.resume(aishell.only_run()).expect(0)
    assert ended.json["output_data"]["rung"] == "restored-and-compared"
    assert not partial.exists()
    assert not list(root.rglob(".*-*"))
    assert not clients(aishell)
    assert not any(name.startswith("aishell_scratch") for name in databases(shop))
    aishell("backups", "verify").expect(0)
    aishell("audit", "verify").expect(0)


def test_a_restore_test_that_is_killed_leaves_no_scratch(backups: Backups, shop: MariadbDatabase) -> None:
    shop.execute(BIG.format(100_000))
    aishell = backups.aishell
    running = aishell.start(*backups.arguments("full", "--restore-test"))
    scratch: Callable[[], bool] = lambda: any(name.startswith("aishell_scratch") for name in databases(shop))  # noqa: E731
    wait_until(lambda: running.ended or scratch(), "it is restored")
    time.sleep(0.3)
    running.kill()
    assert scratch()
    ended = aishell.resume(aishell.only_run()).expect(0)
    assert ended.json["output_data"]["rung"] == "restored-and-compared"
    assert not scratch()
    assert not clients(aishell)


@SWEEPS
def test_an_increment_that_is_killed_at_a_commit_is_whole_in_the_end(
    backups: Backups, shop: MariadbDatabase, sweep: Sweep
) -> None:
    fill(shop)
    for number, fault in enumerate(sweep.among(4, 6, 8)):
        site = new_site(backups.aishell, str(fault), shop.url)
        own = Backups(site, shop)
        own.made("full")
        change(shop, number)
        still(shop)
        site(*own.arguments("incremental", "--restore-test"), fault=fault)
        run = site.rows("SELECT id FROM runs ORDER BY created_at DESC LIMIT 1")[0][0]
        if site.state_of(run) != "completed":
            site("runs", "resume", run, "--output", "json").expect(0)
        (entry,) = [one for one in site("backups", "list", "--output", "json").json if one["parent"]]
        assert entry["rung"] == "restored-and-compared"
        assert not list((site.site / "backups").rglob(".*-*"))


def test_ctrl_c_ends_the_program_and_leaves_nothing(backups: Backups, shop: MariadbDatabase) -> None:
    shop.execute(BIG.format(100_000))
    root = backups.aishell.site / "backups"
    running = backups.aishell.start(*backups.arguments("full"))
    wait_until(lambda: running.ended or any(root.rglob("*.zst")), "the dump is written")
    running.signal()
    running.wait()
    assert not clients(backups.aishell)
    assert not list(root.rglob(".partial-*"))
    backups.aishell.resume(backups.aishell.only_run()).expect(0)
    assert len(backups.aishell("backups", "list", "--output", "json").expect(0).json) == 1


def test_a_second_ctrl_c_leaves_at_once_and_ends_the_program(backups: Backups, shop: MariadbDatabase) -> None:
    shop.execute(BIG.format(100_000))
    root = backups.aishell.site / "backups"
    running = backups.aishell.start(*backups.arguments("full"))
    wait_until(lambda: running.ended or any(root.rglob("*.zst")), "the dump is written")
    running.signal()
    running.signal()
    running.wait()
    wait_until(lambda: not clients(backups.aishell), "the program ends")
    backups.aishell.resume(backups.aishell.only_run()).expect(0)
    assert not list(root.rglob(".partial-*"))  # the resume took away what there was no time for
    assert len(backups.aishell("backups", "list", "--output", "json").expect(0).json) == 1


def test_a_cancelled_dump_stops_the_fingerprints_too(tried: Tried, shop: MariadbDatabase) -> None:
    shop.execute(BIG.format(100_000))
    cancelled = threading.Event()
    original = tried.context

    def context():
        made = original()
        made.cancelled = cancelled.is_set
        return made

    tried.context = context  # type: ignore[method-assign]
    threading.Timer(0.3, cancelled.set).start()
    with pytest.raises(DatabaseError) as told:
        tried.call("backup_database_full")
    assert told.value.kind == "cancelled"
    assert not list(tried.home.rglob(".partial-*"))
    running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%MD5%' AND ID <> CONNECTION_ID()"
    wait_until(lambda: shop.execute(running) == [(0,)], "no statement of ours runs")


class Watcher:
    """Looks at the command lines and environments of all processes while something runs."""

    def __init__(self, secret: str) -> None:
        self.secret = secret.encode()
        self.seen: list[str] = []
        self.programs: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        data = (process / name).read_bytes()
                    except OSError:
                        continue
                    if name == "cmdline":
                        self.programs.add(data.split(b"\0")[0].decode(errors="replace").rpartition("/")[2])
                    if self.secret in data:
                        self.seen.append(f"{process}/{name}")


LOOKED_AT = {"mariadb-dump", "mariadb", "mariadb-binlog"}


def test_the_password_works_and_is_seen_nowhere(backups: Backups, shop: MariadbDatabase, tmp_path: Path) -> None:
    """One with every character that an option file, a URL or a shell would trip over."""
    fill(shop)
    shop.make_user("app", PASSWORD)
    shop.execute("GRANT ALL PRIVILEGES ON *.* TO app@'127.0.0.1'")
    aishell, secret = backups.aishell, tmp_path / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    url = shop.url_as("app")
    aishell.configure(
        "targets.yaml",
        f"targets:\n  shop:\n    url: {url}\n    environment: test\n    password_file: {secret}\n",
    )

    def run(kind: str) -> str:
        arguments = (
            "run",
            "backup",
            "--type",
            kind,
            "--restore-test",
            "--target",
            "shop",
            "--yes",
            "-v",
            "--output",
            "json",
        )
        ended = aishell(*arguments).expect(0)
        assert ended.json["output_data"]["rung"] == "restored-and-compared"
        return ended.out + ended.err

    with Watcher(PASSWORD) as watcher:
        told = run("full")
        change(shop, 0)
        still(shop)
        told += run("incremental")
        told += aishell("backups", "list", "--output", "json").out
        for _ in range(20):  # some of them are over in a moment
            if watcher.programs >= LOOKED_AT:
                break
            told += run("full") + run("incremental")
    assert watcher.seen == []
    assert watcher.programs >= LOOKED_AT, "it has looked at those too"
    escaped = {PASSWORD, PASSWORD.replace("\\", "\\\\"), PASSWORD.replace("\\", "\\\\").replace('"', '\\"')}
    assert not any(text in told for text in escaped)
    for path in aishell.home.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(text.encode() in data for text in escaped), path


def test_a_password_that_is_wrong_is_told_without_it(shop: MariadbDatabase, tmp_path: Path) -> None:
    url = shop.make_user("app", "right", grants="ALL")
    tried = Tried(shop, tmp_path / "site", url=url)
    assert tried.backed_up().verified
    shop.execute("SET PASSWORD FOR app@'127.0.0.1' = PASSWORD('other')")
    with pytest.raises(BackupError, match=r"mariadb-dump ended with 2.*Access denied") as told:
        tried.call("backup_database_full")  # our own connection lasts
    assert "right" not in told.value.message
    tried.close()


def test_a_second_restore_of_the_same_is_another_place(tried: Tried, shop: MariadbDatabase) -> None:
    fill(shop)
    entry = tried.backed_up()
    first, second = tried.restored(entry, "one"), tried.restored(entry, "two")
    assert content(first) == content(second) == content(shop)
