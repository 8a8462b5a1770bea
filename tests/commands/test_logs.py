"""Logs as lines of JSON: the events of the audit log, each once and none else, and no secret in any of them."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from aishell.databases.urls import without_urls
from tests.fix_aishell import Aishell
from tests.scheduled import back, nightly
from tests.servers import wait_until
from tests.workflows import targets, workflow, worn

#: A hook of a site: what it logs stands for what drivers and apprise do.
NOISE = """
import logging

URLS = ("postgresql://app:{secret}@db.test/shop?password={secret}", "slack://{secret}/B{secret}", "mailto://me:{secret}@mx.test")

class Noise:
    def after(self, call, result):
        for name in ("psycopg", "pymysql", "apprise", "urllib3.connectionpool", "opentelemetry", ""):
            logger = logging.getLogger(name)
            logger.setLevel(logging.DEBUG)
            for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
                for url in URLS:
                    logger.log(level, "sent to %s and %r", url, {{"password": "{secret}"}}["password"] and url)
        try:
            raise ValueError("no such place: " + URLS[0])
        except ValueError:
            logging.getLogger("psycopg").exception("lost")

hook = Noise()
"""
SECRET = "Tr0ub4dor-geheim"


def lines(text: str) -> list[dict[str, Any]]:
    """Each line is a document."""
    found = [json.loads(line) for line in text.splitlines()]
    assert all({"at", "level", "event", "host", "pid"} <= line.keys() for line in found)
    return found


def ours(found: Iterable[dict[str, Any]]) -> list[tuple[int, str]]:
    """Those of the audit log, in the order of the lines."""
    return [(line["number"], line["event"]) for line in found if "number" in line]


@pytest.fixture
def shop(aishell: Aishell) -> Aishell:
    targets(aishell, {"shop": f"sqlite:///{worn(aishell.site / 'shop.db')}"})
    return aishell


RUN = ("run", "maintenance", "--target", "shop", "--type", "full", "--yes")


def test_each_event_of_the_audit_log_is_a_line_with_run_step_and_tool(shop: Aishell):
    ended = shop("--log-format", "json", *RUN, "--output", "json", AISHELL_LOG_LEVEL="debug").expect(0)
    found = lines(ended.err)
    assert ours(found) == shop.rows("SELECT id, type FROM events ORDER BY id")
    for line in found:
        if "number" in line:
            assert (line["run_id"], line["agent"], line["target"]) == (ended.run_id, "maintenance", "shop")
    steps = {(line["step_index"], line["step_id"], line["tool"]) for line in found if line["event"] == "step_started"}
    assert steps == set(shop.rows("SELECT step_index, step_id, tool FROM steps WHERE attempt > 0"))
    assert {line["level"] for line in found if line["event"].startswith("statement")} == {"debug"}
    assert not [line for line in found if {"sql", "values", "params"} & line.get("data", {}).keys()]


def test_details_tell_of_connections_variants_and_claims(shop: Aishell):
    ended = shop("--log-level", "debug", *RUN, "--output", "json").expect(0)
    found = {line["event"]: line for line in lines(ended.err)}
    opened = found["connection_opened"]
    assert opened["data"]["to"].endswith("shop.db")
    assert opened["data"]["seconds"] >= 0
    chosen = found["variant_chosen"]["data"]
    assert chosen["file"].startswith("tools/sqlite/")
    assert chosen["servers"].startswith("sqlite")
    assert "connections_closed" in found
    quiet = lines(shop("--log-level", "info", *RUN, "--output", "json").expect(0).err)
    assert not {"connection_opened", "variant_chosen"} & {line["event"] for line in quiet}


def test_what_nobody_answers_is_a_warning_without_its_password(aishell: Aishell):
    url = f"postgresql://reader:{SECRET}@127.0.0.1:1/shop"
    ended = aishell(
        "--log-level", "warning", "run", "maintenance", "--url", url, "--dry-run", "--output", "json"
    ).expect(2)
    (failed,) = [line for line in lines(ended.err) if line["event"] == "connection_failed"]
    assert (failed["level"], failed["data"]["kind"]) == ("warning", "connect")
    assert SECRET not in ended.err


def test_into_a_file_go_events_and_people_read_what_they_always_did(shop: Aishell):
    shop.configure("aishell.yaml", "logging: {format: json, file: events.jsonl}\n")
    ended = shop(*RUN).expect(0)
    assert "✓ " in ended.err
    log = shop.site / "events.jsonl"
    assert log.stat().st_mode & 0o777 == 0o600
    first = lines(log.read_text())
    assert {line["event"] for line in first} >= {"state_changed", "step_started", "step_completed"}
    assert "statement_sent" not in {line["event"] for line in first}, "that is a detail"
    log.rename(log.with_suffix(".1"))
    shop(*RUN).expect(0)
    assert {line["run_id"] for line in lines(log.read_text())}.isdisjoint({line["run_id"] for line in first})


def test_no_library_is_heard_below_info_and_no_secret_stands_in_any_line(shop: Aishell):
    (shop.site / "noise.py").write_text(NOISE.format(secret=SECRET))
    shop.configure("aishell.yaml", "hooks: [noise:hook]\nlogging: {format: json, level: debug}\n")
    ended = shop(*RUN).expect(0)
    assert SECRET not in ended.err
    logged = [line for line in lines(ended.err) if line["event"] == "logged"]
    assert {line["level"] for line in logged} == {"info", "warning", "error"}, (
        "not even of loggers that are set to DEBUG"
    )
    assert {line["logger"] for line in logged} >= {"psycopg", "apprise", "urllib3.connectionpool", "root"}
    assert "sent to postgresql://db.test/shop and" in logged[0]["text"]
    (lost, *_) = [line for line in logged if line["text"] == "lost"]
    assert "ValueError: no such place: postgresql://db.test/shop" in lost["exception"]
    # Libraries know no runs; the thread of a step does.
    assert {line["run_id"] for line in logged} == {shop.only_run()}
    assert {(line["step_id"], line["tool"]) for line in logged} <= set(shop.rows("SELECT step_id, tool FROM steps"))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("place", ["pg_current", "mariadb"])
@pytest.mark.parametrize("right", [True, False])
def test_a_hostile_password_stands_in_no_line(
    aishell: Aishell, request: pytest.FixtureRequest, place: str, right: bool
):
    db = request.getfixturevalue(place)
    password = "p@ss:w/o?r#d[%]&x=y+z; 'größe\"\\\\"
    known = password if right else "another one"
    db.make_role("app", known) if place == "pg_current" else db.make_user("app", known, "ALL")
    url = f"{db.url.partition(':')[0]}://app:{quote(password, safe='')}@{db.url.partition('@')[2]}"
    targets(aishell, {"shop": url})
    ended = aishell(
        "--log-format", "json", "run", "maintenance", "--target", "shop", "--type", "quick", "--yes",
        AISHELL_LOG_LEVEL="debug",
    )  # fmt: skip
    found = lines(ended.err)
    assert ("step_completed" if right else "command_failed") in {line["event"] for line in found}
    texts = " ".join(str(line) for line in found)
    parts = (password, quote(password, safe=""), quote(password), "größe", "r#d[", quote("größe"))
    assert not [part for part in parts if part in texts + ended.out + ended.err]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://a:p@h:5432/db?sslmode=on", "postgresql://h:5432/db"),
        ("postgresql+psycopg://a@[::1]:5/db", "postgresql+psycopg://[::1]:5/db"),
        ("no mysql://root:p%40@h,h2:3306/db, alas", "no mysql://h,h2:3306/db, alas"),
        ("postgresql://a:p@w@h/db", "postgresql://…"),
        ("postgresql://h/db?password=a@b", "postgresql://…"),
        ("postgresql://user:secret", "postgresql://…"),
        ("slack://token/B1/C2", "slack://…"),
        ("(https://x.test/hook/secret)", "(https://…"),
        ("sqlite:////srv/shop.db?key=x", "sqlite:////srv/shop.db"),
    ],
)
def test_of_a_url_stands_what_tells_no_secret(text: str, shown: str):
    assert without_urls(text) == shown


def test_a_night_of_a_schedule_is_one_file_of_its_processes(shop: Aishell):
    nightly(shop, f"sqlite:///{shop.site}/shop.db")
    back(shop, "nightly", days=1)
    shop.configure("aishell.yaml", "logging: {file: night.jsonl}\n")
    shop("--log-format", "json", "schedule", "run-due").expect(0)
    found = lines((shop.site / "night.jsonl").read_text())
    mine = [line for line in found if line.get("run_id") == shop.only_run()]
    assert {line["schedule"] for line in mine} == {"nightly"}
    assert {line["event"] for line in mine} >= {"step_started", "step_completed"}
    decided = [line for line in found if line["event"] == "schedule_decided"]
    assert [line["data"]["decision"] for line in decided][-2:] == ["claimed", "ended"]
    assert {line["schedule"] for line in decided} == {"nightly"}
    assert len({line["pid"] for line in found}) == 2


def test_stages_of_a_workflow_tell_which_they_are(shop: Aishell):
    workflow(shop, "\n  tidy: {agent: maintenance, input: {maintenance_type: quick}}\n")
    log = str(shop.home / "log")
    shop("--log-format", "json", "run", "workflow", "night", "--target", "shop", AISHELL_LOG_FILE=log).expect(0)
    steps = [line for line in lines(Path(log).read_text()) if line["event"] == "step_completed"]
    ((number,),) = shop.rows("SELECT id FROM workflow_runs")
    assert {(line["workflow"], line["workflow_id"], line["stage"]) for line in steps} == {("night", number, "tidy")}


def test_all_that_a_daemon_says_is_lines(shop: Aishell):
    nightly(shop, f"sqlite:///{shop.site}/shop.db")
    daemon = shop.start("--log-format", "json", "schedule", "start")
    wait_until(lambda: "daemon_started" in daemon.err.read_text() or daemon.ended, "the daemon has begun")
    daemon.signal(signal.SIGTERM)
    found = lines(daemon.wait().expect(0).err)
    assert {"daemon_started", "daemon_stopped", "said"} <= {line["event"] for line in found}
    assert [line for line in found if line["event"] == "said" and line["text"].startswith("listening on ")]
    assert "logged" not in {line["event"] for line in found}, "what libraries say at INFO is a detail"


def test_a_command_that_fails_says_so_in_its_log(shop: Aishell):
    ended = shop("--log-format", "json", "runs", "show", "beef").expect(2)
    (failed,) = [line for line in lines(ended.err) if line["event"] == "command_failed"]
    assert (failed["level"], failed["data"]["exit_code"]) == ("error", 2)
    assert "no run" in failed["data"]["message"] or "unknown run" in failed["data"]["message"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("logging: {format: jsn}", "did you mean 'json'?"),
        ("logging:\n  format: json\n  level: loud", "aishell.yaml:3"),
        ("logging:\n  format: json\n  file: nowhere/x.jsonl", "aishell.yaml:3: the log cannot be written"),
        ("logging: {format: json, files: x}", "aishell.yaml:1"),
    ],
)
def test_wrong_configuration_is_refused_before_anything_and_an_emergency_stop_needs_none(
    shop: Aishell, text: str, told: str
):
    shop.configure("aishell.yaml", text)
    ended = shop(*RUN).expect(2)
    assert told in ended.err
    assert not shop.state.exists()
    ended = shop("hold", "--reason", "disk").expect(0)
    assert "nothing is logged" in ended.err
    with closing(sqlite3.connect(shop.state)) as state:
        assert state.execute("SELECT count(*) FROM holds").fetchone() == (1,)


def test_a_level_or_a_file_that_is_named_implies_lines(shop: Aishell, tmp_path: Path):
    shop("--log-file", str(tmp_path / "option.jsonl"), "--log-level", "debug", *RUN).expect(0)
    found = lines((tmp_path / "option.jsonl").read_text())
    assert {"debug", "info"} <= {line["level"] for line in found}
    assert (tmp_path / "option.jsonl").stat().st_mode & 0o777 == 0o600
    shop(*RUN, AISHELL_LOG_FILE=str(tmp_path / "variable.jsonl")).expect(0)
    assert {line["level"] for line in lines((tmp_path / "variable.jsonl").read_text())} == {"info"}
    ended = shop("--log-level", "error", *RUN, AISHELL_LOG_FORMAT="text").expect(0)
    assert "{" not in ended.err


def test_a_file_of_the_command_line_that_cannot_be_written_is_refused(shop: Aishell, tmp_path: Path):
    ended = shop("--log-file", str(tmp_path / "none" / "x.jsonl"), *RUN).expect(2)
    assert f"the log file {tmp_path}/none/x.jsonl cannot be written" in ended.err
    assert not shop.state.exists()
    assert "'loud' is not one of" in shop("--log-level", "loud", *RUN).expect(2).err


def test_stages_log_into_the_file_of_the_command_line(shop: Aishell, tmp_path: Path):
    workflow(shop, "\n  first: {agent: maintenance, input: {maintenance_type: quick}}\n", name="one")
    shop("--log-file", str(tmp_path / "all.jsonl"), "run", "workflow", "one", "--target", "shop", "--yes").expect(0)
    found = lines((tmp_path / "all.jsonl").read_text())
    assert len({line["pid"] for line in found}) > 1
    assert {line.get("stage") for line in found} >= {"first"}
