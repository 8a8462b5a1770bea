"""The header grammar: a good file is read whole, and what is wrong is refused with file and line."""

from __future__ import annotations

import pytest

from aishell.errors import ToolFileError
from aishell.models import Risk
from aishell.registry.clauses import Clause
from aishell.registry.header import read_tool
from aishell.registry.tool import Aggregate
from tests.unit.making import BLOCKS, FIND, HEADER, VERIFY, make_tool, tool_text

SOURCE = "tools/sqlite/touch.sql"
LINES = {key: number for number, key in enumerate(HEADER, 1)}
PROSE = len(HEADER) + 2
FIRST_BLOCK = PROSE + 2


def refused(text: str, source: str = SOURCE) -> ToolFileError:
    with pytest.raises(ToolFileError) as caught:
        read_tool(text, source, source.split("/")[1])
    assert caught.value.message.startswith(f"{source}:{caught.value.line}: ")
    assert caught.value.exit_code == 2
    return caught.value


def test_everything_a_header_says_is_read():
    tool = make_tool(
        {"find": FIND, "do": "ANALYZE {table_name}", "verify": "SELECT :limit > 0 AS ok", "report": "SELECT 1 AS n"},
        prose="Touches a table.\n-- And no more.",
        runs="each",
        idempotent="true",
        requires_approval="true",
        rate_limit="10",
        lock_timeout="2.5",
        parameters="{limit: {type: integer, default: 3, minimum: 1, description: how many}}",
        returns="{n: {from: 'max(report.n)', type: number}, done: count(ok), all: 'rows(ok, failed)'}",
        examples="[{params: {limit: 4}}]",
    )
    assert (tool.name, tool.engine, tool.category, tool.risk_level) == (
        "touch",
        "sqlite",
        "maintenance",
        Risk.MEDIUM,
    )
    assert tool.clauses == (Clause("sqlite", ((">=", (3, 35)),)),)
    assert tool.description == "Touches a table. And no more."
    assert (tool.idempotent, tool.requires_approval, tool.rate_limit, tool.lock_timeout) == (True, True, 10, 2.5)
    assert (tool.lock, tool.max_execution_time, tool.key) == ("RESERVED", 60, ("table_name",))
    assert tool.returns["n"] == Aggregate("max", (("report", "n"),), {"type": "number"})
    assert tool.returns["all"].operands == (("ok", None), ("failed", None))
    assert tool.blocks["do"].comment == "what it does"
    assert tool.blocks["find"].columns == {"table_name", "bytes"}
    assert tool.parameters["limit"].schema["minimum"] == 1
    assert not tool.read_only


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("postgresql", [Clause("postgresql")]),
        ("postgresql >= 12 < 17", [Clause("postgresql", ((">=", (12,)), ("<", (17,))))]),
        ("postgresql >= 12, with pgstattuple", [Clause("postgresql", ((">=", (12,)),), frozenset({"pgstattuple"}))]),
        ("postgresql with a without b", [Clause("postgresql", (), frozenset({"a"}), frozenset({"b"}))]),
    ],
)
def test_an_engine_clause_is_product_bounds_and_features(clause, expected):
    assert list(make_tool(dialect="postgresql", engine=clause).clauses) == expected


def test_a_comma_between_products_means_or():
    clauses = make_tool(dialect="mysql", engine="mysql >= 8, mariadb >= 10.6").clauses
    assert [(c.product, c.bounds) for c in clauses] == [("mysql", ((">=", (8,)),)), ("mariadb", ((">=", (10, 6)),))]


