"""A table with a family of others: a chain of four, a self-reference, a cycle, a diamond, SET NULL, SET DEFAULT, keys of two
columns and hostile names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from aishell.databases.quoting import quote

#: Orders, as many as make several chunks on each engine.
ROWS = 240
HOSTILE = 'we"ird`x %s :y; -- 50% \\'
#: Table -> its columns, the key first; then its foreign keys: columns, table and columns referred to, what a deletion does.
COLUMNS: dict[str, dict[str, str]] = {
    "orders": {"id": "bigint NOT NULL", "created_at": "{time} NOT NULL", "up": "bigint", "note": "{text}"},
    "items": {"id": "bigint NOT NULL", "order_id": "bigint NOT NULL", "what": "{text}"},
    "parts": {"item_id": "bigint NOT NULL", "n": "integer NOT NULL", "size": "{real}"},
    HOSTILE: {HOSTILE: "varchar(60) NOT NULL", "item": "bigint", "n:1": "integer", "data": "{bytes}"},
    "invoices": {"id": "bigint NOT NULL", "order_id": "bigint", "item_id": "bigint"},
    "hens": {"id": "bigint NOT NULL", "order_id": "bigint NOT NULL", "egg_id": "bigint"},
    "eggs": {"id": "bigint NOT NULL", "hen_id": "bigint NOT NULL"},
    "notes": {"id": "bigint NOT NULL", "order_id": "bigint", "item_id": "bigint", "changed": "{changed}"},
    "tags": {"id": "bigint NOT NULL", "order_id": "bigint DEFAULT 0", "word": "{text}"},
}
KEYS = {"parts": ["item_id", "n"], HOSTILE: [HOSTILE]}
REFERENCES: list[tuple[str, list[str], str, list[str], str]] = [
    ("orders", ["up"], "orders", ["id"], "CASCADE"),
    ("items", ["order_id"], "orders", ["id"], "CASCADE"),
    ("parts", ["item_id"], "items", ["id"], "CASCADE"),
    (HOSTILE, ["item", "n:1"], "parts", ["item_id", "n"], "CASCADE"),
    ("invoices", ["order_id"], "orders", ["id"], "CASCADE"),
    ("invoices", ["item_id"], "items", ["id"], "CASCADE"),
    ("hens", ["order_id"], "orders", ["id"], "CASCADE"),
    ("hens", ["egg_id"], "eggs", ["id"], "CASCADE"),
    ("eggs", ["hen_id"], "hens", ["id"], "CASCADE"),
    ("notes", ["order_id"], "orders", ["id"], "SET NULL"),
    ("notes", ["item_id"], "items", ["id"], "SET NULL"),
    ("tags", ["order_id"], "orders", ["id"], "SET DEFAULT"),
]
TYPES = {
    "postgresql": {
        "time": "timestamptz", "text": "text", "real": "float8", "bytes": "bytea", "changed": "timestamptz DEFAULT now()",
    },
    "mysql": {
        "time": "datetime", "text": "text", "real": "double", "bytes": "blob",
        "changed": "timestamp DEFAULT '2020-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP",
    },
    "sqlite": {"time": "text", "text": "text", "real": "real", "bytes": "blob", "changed": "text DEFAULT '2020-01-01'"},
}  # fmt: skip
AGO = {
    "postgresql": "now() - interval '{} days'",
    "mysql": "NOW() - INTERVAL {} DAY",
    "sqlite": "datetime('now', '-{} days')",
}
BYTES = {"postgresql": "'\\x{}'", "mysql": "x'{}'", "sqlite": "x'{}'"}


def tables(engine: str) -> list[str]:
    """InnoDB has no SET DEFAULT."""
    return [name for name in COLUMNS if engine != "mysql" or name != "tags"]


def make(db: Any, engine: str, rows: int = ROWS) -> None:
    """The tables, with so many orders; those with odd numbers are old, and what refers to them is of every kind."""

    def named(*names: str) -> str:
        return ", ".join(quote(name, engine) for name in names)

    references = [one for one in REFERENCES if one[0] in tables(engine)]
    for table in tables(engine):
        columns = [f"{named(name)} {kind.format(**TYPES[engine])}" for name, kind in COLUMNS[table].items()]
        columns.append(f"PRIMARY KEY ({named(*KEYS.get(table, ['id']))})")
        if engine == "sqlite":
            columns += [_reference(one, named) for one in references if one[0] == table]
        db.execute(f"CREATE TABLE {named(table)} ({', '.join(columns)})")
    for table, lots in _rows(engine, rows):
        for first in range(0, len(lots), 200):
            values = ", ".join(f"({one})" for one in lots[first : first + 200])
            db.execute(f"INSERT INTO {named(table)} ({named(*COLUMNS[table])}) VALUES {values}")
    db.execute("UPDATE hens SET egg_id = id WHERE id IN (3, 6, 9, 12, 60, 61)")
    for number, one in enumerate(references):
        if engine != "sqlite":
            db.execute(f"ALTER TABLE {named(one[0])} ADD CONSTRAINT fk{number} {_reference(one, named)}")
        if engine != "mysql":
            db.execute(f"CREATE INDEX ix{number} ON {named(one[0])} ({named(*one[1])})")
    for table in tables(engine):
        db.execute(f"ANALYZE {'TABLE ' if engine == 'mysql' else ''}{named(table)}")


def _reference(one: tuple[str, list[str], str, list[str], str], named: Any) -> str:
    _, ours, table, theirs, action = one
    return f"FOREIGN KEY ({named(*ours)}) REFERENCES {named(table)} ({named(*theirs)}) ON DELETE {action}"


def _rows(engine: str, count: int) -> Iterator[tuple[str, list[str]]]:
    ago = AGO[engine]
    orders = [
        f"{i}, {ago.format(100 if i % 2 else 10)}, {i - 5 if i % 10 == 6 else 'NULL'}, '{'x' * 900}'"
        for i in range(count + 1)
    ]
    yield "orders", orders
    yield "items", [f"{i * 2 + k}, {i}, 'item \\n {i}'" for i in range(1, count + 1) for k in range(2)]
    yield "parts", [f"{i}, {n}, {i / 7}" for i in range(2, count * 2 + 2, 2) for n in range(2)]
    data = BYTES[engine]
    yield (
        HOSTILE,
        [f"'s%s {i}', {i}, {i // 2 % 2}, {data.format('00ff%02x' % (i % 256))}" for i in range(2, count * 2 + 2, 2)],
    )
    yield "invoices", [f"{i}, {i}, {(i * 7) % count * 2 + 2 if i % 4 else 'NULL'}" for i in range(1, count + 1)]
    yield "hens", [f"{i}, {i}, NULL" for i in range(1, count + 1)]
    yield "eggs", [f"{i}, {i % count + 1}" for i in range(1, count + 1)]
    times = "'2020-01-01 00:00:00'"
    yield "notes", [f"{i}, {i}, {i * 2 if i % 3 else 'NULL'}, {times}" for i in range(1, count + 1)]
    if engine != "mysql":
        yield "tags", [f"{i}, {i}, 'w{i}'" for i in range(1, count + 1)]


def prints(db: Any, engine: str) -> dict[str, tuple[int, str]]:
    """Of each table how many rows it has, and a hash over all of them in the order of their keys."""
    found = {}
    for table in tables(engine):
        key = ", ".join(quote(name, engine) for name in KEYS.get(table, ["id"]))
        found[table] = _print(db.execute(f"SELECT * FROM {quote(table, engine)} ORDER BY {key}"))
    return found


def _print(rows: Any) -> tuple[int, str]:
    lines = [repr([bytes(value) if isinstance(value, memoryview) else value for value in row]) for row in rows]
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()


#: The employees database of https://github.com/datacharmer/test_db (Creative Commons BY-SA 3.0): its tables as they are there,
#: but for the types that only MySQL has.
EMPLOYEES = {
    "employees": "emp_no int NOT NULL, birth_date date NOT NULL, first_name varchar(14) NOT NULL, "
    "last_name varchar(16) NOT NULL, gender char(1) NOT NULL, hire_date date NOT NULL, PRIMARY KEY (emp_no)",
    "departments": "dept_no char(4) NOT NULL, dept_name varchar(40) NOT NULL, PRIMARY KEY (dept_no), UNIQUE (dept_name)",
    "dept_manager": "emp_no int NOT NULL, dept_no char(4) NOT NULL, from_date date NOT NULL, to_date date NOT NULL, {employee}, "
    "FOREIGN KEY (dept_no) REFERENCES departments (dept_no) ON DELETE CASCADE, PRIMARY KEY (emp_no, dept_no)",
    "dept_emp": "emp_no int NOT NULL, dept_no char(4) NOT NULL, from_date date NOT NULL, to_date date NOT NULL, {employee}, "
    "FOREIGN KEY (dept_no) REFERENCES departments (dept_no) ON DELETE CASCADE, PRIMARY KEY (emp_no, dept_no)",
    "titles": "emp_no int NOT NULL, title varchar(50) NOT NULL, from_date date NOT NULL, to_date date, {employee}, "
    "PRIMARY KEY (emp_no, title, from_date)",
    "salaries": "emp_no int NOT NULL, salary int NOT NULL, from_date date NOT NULL, to_date date NOT NULL, {employee}, "
    "PRIMARY KEY (emp_no, from_date)",
}
_EMPLOYEE = "FOREIGN KEY (emp_no) REFERENCES employees (emp_no) ON DELETE CASCADE"


def make_employees(db: Any, people: int = 300) -> None:
    """The employees schema with so many people, hired from 1985 on, of whom each has a department, titles and salaries."""
    for table, columns in EMPLOYEES.items():
        db.execute(f"CREATE TABLE {table} ({columns.format(employee=_EMPLOYEE)})")
    ids = range(10_001, 10_001 + people)
    rows = {
        "employees": [
            f"{i}, '19{50 + i % 15}-0{1 + i % 9}-11', 'First {i % 97}', 'O''Last {i % 89}', '{'MF'[i % 2]}', "
            f"'{1985 + i % 16}-0{1 + i % 9}-{10 + i % 19}'"
            for i in ids
        ],
        "departments": [f"'d00{n}', 'Department {n}'" for n in range(1, 10)],
        "dept_manager": [f"{i}, 'd00{1 + i % 9}', '2001-01-01', '9999-01-01'" for i in ids if i % 30 == 0],
        "dept_emp": [
            f"{i}, 'd00{1 + (i + n) % 9}', '2001-0{n + 1}-01', '9999-01-01'" for i in ids for n in range(i % 3)
        ],
        "titles": [
            f"{i}, 'Engineer {n}', '2001-0{n + 1}-01', {('DATE_', 'NULL')[n]}".replace("DATE_", "'2002-01-01'")
            for i in ids
            for n in range(2)
        ],
        "salaries": [f"{i}, {40_000 + i % 977}, '{2001 + n}-06-26', '9999-01-01'" for i in ids for n in range(i % 5)],
    }
    for table, lots in rows.items():
        for first in range(0, len(lots), 500):
            db.execute(f"INSERT INTO {table} VALUES {', '.join(f'({one})' for one in lots[first : first + 500])}")
    if db.url.startswith("postgresql"):
        db.execute("ANALYZE")


def prints_of_employees(db: Any) -> dict[str, tuple[int, str]]:
    return {
        table: _print(db.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4"))
        for table in EMPLOYEES
        if table != "departments"
    }
