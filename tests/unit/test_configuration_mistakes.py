"""Mistakes in configuration, made from the schemas: each key × wrong type, out of range, misspelt, dangling, twice, missing.

All are refused with exit 2, the file, the line and a remedy, before any database is reached.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from aishell.agents.configuration import schema_of as agent_schema
from aishell.agents.loading import BUILT_IN, load_agent
from aishell.errors import UsageError
from aishell.models import Task
from aishell.registry.header import HEADER, read_tool
from aishell.safety.constraints import _BUILT_IN as CONSTRAINTS
from aishell.safety.constraints import schema_of
from aishell.settings.schemas import AISHELL, NOTIFICATIONS, POLICY, SCHEDULES, TARGETS, WORKFLOW
from aishell.settings.validation import KEYWORDS
from aishell.settings.yamlfile import parse
from aishell.site import Site
from tests.fix_aishell import Aishell
from tests.unit.mistakes import Mistake, mistakes, places, under

AGENTS = ("maintenance", "log_cleanup", "backup")
FILES = {
    "aishell.yaml": AISHELL,
    "targets.yaml": TARGETS,
    "policy.yaml": POLICY,
    "schedules.yaml": SCHEDULES,
    "workflows/weekend.yaml": WORKFLOW,
    "notifications.yaml": NOTIFICATIONS,
    **{f"agents/{name}.yaml": agent_schema(load_agent(name)) for name in AGENTS},
}
#: The site that is right but for one mistake; there is no such database: who reaches for it says so, without file and line.
RIGHT = {
    "targets.yaml": "targets:\n  shop: {url: 'sqlite:///there-is-none.db', labels: [nightly], environment: test}\n",
}


def _constraints(name: str, prefix: tuple[object, ...]) -> Iterator[tuple[str, Mistake]]:
    """Mistakes in the keys of every constraint; the error's line is that of the constraint."""
    for kind, factory in CONSTRAINTS.items():
        for mistake in mistakes(schema_of(factory)):
            if not isinstance(mistake.document, dict) or (not mistake.at and "misspelt" not in mistake.kind):
                continue  # that it is a mapping is the file's own schema
            known_to_the_file = mistake.at if mistake.at == ("on_violation",) else ()
            document = {"type": kind, **mistake.document}
            yield name, under(prefix, Mistake(mistake.kind, (kind, *mistake.at), document, known_to_the_file))


