"""What reads cannot write: every form of tests/forms.py against each wall by itself, on real servers.

docs/decisions/0017-two-walls.md has the table; `test_the_table_is_what_was_tried` holds it to the forms.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from pymysql.constants import CLIENT

from aishell.codec import canonical
from aishell.databases.base import SessionOptions, Statement
from aishell.errors import DatabaseError, StepError, ToolFileError
from aishell.models import Risk
from aishell.registry.header import read_tool
from aishell.registry.reading import texts
from aishell.registry.registry import Registry
from aishell.registry.render import render
from aishell.registry.touched import GUARDS
from aishell.registry.wall import reviewed, site
from aishell.running import dispatch
from tests.fix_tools import ENGINES as ENGINE_FIXTURES
from tests.fix_tools import ROOT, Engine, label, registry
from tests.forms import FORMS, ONLY_ASKED, PREPARED, SEEN_THROUGH, Form, table
from tests.unit.making import ENGINES, tool_text

BLOCKS = ("first", "second", "third")


def refused_at_load(form: Form, **names: str) -> bool:
    """Whether a safe tool of a site with these blocks does not load."""
    texts = [filled(block, names) for block in form.blocks]
    keys = {**ENGINES[form.engine], "name": "form", "risk": "safe", "runs": "query", "lock": "none", "parameters": None}
    text = tool_text(dict(zip(BLOCKS, texts, strict=False)), **keys, returns="{rows: rows(first)}")
    try:
        read_tool(text, f"tools/{form.engine}/form.sql", form.engine, wall=site)
    except ToolFileError as error:
        return error.line > 1
    return False


def filled(block: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        block = block.replace("{" + name + "}", value)
    return block


class Trial:
    """A database in which the forms are tried, on a server that writes files where it is told to."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.db = engine, engine.db
        self.folder = self.db.path.parent if engine.name == "sqlite" else self.db.server.folder
        self.files, self.dirty = 0, True
        (self.folder / "rows").write_text("7\n")
        (self.folder / "rows").chmod(0o644)

    @cached_property
    def connection(self) -> Any:
        """A connection of the driver's own, around which no wall stands; a statement may be several."""
        if self.engine.name == "sqlite":
            return self.db.connect()
        return self.db.connect(**({"client_flag": CLIENT.MULTI_STATEMENTS} if self.engine.name == "mysql" else {}))

    def forget(self) -> None:
        """A new connection from now on: the last one may have been told something that lasts."""
        self.connection.close()
        del self.connection

    def send(self, sql: str) -> list[Any]:
        if self.engine.name == "mysql":
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                rows = list(cursor.fetchall())
                while cursor.nextset():
                    pass
                return rows
        if self.engine.name == "sqlite" and sql.startswith("SELECT 1;"):
            self.connection.executescript(sql)
            return []
        cursor = self.connection.execute(sql)
        return cursor.fetchall() if cursor.description else []

    def prepare(self, more: str = "") -> dict[str, str]:
        """Everything is as it was before the first form; what stands for the names in its blocks."""
        self.files += 1
        if self.dirty or more:
            self.engine.database.close()
            self.forget()
            if self.engine.name == "sqlite":
                for path in self.folder.glob("test.db*"):
                    path.unlink()
            made = f"{PREPARED[self.engine.name].strip()}\n{more.strip()}".strip().splitlines()
            for statement in (*CLEANED[self.engine.name], *made):
                file = str(self.folder / f"made{self.files}")
                self.send(statement.strip().replace("{database}", self.database).replace("{file}", file))
        self.dirty = bool(more)
        return {
            "file": str(self.folder / f"made{self.files}"),
            "rows": str(self.folder / "rows"),
            "database": self.database,
        }

    @property
    def database(self) -> str:
        return str(self.db.path) if self.engine.name == "sqlite" else self.db.dbname

    def refuses(self, form: Form) -> bool:
        """Whether the server refuses the form in a session that reads. Of one that it refuses, nothing is to be seen."""
        names = self.prepare()
        before = self.state()
        try:
            with self.engine.database.session(SessionOptions(read_only=True)) as session:
                session.mark("aishell:test:0")
                for block in form.blocks:
                    sql = filled(block, names)
                    session.query(Statement(sql, {}, sql))
        except DatabaseError:
            assert self.state() == before, form
            assert not Path(names["file"]).exists(), form
            return True
        self.dirty = True
        return False

    def takes(self, form: Form) -> None:
        """The server takes the form from anybody else: it is not for a slip of the form's that it is refused."""
        names = self.prepare()
        self.dirty = True
        for block in form.blocks:
            try:
                self.send(filled(block, names))
            except psycopg.errors.NoActiveSqlTransaction:
                with self.connection.transaction():
                    self.send(filled(block, names))

    def state(self) -> list[Any]:
        """All that a form can change in the database."""
        return [self.send(sql) for sql in STATE[self.engine.name]]


