"""Configuration: the values it gives, and each thing that can be wrong in it, with file, line and the nearest key."""

from __future__ import annotations

from pathlib import Path

import pytest

from aishell.agents.configuration import configured
from aishell.agents.maintenance.agent import MaintenanceAgent
from aishell.errors import SettingsError, UntrustedError
from aishell.models import Decision, Risk
from aishell.notifying.rules import load_notifications
from aishell.scheduling.schedules import load_schedules
from aishell.settings.files import FILES, check_files
from aishell.settings.policy import DEFAULT_POLICY, PolicyRule, load_policy
from aishell.settings.settings import Settings, load_settings
from aishell.settings.targets import PgBackRest, Target
from aishell.site import Site


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config" / "agents").mkdir(parents=True)
    return tmp_path / "config"


LOAD = {
    "aishell.yaml": load_settings,
    "targets.yaml": load_settings,
    "policy.yaml": load_policy,
    "schedules.yaml": lambda config: load_schedules(config, {}, tuple, lambda: Risk.LOW, str),
    "notifications.yaml": lambda config: load_notifications(config, {}),
    "agents/maintenance.yaml": lambda config: configured(config, MaintenanceAgent()),
}


def load(config: Path, name: str, text: str):
    (config / name).write_text(text)
    return LOAD[name](config)


def refused(config: Path, name: str, text: str, line: int) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(config, name, text)
    assert caught.value.message.startswith(f"{config / name}:{line}: "), caught.value.message
    assert caught.value.exit_code == 2
    return caught.value


def test_without_files_the_defaults_hold(config):
    assert load_settings(config) == Settings()
    assert load_policy(config) is DEFAULT_POLICY
    assert configured(config, MaintenanceAgent()) is MaintenanceAgent.defaults


@pytest.mark.parametrize("name", LOAD)
def test_an_empty_file_says_what_no_file_says(config, name):
    before = LOAD[name](config)
    after = load(config, name, "# nothing yet\n")
    assert after == before if name != "policy.yaml" else after.matrix == before.matrix


def test_a_target_is_read_with_all_it_says(config):
    (config / "targets.yaml").write_text(
        "targets:\n  shop:\n    url: sqlite:///shop.db\n    environment: test\n    labels: [eu, small]\n"
        "    time_zone: Europe/Berlin\n    password_env: SHOP\n    free_disk_bytes: 5\n    binlog: LOCAL\n"
        "    pgbackrest: {stanza: main, config: /etc/shop.conf, repo: 2}\n"
    )
    settings = load(config, "aishell.yaml", "default_target: shop\nsafety_level: strict\njobs: 4\nhooks: [a:b]\n")
    assert settings.targets["shop"] == Target(
        name="shop",
        url=f"sqlite:///{config.parent / 'shop.db'}",
        environment="test",
        labels=("eu", "small"),
        time_zone="Europe/Berlin",
        password_env="SHOP",
        free_disk_bytes=5,
        binlog="LOCAL",
        pgbackrest=PgBackRest("main", "/etc/shop.conf", 2),
    )
    assert (settings.default_target, settings.safety_level) == ("shop", "strict")
    assert (settings.jobs, settings.hooks) == (4, ("a:b",))


KEYS = [(home, key) for home, schema in FILES.items() for key in schema["properties"]]


@pytest.mark.parametrize(("home", "key"), KEYS)
def test_a_key_of_another_file_is_told_where_it_belongs(config, home, key):
    homes = [name for name, schema in FILES.items() if key in schema["properties"]]
    assert home in homes
    for name in FILES.keys() - set(homes):
        (config / name).write_text(f"{key}: 1\n", encoding="utf-8")
        with pytest.raises(SettingsError, match=f"{name}:1: unknown key '{key}'") as caught:
            LOAD[name](config)
        assert caught.value.hint == f"it belongs in {' or '.join(homes)}"
        (config / name).unlink()


def test_a_target_without_an_environment_is_production(config):
    target = load(config, "targets.yaml", "targets: {shop: {url: 'mysql://h/d'}}").targets["shop"]
    assert target.environment == "production"
    assert "mysql" not in repr(target)


