"""The privileges that a tool's file declares: without any the tool is refused; with what is granted then, it does its work; with
one fewer the server does not let it, as was said beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aishell.errors import AishellError
from aishell.models import LeftOut
from aishell.planning.privileges import privileges_of
from aishell.registry.tool import Tool
from tests.fix_postgresql import later, major_of
from tests.fix_tools import POSTGRESQL, Engine, is_run_here, label, named, registry
from tests.servers import HOST
from tests.tools.lock_cases import CASES, NEVER_SENT, SEEN_ELSEWHERE, make
from tests.unit.making import make_inventory, make_server

CHANGING = [tool for tool in registry() if not tool.read_only and tool.engine != "common"]
#: What goes along is read, beside the table itself.
RELATED = frozenset({"archive_related_records", "delete_related_records"})
ROLE = 'odd "name'


def declared(engine: str) -> list[Tool]:
    return [t for t in CHANGING if t.engine == engine and t.name in CASES and t.source not in NEVER_SENT]


def test_every_changing_tool_declares_what_it_needs():
    reads = {"archive_old_records", "archive_related_records"}  # on SQLite, where who can open a file can read it
    silent = {(t.engine, t.name) for t in CHANGING if not t.privileges and t.name not in SEEN_ELSEWHERE}
    assert silent == {("sqlite", name) for name in reads}


class Role:
    """A role that begins with nothing but the right to look at servers, and what it may do."""

    def __init__(self, admin: Engine) -> None:
        self.admin, db = admin, admin.db
        if admin.name == "postgresql":
            url = db.make_role(ROLE).replace(ROLE, "odd%20%22name")
            db.execute('GRANT pg_monitor TO "odd ""name"')
        else:
            url = db.make_user(ROLE, grants="CREATE TEMPORARY TABLES")
            for what in ("PROCESS ON *.*", "SELECT ON mysql.innodb_table_stats", "SELECT ON mysql.innodb_index_stats"):
                db.execute(f"GRANT {what} TO `{ROLE}`@'{HOST}'")
        self.engine = admin.connected(url)

    def refused(self, tool: Tool, table: str, needed: tuple[str, ...] | None = None) -> LeftOut | None:
        found = self.engine.call("inspect_privileges").output
        access = {name: [rows] if isinstance(rows, dict) else rows for name, rows in found.items()}
        server = make_server(
            self.admin.name, version=self.engine.database.version, database=self.admin.db.dbname, user=ROLE
        )
        role = privileges_of(make_inventory(server=server, access=access))
        return role.refused(
            "step", tool.name, (self.admin.schema, table), tool.privileges if needed is None else needed
        )

    def allow(self, tool: Tool, table: str, needed: tuple[str, ...] | None = None) -> None:
        """Run, as an administrator, exactly what is printed."""
        left = self.refused(tool, table, needed)
        if left is not None:
            assert left.grants, left
            for statement in left.grants:
                self.admin.db.execute(statement.replace("%", "%%"))
        assert self.refused(tool, table, needed) is None

    def status(self, tool: Tool, params: dict[str, Any]) -> str:
        self.engine.archives = self.admin.archives
        try:
            result = self.engine.call_file(tool, **params)
            return "done" if result.status == "done" else f"{result.status}: {result.reason or result.objects}"
        except AishellError as error:
            return f"failed: {error.message}"


def on_server(admin: Engine, tool: Tool, home: Path, without: str | None) -> None:
    make(admin)
    params = {name: value for name, value in CASES[tool.name](admin, tool, home).items() if name in tool.parameters}
    table = params.get("table") or params["tables"][0]["table"]
    role = Role(admin)
    left = role.refused(tool, table)
    assert left is not None
    assert set(tool.privileges) <= set(left.privileges)
    needed = tuple(name for name in tool.privileges if name != without)
    role.allow(tool, table, needed)
    if tool.name in RELATED:
        role.allow(tool, "line", ("SELECT",))
    if tool.name.startswith("drop_old_partitions") and admin.name == "postgresql":
        role.allow(tool, "parts_old", needed)
    if without is None:
        assert role.status(tool, params) == "done"
        return
    said = role.refused(tool, table)
    if said is None and {"MAINTAIN", "VACUUM"} & set(needed):
        pytest.skip("before version 17 the owner's role is granted, who has all other privileges")
    assert said is not None
    assert [name for name in said.privileges if name != "USAGE"] == [without]
    assert role.status(tool, params) != "done"


def cases(engine: str) -> list[Any]:
    """Each tool with all it declares, and with each privilege fewer."""
    return [
        pytest.param(tool, without, id=f"{named(tool)}-{without or 'enough'}")
        for tool in declared(engine)
        if is_run_here(tool)
        for without in (None, *tool.privileges)
    ]


@pytest.mark.sampled
@pytest.mark.parametrize(("tool", "without"), cases("postgresql"))
@pytest.mark.parametrize("which", POSTGRESQL, ids=label)
def test_on_postgresql(which: str, tool: Tool, without: str | None, request, tmp_path: Path) -> None:
    if later(tool, which) or (tool.name == "drop_old_partitions" and major_of(which) < 14):
        pytest.skip("it is for newer servers")
    engine = Engine(request.getfixturevalue(which))
    try:
        on_server(engine, tool, tmp_path, without)
    finally:
        engine.close()


@pytest.mark.sampled
@pytest.mark.parametrize(("tool", "without"), cases("mysql"))
def test_on_mariadb(mariadb_engine: Engine, tool: Tool, without: str | None, tmp_path: Path) -> None:
    on_server(mariadb_engine, tool, tmp_path, without)