@pytest.fixture(params=ENGINE_FIXTURES, ids=label)
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    if request.param == "mariadb":  # one that may write files, and whose accounts and databases are nobody else's
        server = request.getfixturevalue("mariadb_server_factory")({"secure-file-priv": ""})
        engine = Engine(server.create("walls"))
    else:
        engine = Engine(request.getfixturevalue(request.param))
    made = Trial(engine)
    yield made
    made.dirty = True
    made.prepare()
    engine.close()


#: What takes away what a form can leave beside the database.
CLEANED = {
    "sqlite": (),
    "postgresql": (
        "ALTER DATABASE {database} RESET ALL",
        "ALTER SYSTEM RESET ALL",
        "ALTER ROLE CURRENT_USER RESET ALL",
        "DROP DATABASE IF EXISTS made_by_a_form",
        "DROP ROLE IF EXISTS made_by_a_form",
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'made_by_a_form'",
    ),
    "mysql": (
        "DROP DATABASE IF EXISTS made_by_a_form",
        "DROP USER IF EXISTS made_by_a_form",
        "DROP ROLE IF EXISTS role_by_a_form",
    ),
}
STATE = {
    "postgresql": (
        "SELECT id, v FROM app.t ORDER BY id",
        "SELECT count(*) FROM app.u",
        "SELECT oid, relname, relfilenode, relacl::text FROM pg_class WHERE relnamespace = 'app'::regnamespace ORDER BY oid",
        "SELECT oid FROM pg_proc WHERE pronamespace = 'app'::regnamespace ORDER BY oid",
        "SELECT attrelid, attname FROM pg_attribute WHERE attrelid = 'app.t'::regclass ORDER BY attname",
        "SELECT last_value, is_called FROM app.s",
        "SELECT oid FROM pg_largeobject_metadata",
        "SELECT datname FROM pg_database ORDER BY 1",
        "SELECT rolname FROM pg_roles ORDER BY 1",
        "SELECT * FROM pg_db_role_setting ORDER BY 1, 2",
        "SELECT name, setting FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'",
        "SELECT slot_name FROM pg_replication_slots",
        "SELECT obj_description('app.t'::regclass)",
    ),
    "mysql": (
        "SELECT * FROM t ORDER BY id",
        "SELECT * FROM t2",
        "SELECT next_not_cached_value FROM s",
        "SELECT TABLE_NAME, CREATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1",
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1, 2",
        "SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1",
        "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() ORDER BY 1",
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()",
        "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()",
        "SELECT SCHEMA_NAME, SCHEMA_COMMENT FROM information_schema.SCHEMATA ORDER BY 1",
        "SELECT User, Host FROM mysql.user ORDER BY 1, 2",
        "SHOW GRANTS",
    ),
    "sqlite": (
        "SELECT * FROM t",
        "SELECT * FROM sqlite_schema ORDER BY name",
        "SELECT * FROM sqlite_sequence",
        "PRAGMA user_version",
        "PRAGMA application_id",
        "PRAGMA schema_version",
        "PRAGMA auto_vacuum",
        "PRAGMA page_size",
        "PRAGMA journal_mode",
    ),
}