@pytest.mark.parametrize(
    ("name", "text", "line", "said", "hint"),
    [
        ("aishell.yaml", "jobs: 1\nsafty_level: strict\n", 2, "unknown key 'safty_level'", "'safety_level'"),
        ("aishell.yaml", "\nsafety_level: strikt\n", 2, "unknown value of safety_level 'strikt'", "'strict'"),
        ("aishell.yaml", "jobs: many\n", 1, "jobs must be a whole number from 1 to 64, not 'many'", None),
        ("aishell.yaml", "jobs: true\n", 1, "not True", None),
        ("aishell.yaml", "hooks: a:b\n", 1, "hooks must be a list", None),
        ("aishell.yaml", "default_target: [a]\n", 1, "default_target must be a text", None),
        ("aishell.yaml", "default_target: shop\n", 1, "unknown target 'shop'", "there is no target"),
        ("aishell.yaml", "- jobs\n", 1, "this file must be a mapping", None),
        ("aishell.yaml", "jobs: 1\njobs: 2\n", 2, "duplicate key", None),
        ("targets.yaml", "target: {}\n", 1, "unknown key 'target'", "'targets'"),
        ("targets.yaml", "targets: [a]\n", 1, "targets must be a mapping", None),
        ("targets.yaml", "targets:\n  shop: sqlite:///x\n", 2, "shop must be a mapping", None),
        ("targets.yaml", "targets:\n  shop:\n", 2, "shop must be a mapping", None),
        ("targets.yaml", "targets:\n  shop:\n    url: x\n    enviroment: test\n", 4, "'enviroment'", "'environment'"),
        ("targets.yaml", "targets:\n  shop: {url: x,\n    time_zone: Mars/Base}\n", 3, "unknown time zone", "e.g. Europe/Berlin"),
        ("targets.yaml", "targets:\n  shop: {url: x,\n    time_zone: Europe/Berln}\n", 3, "unknown", "'Europe/Berlin'"),
        ("targets.yaml", "targets:\n  shop: {url: x,\n    time_zone: america/new york}\n", 3, "unknown", "'America/New_York'"),
        ("targets.yaml", "targets:\n  shop: {url: x,\n    time_zone: ../x}\n", 3, "unknown time zone", None),
        ("targets.yaml", "targets:\n  shop: {url: x,\n    time_zone: Europe}\n", 3, "unknown time zone", None),
        ("targets.yaml", "targets:\n  shop: {url: x, time_zone: ''}\n", 2, "unknown time zone", None),
        ("targets.yaml", "targets:\n  shop: {url: x, labels: eu}\n", 2, "labels must be a list", None),
        ("targets.yaml", "targets:\n  shop: {url: x, labels: [1]}\n", 2, "labels", None),
        ("targets.yaml", "targets:\n  shop: {url: x, binlog: local}\n", 2, "value of binlog 'local'", "LOCAL"),
        ("targets.yaml", "targets:\n  shop: {url: x, free_disk_bytes: 1GB}\n", 2, "must be a whole number", None),
        ("targets.yaml", "targets:\n  shop:\n    url: x\n    pgbackrest: main\n", 4, "pgbackrest must be a mapping", None),
        ("targets.yaml", "targets:\n  shop:\n    url: x\n    pgbackrest: {repo: 1}\n", 4, "needs the key `stanza`", None),
        ("targets.yaml", "targets:\n  shop:\n    url: x\n    pgbackrest: {stanzza: main}\n", 4, "'stanzza'", "'stanza'"),
        ("targets.yaml", "targets:\n  shop:\n    url: x\n    pgbackrest: {stanza: a, repo: 0}\n", 4, "out of range", None),
        ("policy.yaml", "mode: interactiv\n", 1, "value of mode", "'interactive'"),
        ("policy.yaml", "matrx: {}\n", 1, "unknown key 'matrx'", "'matrix'"),
        ("policy.yaml", "matrix:\n  moderat: {}\n", 2, "unknown key 'moderat'", "'moderate'"),
        ("policy.yaml", "matrix:\n  strict:\n    hihg: review\n", 3, "unknown key 'hihg'", "'high'"),
        ("policy.yaml", "matrix:\n  strict:\n    high: reviw\n", 3, "unknown decision", "'review'"),
        ("policy.yaml", "matrix:\n  strict:\n    high: {test: atuo}\n", 3, "unknown decision", "'auto'"),
        ("policy.yaml", "matrix:\n  strict:\n    high: [auto]\n", 3, "must be one of auto", None),
        ("policy.yaml", "matrix:\n  strict: false\n", 2, "strict must be a mapping", None),
        ("policy.yaml", "preapprove_max_risk: critical\n", 1, "value of preapprove_max_risk", None),
        ("policy.yaml", "approval_hours: a day\n", 1, "must be a number above 0", None),
        ("policy.yaml", "rules:\n  - {tool: x, decison: deny}\n", 2, "unknown key 'decison'", "'decision'"),
        ("policy.yaml", "rules:\n  - {tool: x, decision: deny}\n  - {decision: no}\n", 3, "decision must be one of", None),
        ("policy.yaml", "rules: {tool: x}\n", 1, "rules must be a list", None),
        ("policy.yaml", "constraints:\n  - {max_rows: 5}\n", 2, "a constraint needs the key `type`", None),
        ("policy.yaml", "constraints:\n  - max_rows\n", 2, "constraints[0] must be a mapping", None),
        ("agents/maintenance.yaml", "maintenence_agent: {}\n", 1, "unknown key", "'maintenance_agent'"),
        ("agents/maintenance.yaml", "maintenance_agent:\n  capabilites: []\n", 2, "unknown key", "'capabilities'"),
        ("agents/maintenance.yaml", "maintenance_agent:\n  capabilities:\n    - index_manag\n", 3, "unknown", "'index_manage'"),
        ("agents/maintenance.yaml", "maintenance_agent:\n  capabilities:\n    - [index_manage]\n", 3, "must be one of", None),
        ("agents/maintenance.yaml", "maintenance_agent:\n  default_config: {max_retrys: 3}\n", 2, "unknown key", "'max_retries'"),
        ("agents/maintenance.yaml", "maintenance_agent:\n  default_config:\n    max_duration: 1h\n", 3, "a whole number", None),
        ("agents/maintenance.yaml", "maintenance_agent:\n  safety_constraints:\n    - {max_rows: 1}\n", 3, "needs the key", None),
        ("agents/maintenance.yaml", "maintenance_agent: [1]\n", 1, "must be a mapping", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_file_line_and_nearest_key(config, name, text, line, said, hint):
    error = refused(config, name, text, line)
    assert said in error.message
    if hint is not None:
        assert hint in (error.hint or "")


@pytest.mark.parametrize("name", LOAD)
def test_a_file_that_cannot_be_read_is_an_error(config, name):
    (config / name).write_bytes(b"a: \xff\n")
    with pytest.raises(SettingsError) as caught:
        LOAD[name](config)
    assert f"{config / name} cannot be read" in caught.value.message


def test_a_matrix_keeps_the_built_in_answer_for_what_it_does_not_say(config):
    policy = load(config, "policy.yaml", "matrix:\n  strict:\n    high: {test: auto}\n    low: confirm\n")
    strict, default = policy.matrix["strict"], DEFAULT_POLICY.matrix["strict"]
    assert strict["high"] == {"default": Decision.REVIEW, "test": Decision.AUTO}
    assert strict["low"] == {"default": Decision.CONFIRM}
    assert {risk: strict[risk] for risk in ("safe", "medium", "critical")} == {
        risk: default[risk] for risk in ("safe", "medium", "critical")
    }
    assert policy.matrix["moderate"] == DEFAULT_POLICY.matrix["moderate"]


def test_rules_and_limits_are_read(config):
    text = "rules:\n  - {tool: 'drop_*', label: eu, decision: deny, name: never}\n  - {target: x, decision: confirm}\n"
    policy = load(config, "policy.yaml", text + "preapprove_max_risk: high\napproval_hours: 0.5\n")
    assert policy.rules == (
        PolicyRule("never", Decision.DENY, "drop_*", "*", "eu"),
        PolicyRule("rule 2", Decision.CONFIRM, "*", "x", "*"),
    )
    assert (policy.preapprove_max_risk, policy.approval_hours) == (Risk.HIGH, 0.5)


def test_plugins_are_asked_for_a_file_of_no_built_in_agent_alone(config):
    """Asking takes as long as all the rest of the configuration."""
    for name in ("aishell.yaml", "agents/maintenance.yaml", "agents/.hidden.yaml", "notes.txt"):
        (config / name).write_text("")
    check_files(config, ("maintenance", "backup"), lambda: pytest.fail("asked"))
    (config / "agents/census.yaml").write_text("")
    check_files(config, ("maintenance", "backup"), lambda: ("maintenance", "backup", "census"))
    (config / "agents/more").mkdir()
    with pytest.raises(SettingsError, match="unknown file 'more'"):
        check_files(config, ("maintenance", "backup"), lambda: ("maintenance", "backup", "census"))


def test_a_policy_that_decides_otherwise_is_another_version(config):
    one = load(config, "policy.yaml", "mode: unattended\n").version
    same = load(config, "policy.yaml", "# a comment\nmode:   unattended\n").version
    other = load(config, "policy.yaml", "mode: interactive\n").version
    assert one == same != other == DEFAULT_POLICY.version


def test_an_agents_file_goes_over_its_defaults(config):
    text = """\
maintenance_agent:
  default_config: {safety_level: strict, max_duration: 60}
  capabilities: [database_read]
  safety_constraints:
    - {type: max_table_size, max_rows: 5}
  monitoring: {alerts: []}
"""
    loaded = load(config, "agents/maintenance.yaml", text)
    defaults = MaintenanceAgent.defaults
    assert (loaded.safety_level, loaded.max_duration) == ("strict", 60)
    assert (loaded.max_retries, loaded.agent_id) == (defaults.max_retries, defaults.agent_id)
    assert loaded.capabilities == {"database_read"}
    where = f"{config / 'agents/maintenance.yaml'}:5"
    assert loaded.constraints == ({"type": "max_table_size", "max_rows": 5, "where": where},)


def test_a_password_comes_from_the_environment_or_a_file(tmp_path, monkeypatch):
    (tmp_path / "pw").touch(0o600)
    (tmp_path / "pw").write_text("it's\n")
    monkeypatch.setenv("SHOP_PW", "from env")
    assert Target("a", "x", password_env="SHOP_PW").password() == "from env"
    assert Target("a", "x", password_file=str(tmp_path / "pw")).password() == "it's"
    assert Target("a", "x").password() is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o601, 0o777])
def test_a_password_file_that_others_can_get_at_is_refused(tmp_path, mode):
    """As libpq does with a password file."""
    path = tmp_path / "pw"
    path.write_text("secret\n")
    path.chmod(mode)
    with pytest.raises(
        UntrustedError, match=f"target 'shop': the password file {path} has the mode {mode:04o}"
    ) as caught:
        Target("shop", "x", password_file=str(path)).password()
    assert caught.value.hint == f"chmod 600 {path}"
    assert "secret" not in caught.value.message


def test_a_key_that_others_can_get_at_is_refused(config):
    key = config.parent / "backup.agekey"
    (config / "aishell.yaml").write_text(f"backup_identity: {key}\n")
    with Site.open(config.parent) as site:
        assert site.settings.backup_identity == str(key)  # it is not at hand: only a restore needs it
    key.write_text("secret\n")
    key.chmod(0o644)
    with Site.open(config.parent) as site, pytest.raises(UntrustedError, match=r"the key .* has the mode 0644"):
        site.settings  # noqa: B018  loaded


@pytest.mark.parametrize("key", ["password_env", "password_file"])
def test_a_password_that_is_not_there_names_the_target(tmp_path, key):
    target = Target("shop", "x", **{key: str(tmp_path / "NOBODY")})
    with pytest.raises(SettingsError) as caught:
        target.password()
    assert "'shop'" in caught.value.message
