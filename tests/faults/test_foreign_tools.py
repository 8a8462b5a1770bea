"""A site's own Python tool ends at its limit, and with the run, whatever it does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from aishell.databases.base import SessionOptions
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.errors import DatabaseError, StepError, UnexpectedError
from aishell.registry.header import read_tool
from aishell.registry.tool import Tool
from aishell.running.context import Context, InDoubtError
from aishell.running.dispatch import run
from tests.servers import wait_until

TOOL = """name: foreign_one
category: report
risk: {risk}
capabilities: [database_read]
runs: python
implementation: foreign_tools:{name}
max_execution_time: {limit}
idempotent: true
parameters: {{text: {{type: string, default: ''}}}}
returns: {{said: {{type: string}}}}
examples: [{{params: {{}}}}]
description: Does as it likes.
"""
MODULE = """
import os, signal, subprocess, sys, time
from aishell.databases.base import Statement
from aishell.errors import StepError


def asks(params, context):
    print("not an answer")
    sys.stdout.flush()
    statement = Statement("SELECT 'from the database' AS said", {}, "SELECT …")
    with context.reading() as session:
        context.on_sent(statement, session)
        context.progress(1, 2, "half")
        (row,) = session.query(statement)
    return {"said": f"{row['said']} {params['text']} {context.run_id} {os.getpid()}"}


def sleeps(params, context):
    time.sleep(3600)


def spins(params, context):
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


def notes(params, context):
    with open(params["text"], "w") as file:
        file.write(str(os.getpid()))
    time.sleep(3600)


def starts(params, context):
    started = subprocess.Popen(["sleep", "3600"])
    with open(params["text"], "w") as file:
        file.write(str(started.pid))
    time.sleep(3600)


class Own:
    pass


def returns(params, context):
    Own.__module__ = "only_there"
    sys.modules["only_there"] = sys.modules[__name__]
    return {"said": Own()}


def leaves(params, context):
    os._exit(3)


def falls(params, context):
    os.kill(os.getpid(), signal.SIGSEGV)


def refuses(params, context):
    raise StepError("not today", hint="tomorrow")


def raises(params, context):
    raise OverflowError("1e999")
"""


@pytest.fixture
def context(tmp_path: Path, sqlite_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    (tmp_path / "foreign_tools.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    database = open_database(parse_url(f"sqlite:///{sqlite_path}"))
    return Context(database, "aishell:test:0", SessionOptions(), run_id="r1")


def tool(name: str, *, limit: int = 600, risk: str = "safe") -> Tool:
    return read_tool(TOOL.format(name=name, limit=limit, risk=risk), "tools/common/foreign_one.yaml", "common")


def test_it_asks_the_database_and_answers_from_a_process_of_its_own(context: Context) -> None:
    sent, seen, heard = [], [], []
    context.database.hears = lambda one, session: heard.append(
        (one.text, one.source, session.marker, session.read_only)
    )
    context.on_sent = lambda statement, session: sent.append((statement.text, session.server_session))
    context.progress = lambda *told: seen.append(told)
    said = run(tool("asks"), {"text": "é"}, None, context).output["said"]
    assert said.startswith("from the database é r1 ")
    assert int(said.split()[-1]) != os.getpid()
    assert [text for text, _ in sent] == ["SELECT …"]
    assert heard == [("SELECT …", "tools/common/foreign_one.yaml", "aishell:test:0", True)], "for the audit log"
    assert seen == [(1, 2, "half")]


@pytest.mark.parametrize("name", ["sleeps", "spins"])
@pytest.mark.parametrize(("risk", "error"), [("safe", StepError), ("medium", InDoubtError)])
def test_its_limit_holds(context: Context, name: str, risk: str, error: type[StepError]) -> None:
    with pytest.raises(error, match="ended after 1 s, its max_execution_time") as told:
        run(tool(name, limit=1, risk=risk), {}, None, context)
    assert type(told.value) is error


def test_what_it_has_started_ends_with_it(context: Context, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(StepError, match="ended after 3 s"):
        run(tool("starts", limit=3), {"text": str(note)}, None, context)
    ended(int(note.read_text()))


@pytest.mark.parametrize(("name", "how"), [("leaves", "exit status 3"), ("falls", "signal SIGSEGV")])
def test_a_process_that_ends_without_an_answer_is_a_failure(context: Context, name: str, how: str) -> None:
    with pytest.raises(StepError, match=f"ended without a result \\({how}\\)"):
        run(tool(name), {}, None, context)


def test_a_result_of_a_class_of_its_own_cannot_be_read(context: Context) -> None:
    """The class exists in its process alone; here its import fails, which left the run waiting for the time limit."""
    with pytest.raises(StepError, match="its result cannot be read"):
        run(tool("returns"), {}, None, context)


def test_what_it_raises_is_told(context: Context, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"^not today$") as refused:
        run(tool("refuses"), {}, None, context)
    assert refused.value.hint == "tomorrow"
    with pytest.raises(UnexpectedError, match="the tool foreign_one raised OverflowError: 1e999"):
        run(tool("raises"), {}, None, context)
    (kept,) = (tmp_path / "state/aishell/traces").iterdir()
    assert "foreign_tools.py" in kept.read_text()


def test_an_interrupt_ends_it(context: Context, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    context.cancelled = lambda: note.exists() and bool(note.read_text())
    with pytest.raises(DatabaseError) as told:
        run(tool("notes", risk="medium"), {"text": str(note)}, None, context)
    assert told.value.kind == "cancelled"
    ended(int(note.read_text()))


def test_it_ends_with_the_process_that_called_it(context: Context, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    if (caller := os.fork()) == 0:
        try:
            run(tool("notes"), {"text": str(note)}, None, context)
        finally:
            os._exit(0)
    wait_until(lambda: note.exists() and note.read_text(), "the tool runs")
    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)
    ended(int(note.read_text()))


def ended(pid: int) -> None:
    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        except OSError:
            return True

    wait_until(gone, "the tool's process ends")
