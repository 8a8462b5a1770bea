"""The wall at load: what a site's tool must be to be tagged as reading, and what of that is remembered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aishell.codec import digest
from aishell.errors import ToolFileError
from aishell.locations import built_in
from aishell.registry import wall
from aishell.registry.functions import FUNCTIONS, REVIEWED
from aishell.registry.header import read_tool
from aishell.registry.reading import reading_blocks, texts
from aishell.registry.registry import Registry, check
from tests.fix_tools import ROOT, registry
from tests.unit.making import ENGINES, tool_text

SCAN = "SELECT name AS table_name FROM pragma_table_list"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "aishell" / "reading-tools"


def query(sql: str, risk: str = "safe", engine: str = "sqlite", **keys: str | None) -> str:
    settled = {"name": "look", "risk": risk, "runs": "query", "lock": "none", "parameters": None}
    return tool_text({"seen": sql}, **{**ENGINES[engine], **settled, "returns": "{seen: rows(seen)}", **keys})


def load(text: str, engine: str = "sqlite", name: str = "look") -> None:
    read_tool(text, f"tools/{engine}/{name}.sql", engine, wall=wall.site)


def refused(text: str, engine: str = "sqlite", name: str = "look") -> str:
    with pytest.raises(ToolFileError) as error:
        load(text, engine, name)
    return error.value.message


@pytest.mark.parametrize("tool", list(registry()), ids=lambda tool: tool.source)
def test_every_shipped_tool_stands_before_the_wall(tool):
    wall.require_reading(tool)


def test_what_a_person_has_read_is_shipped_and_little():
    digests = {
        digest([tool.engine, *texts(tool, block, tool.engine)]).removeprefix("sha256:"): f"{tool.source} {block.name}"
        for tool in registry()
        for block in reading_blocks(tool)
    }
    assert {name: digests.get(value) for name, value in REVIEWED.items()} == {
        name: f"tools/{name}" for name in REVIEWED
    }
    assert len(REVIEWED) <= 10


@pytest.mark.parametrize("engine", FUNCTIONS)
def test_the_lists_hold_nothing_that_writes(engine):
    """A few that would be easy to add by their neighbours."""
    known = """nextval setval currval lastval set_config pg_reload_conf pg_read_file pg_ls_dir pg_stat_file lo_get lo_import
        pg_notify pg_sleep sleep benchmark load_file get_lock release_lock master_pos_wait load_extension fts3_tokenizer
        query_to_xml cursor_to_xml ts_stat dblink pg_logical_slot_get_changes pg_export_snapshot txid_current""".split()
    assert not FUNCTIONS[engine] & set(known)


@pytest.mark.parametrize(
    ("engine", "sql", "name"),
    [
        ("postgresql", "SELECT pg_reload_conf() AS ok", "pg_reload_conf()"),
        ("postgresql", "SELECT app.mine(1) AS ok", "app.mine()"),
        ("mysql", "SELECT SLEEP(1) AS ok", "SLEEP()"),
        ("mysql", "SELECT sys.ps_setup_save(1) AS ok", "sys.ps_setup_save()"),
        ("mysql", "SELECT SYS.format_bytes(1) AS ok", "SYS.format_bytes()"),
        ("mysql", "SELECT `sleep`(1) AS ok", "sleep()"),
        ("sqlite", "SELECT my_function(1) AS ok", "my_function()"),
        ("sqlite", "SELECT [load_extension]('x') AS ok", "load_extension()"),
    ],
)
def test_a_function_that_is_not_on_the_list_costs_a_higher_risk_and_is_named(engine, sql, name):
    for risk in ("safe", "low"):
        message = refused(query(sql, risk, engine), engine)
        assert name in message
        assert "at least `risk: medium`" in message
    load(query(sql, "medium", engine), engine)


def test_a_refusal_names_file_and_line_also_in_a_fragment(tmp_path):
    folder = tmp_path / "tools" / "sqlite"
    (folder / "_fragments").mkdir(parents=True)
    (folder / "_fragments" / "gone.sql").write_text("-- A block.\n\n-- seen: what it does\nDELETE FROM t\n")
    body = query(SCAN).replace(f"-- seen: what it does\n{SCAN}", "-- include: gone")
    (folder / "look.sql").write_text(body)
    with pytest.raises(
        ToolFileError, match=r"_fragments/gone.sql:3: the block `seen` must be a single statement that only reads"
    ):
        Registry.load([tmp_path / "tools"])


def test_a_block_that_does_not_parse_is_refused_whatever_the_risk():
    for risk in ("safe", "medium", "critical"):
        assert "cannot be parsed" in refused(query("SELECT FROM WHERE (", risk))


@pytest.mark.parametrize(
    ("engine", "sql"),
    [
        ("mysql", 'SELECT "sleep"(1) AS ok'),  # a call, with ANSI_QUOTES
        ("mysql", "SELECT 1 /*M!100000 + 1 */ AS ok"),
        ("mysql", "SELECT 'a\\'b' AS ok"),
        ("postgresql", "SELECT U&'\\0061' AS ok"),
        ("postgresql", "SELECT 1 AS\u00a0ok"),
    ],
)
def test_what_two_servers_read_in_two_ways_is_refused(engine, sql):
    assert "must be a single statement that only reads" in refused(query(sql, engine=engine), engine)


@pytest.mark.parametrize("name", ["find", "verify", "report", "do"])
def test_every_block_of_a_safe_tool_only_reads_whatever_its_name(name):
    blocks = {"find": SCAN, "do": "SELECT 1 AS problem", "verify": "SELECT 1 AS ok", "report": "SELECT 1 AS n"}
    keys = {
        "name": "look",
        "risk": "safe",
        "runs": "each",
        "lock": "none",
        "parameters": None,
        "returns": "{n: count(ok)}",
    }
    load(tool_text(blocks, **keys))
    told = refused(tool_text({**blocks, name: "DELETE FROM t RETURNING 1 AS ok, 2 AS table_name"}, **keys))
    assert f"the block `{name}`" in told


@pytest.mark.parametrize("name", ["find", "verify", "report", "leftovers"])
def test_what_does_not_change_anything_in_a_changing_tool_only_reads(name):
    blocks = {
        "find": SCAN,
        "do": "ANALYZE {table_name}",
        "verify": "SELECT 1 AS ok",
        "report": "SELECT 1 AS n",
        "leftovers": SCAN.replace("table_name", "left_name"),
        "cleanup": "DROP INDEX {left_name}",
    }
    keys = {"name": "look", "runs": "each", "parameters": None, "returns": "{n: count(ok)}"}
    load(tool_text(blocks, **keys))
    told = refused(
        tool_text({**blocks, name: "DELETE FROM t RETURNING 1 AS ok, 2 AS table_name, 3 AS left_name"}, **keys)
    )
    assert f"the block `{name}`" in told


def test_the_words_that_a_tool_pastes_are_parsed_with_it():
    def text(words: str) -> str:
        parameters = f"{{word: {{type: keyword, enum: [{words}]}}}}"
        return query("SELECT name FROM sqlite_schema {word} name", parameters=parameters)

    load(text("ORDER BY, GROUP BY"))
    assert "must be a single statement that only reads" in refused(text('ORDER BY, "; DELETE FROM t --"'))
    assert "load_extension()" in refused(text("\"WHERE load_extension('x') >\""))


def test_the_forms_that_a_tool_pastes_are_parsed_with_it():
    def text(form: str) -> str:
        return query(
            "SELECT {values} FROM {table}",
            parameters="{table: {type: identifier}, columns: {type: columns}}",
            forms=f'{{plain: "{{column}}", own: "{form}"}}',
            lists="{values: '{form}'}",
        )

    load(text("hex({column})"))
    assert "load_extension()" in refused(text("load_extension({column})"))


def test_what_reviewed_blocks_paste_is_a_part_of_what_was_reviewed():
    (tool,) = (tool for tool in registry() if (tool.engine, tool.name) == ("mysql", "check_table_corruption"))
    load(tool.text, "mysql", tool.name)
    other = tool.text.replace("enum: [QUICK,", 'enum: ["; SHUTDOWN", QUICK,')
    assert "must be a single statement" in refused(other, "mysql", tool.name)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'it''s', \"a\"\"b\", $$DELETE$$, $x$ $$ $x$, E'a\\nb', '\\' AS a FROM app.t",
        "WITH pages(number) AS (SELECT 1) SELECT count(*) FILTER (WHERE true) OVER (PARTITION BY p.number) AS n FROM pages AS p",
        "SELECT k.attnum FROM pg_index AS i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)",
        "SELECT a.pid FROM pg_stat_get_activity(NULL) AS a",
        "SELECT pg_catalog.lower('A'), CAST(:x AS numeric(10, 2)) AS n FROM t WHERE (a, b) IN (SELECT 1, 2)",
    ],
)
def test_what_only_reads_loads(sql):
    parameters = "{x: {type: number}}" if ":x" in sql else None
    load(query(sql, engine="postgresql", parameters=parameters), "postgresql")


def test_mysql_json_table_takes_a_character_set():
    columns = "a VARCHAR(9) CHARACTER SET utf8mb4 PATH '$.a', b INT PATH '$.b'"
    sql = f"SELECT j.a FROM JSON_TABLE('[]', '$[*]' COLUMNS ({columns})) AS j"
    load(query(sql, engine="mysql"), "mysql")
    assert "LOAD_FILE()" in refused(query(sql.replace("'[]'", "LOAD_FILE('x')"), engine="mysql"), "mysql")


@pytest.mark.parametrize("runs", ["python", "program"])
def test_code_of_a_site_is_medium_at_least(runs):
    text = "\n".join(
        [
            "name: look", "category: report", "risk: low", "capabilities: [database_read]", f"runs: {runs}",
            "implementation: some.where:look", "returns: {n: {type: integer}}", "description: Looks.", "",
        ]
    )  # fmt: skip
    with pytest.raises(ToolFileError, match=r"look.yaml:3: a site's tool with `runs: .*at least `risk: medium`"):
        read_tool(text, "tools/common/look.yaml", "common", wall=wall.site)
    read_tool(text.replace("risk: low", "risk: medium"), "tools/common/look.yaml", "common", wall=wall.site)


def test_a_tool_of_all_engines_reads_on_each():
    def anywhere(sql: str) -> str:
        return query(sql).replace("-- engine: sqlite >= 3.35\n", "")

    load(anywhere("SELECT 1 AS n"), "common")
    assert "strftime()" in refused(anywhere("SELECT strftime('%Y', 'now') AS n"), "common")


def test_a_transaction_of_several_statements_is_refused():
    assert "transaction must be none, not 'single'" in refused(query(SCAN, transaction="single"))


def test_what_was_looked_at_is_not_parsed_again(cache, monkeypatch):
    load(query(SCAN))
    (kept,) = cache.iterdir()
    assert (cache.stat().st_mode & 0o777, kept.stat().st_mode & 0o777, kept.stat().st_size) == (0o700, 0o600, 0)
    monkeypatch.setattr(wall, "require_reading", lambda tool: pytest.fail("parsed again"))
    load(query(SCAN))


def test_what_was_refused_is_not_remembered(cache):
    for _ in range(2):
        refused(query("DELETE FROM t"))
    assert not cache.exists()


@pytest.mark.parametrize("what", ["file", "folder", "link", "owner"])
def test_what_others_could_have_written_is_not_believed(cache, monkeypatch, what):
    tool = read_tool(query("DELETE FROM t RETURNING id AS n"), "tools/sqlite/look.sql", "sqlite")
    wall.remember(tool)
    assert wall.known(tool)
    (kept,) = cache.iterdir()
    if what == "file":
        kept.chmod(0o620)
    elif what == "folder":
        cache.chmod(0o702)
    elif what == "link":
        kept.unlink()
        kept.symlink_to("/etc/passwd")
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not wall.known(tool)
    refused(tool.text)


def test_with_other_rules_it_is_looked_at_again(cache, monkeypatch):
    tool = read_tool(query(SCAN), "tools/sqlite/look.sql", "sqlite")
    wall.remember(tool)
    monkeypatch.setattr(wall, "_rules", lambda: "others")
    assert not wall.known(tool)


def test_a_cache_that_cannot_be_written_costs_a_look_and_no_more(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    load(query(SCAN))


def test_a_site_is_no_shipped_folder_and_passes_the_wall(tmp_path):
    assert wall.wall_of(built_in("tools")) is None
    folder = tmp_path / "tools" / "sqlite"
    folder.mkdir(parents=True)
    (folder / "look.sql").write_text(query("DELETE FROM t RETURNING id AS n"))
    with pytest.raises(ToolFileError, match="must be a single statement that only reads"):
        Registry.load([built_in("tools"), tmp_path / "tools"])
    _, problems = check(tmp_path / "tools", Registry([]))
    assert "must be a single statement that only reads" in problems[0].message


def test_a_text_stored_with_a_plan_is_looked_at_where_it_is_another_than_today():
    loaded = Registry.load([built_in("tools")], engine="sqlite")
    today = {tool.source: tool.text for tool in loaded}
    loaded.with_texts(today)
    source = "tools/sqlite/compute_cutoff.sql"
    with pytest.raises(ToolFileError, match="must be a single statement that only reads"):
        loaded.with_texts({source: today[source].replace("SELECT", "DELETE FROM t RETURNING", 1)})


def test_shipped_tools_are_loaded_without_a_parser():
    code = (
        "import sys; from pathlib import Path; from aishell.locations import built_in; "
        "from aishell.registry.registry import Registry, check; "
        "names = ('sqlglot', 'aishell.registry.parsing'); "
        "print(len(list(Registry.load([built_in('tools')]))), *(name in sys.modules for name in names))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert int(said[0]) > 100
    assert said[1:] == ["False", "False"]