def forms(engine: str) -> list[Form]:
    return [form for form in FORMS if form.engine == engine]


@pytest.mark.parametrize("engine", ["postgresql", "mysql", "sqlite"])
def test_at_load_the_parser_refuses_what_may_write(engine):
    found = {form: refused_at_load(form, file="/tmp/f", rows="/tmp/r", database="d") for form in forms(engine)}
    assert {form for form, refused in found.items() if refused} == {
        form for form in found if "parse" in form.held_by((0,))
    }
    assert len(found) >= 72


def test_at_run_time_the_server_refuses_what_writes(trial):
    found = {form: trial.refuses(form) for form in forms(trial.engine.name)}
    held = {form for form in found if "server" in form.held_by(trial.engine.database.version)}
    assert {form for form, refused in found.items() if refused} == held


@pytest.mark.thorough
def test_every_form_is_taken_where_no_wall_stands(trial):
    for form in forms(trial.engine.name):
        try:
            trial.takes(form)
        except (psycopg.Error, pymysql.Error, sqlite3.Error) as error:
            pytest.fail(f"{form}: {error}")


def test_the_server_is_asked_what_a_statement_of_a_site_touches(trial):
    """Each form passes the two other walls, and runs what it touches where nobody asks."""
    name = trial.engine.name
    if name not in SEEN_THROUGH:
        return
    tried = [form for form in ONLY_ASKED if form.engine == name]
    names = trial.prepare(SEEN_THROUGH[name])
    before, wrote = trial.state(), Path(names["file"])
    for form in tried:
        assert not refused_at_load(form)
        (sql,) = form.blocks
        with trial.engine.database.session(SessionOptions(read_only=True)) as session:
            session.mark("aishell:test:0")
            with pytest.raises(StepError, match="touches the"):
                session.query(Statement(sql, {}, sql, source="tools/form.sql", block="first", guard=GUARDS[name]))
            assert session.query(Statement("SELECT 1 AS x", {}, "")) == [{"x": 1}]
            assert not wrote.exists(), form
        assert trial.state() == before, form
    runs = tried[:20] if name == "postgresql" else tried[:3]
    for form in runs:
        wrote.unlink(missing_ok=True)
        with suppress(DatabaseError), trial.engine.database.session(SessionOptions(read_only=True)) as session:
            session.mark("aishell:test:0")
            session.query(Statement(form.blocks[0], {}, form.blocks[0]))
        assert wrote.exists(), form


def test_what_only_reads_is_sent_when_the_server_was_asked(engine):
    """Shipped tools, as if they were a site's."""
    engine.samples.table("told")
    names = {"schema": engine.schema, "table": "told", "tables": engine.named("told")}
    sent = 0
    for name in sorted({tool.name for tool in registry() if tool.runs == "query" and tool.engine == engine.name}):
        tool = engine.pick(name)
        needed = {name for name, one in tool.parameters.items() if one.required}
        if tool.runs != "query" or tool.risk_level is not Risk.SAFE or not needed <= names.keys() or tool.grouped:
            continue
        values = tool.prepare({name: names[name] for name in needed})
        with engine.context(tool).reading() as session:
            for block in tool.blocks.values():
                statement = render(replace(tool, of_site=True), block, values, engine.database)
                assert (statement.guard is None) == (engine.name == "sqlite")
                if not reviewed(list(texts(tool, block, engine.name)), engine.name):
                    session.query(statement)
                    sent += 1
    assert sent >= 10


