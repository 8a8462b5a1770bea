"""What a clean-up says of rows of other tables, before and after, against what the database itself counts."""

from __future__ import annotations

import re
from typing import Any

from tests import logs
from tests.fix_aishell import Aishell

ROWS = 60
#: Each line has an entry (`l`) and knows the next (`m`); it goes with the first, and forgets the second.
_LINES = """CREATE TABLE line (id bigint PRIMARY KEY, l bigint, m bigint, note int,
    FOREIGN KEY (l) REFERENCES app_log (id) ON DELETE CASCADE, FOREIGN KEY (m) REFERENCES app_log (id) ON DELETE SET NULL)"""
#: A table whose rows stay.
_NOTES = (
    "CREATE TABLE note (id bigint PRIMARY KEY, m bigint, FOREIGN KEY (m) REFERENCES app_log (id) ON DELETE SET NULL)"
)


def family(db: Any, engine: str) -> None:
    logs.fill(db, engine, ROWS)
    db.execute("DELETE FROM app_log WHERE id > 40 AND id % 2 = 1")  # the old ones are the odd ones
    for made in (_LINES, _NOTES):
        db.execute(made)
    for table, column in (("line", "l"), ("line", "m"), ("note", "m")):
        db.execute(f"CREATE INDEX {table}_{column} ON {table} ({column})")
    db.execute("INSERT INTO line SELECT id, id, CASE WHEN id < 41 THEN 41 - id END, 1 FROM app_log")
    db.execute("DELETE FROM line WHERE id > 40 AND id % 4 = 0")
    db.execute("INSERT INTO line SELECT 1000 + id, NULL, id, 1 FROM app_log WHERE id < 10")
    db.execute("INSERT INTO note SELECT id, id FROM app_log WHERE id < 20")


def counted(db: Any) -> tuple[int, int, int]:
    """Lines, and those and notes that refer to something."""
    (found,) = db.execute(
        "SELECT (SELECT count(*) FROM line), (SELECT count(m) FROM line), (SELECT count(m) FROM note)"
    )
    return found[0], found[1], found[2]


def told(text: str, what: str) -> dict[str, int]:
    """The figures behind `rows of other tables …`, by table."""
    found = re.search(rf"rows of other tables {what}: ((?:\w+\.\w+ \(\d+ rows\)(?:, )?)+)", text)
    assert found, text
    return {name: int(n) for name, n in re.findall(r"\w+\.(\w+) \((\d+) rows\)", found[1])}


def test_a_row_that_refers_by_two_keys_is_one_row(log_db: tuple[Any, str], aishell: Aishell) -> None:
    db, engine = log_db
    family(db, engine)
    words = (*"run log-cleanup --table app_log --retention-days 90 --environment test --url".split(), db.url)
    planned = aishell(*words, "--dry-run", "--output", "json").expect(0).out
    before, unchanged = counted(db), dict(db.execute("SELECT id, m FROM line"))
    ended = aishell(*words, "--yes", "--output", "json").expect(0)
    after = counted(db)
    left = dict(db.execute("SELECT id, m FROM line"))
    went, changed = before[0] - after[0], sum(unchanged[one] != left[one] for one in left)
    forgot = before[2] - after[2]
    assert min(went, changed, forgot) > 0, "there are rows of each kind"
    assert told(planned, "go too") == {"line": went}
    assert told(planned, "stay and are changed") == {"line": changed, "note": forgot}
    (table,) = ended.json["output_data"]["tables"].values()
    figures = {
        key: {name.split(".")[1]: n for name, n in table[key].items()} for key in ("cascades", "cascades_changed")
    }
    assert figures == {
        "cascades": {"line": went + changed, "note": forgot},
        "cascades_changed": {"line": changed, "note": forgot},
    }
    said = ended.json["reasoning"]
    assert re.search(rf"With them went {went} row\(s\) of \w+\.line, as counted before\.", said)
    assert re.search(rf"\b{changed} row\(s\) of \w+\.line stay and were changed", said)
    assert re.search(rf"\b{forgot} row\(s\) of \w+\.note stay and were changed", said)
    report = next(a["output"]["report"] for a in ended.json["actions_taken"] if "report" in (a["output"] or {}))
    assert re.search(rf"line \| with \S+ \| {went}, and {changed} were changed, as counted before \|", report)
    assert re.search(rf"note \| with \S+ \| 0, and {forgot} were changed, as counted before \|", report)
