"""Traces: run → step → statement, as a collector gets them; and a collector that is no good hinders nothing."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aishell.databases.base import SessionOptions, Statement
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.databases.sanitised import sanitised
from aishell.errors import DatabaseError
from aishell.telemetry.otlp import MOST, Exported
from tests.bloated import Bloated
from tests.collector import CLIENT, INTERNAL, Collector, Got, collector
from tests.faults.killed import Fault
from tests.faults.killing import KILLED
from tests.fix_aishell import Aishell
from tests.scheduled import back, nightly
from tests.workflows import targets, workflow, workflow_id, worn


@pytest.fixture
def sink() -> Iterator[Collector]:
    with collector() as made:
        yield made


def traced(site: Aishell, sink: Collector, *more: str) -> None:
    site.configure("aishell.yaml", "\n".join((f"tracing:\n  endpoint: {sink.url}", *more)) + "\n")


def tree(sink: Collector, run_id: str) -> tuple[Got, dict[str, tuple[Got, list[Got]]]]:
    """A run's span, and by id its steps with their statements."""
    (run,) = [span for span in sink.spans if span.name.startswith("run ") and span.facts["aishell.run.id"] == run_id]
    below = sink.below(run.id)
    return run, {span.facts["aishell.step.id"]: (span, sink.below(span.id)) for span in below if span.kind == INTERNAL}


def sent(site: Aishell) -> Counter[tuple[str, str]]:
    """What was sent of each tool's block in steps, by the audit log."""
    found: Counter[tuple[str, str]] = Counter()
    for kind, data in site.rows("SELECT type, data FROM events WHERE step_index IS NOT NULL"):
        told = json.loads(data)
        if kind in ("statement_sent", "statement_repeated"):
            found[told["source"], told["block"]] += 1
        elif kind == "statements_read":
            for one in told["statements"]:
                found[one["source"], one["block"]] += one["count"]
    return found


def test_a_run_its_steps_and_their_statements_are_one_tree(aishell: Aishell, bloated: Bloated, sink: Collector):
    made = bloated.make()
    aishell.url = made.url
    traced(aishell, sink)
    ended = aishell.maintenance("full", "--jobs", "3").expect(0)
    run, steps = tree(sink, ended.run_id)
    assert {span.trace for span in sink.spans} == {ended.run_id}
    assert (run.parent, run.failed, run.facts["aishell.run.status"]) == ("", None, "success")
    assert run.resource["service.name"] == "aishell"
    assert {name: step.facts["aishell.step.status"] for name, (step, _) in steps.items()} == {
        name: status for name, status in ended.statuses().items() if name in steps
    }
    statements = [one for _, below in steps.values() for one in below]
    told = Counter((one.facts["aishell.source"], one.facts["aishell.block"]) for one in statements)
    assert not sent(aishell) - told
    # What a step is judged by is asked in its time too; the audit log has that with the run.
    assert {Path(source).name for source, _ in told - sent(aishell)} <= {"inspect_server.sql", "identify_objects.sql"}
    system = {"mysql": "mariadb"}.get(bloated.engine, bloated.engine)
    for step, below in steps.values():
        assert run.began <= step.began <= step.ended <= run.ended
        for one in below:
            assert step.began <= one.began <= one.ended <= step.ended
            assert one.kind == CLIENT
            assert one.facts["db.system.name"] == system
            assert one.name == f"{one.facts['db.operation.name']} {one.facts['db.namespace']}"
            assert ("server.address" in one.facts) == (system != "sqlite")
    assert any(one.facts["db.operation.name"] == "VACUUM" for one in statements) or system == "mariadb"


class Opened:
    """A SQLite database whose statements are traced."""

    def __init__(self, path: Path, sink: Collector) -> None:
        self.spans = Exported(f"{sink.url}/v1/traces", {"x-key": "geheim"})
        self.database = open_database(parse_url(f"sqlite:///{worn(path, rows=20)}"))
        self.database.traces = self.spans.statements({"db.system.name": "sqlite", "db.namespace": "shop"})

    def ask(self, sql: str, **values: Any) -> None:
        with self.database.session(SessionOptions()) as session:
            session.mark("aishell:1:0")
            session.query(Statement(sql, values, sql, source="tools/x.sql", block="do"))


