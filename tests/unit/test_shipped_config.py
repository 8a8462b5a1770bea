"""The configuration that comes with aishell loads, says what the built-in defaults are, and its commented examples work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aishell.agents.backup.agent import BackupAgent
from aishell.agents.backup.restore import BackupRestoreAgent
from aishell.agents.configuration import configured
from aishell.agents.loading import load_agent
from aishell.agents.log_cleanup.agent import LogCleanupAgent
from aishell.agents.maintenance.agent import MaintenanceAgent
from aishell.backups.store.pruning import rules_of
from aishell.errors import SettingsError
from aishell.locations import built_in
from aishell.models import Task
from aishell.registry.registry import Registry
from aishell.safety import constraints
from aishell.settings.policy import DEFAULT_POLICY, load_policy
from aishell.settings.settings import load_settings
from aishell.site import Site

SHIPPED = built_in("config")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path / "config"


def test_it_loads():
    settings = load_settings(SHIPPED)
    assert settings.default_target == "sample"
    assert settings.targets["sample"].environment == "local"
    agent = configured(SHIPPED, MaintenanceAgent())
    in_force = constraints.build((*load_policy(SHIPPED).constraints, *agent.constraints))
    assert {"production_hours", "backup_required", "max_table_size"} <= {constraint.type for constraint in in_force}


def test_the_policy_is_the_built_in_one():
    shipped = load_policy(SHIPPED)
    for field in ("matrix", "rules", "mode", "preapprove_max_risk", "approval_hours", "prompt_seconds"):
        assert getattr(shipped, field) == getattr(DEFAULT_POLICY, field), field


def test_a_constraint_that_is_always_in_force_is_written_with_its_own_figures():
    written = {c.type: vars(c) | {"where": None} for c in constraints.build(load_policy(SHIPPED).constraints)}
    for always in constraints.build(()):
        assert written[always.type] == vars(always) | {"where": None}, always.type


def test_every_tool_may_be_used_by_an_agent():
    agents = (MaintenanceAgent, LogCleanupAgent, BackupAgent, BackupRestoreAgent)
    held = [configured(SHIPPED, a()).capabilities for a in agents]
    for tool in Registry.load([built_in("tools")]):
        assert any(tool.required_capabilities <= capabilities for capabilities in held), tool.source


def test_every_shipped_file_of_an_agent_loads():
    files = {path.stem for path in (SHIPPED / "agents").glob("*.yaml")}
    assert files == {"backup", "log_cleanup", "maintenance"}
    for name in files:
        constraints.build(configured(SHIPPED, load_agent(name)).constraints)


def test_the_commented_retention_of_backups_works(config):
    (config / "agents").mkdir()
    text = (SHIPPED / "agents" / "backup.yaml").read_text().replace("  # retention:", "  retention:")
    (config / "agents" / "backup.yaml").write_text(text)
    rules = configured(config, BackupAgent()).own["retention"]
    assert not rules_of(rules).empty
    BackupAgent().check_inputs(Task("backup", "shop", {"retention": dict(rules)}))


def test_a_retention_rule_of_backups_that_is_none_is_refused_with_its_line(config):
    (config / "agents").mkdir()
    for text, said in (("cuont: 7", "did you mean 'count'?"), ("count: 2.5", "a whole number"), ("days: -1", "from 0")):
        (config / "agents" / "backup.yaml").write_text(f"backup_agent:\n  retention: {{{text}}}\n")
        with pytest.raises(SettingsError) as caught:
            configured(config, BackupAgent())
        assert "backup.yaml:2" in caught.value.message
        assert said in f"{caught.value.message} {caught.value.hint}"


def test_the_commented_rules_work(config):
    text = (SHIPPED / "policy.yaml").read_text().replace("rules: []\n", "rules:\n").replace("earned: []\n", "earned:\n")
    (config / "policy.yaml").write_text(re.sub(r"^# - \{", "- {", text, flags=re.MULTILINE))
    policy = load_policy(config)
    assert len(policy.rules) == 2
    with Site.open(config.parent) as site:
        assert [site.unearnable(rule) for rule in policy.earned] == [None]


def test_the_commented_targets_work(config):
    text = re.sub(r"^  # ?(?=  |\w+:$|$)", "  ", (SHIPPED / "targets.yaml").read_text(), flags=re.MULTILINE)
    (config / "targets.yaml").write_text(text)
    targets = load_settings(config).targets
    assert set(targets) == {"sample", "shop", "cluster", "crm"}
    assert targets["shop"].password_env
    assert targets["shop"].inspection_url
    assert targets["shop"].pgbackrest
    assert targets["cluster/orders"].url == "postgresql://maintenance@db3.example/orders"
    assert targets["crm"].binlog == "LOCAL"


def test_the_commented_settings_work(config):
    (config / "targets.yaml").write_text((SHIPPED / "targets.yaml").read_text())
    text = (SHIPPED / "aishell.yaml").read_text()
    (config / "aishell.yaml").write_text(re.sub(r"^# ([a-z_]+: )", r"\1", text, flags=re.MULTILINE))
    settings = load_settings(config)
    assert settings.hooks == ("my_package.hooks:Pager",)
    assert settings.programs == "/usr/lib/postgresql/18/bin"
