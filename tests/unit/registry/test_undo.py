"""What a file says of its way back: blocks or a key, checked when it is read; what cannot be undone says so."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.codec import digest, plain
from aishell.errors import ParameterError, ToolFileError, UnknownNameError
from aishell.models import ON_ERROR, Step
from aishell.planning.checks import check_failures
from aishell.planning.graph import Graph
from aishell.planning.undoing import with_undos
from aishell.registry.registry import Registry, check
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.registry.undo import undoing
from aishell.safety.locks import contradiction
from tests.fix_tools import registry
from tests.unit.making import VERIFY, make_plan, make_server, make_tool, query_tool, tool_text, unconnected

UNDONE = "SELECT 1 AS ok, NULL AS reason"
BLOCKS = {"do": "ANALYZE {table}", "verify": VERIFY, "undo": "REINDEX {table}", "undone": UNDONE}
KEY = "{tool: touch, how: touched again, params: {table: '${params.table}'}}"
FIND = "SELECT 'p' AS part, 'FOR VALUES FROM (MINVALUE) TO (''5'')' AS bound"


def test_what_has_no_way_back_cannot_be_undone():
    assert make_tool().undo is None
    assert make_tool().undo_text == "cannot be undone"


def test_a_block_is_a_tool_of_its_own_under_the_same_gates():
    tool = make_tool(BLOCKS)
    assert tool.undo_text == "can be undone: what it does"
    made = Registry([tool]).pick("undo_touch", make_server("sqlite", version=(3, 40)))
    assert {name: block.text for name, block in made.blocks.items()} == {"do": "REINDEX {table}", "verify": UNDONE}
    for same in ("risk_level", "category", "required_capabilities", "lock", "parameters", "source", "text", "key"):
        assert getattr(made, same) == getattr(tool, same)
    assert (made.name, made.undo, made.undo_text) == ("undo_touch", None, "cannot be undone")


def test_a_tool_without_a_way_back_has_no_such_tool():
    with pytest.raises(UnknownNameError):
        Registry([make_tool()]).pick("undo_touch", make_server("sqlite", version=(3, 40)))


def test_a_key_names_another_tools_call():
    undo = make_tool(undo=KEY).undo
    assert undo is not None
    assert (undo.tool, undo.how, undo.params, undo.when) == (
        "touch",
        "touched again",
        {"table": "${params.table}"},
        None,
    )


@pytest.mark.parametrize(
    ("blocks", "keys", "said"),
    [
        ({"undone": None}, {}, "must both be present"),
        ({"undo": None}, {}, "must both be present"),
        ({"undone": "SELECT 1 AS ok"}, {}, "no column `reason`"),
        ({"undone": "SELECT NULL AS reason"}, {}, "no column `ok`"),
        ({"undo": "REINDEX {tabel}"}, {}, "neither a parameter nor a column"),
        ({}, {"undo": KEY}, "is declared once"),
        ({"undo": None, "undone": None}, {"undo": "{tool: touch}"}, "must be texts"),
        ({"undo": None, "undone": None}, {"undo": "{how: again}"}, "must be texts"),
        ({"undo": None, "undone": None}, {"undo": "{tool: touch, how: x, parms: {}}"}, "did you mean 'params'"),
        ({"undo": None, "undone": None}, {"undo": "{tool: touch, how: x, params: {table: '${params.tabel}'}}"}, "params.tabel"),
        ({"undo": None, "undone": None}, {"undo": "{tool: touch, how: x, when: '${output.dne} == 0'}"}, "output.dne"),
        ({"undo": None, "undone": None}, {"undo": "{tool: touch, how: x, when: '${steps.a} == 0'}"}, "steps.a"),
        ({"undo": None, "undone": None}, {"undo": "touch"}, "must be a mapping"),
    ],
)  # fmt: skip
def test_a_way_back_that_cannot_work_is_refused(blocks, keys, said):
    with pytest.raises(ToolFileError, match=said):
        make_tool({name: sql for name, sql in {**BLOCKS, **blocks}.items() if sql}, **keys)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (KEY.replace("tool: touch", "tool: tuch"), "there is no tool 'tuch'"),
        (KEY.replace("{table:", "{tabel:"), "touch has no parameter 'tabel'"),
    ],
)
def test_a_way_back_that_leads_nowhere_is_named_with_its_line(spec, said, tmp_path):
    (tmp_path / "sqlite").mkdir()
    text = tool_text(undo=spec)
    (tmp_path / "sqlite" / "touch.sql").write_text(text)
    line = next(n for n, one in enumerate(text.splitlines(), 1) if one.startswith("-- undo:"))
    with pytest.raises(ToolFileError, match=f"touch.sql:{line}: undo: {said}"):
        Registry.load([tmp_path])
    loaded, (problem,) = check(tmp_path, Registry([]))
    assert (loaded, problem.line) == (0, line)
    assert said in problem.message


def test_the_lock_of_the_way_back_counts_too():
    blocks = {**BLOCKS, "undo": "VACUUM"}
    assert "`undo` takes EXCLUSIVE" in (contradiction(make_tool(blocks)) or "")


@given(st.text() | st.from_regex(r"FOR VALUES FROM \(.*\) TO \(.*\)"))
def test_nothing_but_bounds_is_pasted_as_bounds(text):
    tool = undoing(_partitions())
    values = {"table": "log", "part": "p", "bound": text}
    database = unconnected("postgresql")
    try:
        sql = render(tool, tool.blocks["do"], values, database).text
    except ParameterError:
        return
    assert sql == f'ALTER TABLE "log" ATTACH PARTITION "p" {text}'
    outside = "".join(text.replace("''", "").split("'")[::2])
    assert re.fullmatch(r"FOR VALUES FROM \([A-Z0-9.,\- ]*\) TO \([A-Z0-9.,\- ]*\)", outside)
    assert "--" not in outside


def _partitions() -> Tool:
    blocks = {"find": FIND, "do": "ANALYZE {table}", "verify": "SELECT :part = :bound AS ok",
              "undo": "ALTER TABLE {table} ATTACH PARTITION {part} {bound}", "undone": UNDONE}  # fmt: skip
    return make_tool(blocks, "postgresql", runs="each", key="[part]")


@pytest.mark.parametrize(
    "bound",
    [
        "FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')",
        "FOR VALUES FROM (MINVALUE) TO (1577836800)",
        "FOR VALUES FROM ('a''b', -1.5) TO (MAXVALUE, MAXVALUE)",
    ],
)
def test_bounds_are_pasted_as_postgresql_writes_them(bound):
    tool = undoing(_partitions())
    sent = render(tool, tool.blocks["do"], {"table": "log", "part": "p", "bound": bound}, unconnected("postgresql"))
    assert sent.text.endswith(bound)


# The plan.

TOOLS = {
    "touch": make_tool(BLOCKS),
    "plain": make_tool(name="plain"),
    "look": query_tool(name="look"),
    "moved": make_tool(name="moved", returns="{done: count(ok), was: first(verify.was)}",
                       undo="{tool: plain, how: moved back, when: '${output.was} != None', params: {table: '${output.was}'}}",
                       blocks={"do": "ANALYZE {table}", "verify": "SELECT 1 AS ok, 'x' AS was"}),
}  # fmt: skip


def undos(*steps: Step) -> list[Step]:
    return list(with_undos(steps, TOOLS.__getitem__, "it"))[len(steps) :]


A, B, C = (Step(name, "touch", {"table": name}) for name in "abc")
LAST = Step("last", "touch", {"table": "l"}, on_error="rollback")
REPORT = Step("report", "look", always=True)


def test_without_a_rollback_a_plan_has_no_way_back():
    assert undos(A, B, Step("c", "touch", {"table": "c"}, on_error="continue")) == []


def test_the_way_back_is_the_way_there_in_reverse():
    steps = with_undos((A, B, Step("n", "plain", {"table": "n"}), LAST, REPORT), TOOLS.__getitem__, "it")
    back = steps[5:]
    assert [(step.id, step.undoes, step.tool) for step in back] == [
        ("undo_last", "last", "undo_touch"), ("undo_b", "b", "undo_touch"), ("undo_a", "a", "undo_touch"),
    ]  # fmt: skip
    assert back[0].needs == ("a", "b", "n", "last")
    assert [step.needs for step in back[1:]] == [("undo_last",), ("undo_b",)]
    assert steps[4].needs == ("undo_a",)  # the report tells of it
    assert [step.params for step in back] == [{"table": "l"}, {"table": "b"}, {"table": "a"}]
    Graph(steps)
    assert with_undos(steps, TOOLS.__getitem__, "it") == steps


def test_what_another_tool_takes_back_refers_to_the_output_of_the_step():
    undo_last, undo_m = undos(Step("m", "moved", {"table": "m"}), LAST)
    assert (undo_m.tool, undo_m.params, undo_m.when) == (
        "plain", {"table": "${steps.m.output.was}"}, "${steps.m.output.was} != None",
    )  # fmt: skip
    assert undo_last.tool == "undo_touch"


@given(st.text(max_size=8))
def test_a_failure_means_one_of_three_things(on_error):
    plan = make_plan(Step("a", "touch", {"table": "a"}, on_error=on_error))
    if on_error in ON_ERROR:
        check_failures(plan)
    else:
        with pytest.raises(UnknownNameError) as caught:
            check_failures(plan)
        assert caught.value.exit_code == 2


def test_the_digest_of_a_plan_without_a_way_back_is_as_it_was():
    """Runs that were begun before there was one are resumed: what no step says is not in it."""
    plan = make_plan(A)
    steps = [
        {name: item for name, item in plain(step).items() if name not in ("undoes", "hook", "proposed")}
        for step in plan.steps
    ]
    for step in steps:  # nor is what an estimate rests on, where nothing is known of it
        step["estimate"] = {name: step["estimate"][name] for name in ("seconds", "bytes", "based_on")}
    task = [plan.task.agent, plan.task.target, plan.task.input_data, plan.task.metadata]
    assert plan.digest == digest([*task, plan.target_identity, plan.tool_versions, steps])
    assert plan.digest != make_plan(replace(A, undoes="b")).digest
    assert plan.digest != make_plan(replace(A, hook="b")).digest
    assert plan.digest != make_plan(replace(A, estimate=replace(A.estimate, work=1, unit="rows"))).digest


def test_every_way_back_that_is_shipped_leads_somewhere():
    """The tool it names is there for the engine, and takes what it is given."""
    shipped = registry()
    found = [tool for tool in shipped if tool.undo is not None]
    assert {tool.name for tool in found} == {
        "drop_old_partitions", "drop_old_partitions_exclusively", "delete_archived_records", "replace_database",
    }  # fmt: skip
    for tool in found:
        assert tool.undo is not None
        if "undo" in tool.blocks:
            continue
        (back,) = {t.name: t for t in shipped.variants(tool.undo.tool) if t.engine == tool.engine}.values()
        assert tool.undo.params.keys() <= back.parameters.keys()
        required = {name for name, parameter in back.parameters.items() if parameter.required}
        assert required <= tool.undo.params.keys()
