"""A log table with what refers to it, drawn: chains, references to itself, circles; and what is different afterwards."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from tests.families import AGO

#: Shape -> table -> its references: column, table that is referred to, what a deletion does.
SHAPES: dict[str, dict[str, list[tuple[str, str, str]]]] = {
    "chain": {
        "ev": [],
        "child": [("ev_id", "ev", "CASCADE")],
        "grand": [("child_id", "child", "CASCADE"), ("ev_id", "ev", "SET NULL")],
        "memo": [("ev_id", "ev", "SET NULL"), ("child_id", "child", "SET NULL")],
    },
    "self cascade": {
        "ev": [("parent_id", "ev", "CASCADE")],
        "child": [("ev_id", "ev", "CASCADE")],
        "memo": [("ev_id", "ev", "SET NULL"), ("child_id", "child", "SET NULL")],
    },
    "self set null": {
        "ev": [("reply_to", "ev", "SET NULL")],
        "child": [("ev_id", "ev", "CASCADE"), ("other_id", "ev", "SET NULL")],
    },
    "cycle": {
        "ev": [("last_id", "child", "SET NULL")],
        "child": [("ev_id", "ev", "CASCADE"), ("egg_id", "grand", "CASCADE")],
        "grand": [("child_id", "child", "CASCADE")],
    },
    "both": {
        # One SET NULL: of two beside a CASCADE PostgreSQL checks the third key of a row that it has updated itself, and fails.
        "ev": [("parent_id", "ev", "CASCADE"), ("reply_to", "ev", "SET NULL")],
        "child": [("ev_id", "ev", "CASCADE")],
        "memo": [("ev_id", "ev", "SET NULL"), ("child_id", "child", "SET NULL")],
    },
}
Rows = dict[str, dict[int, tuple[Any, ...]]]


def make(db: Any, engine: str, shape: str, dice: random.Random, rows: int = 300) -> None:
    """The tables of a shape, each with so many rows. Of four rows of the log three are old, young ones refer to old ones, too."""
    tables = SHAPES[shape]
    time = {"postgresql": "timestamptz", "mysql": "datetime", "sqlite": "text"}[engine]
    for name, references in tables.items():
        own = f", created_at {time} NOT NULL" if name == "ev" else ""
        fields = "".join(f", {column} bigint" for column, _, _ in references)
        keys = "".join(f", {_key(one)}" for one in references) if engine == "sqlite" else ""
        db.execute(f"CREATE TABLE {name} (id bigint NOT NULL PRIMARY KEY{own}, note varchar(500){fields}{keys})")
    for name, references in tables.items():
        lines = []
        for number in range(1, rows + 1):
            when = [AGO[engine].format(10 if number % 4 == 0 else 100)] if name == "ev" else []
            lines.append(", ".join([str(number), *when, f"'{'x' * 450}'", *["NULL"] * len(references)]))
        for first in range(0, rows, 100):
            db.execute(f"INSERT INTO {name} VALUES {', '.join(f'({line})' for line in lines[first : first + 100])}")
        for column, table, _ in references:
            # To itself by rows before it, as replies do, and to others anywhere.
            drawn = {n: dice.randint(max(1, n - 40), n - 1) if table == name else dice.randint(1, rows)
                     for n in range(2, rows + 1) if dice.random() < 0.4}  # fmt: skip
            case = " ".join(f"WHEN {one} THEN {other}" for one, other in drawn.items())
            db.execute(f"UPDATE {name} SET {column} = CASE id {case} END")
    for name, references in tables.items():
        for number, one in enumerate(references):
            if engine != "sqlite":
                db.execute(f"ALTER TABLE {name} ADD CONSTRAINT fk_{name}_{number} {_key(one)}")
            if engine != "mysql":
                db.execute(f"CREATE INDEX ix_{name}_{number} ON {name} ({one[0]})")
    for name in tables:
        if engine == "postgresql":
            db.execute(f"VACUUM FULL {name}")  # rows in the order of their keys, in few pages
        db.execute(f"ANALYZE {'TABLE ' if engine == 'mysql' else ''}{name}")


def _key(reference: tuple[str, str, str]) -> str:
    column, table, action = reference
    return f"FOREIGN KEY ({column}) REFERENCES {table} (id) ON DELETE {action}"


def look(db: Any, shape: str) -> Rows:
    return {name: {row[0]: tuple(row) for row in db.execute(f"SELECT * FROM {name}")} for name in SHAPES[shape]}


@dataclass(frozen=True)
class Difference:
    """Rows that went of the log and of the others, and rows that stayed and were changed."""

    rows: int
    relatives: int
    changed: int

    @classmethod
    def of(cls, before: Rows, after: Rows) -> Difference:
        gone = {name: len(before[name].keys() - after[name].keys()) for name in before}
        changed = sum(before[name][key] != row for name in before for key, row in after[name].items())
        return cls(gone.pop("ev"), sum(gone.values()), changed)
