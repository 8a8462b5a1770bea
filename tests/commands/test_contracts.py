"""What agents.md says tools take, tried with an agent's own plan; and what is refused before anything is begun."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from aishell.agents.base import Draft
from aishell.agents.maintenance.agent import MaintenanceAgent
from aishell.databases.base import SessionOptions
from aishell.errors import ParameterError, UnknownNameError
from aishell.models import Step, Task
from aishell.running import dispatch
from aishell.running.context import Context
from aishell.site import Site
from tests import logs
from tests.fix_tools import ENGINES, label

ROWS = 200


@pytest.fixture(params=ENGINES, ids=label)
def log_db(request):
    db = request.getfixturevalue(request.param)
    logs.fill(db, {"pg": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}[request.param.split("_")[0]], ROWS)
    return db


class Asks(MaintenanceAgent):
    """An agent of somebody's own that has a tool called on the log, with these parameters beside its name."""

    def __init__(self, tool: str, params: dict) -> None:
        self.tool, self.params = tool, params

    def draft(self, task, inventory):
        (table,) = [table for table in inventory.tables if table.table == "app_log"]
        key = {"postgresql": {}, "mysql": {"key": ["id"]}, "sqlite": {"key": ["rowid"]}}[inventory.server.engine]
        at = {"schema": table.schema, "table": "app_log", "date_column": "created_at", **key}
        return Draft((Step("go", self.tool, {**at, **self.params}, rationale="as asked"),))


@contextmanager
def planned(site: Site, db, tool: str, **params):
    with site.job(Task("maintenance", db.url), environment="test") as job:
        job.agent = Asks(tool, params)
        yield site.plan(job)


def test_delete_old_records_takes_days_as_well_as_a_cutoff(aishell, log_db):
    with (
        Site.open(aishell.site, state=aishell.state) as site,
        planned(site, log_db, "delete_old_records", retention_days=90) as preview,
    ):
        (step,) = preview.plan.steps
        assert "retention_days" not in step.params
        days = datetime.now() - datetime.fromisoformat(step.params["cutoff"]).replace(tzinfo=None)  # noqa: DTZ005
        assert abs(days - timedelta(days=90)) < timedelta(days=1)
        result = site.run(preview, yes=True)
    assert result.actions_taken[0].output["rows_deleted"] == ROWS // 2
    assert logs.left(log_db) == logs.kept(ROWS)


@pytest.mark.parametrize("params", [{}, {"retention_days": 90, "cutoff": "2020-01-01"}, {"retention_days": 0}])
def test_delete_old_records_needs_one_of_them(aishell, sqlite, params):
    logs.fill(sqlite, "sqlite", ROWS)
    with (
        Site.open(aishell.site, state=aishell.state) as site,
        pytest.raises(ParameterError),
        planned(site, sqlite, "delete_old_records", **params),
    ):
        pytest.fail("planned")
    assert len(logs.left(sqlite)) == ROWS


def test_validate_backup_takes_a_folder_as_well_as_an_id(aishell, sqlite):
    fixed = ("--url", sqlite.url, "--environment", "test", "--yes", "--output", "json")
    made = aishell("run", "backup", *fixed).expect(0).json["output_data"]
    with Site.open(aishell.site, state=aishell.state) as site, site.job(Task("backup", sqlite.url)) as job:
        tool, server = job.pick("validate_backup"), job.refresh()

        def call(params):
            context = Context(
                job.database, "", SessionOptions(), run_id="ab" * 16, step_id="validate", target=job.target.name,
                backups=site.backup_store, facts={"server": server},
            )  # fmt: skip
            return dispatch.run(tool, tool.prepare(params), None, context).output

        for params in ({"backup_id": made["backup_id"]}, {"backup_path": made["backup_path"]}):
            told = call(params)
            assert (told["backup_id"], told["valid"]) == (made["backup_id"], True)
        with pytest.raises(UnknownNameError, match="unknown backup"):
            call({"backup_path": f"{made['backup_path']}x"})
        for params in ({}, {"backup_id": made["backup_id"], "backup_path": made["backup_path"]}):
            with pytest.raises(ParameterError, match="either backup_id or backup_path"):
                call(params)


@pytest.mark.parametrize("destination", ["/elsewhere", "../elsewhere", ".hidden", "a/../../b"])
@pytest.mark.parametrize("dry", [True, False])
def test_a_destination_outside_the_repository_is_refused_before_anything(aishell, sqlite, destination, dry):
    more = ("--dry-run",) if dry else ("--yes",)
    options = ("--destination", destination, "--url", sqlite.url, "--environment", "test", "--output", "json")
    refused = aishell("run", "backup", *options, *more).expect(2)
    assert refused.json["error"]["hint"]
    assert destination.split("/")[-1] in refused.json["error"]["message"]
    assert not aishell.state.exists()
    assert not (aishell.site / "backups").exists()


def test_an_absolute_destination_inside_the_repository_is_used(aishell, sqlite, tmp_path: Path):
    inside = aishell.site / "backups" / "nightly"
    options = ("--destination", str(inside), "--url", sqlite.url, "--environment", "test", "--yes", "--output", "json")
    made = aishell("run", "backup", *options).expect(0).json["output_data"]
    assert Path(made["backup_path"]).is_relative_to(inside)


#: As the contract of data and states (model.md) writes it.
CONTRACT = """\
maintenance_agent:
  default_config: {safety_level: moderate, max_duration: 3600, max_retries: 3}
  capabilities: [database_read, database_write, schema_analyze, index_manage]
  safety_constraints:
    - {type: max_table_size, max_rows: 5000000}
    - {type: production_hours, allowed_hours: [22, 23, 0, 1, 2, 3, 4, 5]}
    - {type: backup_required, before_operations: [repair_corrupted_tables, rebuild_table], on_violation: ask}
  monitoring:
    metrics: [execution_time, tables_processed, indexes_rebuilt, errors_encountered]
    alerts:
      - {condition: "execution_time > 1800", action: notify_admin}
      - {condition: "errors_encountered > 0", action: create_incident}
"""


def test_the_contracts_own_configuration_loads(aishell, sqlite):
    aishell.configure("agents/maintenance.yaml", CONTRACT)
    run = ("run", "maintenance", "--type", "quick", "--url", sqlite.url, "--environment", "test", "--dry-run")
    aishell(*run).expect(0)


def test_monitoring_says_where_nobody_is_told(aishell, sqlite):
    text = "maintenance_agent:\n  monitoring:\n    metrics: [execution_time]\n"
    text += "    alerts: [{condition: execution_time > 1800, action: notify_admin}]\n"
    aishell.configure("agents/maintenance.yaml", text)
    run = ("run", "maintenance", "--type", "quick", "--url", sqlite.url, "--environment", "test", "--output", "json")
    for more in (("--dry-run",), ("--yes",)):
        (warning,) = aishell(*run, *more).expect(0).json["output_data"]["warnings"]
        assert "notifies nobody: config/notifications.yaml has no service `admin`" in warning
    aishell.configure("notifications.yaml", "services: {admin: {url_env: ADMIN_URL}}\n")
    assert aishell(*run, "--dry-run").expect(0).json["output_data"]["warnings"] == []
