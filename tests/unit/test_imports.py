"""Imports follow the arrow of the architecture: never back, never in a circle. A command imports what it needs."""

from __future__ import annotations

import ast
import json
import re
import sqlite3
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "aishell"
#: Lowest first. A module imports from its own layer and from those before it. The longest matching name counts.
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "engines",
        "codec",
        "models",
        "moments",
        "errors",
        "commands",
        "telemetry",
        "interrupts",
        "sqlite_pool",
        "trust",
        "plugins",
        "processes",
        "version",
    ),
    ("notifying.conditions", "notifying.events", "notifying.sending"),
    ("reporting.units", "databases.quoting", "locations", "files", "claims"),
    ("settings", "databases", "archives", "telemetry.spans"),
    ("telemetry.otlp", "state"),
    ("llm",),
    ("registry",),
    ("running", "planning", "safety"),
    ("clients",),
    ("backups",),
    ("reporting",),
    ("agents",),
    (
        *(
            f"asking.{name}"
            for name in "ages conditions cues dates drafts following keeping names narrowing parts quantities".split()
        ),
        *(
            f"asking.{name}"
            for name in "questions reading refusals requests routing text time_words understanding words".split()
        ),
    ),
    ("scheduling", "workflows"),
    ("reporting.gathering", "reporting.needs"),
    ("notifying",),
    ("site_files",),
    ("execution",),
    ("services",),
    ("site",),
    ("scheduling.outlook",),
    (
        "scheduling.working",
        "scheduling.starting",
        "scheduling.configuration",
        "scheduling.daemon",
        "scheduling.chores",
        "workflows.reviewing",
        "workflows.working",
        "workflows.driving",
        "digest",
        "notifying.telling",
    ),
    ("asking",),
    ("metrics",),
    ("serving",),
    ("cli", "sample", "testing", "__main__", ""),
)
#: Layers that see less than all below them.
ONLY = {
    "engines": ("engines", "errors"),
    "codec": (),
    "models": ("codec",),
    "errors": (),
    "interrupts": (),
    "sqlite_pool": (),
    "trust": ("errors",),
    "plugins": ("errors", "telemetry", "trust"),
    "moments": ("errors",),
    "commands": (),
    "telemetry.logs": (),
    "telemetry.tracebacks": ("errors",),
    "state": (
        "telemetry",
        "codec",
        "files",
        "models",
        "moments",
        "errors",
        "commands",
        "interrupts",
        "sqlite_pool",
        "state",
    ),
}


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its name below `aishell`; the package itself is the empty name."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(part for part in parts if part != "__init__")] = path
    return names


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports of the package, anywhere in it: inside functions and for type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            root, _, rest = name.partition(".")
            if root == "aishell":
                found.add(rest if rest in modules() else rest.rpartition(".")[0])
    return frozenset(found - {module})


def layer(module: str) -> int:
    fits = [
        (len(name), number)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or (name and module.startswith(f"{name}."))
    ]
    assert fits, f"{module} is in no layer"
    return max(fits)[1]


def arrows() -> list[tuple[str, str]]:
    return [(module, other) for module in modules() for other in sorted(imports(module))]


