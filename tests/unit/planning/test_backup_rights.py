"""What a backup takes that a role lacks, and the statements that grant it."""

from __future__ import annotations

import pytest

from aishell.planning.backup_rights import (
    DUMP,
    Account,
    of_dump,
    of_files,
    of_reading,
    of_routines,
    privileges,
)

APP = Account("app@%", "mariadb", (10, 11))
GRANTS = [
    "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*6BB4'",
    "GRANT SELECT, SHOW VIEW, TRIGGER ON `my\\_shop`.* TO `app`@`%`",
    "GRANT EVENT ON `my%`.* TO `app`@`%`",
    "GRANT SELECT (`a`) ON `my_shop`.`t` TO `app`@`%`",
    "GRANT EXECUTE ON PROCEDURE `my_shop`.`p` TO `app`@`%`",
    "GRANT SELECT ON `mysql`.`proc` TO `app`@`%`",
]


def test_privileges_are_those_of_the_server_and_of_patterns_that_fit() -> None:
    held = privileges(GRANTS, "my_shop")
    assert held["database"] == {"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"}
    assert held["server"] == {"USAGE"}
    assert held["routines"] == {"SELECT"}
    assert privileges(GRANTS, "myxshop")["database"] == {"EVENT"}
    assert of_dump(GRANTS, "my_shop", APP) is None


@pytest.mark.parametrize(
    "grants",
    [
        ["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"],
        ["GRANT ALL PRIVILEGES ON `my_shop`.* TO `app`@`%`"],
        [f"GRANT {', '.join(DUMP)} ON *.* TO `app`@`%`"],
        [f"GRANT {', '.join(DUMP)}, EXECUTE ON `my_shop`.* TO `app`@`%`"],
        [*GRANTS[:5], "GRANT SHOW_ROUTINE ON *.* TO `app`@`%`"],
    ],
)
def test_enough_is_enough(grants: list[str]) -> None:
    assert of_dump(grants, "my_shop", APP) is None


SEEING = "GRANT SELECT ON mysql.proc TO 'app'@'%';"
ALL = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `my\\_shop`.* TO 'app'@'%';"


@pytest.mark.parametrize(
    ("grants", "told", "statements"),
    [
        ([], "lacks SELECT, SHOW VIEW, TRIGGER, EVENT on all of the database my_shop, and cannot see", (ALL, SEEING)),
        ([*GRANTS[:2], *GRANTS[3:]], "lacks EVENT", ("GRANT EVENT ON `my\\_shop`.* TO 'app'@'%';",)),
        (
            [GRANTS[0], GRANTS[2]],
            "lacks SELECT, SHOW VIEW, TRIGGER",
            (ALL.replace(", EVENT", "").replace("my\\_shop", "my%"), SEEING),
        ),
        (GRANTS[:5], "cannot see whether", (SEEING,)),
        (["GRANT ALL PRIVILEGES ON `myyshop`.* TO `app`@`%`"], "lacks SELECT", (ALL, SEEING)),
    ],
)
def test_what_is_missing_is_named_with_the_statements_that_grant_it(
    grants: list[str], told: str, statements: tuple[str, ...]
) -> None:
    """They add to the entry that is in force: one of its own would take that one's place."""
    lack = of_dump(grants, "my_shop", APP)
    assert lack is not None
    assert told in lack.reason
    assert lack.grants == statements


@pytest.mark.parametrize(
    ("product", "version", "statement"),
    [
        ("mariadb", (10, 6, 0), "GRANT SELECT ON mysql.proc TO 'o''brien'@'%';"),
        ("mysql", (8, 0, 19), "GRANT SELECT ON *.* TO 'o''brien'@'%';"),
        ("mysql", (8, 0, 20), "GRANT SHOW_ROUTINE ON *.* TO 'o''brien'@'%';"),
    ],
)
def test_routines_are_seen_by_what_the_server_has_for_that(
    product: str, version: tuple[int, ...], statement: str
) -> None:
    lack = of_routines([{"kind": "PROCEDURE", "name": "p"}], Account("o'brien@%", product, version))
    assert lack is not None
    assert lack.reason == "the account 'o''brien'@'%' may not see what the procedure p does"
    assert lack.grants == (statement,)
    assert of_routines([], APP) is None


def test_a_name_with_a_backslash_is_none_that_a_mode_reads_otherwise() -> None:
    assert Account("a\\b@%", "mariadb", (10, 11)).name == "`a\\b`@'%'"


def test_files_are_copied_with_privileges_of_the_whole_server() -> None:
    lack = of_files(["GRANT RELOAD, PROCESS ON *.* TO `app`@`%`", "GRANT ALL PRIVILEGES ON `a`.* TO `app`@`%`"], APP)
    assert lack is not None
    assert lack.grants == ("GRANT LOCK TABLES, BINLOG MONITOR ON *.* TO 'app'@'%';",)
    assert of_files(["GRANT ALL PRIVILEGES ON *.* TO `app`@`%`"], APP) is None


def obstacle(kind: str, name: str, schema: str | None = None) -> dict[str, str | None]:
    return {"kind": kind, "name": name, "schema": schema, "role": "ma int"}


def test_before_postgresql_14_what_cannot_be_read_is_granted_by_its_schema() -> None:
    rows = [
        obstacle("large object", "large object 7"),
        obstacle("partial", "public.t"),
        obstacle("uncompared", "pg_largeobject"),
        *(obstacle("unreadable", f'"o dd".t{n}', "o dd") for n in range(7)),
    ]
    unread, large, partial = of_reading(rows, (13, 1))
    assert unread.reason == (
        'ma int may not read pg_largeobject, "o dd".t0, "o dd".t1, "o dd".t2, "o dd".t3 and 3 more'
    )
    assert unread.grants == (
        'GRANT USAGE ON SCHEMA "o dd" TO "ma int";',
        'GRANT SELECT ON ALL TABLES IN SCHEMA "o dd" TO "ma int";',
        'GRANT SELECT ON ALL SEQUENCES IN SCHEMA "o dd" TO "ma int";',
        'GRANT SELECT ON TABLE pg_catalog.pg_largeobject TO "ma int";',
    )
    assert large.grants == ('GRANT SELECT ON LARGE OBJECT 7 TO "ma int";',)
    assert partial.grants == ('ALTER ROLE "ma int" BYPASSRLS;',)
    assert next(of_reading(rows, (14, 0))).grants == ('GRANT pg_read_all_data TO "ma int";',)
    assert list(of_reading(rows[2:3], (13, 1), compare=False)) == []