def test_a_statement_that_fails_says_how_and_tells_no_value(tmp_path: Path, sink: Collector):
    opened = Opened(tmp_path / "shop.db", sink)
    with opened.spans.whole("run x", "ab" * 16, {}), opened.spans.step("x", "aishell:1:0", {}):
        opened.ask(
            "SELECT note FROM orders WHERE note = :note AND id <> 4711 AND note <> 'geheim' -- geheim", note="geheim"
        )
        with pytest.raises(DatabaseError):
            opened.ask("SELECT * FROM gone")
    assert opened.spans.close() is None
    (fine,) = [span for span in sink.spans if "orders" in str(span.facts.get("db.query.text"))]
    assert fine.facts["db.query.text"] == "SELECT note FROM orders WHERE note = :note AND id <> ? AND note <> ?"
    assert "geheim" not in str(sink.spans)
    (failed,) = [span for span in sink.spans if span.failed and span.kind == CLIENT]
    assert (failed.failed, failed.facts["error.type"]) == ("missing_object", "missing_object")
    assert failed.facts["db.response.status_code"] == "SQLITE_ERROR"
    assert {headers["x-key"] for _, headers in sink.asked} == {"geheim"}


def test_of_a_step_with_thousands_of_statements_the_first_have_spans(tmp_path: Path, sink: Collector):
    opened = Opened(tmp_path / "shop.db", sink)
    with opened.spans.whole("run x", "ab" * 16, {}), opened.spans.step("x", "aishell:1:0", {}):
        for _ in range(MOST + 5):
            opened.ask("SELECT 1")
    assert opened.spans.close() is None
    assert len([span for span in sink.spans if span.kind == CLIENT]) == MOST
    assert [span.facts.get("aishell.statements_not_traced") for span in sink.spans if span.name == "x"] == [5]


@pytest.fixture
def shop(aishell: Aishell) -> Aishell:
    targets(aishell, {"shop": f"sqlite:///{worn(aishell.site / 'shop.db')}"})
    return aishell


RUN = ("run", "maintenance", "--target", "shop", "--type", "full", "--yes", "--output", "json")


def test_a_step_that_fails_is_an_error_in_the_trace(shop: Aishell, sink: Collector):
    (shop.site / "breaking.py").write_text(
        "class Breaking:\n    def before(self, call):\n        if call.tool == 'optimize_table':\n"
        "            raise ValueError('geheim')\n\nhook = Breaking()\n"
    )
    traced(shop, sink, "hooks: [breaking:hook]")
    ended = shop(*RUN)
    assert ended.code == 1
    run, steps = tree(sink, ended.run_id)
    assert run.failed == ended.json["status"]
    assert {name: step.failed for name, (step, _) in steps.items() if step.failed} == {"optimize": "failed"}
    assert "geheim" not in str(sink.spans)


def test_what_goes_on_after_a_kill_goes_on_with_the_trace(shop: Aishell, sink: Collector):
    traced(shop, sink)
    assert shop(*RUN, fault=Fault(6, "after")).code == KILLED
    run_id = shop.only_run()
    shop.resume(run_id, "--yes").expect(0)
    run, steps = tree(sink, run_id)
    assert {span.trace for span in sink.spans} == {run_id}
    assert run.facts["aishell.resumed"] is True
    done = {name for (name,) in shop.rows("SELECT step_id FROM steps WHERE status = 'done'")}
    assert steps.keys() < done, "the spans of the killed process are gone with it"


def test_a_night_s_workflow_is_one_trace_over_its_processes(shop: Aishell, sink: Collector):
    workflow(
        shop,
        "\n  look: {agent: maintenance, input: {maintenance_type: quick}}"
        "\n  tidy: {agent: maintenance, needs: [look], input: {maintenance_type: quick}}\n",
    )
    traced(shop, sink)
    ended = shop("run", "workflow", "night", "--target", "shop")
    (whole,) = [span for span in sink.spans if span.name == "workflow night"]
    assert ended.code == 0, ended.err
    assert whole.facts["aishell.workflow.status"] == "success"
    runs = sink.below(whole.id)
    assert [span.facts["aishell.stage"] for span in runs] == ["look", "tidy"]
    assert all(sink.below(span.id) for span in runs)
    assert {span.trace for span in sink.spans} == {workflow_id(shop)}


