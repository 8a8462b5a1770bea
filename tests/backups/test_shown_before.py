"""What a person is shown of an exchange is what is sent: names filled in, texts whole, and what only a failure sends said so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.backups.in_place import InPlace
from tests.backups.logical import databases
from tests.backups.test_in_place_mariadb import fill_small
from tests.backups.test_in_place_postgresql import drop_new, fill
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbDatabase, quoted
from tests.postgresql import PostgresqlDatabase

#: What stands for a value that is not known.
PLACEHOLDER = re.compile(r"\{[a-z_]+\}|aishell_text")


@pytest.fixture
def elsewhere(aishell: Aishell, pg: PostgresqlDatabase) -> Iterator[InPlace]:
    before = databases(pg)
    aishell.configure("aishell.yaml", f"programs: {pg.server.bin}\n")
    yield InPlace(aishell, pg.url)
    drop_new(pg, before)


def shown(place: InPlace) -> list[dict[str, Any]]:
    """The statements of the approval that waits."""
    (waiting,) = place.run("approvals", "list", "--output", "json").expect(0).json
    return list(place.run("approvals", "show", waiting["id"], "--output", "json").expect(0).json["statements"])


def sent(place: InPlace, begins: str) -> list[str]:
    """What the audit says was sent, of those statements that begin so."""
    told = [str(event.get("sql", "")) for event in place.site.events("statement_sent")]
    return [text for text in told if text.startswith(begins)]


def steps_of(place: InPlace, backup: str) -> dict[str, Any]:
    """The plan of a restore in place, by step."""
    fixed = ("--url", place.url, "--environment", "test", "--dry-run", "--output", "json")
    plan = place.run("backups", "restore", backup, "--in-place", *fixed).expect(0).json["plan"]
    return {step["id"]: step for step in plan["steps"]}


def test_mariadb_shows_the_exchange_as_it_is_sent(aishell: Aishell, shop: MariadbDatabase) -> None:
    place = InPlace(aishell, shop.url)
    fill_small(shop)
    backup = place.back_up()
    other = "CREATE OR REPLACE FUNCTION twice (x int) RETURNS int DETERMINISTIC RETURN x * 3"
    shop.execute("CREATE OR REPLACE VIEW a_view AS SELECT 1 AS note")
    shop.execute(other)  # one that is as it was stays, and nothing is sent of it
    steps = steps_of(place, backup)
    programs = [one["sql"].split()[0] for one in steps["restore"]["statements"]]
    assert programs == ["mariadb"], "those of the backup's own method"
    assert not [one for one in steps["replace"]["statements"] if "{database}" in one["sql"] or "{kept}" in one["sql"]]
    waiting = place.restore(backup)
    statements = shown(place)
    assert not [one for one in statements if PLACEHOLDER.search(one["sql"])]
    always = [one["sql"] for one in statements if "only where it fails" not in one["note"]]
    (rename,) = [text for text in always if text.startswith("RENAME TABLE")]
    for table in ("parent", "child", "counted", "numbers"):
        assert rename.count(quoted(table)) == 4, "out and in"
    assert not [text for text in always if "DROP DATABASE" in text and "_replaced_" in text]
    back = [one["sql"] for one in statements if "only where it fails" in one["note"]]
    assert [text for text in back if "DROP DATABASE" in text and "_replaced_" in text]
    made = [text for text in always if text.startswith("CREATE ") and "DATABASE" not in text]
    for name in ("noted", "twice", "z_view", "a_view"):
        assert [text for text in made if quoted(name) in text], f"the text of {name}"
    place.approved(waiting).expect(0)
    assert sent(place, "RENAME TABLE") == [rename]
    for begins in ("ALTER DATABASE", "DROP DATABASE"):
        shown_ones = [text for text in always if text.startswith(begins)]
        assert [text for text in sent(place, begins) if text in shown_ones] == shown_ones


def test_a_definition_is_shown_as_it_was_written(aishell: Aishell, shop: MariadbDatabase) -> None:
    """Its blanks are those of the one who wrote it; a name's are told one by one."""
    place = InPlace(aishell, shop.url)
    fill_small(shop)
    body = "BEGIN\n    IF NEW.id > 0 THEN\n\tSET @a = 'two  blanks';\n        SET @`b  c` = 1;\n    END IF;\nEND"
    shop.execute(f"CREATE TRIGGER `in  dented` BEFORE INSERT ON child FOR EACH ROW {body}")
    backup = place.back_up()
    shop.execute("DROP TRIGGER `in  dented`")
    place.restore(backup).expect(3)
    (waiting,) = place.run("approvals", "list", "--output", "json").expect(0).json
    lines = place.run("approvals", "show", waiting["id"]).expect(0).out.split("\n")
    (first,) = [
        number for number, line in enumerate(lines) if "TRIGGER `in<U+0020><U+0020>dented`" in line and "CREATE" in line
    ]
    assert lines[first - 1].strip().startswith("-- created again in")
    assert [line.removeprefix("  ") for line in lines[first + 1 : first + 6]] == [
        "    IF NEW.id > 0 THEN",
        "    SET @a = 'two<U+0020><U+0020>blanks';",
        "        SET @`b<U+0020><U+0020>c` = 1;",
        "    END IF;",
        "END",
    ]


def test_postgresql_shows_the_exchange_with_its_names(elsewhere: InPlace, pg: PostgresqlDatabase) -> None:
    fill(pg)
    backup = elsewhere.back_up()
    steps = steps_of(elsewhere, backup)
    programs = {one["sql"].split()[0] for one in steps["restore"]["statements"]}
    assert programs == {"pg_restore"}, "those of the backup's own method"
    planned = [one["sql"] for one in steps["replace"]["statements"]]
    assert not [text for text in planned if PLACEHOLDER.search(text)]
    waiting = elsewhere.restore(backup)
    statements = [one["sql"] for one in shown(elsewhere)]
    renames = [text for text in statements if "RENAME TO" in text]
    assert len(renames) == 2
    assert not [text for text in statements if PLACEHOLDER.search(text)]
    elsewhere.approved(waiting).expect(0)
    assert [text for text in sent(elsewhere, "ALTER DATABASE") if "RENAME TO" in text][-2:] == renames
    (told,) = (
        one["text"]
        for one in elsewhere.run("doctor", "--url", pg.url, "--output", "json").json["findings"]
        if one["subject"].startswith("backup")
    )
    assert told == "there is none; 2 of another database under this name", "of this very server"
