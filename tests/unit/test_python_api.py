"""The public names are those of docs/python-api.md, whose examples run as they stand; `import aishell` costs nothing."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import subprocess
import sys
import types
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import aishell

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python-api.md"
NAMES = sorted(set(aishell.__all__) - {"__version__"})
#: Of these every field is documented; of the others those that are not may change.
WHOLE = set(
    """Task Draft Step Estimate Evidence LeftOut Plan StepPreview Verdict Reason Request RunResult StepResult Table Index Question
    Violation Approve Edit Skip Reject Later Sent""".split()
)


def rows() -> dict[str, set[str]]:
    """The fields of each class in the tables of the page."""
    _, _, values = PAGE.read_text().partition("\n## Values\n")
    return {
        name: set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", fields)))
        for name, fields in re.findall(r"^\| `(\w+)` \| (.*) \|$", values, re.MULTILINE)
    }


def test_the_page_names_every_public_name_and_no_other() -> None:
    text = PAGE.read_text()
    assert [name for name in aishell.__all__ if not re.search(rf"`(aishell\.)?{name}\b", text)] == []
    used = set(re.findall(r"\baishell\.([A-Z]\w+)", text)) | set(rows())
    assert used - set(NAMES) == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_says_what_it_is(name: str) -> None:
    said = vars(getattr(aishell, name)).get("__doc__") if name != "plain" else aishell.plain.__doc__
    assert said
    assert not said.startswith(f"{name}(")  # what dataclasses write by themselves


@pytest.mark.parametrize("name", sorted(rows()))
def test_the_fields_on_the_page_are_there(name: str) -> None:
    own = getattr(aishell, name)
    fields = {field.name for field in dataclasses.fields(own)} if dataclasses.is_dataclass(own) else set()
    assert {field for field in rows()[name] if field not in fields and not hasattr(own, field)} == set()
    if name in WHOLE:
        assert fields - rows()[name] == set()


def test_type_checkers_and_programs_find_the_same() -> None:
    (checking,) = (
        node
        for node in ast.parse((ROOT / "aishell" / "__init__.py").read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    told = {
        (alias.asname or alias.name, f"{node.module}:{alias.name}")
        for node in checking.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == {(name, f"aishell.{module}:{own}") for name, (module, own) in aishell._WHERE.items()}
    assert {name for name, _ in told} == set(NAMES)
    assert set(dir(aishell)) >= set(NAMES)


def test_importing_aishell_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import aishell, json; print(json.dumps([*{*sys.modules} - before]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(ran.stdout))
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"aishell"}
    assert {name for name in loaded if name.startswith("aishell")} == {"aishell", "aishell.version"}


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Orchestrator'"):
        aishell.Orchestrator  # noqa: B018


def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from aishell import sample

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "aishell.yaml").touch()
    (tmp_path / "config" / "targets.yaml").write_text(
        "targets: {sample: {url: 'sqlite:///sample.db', environment: local}}\n"
    )
    sample.make(tmp_path / "sample.db")
    names: dict[str, object] = {"__name__": "page"}
    said = []
    for example in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(example, str(PAGE), "exec", dont_inherit=True), names)
        said.append(capsys.readouterr().out)

    planned, approved, mistaken, *defined = said
    assert "success 0 " in planned
    assert " done " in approved
    assert "unknown target 'smaple'" in mistaken
    assert "did you mean 'sample'? 2" in mistaken
    assert defined == [""] * 4

    module = types.ModuleType("page")
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, "page", module)
    point = EntryPoint("refresh", "page:Refresh", "aishell.agents")
    monkeypatch.setattr("aishell.agents.loading.entry_points", lambda group: [point])
    with aishell.Site.open() as site:
        result = site.run(aishell.Task("refresh", "sample", {"only": "orders"}))
        server = site.plan(aishell.Task("maintenance", "sample")).inventory.server
    assert (result.status, result.reasoning) == ("success", "1 of 1 tables were analyzed.")

    (fault,) = module.Watch().check_settings({"most_rows": 1})
    assert fault.at == ("most_rows",)

    weekday = datetime(2026, 11, 23, tzinfo=UTC)
    context = aishell.ConstraintContext(
        site.registry("sqlite").pick("update_table_statistics", server),
        aishell.Target("sample", "sqlite:///sample.db"),
        server,
        (aishell.Table("main", "orders", "table", bytes=10),),
        now=weekday,
    )
    refused = module.LargeOnWeekdays(max_bytes=5).check(aishell.Step("a", "update_table_statistics"), context)
    assert refused.decision is aishell.Decision.DENY
    assert module.LargeOnWeekdays(max_bytes=10).check(aishell.Step("a", "update_table_statistics"), context) is None
    weekend = dataclasses.replace(context, now=datetime(2026, 11, 22, tzinfo=UTC))
    assert module.LargeOnWeekdays(max_bytes=5).check(aishell.Step("a", "update_table_statistics"), weekend) is None
