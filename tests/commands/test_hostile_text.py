"""Text from outside, in every place that it comes from: shown and never obeyed, and the same value in JSON."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.commands.terminal import Terminal
from tests.faults.test_boundary import POINTS, TOOL
from tests.fix_aishell import Aishell
from tests.hostile_text import PIECES, TEXT, obeyed, raw


def run(aishell: Aishell, *words: str, codes: Iterable[int] = (), **environment: str) -> str:
    """What a command printed as text, on both streams, byte for byte: nothing of it is obeyed."""
    running = aishell.start(*words, **environment)
    ended = running.wait()
    said = (running.out.read_bytes() + running.err.read_bytes()).decode()
    assert raw(said) == [], words
    assert obeyed(said) == [], words
    assert not codes or ended.code in codes, said
    assert "Traceback" not in said
    return said


def document(aishell: Aishell, *words: str, **environment: str) -> Any:
    """The document of a command on standard output; neither it nor what stands beside it is obeyed."""
    running = aishell.start(*words, "--output", "json", **environment)
    running.wait()
    out, err = (path.read_bytes().decode() for path in (running.out, running.err))
    assert raw(out + err) == [], words
    assert obeyed(err) == [], words
    return json.loads(out)


def both(aishell: Aishell, *words: str, **environment: str) -> tuple[str, Any]:
    return run(aishell, *words, **environment), document(aishell, *words, **environment)


#: Command lines, with X where the text stands.
LINES = """
X
--site X runs list
--state X runs list
run X
run maintenance --X
run maintenance --target X
run maintenance --target=X --target=shop
run maintenance --label X
run maintenance --url X
run maintenance --url sqlite:///X
run maintenance --url postgresql://u@127.0.0.1:1/X
run maintenance --url mysql://X@127.0.0.1:1/d
run maintenance --url sqlite:///shop.db --environment X
run maintenance --url sqlite:///shop.db --set X
run maintenance --url sqlite:///shop.db --set X=1
run maintenance --url sqlite:///shop.db --set maintenance_type=X
run maintenance --type X
run maintenance --url sqlite:///shop.db --table X --dry-run
run maintenance --until X
run maintenance --jobs X
plan maintenance --url sqlite:///shop.db --out X
apply X
runs list --state X
runs list --target X
runs list --limit X
runs show X
runs resume X
runs undo X
runs events X
runs report X
digest --since X
digest --since 1h --out X
approvals show X
approvals approve X
archives verify X
archives load X
backups show X
backups verify --target X
backups restore X
policy test --tool X --target shop
policy test --tool optimize_table --target X
tools show X
tools check X
tools list --category X
targets test X
doctor --target X
doctor --url sqlite:///X
audit verify --against X
audit export --run X
init X
""".strip().splitlines()


@pytest.fixture
def shop(aishell: Aishell) -> Path:
    """A database beside the configuration."""
    path = aishell.site / "shop.db"
    sqlite3.connect(path).close()
    return path


OUTPUTS = ("text", "json")


def printed(aishell: Aishell, output: str, *words: str) -> None:
    if output == "json":
        document(aishell, *words)
    else:
        run(aishell, *words, codes=(0, 1, 2))


@pytest.mark.sampled
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("line", LINES)
def test_what_is_typed(aishell: Aishell, shop: Path, line: str, output: str) -> None:
    words = [word.replace("X", TEXT) for word in line.split()]
    as_text = words[0] in ("audit", "init", "approvals", "digest") or words[1:2] == ["report"]  # which know no --output
    printed(aishell, "text" if as_text else output, *words)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_an_encoding_that_lacks_characters(aishell: Aishell, encoding: str) -> None:
    """They are named as what cannot be seen is, and JSON is the same."""
    text = f"é象✓{TEXT}"
    words = [sys.executable, "-m", "aishell", *aishell.command("runs", "show", text, "--output", "json")]
    env = aishell.environment(PYTHONIOENCODING=encoding)
    ended = subprocess.run(words, cwd=aishell.site, env=env, capture_output=True, check=False)
    said = ended.stderr.decode(encoding)
    assert raw(said) == []
    assert ("é<U+8C61><U+2713>" if encoding == "latin-1" else "<U+00E9><U+8C61><U+2713>") in said
    assert repr(text)[:90] in json.loads(ended.stdout)["error"]["message"], "a long name is cut"


CONFIGURATION: dict[str, tuple[str, Any]] = {
    "a key": ("aishell.yaml", {TEXT: 1}),
    "a value": ("aishell.yaml", {"safety_level": TEXT}),
    "a hook": ("aishell.yaml", {"hooks": [TEXT]}),
    "a folder of programs": ("aishell.yaml", {"programs": TEXT}),
    "the default": ("aishell.yaml", {"default_target": TEXT}),
    "a URL": ("targets.yaml", {"targets": {"shop": {"url": TEXT}}}),
    "an environment": ("targets.yaml", {"targets": {"shop": {"url": "sqlite:///shop.db", "environment": TEXT}}}),
    "a zone": ("targets.yaml", {"targets": {"shop": {"url": "sqlite:///shop.db", "time_zone": TEXT}}}),
    "a file": ("targets.yaml", {"targets": {"shop": {"url": "postgresql://u@h/d", "password_file": TEXT}}}),
    "a command": ("targets.yaml", {"targets": {"shop": {"url": "postgresql://u@h/d", "password_command": [TEXT]}}}),
    "a rule": ("policy.yaml", {"rules": [{"tool": TEXT, "decision": "confirm"}]}),
    "a decision": ("policy.yaml", {"rules": [{"tool": "optimize_table", "decision": TEXT}]}),
    "an agent's key": ("agents/maintenance.yaml", {TEXT: 1}),
}


@pytest.mark.sampled
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("line", ["run maintenance --dry-run", "doctor", "targets list", "targets test"])
@pytest.mark.parametrize("place", CONFIGURATION)
def test_what_is_configured(aishell: Aishell, shop: Path, place: str, line: str, output: str) -> None:
    name, value = CONFIGURATION[place]
    aishell.configure(name, json.dumps(value))
    printed(aishell, output, *line.split())


@pytest.mark.parametrize("name", ["targets.yaml", "aishell.yaml"])
def test_a_file_that_cannot_be_parsed(aishell: Aishell, name: str) -> None:
    aishell.configure(name, f"a: [{TEXT}\n{TEXT}: :")
    both(aishell, "targets", "list")


def test_names_of_several_targets(aishell: Aishell, shop: Path) -> None:
    """Of all at once; the first two cannot be reached."""
    names = [f"{n}{TEXT}" for n in range(3)]
    urls = ["postgresql://u@127.0.0.1:1/d", f"sqlite:///{shop}-not", f"sqlite:///{shop}"]
    known = {name: {"url": url, "labels": [TEXT]} for name, url in zip(names, urls, strict=True)}
    aishell.configure("targets.yaml", json.dumps({"targets": known}))
    said, told = both(aishell, "run", "maintenance", "--all", "--dry-run")
    assert "<U+001B>[31mred" in said
    assert [one.get("target", names[2]) for one in told["runs"]] == names
    assert [row["name"] for row in both(aishell, "targets", "list")[1]] == names
    assert [row["target"] for row in both(aishell, "targets", "test")[1]] == names
    assert [
        one["target"] for one in both(aishell, "run", "log-cleanup", "--label", TEXT, "--discover")[1]["targets"]
    ] == names
    for words in (
        ("run", "backup", "--all", "--yes"),
        ("backups", "list"),
        ("backups", "verify"),
        ("backups", "prune", "--set", "count=1", "--yes"),
        ("doctor", "--target", names[2]),
        ("policy", "test", "--tool", "optimize_table", "--target", names[0]),
        ("run", "maintenance", "--target", names[2], "--yes", "--type", "quick"),
        ("runs", "list"),
    ):
        run(aishell, *words)
    for backup in {row["backup_id"] for row in document(aishell, "backups", "list")}:
        assert both(aishell, "backups", "show", backup)[1]["target"] == names[2]


def logs(db: Any, names: Iterable[str], quote: Callable[[str], str], trigger: str = "") -> None:
    for name in names:
        db.execute(f"CREATE TABLE {quote(name)} (id INTEGER PRIMARY KEY, at TIMESTAMP NOT NULL)")
        db.execute(f"INSERT INTO {quote(name)} VALUES (1, '2020-01-01 00:00:00'), (2, '2037-01-01 00:00:00')")
        if trigger:
            db.execute(trigger.format(quote(name)))


def in_sqlite(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def made(path: Path, trigger: str = "") -> str:
    """The URL of a database with a log table of each name."""
    with closing(sqlite3.connect(path)) as db:
        logs(db, PIECES, in_sqlite, trigger)
        db.commit()
    return f"sqlite:///{path}"


def table_words() -> list[str]:
    return [word for name in PIECES for word in ("--table", name)]


def test_names_in_a_database(aishell: Aishell, tmp_path: Path) -> None:
    """Seen, asked about, answered with a hostile reason, executed and reported."""
    url = made(tmp_path / "logs.db")
    run(aishell, "run", "maintenance", "--url", url, "--type", "full", "--verbose", "--dry-run", codes=(0,))
    run(aishell, "run", "log-cleanup", "--url", url, "--discover", codes=(0,))
    words = ("run", "log-cleanup", "--url", url, "--retention-days", "30", *table_words())
    planned = document(aishell, *words, "--dry-run")
    assert {step["params"]["table"] for step in planned["plan"]["steps"] if "table" in step["params"]} >= set(PIECES)
    run(aishell, *words, "--non-interactive", codes=(3,))
    waiting = document(aishell, "approvals", "list")
    run(aishell, "approvals", "list", codes=(0,))
    assert len(waiting) == len(PIECES)
    first, second, third = (row["id"] for row in waiting[:3])
    run(aishell, "approvals", "show", first, codes=(0,))
    run(aishell, "approvals", "reject", second, "--reason", TEXT, codes=(0,))
    run(aishell, "approvals", "approve", third, "--reason", TEXT, codes=(0,))
    run_id = aishell.only_run()
    run(aishell, "runs", "resume", run_id, codes=(5,))
    whys = [step["why"] for step in document(aishell, "runs", "show", run_id)["steps"]]
    assert [str(why).endswith(f": {TEXT}") for why in whys].count(True) == 1
    for command in ("show", "events", "checkpoints"):
        run(aishell, "runs", command, run_id, codes=(0,))
        document(aishell, "runs", command, run_id)
    exported = [json.loads(line) for line in run(aishell, "audit", "export").splitlines()]
    assert any(event["data"].get("reason") == TEXT for event in exported)
    run(aishell, "run", "maintenance", "--url", url, "--environment", "test", "--yes", "--type", "full", codes=(0,))


MESSAGE = "\x1b[31mred\x1b]0;t\x07\x9b8m\u202eevil\x85new\nline[red]x[/red] co:x:bug:"


def test_messages_of_sqlite(aishell: Aishell, tmp_path: Path) -> None:
    refuses = f"CREATE TRIGGER IF NOT EXISTS no BEFORE DELETE ON {{}} BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
    path = tmp_path / "logs.db"
    with closing(sqlite3.connect(path)) as db:
        logs(db, ["log"], in_sqlite, refuses)
        db.commit()
    refused(aishell, f"sqlite:///{path}")


def test_messages_of_postgresql(aishell: Aishell, pg_current: Any) -> None:
    pg_current.execute(
        f"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{MESSAGE}'; END $$"
    )
    no = "CREATE TRIGGER no BEFORE DELETE ON {} FOR EACH ROW EXECUTE FUNCTION no()"
    logs(pg_current, ["log"], in_sqlite, no)
    refused(aishell, pg_current.url)


def test_messages_of_mariadb(aishell: Aishell, mariadb: Any) -> None:
    no = f"CREATE TRIGGER no BEFORE DELETE ON {{}} FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{MESSAGE}'"
    logs(mariadb, ["log"], lambda name: f"`{name}`", no)
    refused(aishell, mariadb.url)


def refused(aishell: Aishell, url: str) -> None:
    """A log whose rows a trigger does not let go."""
    words = (
        "run",
        "log-cleanup",
        "--url",
        url,
        "--environment",
        "test",
        "--table",
        "log",
        "--retention-days",
        "30",
        "--yes",
    )
    said = run(aishell, *words, codes=(1,))
    assert "[31mred" in said
    # MariaDB writes out a control character of a message itself.
    written = MESSAGE.replace("\x1b", "\\001B").replace("\x07", "\\0007") if url.startswith("mysql") else MESSAGE
    written = written.replace("\x9b", "\\009B").replace("\x85", "\\0085") if url.startswith("mysql") else written
    assert written in document(aishell, *words)["error"]["message"]
    for row in document(aishell, "runs", "list"):
        both(aishell, "runs", "show", row["run_id"])
        both(aishell, "runs", "events", row["run_id"])


def test_messages_of_programs(aishell: Aishell, pg_current: Any, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (programs / name).write_text(
            f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{name} (PostgreSQL) 99.0' && exit\n"
            f"printf %s {shlex.quote(TEXT)} >&2\nexit 1\n"
        )
        (programs / name).chmod(0o755)
    aishell.configure("aishell.yaml", json.dumps({"programs": str(programs)}))
    said, told = both(aishell, "run", "backup", "--url", pg_current.url, "--environment", "test", "--yes")
    assert "<U+001B>[31mred" in said
    assert "\x1b[31mred" in told["error"]["message"]
    both(aishell, "doctor", "--url", pg_current.url)


#: A hook, an agent and a tool of a site's own, which say what they like in every way that Python has.
FOREIGN = f'''
import logging, subprocess, sys, warnings
from aishell.agents.base import Agent, Draft
from aishell.models import AgentConfig, Step

TEXT = {TEXT!r}


def talk():
    print(TEXT, file=sys.stderr)
    sys.stderr.write(TEXT)
    warnings.warn(TEXT)
    logging.getLogger("foreign").error(TEXT)


class Visitor(Agent):
    """Calls a tool of its own."""

    type = "visitor"
    defaults = AgentConfig("visitor", "visitor", frozenset({{"database_read"}}))
    inputs = {{}}

    def draft(self, task, inventory):
        talk()
        return Draft((Step(id="visit", tool="visit", params={{}}, rationale=TEXT),), warnings=(TEXT,))

    def summarise(self, task, results):
        return {{}}, TEXT


def visit(params, context):
    talk()
    print(TEXT)
    sys.stderr.flush()
    subprocess.run(["printf", "%s", TEXT], stdout=2)
    raise ValueError(TEXT)


class Hook:
    def before(self, call):
        talk()

    def after(self, call, result):
        talk()
        raise OSError(5, TEXT)


class Never:
    type = "never"

hook = Hook()
'''


@pytest.fixture
def visited(aishell: Aishell) -> Aishell:
    (aishell.site / "foreign.py").write_text(FOREIGN)
    package = aishell.site / "foreign-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(POINTS.partition("[aishell.constraints]")[0])
    tools = aishell.site / "tools" / "common"
    tools.mkdir(parents=True)
    (tools / "visit.yaml").write_text(TOOL.format(name="visit"))
    return aishell


def test_what_somebody_elses_code_prints_and_raises(visited: Aishell, shop: Path) -> None:
    words = ("run", "visitor", "--url", f"sqlite:///{shop}", "--environment", "test", "--yes")
    for more in ((), ("--verbose",), ("--dry-run",)):
        said = run(visited, *words, *more)
        assert "<U+001B>[31mred" in said
    assert run_of(visited, *words)["output_data"]["warnings"]
    running = visited.start("--debug", *words)
    running.wait()
    assert raw((running.out.read_bytes() + running.err.read_bytes()).decode()) == []
    for trace in (visited.home / ".local/state/aishell/traces").iterdir():
        assert raw(trace.read_text()) == []


def run_of(visited: Aishell, *words: str) -> Any:
    return document(visited, *words)


def test_on_a_terminal(tmp_path: Path) -> None:
    """With bars, a spinner, colours, a question and the report."""
    made(tmp_path / "logs.db")
    (tmp_path / "config").mkdir()
    targets = {"targets": {TEXT: {"url": f"sqlite:///{tmp_path}/logs.db", "environment": "test"}}}
    (tmp_path / "config" / "targets.yaml").write_text(json.dumps(targets))
    env = {**os.environ, "HOME": str(tmp_path), "TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "aishell", "--site", str(tmp_path)]
    words = ["run", "log-cleanup", "--target", TEXT, "--retention-days", "30", *table_words()]
    with Terminal([*command, *words], env=env, cwd=str(tmp_path)) as window:
        window.until("decide later\r\n? ")
        window.type("d")
        window.until("decide later\r\n? ")
        window.type("all")
        assert window.end() == 0
        assert raw(window.screen.replace("\r\n", "\n"), terminal=True) == []
        assert obeyed(window.screen) == []
    words = ["run", "maintenance", "--target", TEXT, "--type", "full", "--yes"]
    with Terminal([*command, *words], env=env, cwd=str(tmp_path)) as window:
        assert window.end() == 0
        assert raw(window.screen.replace("\r\n", "\n"), terminal=True) == []
        assert obeyed(window.screen) == []
