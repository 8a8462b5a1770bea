"""`aishell metrics`: what is published is what docs/glossary.md says, in a form that Prometheus reads."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from aishell.metrics import FAMILIES, exposition
from aishell.site_files import SiteFiles
from tests import logs
from tests.bloated import Bloated
from tests.fix_aishell import Aishell, Ended
from tests.scheduled import back, nightly
from tests.totals import assert_totals_exact

ROOT = Path(__file__).parents[2]
PROMTOOL = shutil.which("promtool")
NAME = re.compile(r"\baishell_[a-z_]+")
#: What only the daemon knows.
OF_THE_DAEMON = {"aishell_tick_timestamp_seconds"}
Values = dict[str, dict[tuple[str, ...], float]]


def parsed(text: str) -> Values:
    """Metric -> its labels' values in the order of their names -> value."""
    found: Values = {family.name: {} for family in FAMILIES}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def metrics(site: Aishell) -> Values:
    return parsed(site("metrics").expect(0).out)


@pytest.fixture
def db(bloated_sqlite: Bloated) -> Any:
    return bloated_sqlite.make()


@pytest.fixture
def shop(aishell: Aishell, db: Any) -> Aishell:
    nightly(aishell, db.url, kind="full")
    return aishell


def backed_up(site: Aishell) -> Ended:
    return site("run", "backup", "--target", "shop", "--yes", "--output", "json").expect(0)


@pytest.fixture
def busy(shop: Aishell, db: Any) -> Aishell:
    """A site where everything has happened that is counted or measured."""
    back(shop, "nightly", days=2)
    shop("schedule", "run-due").expect(4)
    backed_up(shop)
    logs.fill(db, "sqlite", 100)
    shop("run", "log-cleanup", "--table", "app_log", "--retention-days", "90", "--target", "shop", "--yes").expect(0)
    targets = (shop.config / "targets.yaml").read_text()
    shop.configure("targets.yaml", targets.replace("environment: test", "environment: production"))
    waits = ("run", "maintenance", "--type", "full", "--target", "shop", "--set", "all_tables=true", "--output", "json")
    db.execute("DELETE FROM orders")
    shop(*waits).expect(3)
    shop("hold", "--target", "shop", "--reason", "a test").expect(0)
    rule = "{name: held, event: hold_placed, to: [admin]}"
    shop.configure("notifications.yaml", f"services: {{admin: {{url_env: NOT_SET}}}}\nrules: [{rule}]\n")
    return shop


def test_a_new_site_has_metrics_and_gets_no_store(shop: Aishell):
    found = metrics(shop)
    assert found["aishell_hold"] == {("",): 0, ("shop",): 0}
    assert found["aishell_configuration_valid"] == {(): 1}
    assert found["aishell_backup_verified_age_seconds"] == {("shop",): float("inf")}
    assert found["aishell_schedule_runs_total"][("nightly", "missed")] == 0
    assert not shop.state.exists()


def test_everything_that_is_published_is_told(busy: Aishell):
    found = metrics(busy)
    silent = {f.name for f in FAMILIES if not any(found.get(f"{f.name}{end}") for end in ("", "_sum"))}
    assert silent == OF_THE_DAEMON
    assert found["aishell_runs_total"]["maintenance", "success", "shop"] == 1
    assert found["aishell_run_duration_seconds_count"]["maintenance", "shop"] == 1
    assert found["aishell_schedule_runs_total"]["nightly", "done"] == 1
    assert found["aishell_schedule_runs_total"]["nightly", "missed"] == 1
    assert found["aishell_rows_deleted_total"] == {("shop",): 50}
    assert found["aishell_bytes_reclaimed_total"][("shop",)] > 0
    assert found["aishell_hold"] == {("",): 0, ("shop",): 1}
    assert found["aishell_notifications_total"] == {("held", "sent"): 0, ("held", "failed"): 0}
    assert found["aishell_incidents_open"] == {("info",): 0, ("warning",): 0, ("critical",): 0}
    assert found["aishell_approvals_waiting"] == {("shop",): 1}
    assert found["aishell_backup_verification_level"] == {("shop",): 2}
    assert 0 <= found["aishell_backup_verified_age_seconds"][("shop",)] < 600
    assert found["aishell_target_findings"]["critical", "shop"] == 0
    assert 50 <= found["aishell_target_health_score"][("shop",)] < 100
    assert_totals_exact(busy)


