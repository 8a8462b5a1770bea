"""`aishell policy test`: the decision on a tool, and each rule that made it, without a database."""

from __future__ import annotations

import pytest

from tests.fix_aishell import Aishell

TARGETS = """\
targets:
  shop: {url: 'sqlite:///there-is-none.db', environment: production, labels: [ledger]}
  crm: {url: 'mysql://nobody@127.0.0.1:1/crm', environment: test}
"""
POLICY = """\
rules:
  - {name: ours, tool: "optimize_*", environment: test, decision: auto}
  - {name: told, tool: "optimize_*", decision: notify}
  - {name: never, tool: rebuild_table, label: ledger, decision: deny}
constraints:
  - {type: max_load, max_active_sessions: 7}
"""


@pytest.fixture
def site(aishell: Aishell) -> Aishell:
    aishell.configure("targets.yaml", TARGETS)
    aishell.configure("policy.yaml", POLICY)
    return aishell


def asked(site: Aishell, *arguments: str) -> dict:
    said = site("policy", "test", *arguments, "--output", "json").expect(0).json
    assert not site.state.exists()
    return said


def rules(said: dict) -> dict[str, str]:
    return {reason["rule"]: reason["decision"] for reason in said["reasons"]}


def test_every_rule_that_fits_is_told_and_the_strictest_decides(site):
    said = asked(site, "--tool", "optimize_table", "--target", "crm")
    assert rules(said) == {"policy rule 'ours'": "auto", "policy rule 'told'": "notify"}
    assert said["decision"] == "notify"
    said = asked(site, "--tool", "rebuild-table", "--target", "shop")
    assert (said["decision"], said["risk_level"], said["environment"]) == ("deny", "high", "production")
    assert rules(said) == {"policy rule 'never'": "deny", "production": "confirm"}


def test_the_matrix_decides_where_no_rule_fits(site):
    assert rules(asked(site, "--tool", "rebuild_table", "--target", "crm")) == {"policy matrix": "confirm"}
    strict = asked(site, "--tool", "rebuild_table", "--target", "crm", "--safety-level", "strict")
    assert (rules(strict), strict["safety_level"]) == ({"policy matrix": "review"}, "strict")


def test_what_can_make_it_stricter_is_listed(site):
    found = {one["type"]: one for one in asked(site, "--tool", "optimize_table", "--target", "crm")["constraints"]}
    assert found["max_load"]["max_active_sessions"] == 7
    assert found["not_a_standby"]["on_violation"] == "block"


def test_as_people_read_it(site):
    said = site("policy", "test", "--tool", "rebuild_table", "--target", "shop").expect(0)
    assert "deny: rebuild_table (high) on shop (production, moderate)" in said.out
    assert "policy rule 'never'" in said.out
    assert (
        "Constraints that can make it stricter for the agent maintenance (assumed; --agent names another):" in said.out
    )
    given = site("policy", "test", "--tool", "rebuild_table", "--target", "shop", "--agent", "log-cleanup").expect(0)
    assert "stricter for the agent log_cleanup (as given)" in given.out


AGENT = """\
maintenance_agent:
  default_config: {safety_level: strict}
  safety_constraints:
    - {type: max_table_size, max_rows: 5000000}
    - {type: production_hours}
    - {type: backup_required, before_operations: [rebuild_table]}
"""


def test_what_binds_the_agent_is_known(site):
    site.configure("agents/maintenance.yaml", AGENT)
    bound = asked(site, "--tool", "rebuild_table", "--target", "crm")
    found = {one["type"]: one for one in bound["constraints"]}
    assert (bound["agent"], bound["safety_level"]) == ("maintenance", "strict")
    assert found["max_table_size"]["max_rows"] == 5_000_000
    assert {"production_hours", "backup_required", "max_load"} <= found.keys()
    other = asked(site, "--tool", "rebuild_table", "--target", "crm", "--agent", "log-cleanup")
    assert (other["agent"], other["safety_level"]) == ("log_cleanup", "moderate")
    assert "backup_required" not in {one["type"] for one in other["constraints"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tool", "rebuild_tabel", "--target", "shop"), "did you mean 'rebuild_table'"),
        (("--tool", "rebuild_table", "--target", "shop", "--agent", "maintenence"), "did you mean 'maintenance'"),
        (("--tool", "rebuild_table", "--target", "shpo"), "did you mean 'shop'"),
        (("--tool", "drop_old_partitions", "--target", "shop"), "does not exist for sqlite"),
        (("--tool", "rebuild_table", "--url", "sqlite:///x.db", "--environment", "prdouction"), "did you mean 'production'"),
        (("--tool", "rebuild_table", "--url", "sqlite:///x.db", "--target", "shop"), "exclude each other"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused(site, arguments, said):
    assert said in site("policy", "test", *arguments).expect(2).err