def test_a_run_takes_its_place_below_whoever_called_it(shop: Aishell, sink: Collector):
    traced(shop, sink)
    shop(*RUN, TRACEPARENT=f"00-{'c' * 32}-{'d' * 16}-01").expect(0)
    (run,) = [span for span in sink.spans if span.name == "run maintenance"]
    assert (run.trace, run.parent) == ("c" * 32, "d" * 16)


@pytest.mark.parametrize("way", ["down", "hanging", "refusing"])
def test_a_collector_that_is_no_good_hinders_nothing_and_is_said_once(shop: Aishell, sink: Collector, way: str):
    if way == "down":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            shop.configure("aishell.yaml", f"tracing: {{endpoint: 'http://127.0.0.1:{free.getsockname()[1]}'}}\n")
    else:
        getattr(sink, way).set()
        traced(shop, sink)
    ended = shop(*RUN).expect(0)
    assert ended.json["status"] == "success"
    told = [line for line in ended.err.splitlines() if "span" in line or "127.0.0.1" in line]
    assert len(told) == 1
    assert told[0].startswith("the collector of traces did not take ")


def test_a_night_of_a_schedule_is_traced_by_its_run(shop: Aishell, sink: Collector):
    nightly(shop, f"sqlite:///{shop.site}/shop.db")
    back(shop, "nightly", days=1)
    traced(shop, sink)
    shop("schedule", "run-due").expect(0)
    run, _ = tree(sink, shop.only_run())
    assert run.facts["aishell.schedule"] == "nightly"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tracing: {headers_env: X}", "aishell.yaml:1: tracing names no collector"),
        ("tracing:\n  endpoint: localhost:4318", "aishell.yaml:2: tracing: endpoint is no URL"),
        ("tracing:\n  endpoint: http://me:geheim@x:4318", "aishell.yaml:2: the endpoint of tracing may hold a secret"),
        ("tracing:\n  endpoint: http://x:1\n  endpoint_env: Y", "aishell.yaml:3: tracing names it in two places"),
        ("tracing: {endpoint_env: NOT_SET}", "the environment variable NOT_SET is no URL"),
        ("tracing: {endpoint: 'http://x:1', headers_env: NOT_SET}", "the environment variable NOT_SET is not set"),
    ],
)
def test_wrong_configuration_is_refused_before_anything_is_done(shop: Aishell, text: str, told: str):
    shop.configure("aishell.yaml", text)
    ended = shop(*RUN).expect(2)
    assert told in ended.err
    assert "geheim" not in ended.err
    assert not shop.state.exists() or not shop.rows("SELECT 1 FROM runs")


@pytest.mark.parametrize(
    ("system", "sql", "shown"),
    [
        (
            "postgresql",
            "SELECT E'it\\'s' || 'a''b', \"we'ird\" FROM t1 WHERE i > 5.2e3",
            'SELECT ? || ?, "we\'ird" FROM t1 WHERE i > ?',
        ),
        ("postgresql", "DO $x$ geheim 'y' $x$", "DO ?"),
        ("postgresql", "SELECT ARRAY['a', 'b'] -- geheim\n, %(p1)s", "SELECT ARRAY[?, ?]  \n, %(p1)s"),
        ("mysql", "SELECT 'it\\'s', \"geheim\", `we'ird` FROM t # x", "SELECT ?, ?, `we'ird` FROM t"),
        (
            "sqlite",
            "SELECT x'00ff', [a] FROM \"t 1\" WHERE i IN (1, -2)",
            'SELECT x?, [a] FROM "t 1" WHERE i IN (?, -?)',
        ),
        ("postgresql", "SELECT 'never closed geheim", "SELECT ?"),
    ],
)
def test_constants_in_a_statement_are_not_told(system: str, sql: str, shown: str):
    assert sanitised(sql, system) == shown