@pytest.mark.parametrize(
    ("found", "level", "known", "verified"),
    [
        ("rung = 'checksummed'", 1, True, False),
        ("problem = 'a page is damaged'", 0, False, False),
        ("pinned = 1", 2, True, True),
    ],
)
def test_a_backup_is_as_old_as_it_is_good(shop: Aishell, found: str, level: int, known: bool, verified: bool):
    backed_up(shop)
    with contextlib.closing(sqlite3.connect(shop.state)) as state:
        state.execute(f"UPDATE backups SET {found}")
        state.commit()
    told = metrics(shop)
    assert told["aishell_backup_verification_level"] == {("shop",): level}
    assert (told["aishell_backup_age_seconds"][("shop",)] < 600) == known
    assert (told["aishell_backup_verified_age_seconds"][("shop",)] < 600) == verified


def test_it_is_what_the_glossary_says():
    text = (ROOT / "docs/glossary.md").read_text()
    section = text[text.index("## Metrics") :]
    here: dict[str, set[str]] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if line.startswith("| `aishell_") and cells[-1] == "here":
            kind, labels = cells[1].split(",")[0].split(":")[0], set(re.findall(r"`(\w+)`", cells[2]))
            here |= {f"{name} {kind}": labels for name in NAME.findall(cells[0])}
    assert here == {f"{family.name} {family.kind}": set(family.labels) for family in FAMILIES}


def test_a_bad_configuration_is_a_metric_and_the_totals_stay(busy: Aishell):
    before = metrics(busy)
    busy.configure("schedules.yaml", "schedules: {nightly: {cron: 'never'}}")
    after = metrics(busy)
    assert after["aishell_configuration_valid"] == {(): 0}
    assert after["aishell_runs_total"] == before["aishell_runs_total"]
    assert after["aishell_schedule_runs_total"]["nightly", "done"] == 1


def test_no_counter_falls_when_runs_are_pruned(shop: Aishell):
    shop("run", "maintenance", "--type", "quick", "--target", "shop").expect(0)
    before = metrics(shop)
    assert "1 run(s) removed" in shop("runs", "prune", "--keep", "0", "--older-than", "0").expect(0).out
    after = metrics(shop)
    counters = [f.name for f in FAMILIES if f.kind == "counter"]
    assert {name: after[name] for name in counters} == {name: before[name] for name in counters}
    assert after["aishell_target_health_score"] == {}


def test_what_is_told_is_counted_and_what_waits(shop: Aishell):
    rules = ["{name: done, event: run_succeeded, to: [admin]}", "{name: small, when: backlog_items < 5, to: [admin]}"]
    shop.configure("notifications.yaml", f"services: {{admin: {{url_env: NOT_SET}}}}\nrules: [{', '.join(rules)}]\n")
    shop("run", "maintenance", "--type", "quick", "--target", "shop").expect(0)
    found = metrics(shop)
    assert found["aishell_notifications_waiting"] == {(): 2}
    assert found["aishell_incidents_open"][("warning",)] == 1
    with contextlib.closing(sqlite3.connect(shop.state)) as state:
        state.execute(
            "UPDATE outbox SET next_at = '2000', decided_at = '2000-01-01T00:00:00+00:00' WHERE rule = 'done'"
        )
        state.commit()
    shop.configure("aishell.yaml", "keep_notifications: 0\n")
    shop("notify", "send").expect(1)
    found = metrics(shop)
    assert shop.rows("SELECT rule, status FROM outbox") == [("small", "waiting")]  # the other is given up, and pruned
    assert found["aishell_notifications_total"][("done", "failed")] == 1
    assert found["aishell_notifications_waiting"] == {(): 1}


def test_the_backlog_of_each_target_is_measured(shop: Aishell):
    shop("run", "maintenance", "--type", "quick", "--target", "shop").expect(0)
    since = datetime.now(UTC) - timedelta(days=2)
    with contextlib.closing(sqlite3.connect(shop.state)) as state:
        for number, seconds in enumerate((600.0, None)):
            state.execute(
                "INSERT INTO backlog (target, agent, tool, object, reason, inputs, since, run_id, nights, seconds)"
                " VALUES ('shop', 'maintenance', 't', ?, '', '', ?, 'r', 1, ?)",
                [str(number), since.isoformat(), seconds],
            )
        state.commit()
    found = metrics(shop)
    assert found["aishell_backlog_items"] == {("shop",): 2}
    assert found["aishell_backlog_forecast_seconds"] == {("shop",): 600}
    assert 172_800 <= found["aishell_backlog_age_seconds"][("shop",)] < 173_400