#: What only reads and was refused once: statements that make it, and those that read it.
QUIET = {
    "postgresql": (
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
        "CREATE EXTENSION IF NOT EXISTS pg_buffercache",
        "CREATE EXTENSION IF NOT EXISTS hstore",
        "CREATE DOMAIN positive AS int CHECK (value > 0)",
        "CREATE TYPE dated AS (day date, n positive)",
        "CREATE TABLE quiet (n positive, h hstore, d dated, r int4range)",
        "SELECT count(*) AS x FROM pg_stat_statements",
        "SELECT count(*) AS x FROM pg_buffercache",
        "SELECT random() AS x, gen_random_uuid() AS y",
        "SELECT now() - a.query_start AS x, a.client_addr AS y FROM pg_stat_activity AS a",
        "SELECT to_json(q) AS x, q.h -> 'a' AS y FROM quiet AS q WHERE COALESCE(q.d, '(2020-01-01,1)') = q.d OR q.r && '[1,2)'",
    ),
    "mysql": (
        "CREATE OR REPLACE VIEW quoted AS SELECT 'it''s' AS x, 'a\\\\b' AS y",
        "SELECT x, y FROM quoted",
        "SELECT table_name, total_latency FROM sys.schema_table_statistics",
        "SELECT sys.format_bytes(4096) AS x, rand() AS y",
        "SELECT timediff(now(), '2020-01-01 00:00:00') AS x",
    ),
}


def test_what_was_refused_for_nothing_is_sent(engine):
    """And what comes of it has a form in JSON."""
    for sql in QUIET.get(engine.name, ()):
        if sql.startswith("CREATE"):
            engine.samples.do(sql)
            continue
        if engine.name == "postgresql" and engine.database.version < (13,):
            sql = sql.replace("gen_random_uuid()", "1")
        assert not refused_at_load(Form(engine.name, "", sql, (sql,)))
        with engine.database.session(SessionOptions(read_only=True)) as session:
            guarded = Statement(sql, {}, sql, source="tools/form.sql", block="first", guard=GUARDS[engine.name])
            assert canonical(session.query(guarded))


def test_a_column_that_is_named_is_a_column(engine):
    """PostgreSQL calls `evil(row)` for `row.evil` where the table has no such column."""
    table = engine.samples.table("told")
    if engine.name == "postgresql":
        engine.samples.do(f"CREATE FUNCTION evil({table}) RETURNS timestamptz LANGUAGE sql AS $$ SELECT now() $$")
        assert engine.samples.value(f"SELECT count(told.evil) FROM {table} AS told")
    calls = (
        ("measure_log_age", {"date_column": "evil"}),
        ("measure_log_order", {"date_column": "evil", "key": "n"}),
        ("measure_log_order", {"date_column": "n", "key": "evil"}),
    )
    for name, params in calls:
        given = {"schema": engine.schema, "table": "told", **params}
        assert "evil" in str(engine.step(name, **given).reason)
    good = {"schema": engine.schema, "table": "told", "date_column": "n"}
    assert engine.step("measure_log_age", **good).status == "done"


def test_a_tool_of_a_site_is_refused_when_it_runs(pg, tmp_path):
    """By the folder it is loaded from, and from the text that is stored with a run."""
    engine = Engine(pg)
    engine.samples.do(
        "CREATE TABLE t (id int)",
        "INSERT INTO t VALUES (1)",
        "CREATE FUNCTION evil(t) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )
    folder = tmp_path / "tools" / "postgresql"
    folder.mkdir(parents=True)
    keys = {**ENGINES["postgresql"], "name": "attribute", "risk": "safe", "runs": "query", "lock": "none"}
    text = tool_text({"first": "SELECT t.evil AS x FROM t"}, **keys, parameters=None, returns="{rows: rows(first)}")
    (folder / "attribute.sql").write_text(text)
    texts_ = {"tools/postgresql/attribute.sql": text}
    loaded = Registry.load([ROOT / "tools", tmp_path / "tools"])
    for known in (loaded, loaded.with_texts(texts_), Registry.load([ROOT / "tools"]).with_texts(texts_)):
        tool = known.pick("attribute", engine.server())
        with pytest.raises(StepError, match=r"touches the function public\.evil\(public\.t\)"):
            dispatch.run(tool, {}, None, engine.context(tool))
    engine.close()


def test_the_table_is_what_was_tried():
    text = (ROOT / "docs" / "decisions" / "0017-two-walls.md").read_text()
    assert "\n".join(table()) in text
