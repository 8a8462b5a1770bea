"""The configuration that comes with aishell loads, says what the built-in defaults are, and its commented examples work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aishell.agents.log_cleanup import LogCleanupAgent
from aishell.agents.maintenance import MaintenanceAgent
from aishell.locations import built_in
from aishell.registry.registry import Registry
from aishell.safety import constraints
from aishell.settings import DEFAULT_POLICY, load_agent, load_policy, load_settings

SHIPPED = built_in("config")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path / "config"


def test_it_loads():
    settings = load_settings(SHIPPED)
    assert settings.default_target == "sample"
    assert settings.targets["sample"].environment == "local"
    agent = load_agent(SHIPPED, "maintenance", MaintenanceAgent.defaults)
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
    held = [load_agent(SHIPPED, a.type, a.defaults).capabilities for a in (MaintenanceAgent, LogCleanupAgent)]
    for tool in Registry.load([built_in("tools")]):
        assert any(tool.required_capabilities <= capabilities for capabilities in held), tool.source


def test_the_commented_rules_work(config):
    text = (SHIPPED / "policy.yaml").read_text().replace("rules: []\n", "rules:\n")
    (config / "policy.yaml").write_text(re.sub(r"^# - \{", "- {", text, flags=re.MULTILINE))
    assert len(load_policy(config).rules) == 2


def test_the_commented_targets_work(config):
    text = re.sub(r"^  # ?(?=  |\w+:$|$)", "  ", (SHIPPED / "targets.yaml").read_text(), flags=re.MULTILINE)
    (config / "targets.yaml").write_text(text)
    targets = load_settings(config).targets
    assert set(targets) == {"sample", "shop", "crm"}
    assert targets["shop"].password_env
    assert targets["shop"].inspection_url
    assert targets["crm"].binlog == "LOCAL"


def test_the_commented_settings_work(config):
    (config / "targets.yaml").write_text((SHIPPED / "targets.yaml").read_text())
    (config / "aishell.yaml").write_text((SHIPPED / "aishell.yaml").read_text().replace("# hooks:", "hooks:"))
    assert load_settings(config).hooks == ("my_package.hooks:Pager",)
