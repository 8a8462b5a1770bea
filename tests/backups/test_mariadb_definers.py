"""Definers whose rights end at their database: what rests on them is restored under another name, and comes back as theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from aishell.errors import NotTakenError
from tests.backups.in_place import InPlace
from tests.backups.mariadb_samples import Tried, databases
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbDatabase, quoted
from tests.servers import HOST

NARROW = f"'narrow'@'{HOST}'"
#: Chains of views of which each is the definer's own; by their names some come before what they rest on.
VIEWS = (
    ("z_first", "SELECT id, note FROM t"),
    ("a_second", "SELECT id, note FROM z_first WHERE id > 0"),
    ("m_third", "SELECT a.id, z.note FROM a_second AS a JOIN z_first AS z ON z.id = a.id"),
    ("o' `f` 'o", "SELECT twice(id) AS two, note AS z_first FROM m_third"),  # a column that is named like a view
    ("b_last", "SELECT two FROM `o' ``f`` 'o` UNION SELECT id FROM a_second"),
)
DEFINERS = (NARROW, "'nobody'@'nowhere'", "CURRENT_USER")
ABOUT = """SELECT TABLE_NAME, DEFINER, SECURITY_TYPE, CHECK_OPTION, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, ALGORITHM
    FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1"""


def make(db: MariadbDatabase, definer: str, security: str = "DEFINER") -> None:
    for name, query in VIEWS:
        db.execute(f"CREATE DEFINER={definer} SQL SECURITY {security} VIEW {quoted(name)} AS {query}")


def fill(db: MariadbDatabase) -> None:
    """Tables, a function, and what a program of long ago has made in its own characters."""
    db.make_user("narrow", grants="ALL")
    db.execute("CREATE TABLE t (id int PRIMARY KEY, note varchar(20))")
    db.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    db.execute(f"CREATE DEFINER={NARROW} FUNCTION twice (x int) RETURNS int DETERMINISTIC RETURN x * 2")
    with db.connect(charset="latin1") as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW old AS SELECT id, 'é' AS e FROM t WITH CHECK OPTION"
        )


@pytest.fixture
def definers(shop: MariadbDatabase) -> MariadbDatabase:
    fill(shop)
    return shop


@pytest.mark.parametrize("definer", DEFINERS)
def test_a_chain_of_views_comes_back_whoever_made_it(definers: MariadbDatabase, tried: Tried, definer: str) -> None:
    db = definers
    if definer == "'nobody'@'nowhere'":  # gone since
        db.execute(f"CREATE USER {definer}")
        db.execute(f"GRANT ALL ON {db.dbname}.* TO {definer}")
    make(db, definer)
    entry = tried.backed_up()
    if definer == "'nobody'@'nowhere'":
        db.execute(f"DROP USER {definer}")
    told = tried.call("restore_test", backup_id=entry.backup_id)
    assert told["rung"] == "restored-and-compared"
    restored = tried.restored(entry, f"{db.dbname}_beside")
    assert restored.execute(ABOUT) == db.execute(ABOUT)
    assert tried.differences(entry, str(restored.dbname)) == []


def test_views_of_increments_come_back_as_whose_they_are(definers: MariadbDatabase, tried: Tried) -> None:
    db = definers
    make(db, NARROW)
    tried.backed_up()
    db.execute(f"CREATE DEFINER={NARROW} VIEW on_views AS SELECT * FROM b_last")
    db.execute(f"ALTER DEFINER={NARROW} SQL SECURITY INVOKER VIEW a_second AS SELECT id, note FROM z_first")
    db.execute("RENAME TABLE a_second TO renamed")
    db.execute("DROP VIEW old, m_third")
    db.execute(f"CREATE OR REPLACE DEFINER={NARROW} VIEW m_third AS SELECT r.id, r.note FROM renamed AS r")
    db.execute("CREATE OR REPLACE VIEW b_last AS SELECT 1 AS two")
    entry = tried.backed_up("incremental")
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"
    restored = tried.restored(entry, f"{db.dbname}_beside")
    assert restored.execute(ABOUT) == db.execute(ABOUT)


def test_they_come_back_in_place_and_can_be_read(definers: MariadbDatabase, aishell: Aishell) -> None:
    db, place = definers, InPlace(aishell, definers.url)
    make(db, NARROW)
    backup, about, before = place.back_up("--restore-test"), db.execute(ABOUT), databases(db)
    rows = db.execute("SELECT * FROM b_last")
    db.execute("DROP VIEW b_last")
    db.execute("UPDATE t SET note = 'lost'")
    assert place.restored(backup)["compared"]
    assert db.execute(ABOUT) == about
    assert sorted(db.execute("SELECT * FROM b_last")) == sorted(rows)
    assert db.execute("SELECT count(*) FROM t WHERE note = 'lost'") == [(0,)]
    assert len(databases(db) - before) == 1


def test_what_the_server_does_not_take_is_not_called_readable_any_more(shop: MariadbDatabase, tmp_path: Path) -> None:
    """An account that may not make a view as somebody else's."""
    shop.execute("CREATE TABLE t (id int)")
    shop.execute("CREATE VIEW v AS SELECT id FROM t")
    root = Tried(shop, tmp_path / "tried")
    entry = root.backed_up()
    root.close()
    url = shop.make_user("limited")
    shop.execute(f"GRANT ALL ON `shop\\_%`.* TO 'limited'@'{HOST}'")
    shop.execute(f"GRANT SELECT ON mysql.* TO 'limited'@'{HOST}'")
    limited = Tried(shop, tmp_path / "tried", url=url)
    with pytest.raises(NotTakenError, match=r"SUPER|SET USER"):
        limited.call("restore_backup", backup_id=entry.backup_id, place=f"{shop.dbname}_x")
    found = limited.site.backup_store.catalog.find(entry.backup_id)
    assert not found.verified
    assert "it was not restored" in str(found.differs)
    limited.close()