@pytest.mark.parametrize(
    ("keys", "key", "said"),
    [
        ({"lokc": "none"}, "lokc", "unknown key 'lokc'; did you mean 'lock'"),
        ({"name": "tuoch"}, "name", "does not match the file name"),
        ({"risk": "mediun"}, "risk", "did you mean 'medium'"),
        ({"risk": "[low]"}, "risk", "risk must be one of safe"),
        ({"category": "maintenence"}, "category", "did you mean 'maintenance'"),
        ({"category": "[analysis]"}, "category", "category must be one of"),
        ({"capabilities": "[database_raed]"}, "capabilities", "did you mean 'database_read'"),
        ({"capabilities": "[{a: b}]"}, "capabilities", "capabilities[0] must be one of"),
        ({"capabilities": "database_read"}, "capabilities", "capabilities"),
        ({"runs": "eahc"}, "runs", "did you mean 'each'"),
        ({"engine": "postgresql >= 12"}, "engine", "does not name a server of this folder (sqlite)"),
        ({"engine": "sqlite > = 3"}, "engine", "does not name a server"),
        ({"engine": "sqlite >= three"}, "engine", "does not name a server"),
        ({"parameters": "[table]"}, "parameters", "parameters"),
        ({"parameters": "{table: {type: identifer}}"}, "parameters", "did you mean 'identifier'"),
        ({"parameters": "{table: identifier_}"}, "parameters", "table must be a mapping, not 'identifier_'"),
        ({"parameters": "{table: {type: identifier, defualt: x}}"}, "parameters", "did you mean 'default'"),
        ({"parameters": "{table: {type: keyword}}"}, "parameters", "a keyword needs an `enum`"),
        (
            {"parameters": "{table: {type: identifier}, more: {type: string}}"},
            "parameters",
            "`more` is used by no block",
        ),
        ({"returns": "[done]"}, "returns", "returns"),
        ({"returns": "{done: cuont(ok)}"}, "returns", "'cuont(ok)' is not an aggregate"),
        ({"returns": "{done: count(find)}"}, "returns", "there is no block `find`"),
        ({"returns": "{done: sum(verify.byts)}"}, "returns", "has no column `byts`"),
        ({"returns": "{done: sum(verify)}"}, "returns", "sum() takes block.column"),
        ({"returns": "{done: count(verify.bytes)}"}, "returns", "count() takes a block"),
        ({"returns": "{done: {type: integer}}"}, "returns", "is not an aggregate"),
        ({"max_execution_time": "soon"}, "max_execution_time", "max_execution_time"),
        ({"rate_limit": "ten"}, "rate_limit", "rate_limit"),
        ({"lock_timeout": "long"}, "lock_timeout", "lock_timeout"),
        ({"group": "many"}, "group", "group"),
        ({"group": "0"}, "group", "group"),
        ({"idempotent": "'false'"}, "idempotent", "idempotent"),
        ({"requires_approval": "'no'"}, "requires_approval", "requires_approval"),
        ({"transaction": "sometimes"}, "transaction", "transaction"),
        ({"key": "table"}, "key", "key"),
        ({"key": "[oid]"}, "key", "`find` has no column `oid`"),
        ({"examples": "{table: t}"}, "examples", "examples"),
    ],
)
def test_a_wrong_key_is_refused_at_its_line(keys, key, said):
    header = {**HEADER, **keys}
    error = refused(tool_text(**keys))
    assert said in error.message
    assert error.line == [*header].index(key) + 1


@pytest.mark.parametrize("key", ["name", "category", "risk", "capabilities", "runs", "returns"])
def test_a_key_that_is_missing_is_named(key):
    assert f"the header needs the key `{key}`" in refused(tool_text(**{key: None})).message


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "the description is missing"),
        ("SELECT 1", 1, "the description is missing"),
        (tool_text(prose=""), len(HEADER), "the description is missing"),
        (tool_text(risk="low: high"), LINES["risk"], "malformed YAML"),
        (tool_text(risk="low\n-- risk: high"), LINES["risk"] + 1, "duplicate key"),
        (tool_text({}), PROSE + 1, "no block"),
        ("-- - name\n--\n-- Prose.\n", 4, "no block"),
        ("-- - name\n--\n-- Prose.\n\n-- do: it\nSELECT 1", 2, "malformed YAML"),
    ],
)
def test_a_file_without_a_readable_header_is_refused(text, line, said):
    error = refused(text)
    assert said in error.message
    assert error.line == line


@pytest.mark.parametrize(
    ("blocks", "block", "said"),
    [
        ({**BLOCKS, "veriify": VERIFY}, "veriify", "did you mean 'verify'"),
        ({"do": "", "verify": VERIFY}, "do", "`do` is empty"),
        ({"do": "-- nothing yet", "verify": VERIFY}, "do", "`do` is empty"),
        ({"do": "ANALYZE {table}"}, "do", "needs a block `verify`"),
        ({**BLOCKS, "cleanup": "ANALYZE {table}"}, "cleanup", "`cleanup` needs a block `leftovers`"),
        ({**BLOCKS, "hold": "ANALYZE {table}"}, "hold", "`hold` needs a block `same`"),
        ({**BLOCKS, "same": "SELECT 1 AS ok FROM {table}"}, "same", "`same` has no column `same`"),
        ({**BLOCKS, "probe": "SELECT {tabel}"}, "probe", "`tabel` is neither a parameter nor a column"),
        ({**BLOCKS, "probe": "SELECT :tabel"}, "probe", "`tabel` is neither a parameter nor a column"),
        ({**BLOCKS, "probe": "SELECT {group}"}, "probe", "`group` is neither"),
        ({"find": "SELECT :x AS x", **BLOCKS}, "find", "`x` is neither a parameter nor a column"),
        ({"do": "DROP TABLE {table}", "verify": VERIFY}, "do", "must be `risk: critical`"),
        ({"do": "/* x */ drop table {table}", "verify": VERIFY}, "do", "must be `risk: critical`"),
        ({"do": "TRUNCATE {table}", "verify": VERIFY}, "do", "must be `risk: critical`"),
        ({"do": "DROP DATABASE {table}", "verify": VERIFY}, "do", "must be `risk: critical`"),
    ],
)
def test_a_block_that_cannot_work_is_refused_at_its_line(blocks, block, said):
    text = tool_text(blocks)
    error = refused(text)
    assert said in error.message
    assert error.line == text.splitlines().index(f"-- {block}: what it does") + 1


