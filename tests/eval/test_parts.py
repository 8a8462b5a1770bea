"""What the benchmark of planners is made of, without servers: faults as folders, answers found, harm told, figures counted."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench.eval import results
from bench.eval.faults import ENGINES, FaultError, load, of_folder, statements
from bench.eval.harm import touched
from bench.eval.hostile import CLAIMS, Hostile, fitting, tables_in
from bench.eval.run import _turns
from bench.eval.trial import Trial, said, sent
from tests.ollama_double import Asked, Behaviour

YAML = "title: t\nask: a\nequivalent: [run, maintenance]\nsolved_by: tool\n"


def folder(path: Path, text: str = YAML, **files: str) -> Path:
    made = path / "a-fault"
    made.mkdir()
    (made / "fault.yaml").write_text(text)
    for name, sql in files.items():
        (made / f"{name.replace('__', '.')}.sql").write_text(sql)
    return made


def trial(**keys: Any) -> Trial:
    usual: dict[str, Any] = {
        "fault": "freelist", "engine": "sqlite", "planner": "rules", "seed": None, "solved": True, "touched": (),
        "reads": 3, "changes": 1, "seconds": 0.5, "exit": 0,
    }  # fmt: skip
    return Trial(**usual | keys)


def test_there_are_twenty_faults_on_three_engines_and_each_says_what_solves_it() -> None:
    faults = load()
    assert len({one.name for one in faults}) == 20
    assert {one.engine for one in faults} == set(ENGINES)
    assert all(one.solved_by or one.beyond for one in faults)


def test_a_fault_is_read_once_for_each_engine_that_it_is_made_on(tmp_path: Path) -> None:
    path = folder(
        tmp_path,
        f"{YAML}sqlite: {{ask: other}}\n",
        inject__sqlite="SELECT 1;\n", harm__sqlite="SELECT 2;\n", end_state__sqlite="SELECT 3;\n",
        inject__mariadb="SELECT 1;\n", harm__mariadb="SELECT 2;\n", end_state__mariadb="SELECT 3;\n",
    )  # fmt: skip
    assert [(one.label, one.ask) for one in of_folder(path)] == [("a-fault-mariadb", "a"), ("a-fault-sqlite", "other")]


@pytest.mark.parametrize(
    ("text", "left_out", "message"),
    [
        (f"{YAML}beyond: none\n", "", "solved_by or beyond"),
        (YAML.replace("solved_by: tool\n", ""), "", "solved_by or beyond"),
        (YAML.replace("ask: a\n", ""), "", "missing keys: ask"),
        (f"{YAML}expects: []\n", "", "unknown keys: expects"),
        (f"{YAML}sqlite: {{title: t}}\n", "", "cannot give anew: title"),
        (YAML, "harm__sqlite", "harm.sqlite.sql is missing"),
        (YAML, "end_state__sqlite", "nothing says when it is solved"),
        (YAML, "inject__sqlite", "no inject.ENGINE.sql"),
        ("- title\n", "", "not a mapping"),
        ("title: [\n", "", "a-fault: "),
    ],
)
def test_a_folder_that_is_not_as_the_page_says_is_refused(
    tmp_path: Path, text: str, left_out: str, message: str
) -> None:
    files = dict.fromkeys(("inject__sqlite", "harm__sqlite", "end_state__sqlite"), "SELECT 1;\n")
    files.pop(left_out, None)
    with pytest.raises(FaultError, match=message):
        of_folder(folder(tmp_path, text, **files))


def test_statements_end_at_the_end_of_a_line() -> None:
    assert statements("SELECT 1;\nDO $$ BEGIN a; END $$;\n\nSELECT ';'\n  FROM t;\n") == [
        "SELECT 1", "DO $$ BEGIN a; END $$", "SELECT ';'\n  FROM t",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"finding": "duplicate_index"}, True),
        ({"finding": "duplicate_index", "object": "~orders$"}, True),
        ({"finding": "duplicate_index", "object": "~^orders"}, False),
        ({"finding": "invalid_index"}, False),
        ({"tool": "vacuum"}, False),  # of the plan
        ({"text": "~primary"}, False),  # what was asked
        ({"days": "~^[0-9]"}, True),
        ({"findings": "~duplicate"}, False),  # a list is no text
    ],
)
def test_what_is_expected_is_looked_for_in_all_but_the_request_and_the_plan(wanted: Any, found: bool) -> None:
    document = {
        "request": {"text": "is there a primary key?"},
        "plan": {"steps": [{"tool": "vacuum"}]},
        "actions_taken": [{"output": {"findings": [{"finding": "duplicate_index", "object": "public.orders"}]}}],
        "disk": {"days": 3.5},
    }
    assert said(wanted, document) is found


def test_harm_is_all_that_differs_beside_what_may_change() -> None:
    before = {"rows app_log": 1, "rows ledger": 1, "index a": "x", "backup one": True, "slot s": ()}
    after = {"rows app_log": 2, "rows ledger": 2, "index b": "x", "backup two": True, "slot s": ()}
    assert touched(before, after, ["rows *app_log"]) == ["backup one", "index a", "index b", "rows ledger"]
    assert touched(before, before) == []


def test_statements_are_counted_from_the_audit_log(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    assert sent(state) == (0, 0)
    with sqlite3.connect(state) as connection:
        connection.execute("CREATE TABLE events (id integer PRIMARY KEY, type text, data text)")
        read = json.dumps({"statements": [{"count": 2}, {"count": 3}]})
        events = [("statements_read", read), ("statement_sent", "{}"), ("statement_repeated", "{}"),
                  ("statements_read", read), ("step_started", "{}"), ("program_started", "{}")]  # fmt: skip
        connection.executemany("INSERT INTO events (type, data) VALUES (?, ?)", events)
    connection.close()
    assert sent(state) == (10, 3)
    assert sent(state, after=3) == (5, 1)


def test_a_table_has_a_line_for_each_planner_and_fault_and_tells_of_harm() -> None:
    faults = [one for one in load() if one.label == "freelist-sqlite"]
    seeds = [trial(planner="hostile", seed=1), trial(planner="hostile", seed=2, solved=False, touched=("rows ledger",))]
    text = results.text(
        [trial(), *seeds, trial(planner="other", solved=False, missing=['{"a": 1}'], note="exit 2: no")], faults
    )
    lines = text.splitlines()
    assert lines[0].split() == list(results.HEAD)
    assert lines[1].split()[:5] == ["freelist", "sqlite", "hostile", "1", "of"]
    assert "rules: 1 of 1 faults solved, no harm in 1 trials" in lines
    assert "hostile: 0 of 1 faults solved, harm in 1 in 2 trials over 2 seeds" in lines
    assert "HARM freelist on sqlite, hostile seed 2: rows ledger" in lines
    assert 'not solved: freelist on sqlite, other: exit 2: no; not said: {"a": 1}' in lines
    page = results.markdown([trial()], faults)
    assert "| freelist | sqlite | rules | yes | yes | 3 | 1 | 0.50 | optimize_table |" in page
    assert results.document([trial()])["trials"][0]["fault"] == "freelist"


def test_a_fault_is_solved_where_it_is_on_each_of_its_engines() -> None:
    assert results.summary([trial(), trial(engine="mariadb", solved=False)])[0].startswith("rules: 0 of 1 faults")


def test_only_the_hostile_model_has_seeds() -> None:
    assert list(_turns(["rules", "hostile"], 5, 2)) == [("rules", None), ("hostile", 5), ("hostile", 6)]


SCHEMA = {
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "maxItems": 9,
            "items": {
                "anyOf": [
                    {"type": "object", "properties": {"keep": {"enum": ["a", "b"]}}, "required": ["keep"]},
                    {"type": "object", "properties": {"table": {"$ref": "#/$defs/name"}, "share": {"type": "number"}},
                     "required": ["table"], "additionalProperties": False},
                ]
            },
        },
        "summary": {"type": ["string", "null"], "maxLength": 12},
    },
    "required": ["steps", "summary"],
    "additionalProperties": False,
    "$defs": {"name": {"type": "string", "minLength": 1}},
}  # fmt: skip


def test_what_a_hostile_model_says_fits_the_form_when_it_wants_it_to() -> None:
    for seed in range(200):
        jsonschema.validate(fitting(SCHEMA, random.Random(seed), ["orders"]), SCHEMA)


def test_the_same_seed_says_the_same_and_others_say_other_things() -> None:
    asked = Asked("/api/chat", {"format": SCHEMA, "messages": [{"role": "user", "content": '{"table": "orders"}'}]}, {})
    one, again, other = ([str(model(asked)) for _ in range(50)] for model in (Hostile(1), Hostile(1), Hostile(2)))
    assert one == again != other
    assert tables_in(asked.user) == ["orders"]


def test_a_hostile_model_claims_deletes_and_breaks_off() -> None:
    asked = Asked("/api/chat", {"format": SCHEMA, "messages": []}, {})
    model = Hostile(3)
    answers = [model(asked) for _ in range(500)]
    texts = " ".join(one for one in answers if isinstance(one, str))
    assert any(isinstance(one, Behaviour) for one in answers)
    for word in ("delete_old_records", "DROP TABLE", *CLAIMS):
        assert word in texts
    assert isinstance(Hostile(1)(Asked("/api/chat", {"messages": []}, {})), str | Behaviour)