MADE: list[tuple[str, Mistake]] = [
    *((name, mistake) for name, schema in FILES.items() for mistake in mistakes(schema)),
    *_constraints("policy.yaml", ("constraints", 0)),
    *chain.from_iterable(
        _constraints(f"agents/{name}.yaml", (f"{name}_agent", "safety_constraints", 0)) for name in ("maintenance",)
    ),
]
#: A workflow whose second stage goes on.
WEEKEND = "stages:\n  first: {agent: backup}\n  second:\n    agent: maintenance\n"
#: What a schema cannot say.
FURTHER: list[tuple[str, str, int, str]] = [
    ("aishell.yaml", "default_target: shpo\n", 1, "'shop'"),
    ("aishell.yaml", "default_target: 'sh*'\n", 1, "'shop'"),
    ("targets.yaml", "targets:\n  shop:\n    url: postgersql://u:secret@h/d\n", 3, "'postgresql'"),
    ("targets.yaml", "targets:\n  shop:\n    url: oracle://u:secret@h/d\n", 3, "known: "),
    ("targets.yaml", "targets:\n  shop:\n    url: u:secret@h/d\n", 3, "sqlite:///"),
    ("targets.yaml", "targets:\n  shop:\n    url: ['mysql://u:secret@h/d']\n", 3, "a text"),
    ("targets.yaml", "targets:\n  shop:\n    url: sqlite:///x\n    inspection_url: mysq://u:secret@h/d\n", 4, "'mysql'"),
    (
        "policy.yaml",
        "constraints:\n  - {type: backup_required, before_operations: ['rebuild_*']}\n",
        2,
        "unknown tool 'rebuild_*'",
    ),
    ("aishell.yaml", "daemon:\n  listen: 192.0.2.1:9187\n", 2, "token_file"),
    ("aishell.yaml", "daemon:\n  listen: '[::]:9187'\n", 2, "token_file"),
    ("aishell.yaml", "daemon:\n  listen: db1.example:9187\n", 2, "token_file"),
    ("aishell.yaml", "daemon:\n  listen: localhost:0\n", 2, "1 to 65535"),
    ("aishell.yaml", "daemon:\n  token_env: A\n  token_file: /b\n", 3, "in one"),
    ("aishell.yaml", "jobs: 1\njobs: 2\n", 2, ""),
    ("aishell.yaml", "jobs: [1\n", 2, ""),
    ("aishell.yaml", "- jobs\n", 1, "a mapping"),
    ("targets.yaml", "targets:\n  shop:\n    url: sqlite:///x\n    environment: prdouction\n", 4, "'production'"),
    ("targets.yaml", "targets:\n  shop:\n    url: sqlite:///x\n    environment: Prod\n", 4, "production"),
    ("policy.yaml", "rules:\n  - {tool: 'optimise_*', decision: deny}\n", 2, "optimi"),
    ("policy.yaml", "rules:\n  - {target: shpo, decision: deny}\n", 2, "'shop'"),
    ("policy.yaml", "rules:\n  - {label: nigthly, decision: deny}\n", 2, "'nightly'"),
    ("policy.yaml", "rules:\n  - {environment: stagin, decision: deny}\n", 2, "'staging'"),
    ("policy.yaml", "matrix:\n  strict:\n    high: {prodution: deny}\n", 3, "'production'"),
    ("policy.yaml", "rules:\n  - {tool: '*', decision: deny}\n  - {target: '*', decision: confirm}\n", 3, "once"),
    ("policy.yaml", "constraints:\n  - {type: max_laod}\n", 2, "'max_load'"),
    *(
        ("policy.yaml", f"earned:\n  - {{tool: {tool}, after: 5, environment: {where}, max_risk: {most}}}\n", 2, told)
        for tool, where, most, told in (
            ("delete_old_records", "test", "medium", "its category is database_write"),
            ("drop_invalid_indexes", "test", "medium", "it deletes"),
            ("cleanup_old_backups", "test", "medium", "its category is backup"),
            ("drop_replication_slot", "test", "medium", "requires_approval"),
            ("rebuild_table", "test", "medium", "its risk is high"),
            ("optimize_table", "test", "low", "above max_risk: low"),
            ("inspect_tables", "test", "low", "its category is analysis"),
            ("optimize_tabel", "test", "medium", "'optimize_table'"),
            ("optimize_table", "prodution", "medium", "'production'"),
            ("optimize_table", "test", "high", "medium"),
        )
    ),
    ("policy.yaml", "constraints:\n  - {type: business_hours, first_hour: 17, last_hour: 9}\n", 2, "change"),
    ("policy.yaml", "constraints:\n  - type: backup_required\n    before_operations: [rebuild_tabel]\n", 2, "'rebuild_table'"),
    ("agents/backup.yaml", "backup_agent:\n  retention: {}\n", 2, "count: 7"),
    ("agents/backup.yaml", "backup_agent:\n  retention: {count: 0, days: 0, at_most: 5}\n", 2, "count: 7"),
    ("agents/log_cleanup.yaml", "log_cleanup_agent:\n  retention:\n    - {tables: a, retention_days: 0}\n", 3, "from 1"),
    (
        "agents/log_cleanup.yaml",
        "log_cleanup_agent:\n  retention:\n    - {tables: a, retention_days: 9}\n    - {tables: a, retention_days: 8}\n",
        4,
        "once",
    ),
    *(
        (
            "agents/maintenance.yaml",
            "maintenance_agent:\n  monitoring:\n    metrics: [execution_time]\n    alerts:\n"
            f"      - {{condition: '{condition}', action: notify_admin}}\n",
            5,
            remedy,
        )
        for condition, remedy in (
            ("execution_time >", "execution_time > 30m"),
            ("execution_tmie > 5", "'execution_time'"),
            ("errors_encountered > 5", "known: execution_time"),  # it is not among `metrics`
            ("execution_time.real > 5", "execution_time > 30m"),
            ("execution_time > 5w", "units of time"),
            ("__import__(\"os\")", "execution_time > 30m"),
        )
    ),
    *(
        ("notifications.yaml", f"services:\n  chat: {{url_env: A}}\nrules:\n  - name: one\n    to: [chat]\n{text}", line, known)
        for text, line, known in (
            ("", 4, "one of them"),
            ("    event: run_failed\n    when: execution_time > 5\n", 7, "one of them"),
            ("    when: execution_time >\n", 6, "execution_time > 30m"),
            ("    when: exection_time > 5\n", 6, "'execution_time'"),
            ("    when: temperature < 50\n", 6, "unknown metric"),
            ("    when: runs_missed > 5d\n", 6, "without a unit"),
            ("    event: breaker_open\n", 6, "unknown event"),
            ("    event: [run_failed, run_faild]\n", 6, "'run_failed'"),
            ("    event: run_failed\n    target: shpo\n", 7, "'shop'"),
            ("    event: run_failed\n    target: 'sp*'\n", 7, "shop"),
            ("    event: run_failed\n    label: nigthly\n", 7, "'nightly'"),
            ("    event: run_failed\n    schedule: nightly\n", 7, "there is no schedule"),
            ("    event: run_failed\n    every: 0\n", 7, "366d"),
            ("    event: audit_broken\n    target: shop\n", 7, "leave target out"),
            ("    event: schedule_missed\n    label: nightly\n", 7, "choose it by schedule"),
            ("    when: last_backup_age > 1d\n    schedule: '*'\n", 7, "target or label"),
            ("    when: notification_waiting > 1h\n    target: shop\n", 7, "leave target out"),
            ("    event: run_succeeded\n    severity: critical\n", 7, "write info"),
        )
    ),
    ("notifications.yaml", "services:\n  chat: {url_env: A, url_file: /b}\n", 2, "one of url_env"),
    ("notifications.yaml", "services:\n  chat: {}\n", 2, "one of url_env"),
    ("notifications.yaml", "services:\n  chat: {url_env: A}\ndigest: {at: '25:00', to: [chat]}\n", 3, "a time of day"),
    ("notifications.yaml", "services:\n  chat: {url_env: A}\ndigest: {at: 10:30, to: [chat]}\n", 3, 'such as "07:00"'),
    ("notifications.yaml", "services:\n  chat: {url_env: A}\ndigest: {at: '7:00', to: [cht]}\n", 3, "'chat'"),
    ("notifications.yaml", "services:\n  chat: {url_env: A}\ndigest: {at: '7:00'}\n", 3, "to"),
    ("notifications.yaml", "digest: {at: '7:00', to: ['json://u:secret@h']}\n", 1, "a service"),
    ("notifications.yaml", "services:\n  chat: {url_env: A}\ndigest: {at: '7:00', to: [chat], format: pdf}\n", 3, "markdown"),
    ("notifications.yaml", "services:\n  chat: json://user:secret@h\n", 2, "a mapping"),
    ("notifications.yaml", "services:\n  chat: {url: 'json://user:secret@h'}\n", 2, "'url_"),
    ("notifications.yaml", "services:\n  chat: {url_env: A}\nrules:\n  - {name: a, event: run_failed, to: [cht]}\n", 4, "'chat'"),
    ("notifications.yaml", "services: json://user:secret@h\n", 1, "a mapping"),
    ("notifications.yaml", "services:\n  chat: {url_env: 'json://user:secret@h'}\n", 2, "environment variable"),
    ("notifications.yaml", "rules:\n  - {name: a, event: run_failed, to: ['json://u:secret@h']}\n", 2, "name a service"),
    ("notifications.yaml", "quiet_hours: 22:00-22:00\n", 1, "22:00-06:00"),
    ("schedules.yaml", "schedules:\n  a:\n    cron: '@daily'\n    agent: maintenance\n    targets: [shop]\n"
     "    heartbeat_url: ftp://secret\n", 6, "https://, a host"),
    *(
        ("schedules.yaml", f"schedules:\n  nightly:\n    targets: [shop]\n    {text}\n", line, known)
        for text, line, known in (
            ("agent: maintenance\n    cron: '30 2 * *'", 5, "five fields"),
            ("agent: maintenance\n    cron: '30 26 * * *'", 5, "hour 0-23"),
            ("agent: maintenance\n    cron: '0 0 30 2 *'", 5, "five fields"),
            ("agent: maintenance\n    cron: '0 0 * * fri-mon'", 5, "five fields"),
            ("agent: maintenance\n    cron: '@reboot'", 5, "five fields"),
            ("agent: maintenance\n    every: 0s", 5, "15m"),
            ("agent: maintenance\n    every: 367d", 5, "366d"),
            ("agent: maintenance\n    every: 1h\n    cron: '@daily'", 6, "one of them"),
            ("agent: maintenance", 2, "one of them"),
            ("agent: maintenance\n    every: 1h\n    label: nightly", 6, "one of them"),
            ("agent: maintenance\n    every: 1h\n    label: nightyl", 6, "'nightly'"),
            ("agent: maintenance\n    every: 1h\n    missed: once_if_open", 6, "a window"),
            ("agent: maintenance\n    every: 1h\n    missed: twice", 6, "known: "),
            ("agent: maintenance\n    cron: 0 12 * * *\n    window: 22:00-05:30", 6, "`cron`"),
            ("agent: maintenance\n    cron: 0 12 * * *\n    window: 05:30-05:30", 6, "22:00-05:30"),
            ("agent: maintenance\n    cron: 0 12 * * *\n    window: 22:00-25:30", 6, "22:00-05:30"),
            ("agent: maintenance\n    cron: 0 12 * * *\n    window: 22:00-24:00", 6, "midnight is 00:00"),
            ("agent: maintenance\n    cron: 0 12 * * *\n    window: 22-5", 6, "two times of day"),
            ("agent: maintenance\n    every: 5 minutes", 5, "one of s, m, h, d"),
            ("agent: maintenance\n    cron: 0 12 * * *\n    time_zone: Europe/Berlni", 6, "Europe/Berlin"),
            ("agent: maintenence\n    every: 1h", 4, "'maintenance'"),
            ("agent: backup_restore\n    every: 1h", 4, "'backup'"),
            ("agent: maintenance\n    every: 1h\n    input: {maintenance_typ: full}", 6, "'maintenance_type'"),
            ("agent: maintenance\n    every: 1h\n    input:\n      maintenance_type: fulll", 7, "'full'"),
            ("agent: log-cleanup\n    every: 1h\n    input:\n      retention_days: 0", 7, "1"),
            ("agent: maintenance\n    every: 1h\n    approve_up_to: critical", 6, "known: "),
            ("agent: maintenance\n    every: 1h\n    approve_up_to: high", 6, "preapprove_max_risk"),
            ("workflow: nigthly\n    every: 1h", 4, "'nightly'"),
            ("workflow: nightly\n    agent: maintenance\n    every: 1h", 5, "one of them"),
            ("workflow: nightly\n    every: 1h\n    input: {maintenance_type: full}", 6, "stages"),
            ("every: 1h", 2, "`agent` nor `workflow`"),
        )
    ),
    ("schedules.yaml", "schedules:\n  nightly: {cron: '@daily', agent: maintenance, targets: [shpo]}\n", 2, "'shop'"),
    ("schedules.yaml", "schedules:\n  'night ly': {cron: '@daily', agent: maintenance, targets: [shop]}\n", 2, "letters"),
    ("schedules.yaml", "blackouts:\n  - 2026-12-24\n  - 2026-13-24\n", 3, ""),
    ("schedules.yaml", "blackouts:\n  - 2026-12-24\n  - '2026-02-30'\n", 3, "2026-12-24"),
    ("schedules.yaml", "blackouts:\n  - {from: 2026-12-24, to: 2026-12-23}\n", 2, "2026-12-24"),
    ("schedules.yaml", "blackouts:\n  - {from: 2026-12-24, to: 2026-12-26, schedules: [nigthly]}\n", 2, "no schedule"),
    *(
        ("workflows/weekend.yaml", f"{WEEKEND}    {text}\n", line, known)
        for text, line, known in (
            ("needs: [frist]", 5, "'first'"),
            ("needs:\n      - first\n      - second", 5, "second → second"),
            ("needs: [first]\n  third: {agent: backup, needs: [fourth]}\n  fourth: {agent: backup, needs: [third]}", 6, "→"),
            ("when: ${stages.fourth.output.a} > 1\n  third: {agent: backup, needs: [second]}\n"
             "  fourth: {agent: backup, needs: [third]}", 3, "→"),
            ("when: ${stages.frist.output.rows} > 1", 5, "'first'"),
            ("when: ${stages.first.rows} > 1", 5, "output"),
            ("when: ${steps.first.output.rows} > 1", 5, "${stages."),
            ("when: ${target.engin} == 'sqlite'", 5, "'target.engine'"),
            ("when: ${agent.retntion} == []", 5, "'agent.retention'"),
            ("when: ${run.id} == 1", 5, "${stages."),
            ("when: backup_id > 1", 5, "bare word"),
            ("when: ${stages.first.output.rows > 1", 5, "}"),
            ("input: {maintenance_typ: full}", 5, "'maintenance_type'"),
            ("input:\n      maintenance_type: fulll", 6, "'full'"),
            ("input: {tables: ['${stages.frist.output.a}']}", 5, "'first'"),
            ("output: first", 5, "a name of its own"),
            ("targets: [shpo]", 5, "'shop'"),
            ("label: nigthly", 5, "'nightly'"),
            ("targets: [shop]\n    label: nightly", 6, "one"),
            ("parallel: false\n    max_concurrent: 2", 6, "one of them"),
            ("timeout: 0s", 5, "2h"),
            ("on_failure: undo", 5, "known: "),
            ("on_failure: rollback\n    retries: 2", 6, "one of them"),
            ("on_failure: rollback\n    input: {on_error: fail}", 6, "remove `on_error`"),
            ("review: maybe", 5, "true or false"),
        )
    ),
    ("workflows/weekend.yaml", "stages:\n  first: {agent: maintenence}\n", 2, "'maintenance'"),
    ("workflows/weekend.yaml", "stages:\n  first: {agent: archive_load}\n", 2, "known: "),
    ("workflows/weekend.yaml", "stages:\n  'first one': {agent: backup}\n", 2, "letters"),
    ("workflows/weekend.yaml", "description: nothing\nstages: {}\n", 2, "backup: {agent: backup}"),
    ("workflows/weekend.yml", "", 1, "'weekend.yaml'"),
    *((f"{name}", "", 1, known) for name, known in (
        ("polciy.yaml", "'policy.yaml'"), ("target.yaml", "'targets.yaml'"), ("aishell.yml", "'aishell.yaml'"),
        ("agents/maintenence.yaml", "'maintenance.yaml'"), ("agents/backup.yml", "'backup.yaml'"),
        ("agents/log-cleanup.yaml", "'log_cleanup.yaml'"), ("agents/policy.yaml", "nothing reads it"),
        ("agents/foo.yaml", "known: "),
    )),
]  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    for name in ("agents", "workflows"):
        (folder / name).mkdir(parents=True)
    for name, text in RIGHT.items():
        (folder / name).write_text(text)
    return folder