def test_the_architecture_page_names_every_room_and_only_modules_that_exist():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)*\w+\.py)`", page)
    assert [name for name in named if not any((root / name).is_file() for root in (PACKAGE, PACKAGE.parent))] == []
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - set(re.findall(r"`(\w+)`", page)) == set()


def test_the_walk_sees_every_way_to_import():
    assert {"models", "errors", "databases.base", "databases.quoting"} <= imports("registry.render")
    assert "databases.sqlite" in imports("databases.opening")  # inside a function
    assert "site" in imports("")  # for type checking
    assert len(arrows()) > 150


def test_every_module_is_in_one_layer():
    assert {layer(module) for module in modules()} == set(range(len(LAYERS)))


def test_no_import_runs_back():
    back = [
        f"{module or 'aishell'} → {other or 'aishell'}" for module, other in arrows() if layer(other) > layer(module)
    ]
    assert back == []


@pytest.mark.parametrize("below", ONLY)
def test_the_lowest_layers_and_state_import_no_more_than_they_may(below):
    allowed = ONLY[below]
    wrong = [
        f"{module} → {other}"
        for module, other in arrows()
        if f"{module}.".startswith(f"{below}.") and other.split(".")[0] not in allowed
    ]
    assert wrong == []


def reached(start: str) -> set[str]:
    """Every module that `start` imports, through others too."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = imports(todo.pop()) - found
        found |= new
        todo += new
    return found


def test_no_imports_form_a_circle():
    circles = {tuple(sorted(o for o in reached(m) if m in reached(o))) for m in modules() if m in reached(m)}
    assert sorted(circles) == []


#: Runs a command as the entry point does, then says which modules that took.
RUN = """
import json, sys
from aishell.cli.main import main
try:
    main()
except SystemExit as ended:
    print(json.dumps([ended.code, sorted(sys.modules)]), file=sys.stderr)
"""
#: What drives runs, reaches servers, or has the last word on what seldom comes up.
HEAVY = set(
    """sqlalchemy psycopg pymysql jsonschema tenacity apscheduler ollama httpx httpcore pydantic rich.progress rich.markdown
    prometheus_client
    structlog opentelemetry
    aishell.execution.orchestrator aishell.agents.log_cleanup.agent aishell.agents.backup.agent""".split()
)
#: What a look at the store has no use for either.
WORK = {"yaml", "aishell.site", "aishell.settings", "aishell.registry", "aishell.databases", "aishell.execution"}


def imported(folder: Path, *arguments: str) -> set[str]:
    """The modules that a command has imported at its end."""
    (folder / "config").mkdir(exist_ok=True)
    command = [sys.executable, "-c", RUN, "--site", str(folder), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    code, names = json.loads(ended.stderr.splitlines()[-1])
    assert code == 0, ended.stderr
    return set(names)


@pytest.fixture(params=["table", "json"])
def output(request: pytest.FixtureRequest) -> tuple[str, str]:
    return "--output", request.param


def test_a_dry_run_on_sqlite_imports_no_more_than_it_needs(tmp_path: Path, output: tuple[str, str]):
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
    shop.close()
    url = f"sqlite:///{tmp_path}/shop.db"
    names = imported(tmp_path, "run", "maintenance", "--type", "quick", "--dry-run", "--url", url, *output)
    assert "aishell.execution.preview" in names
    assert names & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["doctor", "--help"]], ids=" ".join)
def test_help_imports_nothing_of_language_models(tmp_path: Path, arguments: list[str]):
    names = imported(tmp_path, *arguments)
    assert names & HEAVY == set()
    assert not {name for name in names if name.startswith("aishell.llm")}


def test_a_run_at_a_site_with_a_language_model_imports_nothing_of_it(tmp_path: Path):
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
    shop.close()
    (tmp_path / "config" / "agents").mkdir(parents=True)
    (tmp_path / "config" / "aishell.yaml").write_text("llm: {model: 'small:1b'}\n")
    (tmp_path / "config" / "agents" / "maintenance.yaml").write_text(
        "maintenance_agent: {llm_config: {model: small}}\n"
    )
    url = f"sqlite:///{tmp_path}/shop.db"
    names = imported(tmp_path, "run", "maintenance", "--type", "quick", "--yes", "--url", url, "--output", "json")
    assert "aishell.execution.orchestrator" in names
    assert not names & {"ollama", "httpx", "httpcore", "pydantic", "jsonschema"}
    assert not {name for name in names if name.startswith("aishell.llm")}


def test_the_list_of_runs_imports_no_more_than_the_store(tmp_path: Path, output: tuple[str, str]):
    names = imported(tmp_path, "runs", "list", *output)
    assert "aishell.state.store" in names
    assert names & (HEAVY | WORK) == set()


def test_what_starts_the_runs_of_schedules_loads_nothing_for_their_traces(tmp_path: Path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "aishell.yaml").write_text("tracing: {endpoint: 'http://127.0.0.1:9'}\n")
    names = imported(tmp_path, "schedule", "run-due")
    assert "aishell.scheduling.starting" in names
    assert names & {"aishell.telemetry.otlp", "opentelemetry.sdk", "requests", "google.protobuf"} == set()