def test_a_schedule_that_nothing_looks_for_is_late(shop: Aishell):
    shop("schedule", "run-due").expect(0)
    assert metrics(shop)["aishell_schedule_lateness_seconds"] == {("nightly",): 0}
    with SiteFiles.open(shop.site, state=shop.state) as site:
        at = datetime.now(UTC) + timedelta(days=3)
        late = parsed(exposition(site, at=at, tick=at, configuration_valid=False).decode())
        assert 2 * 86400 < late["aishell_schedule_lateness_seconds"][("nightly",)] <= 3 * 86400
        assert late["aishell_schedule_next_timestamp_seconds"][("nightly",)] > at.timestamp()
        assert late["aishell_tick_timestamp_seconds"] == {(): at.timestamp()}
        assert late["aishell_configuration_valid"] == {(): 0}
    shop("schedule", "pause", "nightly").expect(0)
    paused = metrics(shop)
    assert paused["aishell_schedule_paused"] == {("nightly",): 1}
    assert paused["aishell_schedule_next_timestamp_seconds"] == {}


def test_a_file_is_replaced_whole(shop: Aishell, tmp_path: Path):
    path = tmp_path / "aishell.prom"
    path.write_text("half of a li")
    path.chmod(0o600)
    shop("metrics", "--output", str(path)).expect(0)
    assert parsed(path.read_text())["aishell_configuration_valid"] == {(): 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.glob("*.prom*")) == [path]
    assert [file.name for file in tmp_path.iterdir() if "prom" in file.name] == ["aishell.prom"]
    ended = shop("metrics", "--output", str(tmp_path / "gone" / "aishell.prom")).expect(2)
    assert "cannot be written" in ended.err


def test_names_of_any_kind_are_label_values(aishell: Aishell):
    aishell.configure("targets.yaml", json.dumps({"targets": {'a "b"\\c': {"url": "sqlite:///x.db"}}}))
    assert ('a "b"\\c',) in metrics(aishell)["aishell_hold"]