def used(config: Path, name: str) -> None:
    """What a dry run does, by the agent whose file it is."""
    kind = Path(name).stem if name.startswith("agents/") else ""
    task = Task(kind if kind in AGENTS else "maintenance", "shop")
    with Site.open(config.parent, state=config.parent / "state.db") as site:
        if name == "schedules.yaml":
            assert site.schedules is not None
        if name in FILES and name.startswith("workflows/") and (config / name).exists():
            assert site.workflow(Path(name).stem) is not None
        if name == "notifications.yaml":
            assert site.notifications is not None
        site.plan(task, look_only=True)


def refused(config: Path, name: str, text: str, line: int) -> UsageError:
    (config / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        used(config, name)
    assert caught.value.message.startswith(f"{config / name}:{line}: "), f"{caught.value.message}\n{text}"
    assert caught.value.exit_code == 2
    assert caught.value.hint, caught.value.message
    assert not (config.parent / "there-is-none.db").exists()
    assert not (config.parent / "state.db").exists()
    return caught.value


def test_the_site_is_right_but_for_the_mistake(config):
    """Who gets past the configuration reaches for the database, which is not there."""
    for name in FILES:
        with pytest.raises(UsageError, match=r"there-is-none\.db"):
            used(config, name)


def test_there_are_enough_of_them():
    assert len(MADE) + len(FURTHER) >= 153
    assert len({(name, mistake.id) for name, mistake in MADE}) == len(MADE)
    for name, schema in FILES.items():  # each key of each file is among them
        keys = {at[-1] for at, _ in places(schema) if at and isinstance(at[-1], str)}
        assert keys <= {key for made, mistake in MADE if made == name for key in (*mistake.at, mistake.near)}, name


@pytest.mark.parametrize("name", FILES)
def test_every_mistake_is_refused_with_file_line_and_remedy(config, name):
    wrong = [mistake for made, mistake in MADE if made == name]
    assert wrong
    for mistake in wrong:
        text = yaml.safe_dump(mistake.document, sort_keys=False, allow_unicode=True)
        line = parse(text, name).line(*mistake.line_of)
        error = refused(config, name, text, line)
        if mistake.near is not None:
            assert repr(mistake.near) in str(error.hint), f"{mistake.id}: {error.message} {error.hint}"


@pytest.mark.parametrize(("name", "text", "line", "remedy"), FURTHER)
def test_what_a_schema_cannot_say_is_refused_likewise(config, name, text, line, remedy):
    error = refused(config, name, text, line)
    assert remedy in f"{error.message} {error.hint}"
    assert "secret" not in f"{error.message} {error.hint}"


def test_a_list_of_workflows_does_not_pass_over_a_file_that_is_none(config):
    (config / "workflows" / "weekend.yml").write_text("stages: {first: {agent: backup}}\n")
    with Site.open(config.parent) as site, pytest.raises(UsageError, match=r"weekend\.yml:1: unknown file"):
        list(site.workflow_files)


TOOL = {
    "name": "mistaken", "engine": "sqlite >= 3.35", "category": "analysis", "risk": "safe",
    "capabilities": ["database_read"], "runs": "query", "returns": {"rows": "rows(look)"},
}  # fmt: skip


def tool_file(header: Any) -> str:
    text = yaml.safe_dump(header, sort_keys=False)
    commented = "".join(f"-- {line}\n" for line in text.splitlines())
    return f"{commented}--\n-- Looks.\n\n-- look: nothing\nSELECT 1 AS one\n"


HEADERS = [mistake for mistake in mistakes(HEADER) if mistake.at and mistake.at[0] != "description"]


def test_a_tool_that_is_right_loads():
    assert read_tool(tool_file(TOOL), "sqlite/mistaken.sql", "sqlite").name == "mistaken"


def test_every_mistake_in_a_tools_header_is_refused_with_file_line_and_remedy(tmp_path: Path):
    assert len(HEADERS) > 100
    for mistake in HEADERS:
        header = {**TOOL, mistake.at[0]: mistake.document[mistake.at[0]]}
        text = tool_file(header)
        line = parse(yaml.safe_dump(header, sort_keys=False), "x").line(*mistake.line_of)
        with pytest.raises(UsageError) as caught:
            read_tool(text, "sqlite/mistaken.sql", "sqlite")
        assert caught.value.message.startswith(f"sqlite/mistaken.sql:{line}: "), (mistake.id, caught.value.message)
        assert "; " in caught.value.message, mistake.id  # what to write instead
        if mistake.near is not None:
            assert repr(mistake.near) in caught.value.message, (mistake.id, caught.value.message)


@pytest.mark.parametrize("key", [key for key in HEADER["properties"] if key != "description"])
def test_a_misspelt_key_of_a_header_is_refused(key):
    misspelt = key[:2] + key[1:]
    header = {**{name: value for name, value in TOOL.items() if name != key}, misspelt: TOOL.get(key, "x")}
    with pytest.raises(UsageError, match=f"unknown key '{misspelt}'.*'{key}'"):
        read_tool(tool_file(header), "sqlite/mistaken.sql", "sqlite")


def everything() -> Iterator[tuple[str, tuple[object, ...], Any]]:
    """Every schema that values of people are held against."""
    yield from ((name, at, sub) for name, schema in FILES.items() for at, sub in places(schema))
    yield from ((kind, at, sub) for kind, c in CONSTRAINTS.items() for at, sub in places(schema_of(c)))
    yield from (("header", at, sub) for at, sub in places(HEADER))


def test_every_number_declares_its_minimum_and_maximum():
    agents = ((kind, at, sub) for kind in BUILT_IN for at, sub in places({"properties": load_agent(kind).inputs}))
    for name, at, schema in (*everything(), *agents):
        kinds = schema.get("type", ())
        if "integer" in kinds or ("number" in kinds and isinstance(kinds, str)):
            low = schema.get("minimum", schema.get("exclusiveMinimum"))
            assert low is not None, (name, at)
            assert math.isfinite(schema.get("maximum", math.inf)), (name, at)


def test_the_schemas_say_nothing_that_is_not_understood():
    for name, at, schema in everything():
        assert schema.keys() <= KEYWORDS, (name, at)
        assert "pattern" not in schema or {"title", "description"} <= schema.keys(), (name, at, "its remedy in words")


@pytest.mark.parametrize("name", FILES)
def test_the_command_line_says_so_and_touches_nothing(aishell: Aishell, name):
    """One of each kind of mistake a file has, as a user sees it."""
    for other, text in RIGHT.items():
        aishell.configure(other, text)
    kinds: dict[str, Mistake] = {}
    for made, mistake in MADE:
        if made == name:
            kinds.setdefault(mistake.kind.split()[0], mistake)
    kind = Path(name).stem if name.startswith("agents/") else "maintenance"
    before = (aishell.config / name).read_text() if (aishell.config / name).exists() else None
    for mistake in list(kinds.values())[:2]:
        path = aishell.configure(name, yaml.safe_dump(mistake.document, sort_keys=False))
        command = ("run", kind.replace("_", "-"), "--target", "shop", "--dry-run")
        command = ("schedule", "list") if name == "schedules.yaml" else command
        command = ("run", "workflow", Path(name).stem, "--dry-run") if name.startswith("workflows/") else command
        command = ("notify", "test") if name == "notifications.yaml" else command
        ended = aishell(*command, "--output", "json").expect(2)
        assert ended.json["error"]["message"].startswith(f"{path}:")
        assert ended.json["error"]["hint"] in ended.err
    assert not aishell.state.exists()
    if before is not None:
        aishell.configure(name, before)