def test_a_block_that_stands_twice_is_refused_at_the_second():
    error = refused(tool_text() + "\n-- do: again\nANALYZE {table}\n")
    assert "duplicate block `do`" in error.message
    assert error.line == tool_text().count("\n") + 2


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ("ANALYZE {table};\nSELECT 1", 2, "one statement per block"),
        ("ANALYZE {table}; 'x'", 1, "one statement per block"),
        ("ANALYZE {table}; {table}", 1, "one statement per block"),
        ("ANALYZE {table};\n\nSELECT 1;", 3, "one statement per block"),
        ("ANALYZE\n{ table }", 2, "a brace outside a literal"),
        ("ANALYZE {Table}", 1, "a brace outside a literal"),
        ("ANALYZE {table}\n}", 2, "a brace outside a literal"),
    ],
)
def test_sql_that_is_not_one_statement_is_refused_at_its_line(body, line, said):
    error = refused(tool_text({"do": body, "verify": VERIFY}))
    assert said in error.message
    assert error.line == FIRST_BLOCK + line


def test_a_value_that_is_no_name_cannot_stand_in_braces():
    parameters = "{table: {type: identifier}, text: {type: string}}"
    error = refused(tool_text({"do": "ANALYZE {table}", "verify": "SELECT {text} AS ok"}, parameters=parameters))
    assert "bind it as `:text`" in error.message


def test_what_deletes_rows_is_bound_to_its_object_under_a_lock_or_is_refused():
    same = {"same": "SELECT 1 AS same FROM {table}"}
    held = {**same, "hold": "ANALYZE {table}"}
    for more, missing in (({}, "same"), (same, "hold")):
        error = refused(tool_text({**more, **BLOCKS}, deletes="true"))
        assert f"a tool that deletes rows needs a block `{missing}`" in error.message
    assert make_tool({**held, **BLOCKS}, deletes="true").deletes


@pytest.mark.parametrize(("runs", "block"), [("each", "find"), ("statement", "do")])
def test_a_way_of_running_needs_its_blocks(runs, block):
    blocks = {name: sql for name, sql in {"find": FIND, **BLOCKS}.items() if name != block}
    error = refused(tool_text(blocks, runs=runs))
    assert f"needs a block `{block}`" in error.message
    assert error.line == LINES["runs"]


@pytest.mark.parametrize("implementation", [None, "no_colon"])
def test_python_needs_its_callable(implementation):
    keys = {"runs": "python", "implementation": implementation, "parameters": None}
    text = "\n".join(f"{k}: {v}" for k, v in {**HEADER, **keys, "description": "x"}.items() if v is not None)
    error = refused(text, "tools/sqlite/touch.yaml")
    assert "module:" in error.message


def test_a_groups_key_must_be_columns_of_find():
    blocks = {"find": FIND, "do": "ANALYZE {group}", "verify": VERIFY}
    error = refused(tool_text(blocks, runs="each", group="5", parameters=None))
    assert "`find` has no column `schema`" in error.message


@pytest.mark.parametrize("runs", ["query", "each"])
def test_client_programs_are_for_tools_that_run_them(runs):
    blocks = {"seen": "SELECT 1 AS one"} if runs == "query" else {"find": FIND, **BLOCKS}
    returns = "{seen: rows(seen)}" if runs == "query" else None
    keys = {"runs": runs, "programs": '{dump: ["pg_dump"]}', **({"returns": returns} if returns else {})}
    error = refused(tool_text(blocks, **keys))
    assert "`programs` are for `runs: program`" in str(error)