def promtool(*arguments: str, text: str = "") -> None:
    if PROMTOOL is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    ended = subprocess.run([PROMTOOL, *arguments], input=text, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "error" not in ended.stderr.lower()


def test_promtool_finds_no_fault(busy: Aishell):
    promtool("check", "metrics", text=busy("metrics").expect(0).out)


RULES = ROOT / "contrib/prometheus/aishell-alerts.yaml"
DASHBOARD = ROOT / "contrib/grafana/aishell.json"


def expressions(node: object) -> Iterator[str]:
    """Every query of a dashboard or of rules."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key in ("expr", "definition") and isinstance(value, str))
    if isinstance(node, (dict, list)):
        for item in node.values() if isinstance(node, dict) else node:
            yield from expressions(item)


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_every_metric_and_label_that_is_named_is_published(path: Path):
    ends = {"counter": ("",), "gauge": ("",), "summary": ("_sum", "_count")}
    known = {f"{f.name}{end}": set(f.labels) for f in FAMILIES for end in ends[f.kind]}
    queries = list(expressions(yaml.safe_load(path.read_text())))
    assert len(queries) > 10
    labels = {"datasource", "instance"}.union(*known.values())
    for query in queries:
        names = set(NAME.findall(query))
        assert names
        assert names <= known.keys()
        grouped = re.findall(r"\bby \(([^)]*)\)", query) + re.findall(r"(\w+)=~?\"", query)
        assert {label.strip() for group in grouped for label in group.split(",")} <= labels


def test_every_family_has_its_place_in_the_dashboard_or_the_rules():
    text = RULES.read_text() + DASHBOARD.read_text()
    assert {f.name for f in FAMILIES if f.name not in text} <= OF_THE_DAEMON


def test_every_query_of_the_dashboard_can_be_read(tmp_path: Path):
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [query.replace("$target", "shop") for query in expressions(panels)]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(path))


def test_promtool_reads_the_rules():
    promtool("check", "rules", str(RULES))


def series(name: str, values: str) -> dict[str, str]:
    return {"series": name, "values": values}


#: What looks back further than a day is asked later.
AFTER = {"AishellBacklogGrows": "96h"}
#: Alert -> series that make it fire after a day of 5-minute steps; with those of the second list instead nothing fires.
FIRING = {
    "AishellConfigurationInvalid": (["aishell_configuration_valid 0x300"], ["aishell_configuration_valid 1x300"]),
    "AishellRunFailed": (
        ['aishell_run_last_end_timestamp_seconds{agent="a",target="t",status="failure"} 9x300'],
        [
            'aishell_run_last_end_timestamp_seconds{agent="a",target="t",status="failure"} 9x300',
            'aishell_run_last_end_timestamp_seconds{agent="a",target="t",status="success"} 10x300',
        ],
    ),
    "AishellStepInDoubt": (
        ['aishell_steps_total{tool="x",target="t",status="in_doubt"} _x280 1x20'],
        ['aishell_steps_total{tool="x",target="t",status="in_doubt"} 1x300'],
    ),
    "AishellBackupTooOld": (
        ['aishell_backup_verified_age_seconds{target="t"} 93601x300'],
        ['aishell_backup_verified_age_seconds{target="t"} 90000x300'],
    ),
    "AishellBackupNotVerified": (
        ['aishell_backup_verification_level{target="t"} 1x300'],
        ['aishell_backup_verification_level{target="t"} 2x300'],
    ),
    "AishellApprovalWaiting": (
        ['aishell_approval_waiting_seconds{target="t"} 1801x300'],
        ['aishell_approval_waiting_seconds{target="t"} 0x300'],
    ),
    "AishellScheduleLate": (
        ['aishell_schedule_lateness_seconds{schedule="n"} 1801x300'],
        ['aishell_schedule_lateness_seconds{schedule="n"} 60x300'],
    ),
    "AishellScheduleMissed": (
        ['aishell_schedule_runs_total{schedule="n",status="missed"} 0x280 1x20'],
        ['aishell_schedule_runs_total{schedule="n",status="missed"} 1x300'],
    ),
    "AishellHealthCritical": (
        ['aishell_target_health_score{target="t"} 40x300'],
        ['aishell_target_health_score{target="t"} 50x300'],
    ),
    "AishellHealthNotChecked": (
        ['aishell_target_health_timestamp_seconds{target="t"} -700000x300'],
        ['aishell_target_health_timestamp_seconds{target="t"} 0x300'],
    ),
    "AishellTargetNotConnected": (
        ['aishell_breaker_open{target="t"} 0.5x300'],
        ['aishell_breaker_open{target="t"} 0x300'],
    ),
    "AishellHoldForgotten": (['aishell_hold{target=""} 1x300'], ['aishell_hold{target=""} 0x250 1x50']),
    "AishellMetricsMissing": ([], ["aishell_build_info 1x300"]),
    "AishellBacklogGrows": (
        [
            'aishell_backlog_age_seconds{target="t"} 300000x1500',
            'aishell_backlog_forecast_seconds{target="t"} 60+1x1500',
        ],
        [
            'aishell_backlog_age_seconds{target="t"} 300000x1500',
            'aishell_backlog_forecast_seconds{target="t"} 9000-1x1500',
        ],
    ),
    "AishellIncidentOpen": (
        ['aishell_incidents_open{severity="critical"} 1x300'],
        ['aishell_incidents_open{severity="warning"} 1x300', 'aishell_incidents_open{severity="critical"} 0x300'],
    ),
    "AishellNotificationsFail": (
        ['aishell_notifications_total{rule="r",status="failed"} 0x280 1x20', "aishell_notifications_waiting 0x300"],
        ['aishell_notifications_total{rule="r",status="failed"} 1x300', "aishell_notifications_waiting 0x200 3x100"],
    ),
    "AishellDaemonSilent": (["aishell_tick_timestamp_seconds 3600x300"], ["aishell_tick_timestamp_seconds 0+300x300"]),
}


@pytest.mark.parametrize("alert", FIRING)
def test_each_alert_fires_and_holds_still(alert: str, tmp_path: Path):
    def tested(given: list[str], fires: int) -> dict[str, object]:
        there = [*given, *(["aishell_build_info 1x1500"] if alert != "AishellMetricsMissing" else [])]
        named = [series(*one.rsplit("} ", 1)) if "} " in one else series(*one.split(" ", 1)) for one in there]
        named = [{**one, "series": one["series"] + "}" * ("{" in one["series"])} for one in named]
        query = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
        wanted = [{"labels": "{}", "value": fires}] if fires else []
        check = {"expr": query, "eval_time": AFTER.get(alert, "24h"), "exp_samples": wanted}
        return {"interval": "5m", "input_series": named, "promql_expr_test": [check]}

    fires, still = FIRING[alert]
    document = {"rule_files": [str(RULES)], "evaluation_interval": "5m", "tests": [tested(fires, 1), tested(still, 0)]}
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(document))
    promtool("test", "rules", str(path))


def test_each_alert_is_tried():
    named = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    assert named == FIRING.keys()
