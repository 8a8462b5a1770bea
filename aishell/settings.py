"""Configuration: YAML files of a site, validated; an unknown key is refused with the nearest known one.

Plain dataclasses rather than pydantic: these few files are read at every start, and pydantic costs 71 ms to import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aishell.errors import SettingsError, UnknownNameError
from aishell.models import CAPABILITIES, SAFETY_LEVELS, AgentConfig, Risk, digest
from aishell.verdicts import Decision
from aishell.yamlfile import Document, parse

PRODUCTION = "production"
#: The rules by which backups are kept (see `backups.retention`).
BACKUP_RETENTION = ("count", "days", "daily", "weekly", "monthly", "yearly", "at_most")


@dataclass(frozen=True)
class PgBackRest:
    """A target's stanza in a repository of pgbackrest's. `config`: its configuration file, None for its own default."""

    stanza: str
    config: str | None = None
    repo: int = 1


@dataclass(frozen=True)
class Target:
    """A database aishell may work on. One without an environment is production."""

    name: str
    url: str = field(repr=False)
    environment: str = PRODUCTION
    labels: tuple[str, ...] = ()
    time_zone: str = "UTC"
    password_env: str | None = None
    password_file: str | None = None
    inspection_url: str | None = field(default=None, repr=False)
    free_disk_bytes: int | None = None  # where the server's disk cannot be seen from here
    binlog: str = ""  # MySQL: LOCAL keeps maintenance statements out of the binary log
    pgbackrest: PgBackRest | None = None  # PostgreSQL: what its backups are made with

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def password(self) -> str | None:
        """The password from the environment or a file, None when the URL or the driver's own files have it."""
        if self.password_env is not None:
            value = os.environ.get(self.password_env)
            if value is None:
                raise SettingsError(f"target {self.name!r}: the environment variable {self.password_env} is not set")
            return value
        if self.password_file is not None:
            path = Path(self.password_file).expanduser()
            try:
                return path.read_text(encoding="utf-8").rstrip("\n")
            except OSError as error:
                raise SettingsError(f"target {self.name!r}: {path} cannot be read: {error.strerror}") from error
        return None


@dataclass(frozen=True)
class Rule:
    """A scoped rule above the matrix; globs on tool, target and label."""

    name: str
    decision: Decision
    tool: str = "*"
    target: str = "*"
    label: str = "*"


@dataclass(frozen=True)
class Policy:
    """`config/policy.yaml`. `matrix[level][risk]` is a decision, or one per environment with `default`."""

    matrix: Mapping[str, Mapping[str, Mapping[str, Decision]]]
    rules: tuple[Rule, ...] = ()
    constraints: tuple[Mapping[str, Any], ...] = ()
    mode: str = "interactive"  # interactive | unattended
    preapprove_max_risk: Risk = Risk.MEDIUM
    approval_hours: float = 24
    prompt_seconds: float = 300
    version: str = "built-in"


@dataclass(frozen=True)
class Settings:
    """Everything a site configures."""

    default_target: str | None = None
    safety_level: str = "moderate"
    jobs: int = 1
    targets: Mapping[str, Target] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    keep_runs: int = 1000
    archives: str | None = None  # the folder of archives, relative to the site
    backups: str | None = None  # the folder of backups, relative to the site
    backup_recipients: tuple[str, ...] = ()  # age keys that backups are encrypted to
    backup_identity: str | None = None  # the file of the key that opens them
    backup_copies: tuple[str, ...] = ()  # second places of backups: absolute paths, or URLs that fsspec knows
    backup_copies_days: float = 30  # a copy in a second place is read again when it was not for so many days
    programs: str | None = None  # the folder of the client programs; None: those on the path


_MATRIX = {
    "permissive": ("auto", "auto", "auto", "confirm", "review"),
    "moderate": ("auto", "auto", "auto", "confirm", "review"),
    "strict": ("auto", "auto", "confirm", "review", "review"),
}
DEFAULT_POLICY = Policy(
    {
        level: {risk: {"default": Decision(decision)} for risk, decision in zip(Risk, row, strict=True)}
        for level, row in _MATRIX.items()
    }
)


class Section:
    """A mapping of a document, read key by key; what nobody asked for is unknown."""

    def __init__(self, document: Document, *at: object, data: Any = None) -> None:
        self.document, self.at = document, at
        self.data = document.data if data is None and not at else data
        if self.data is None:
            self.data = {}
        if not isinstance(self.data, dict):
            raise self.wrong(f"a mapping is needed here, not {self.data!r}")
        self._asked: set[str] = set()

    def wrong(self, message: str, *key: object) -> SettingsError:
        line = self.document.line(*self.at, *key)
        return SettingsError(f"{self.document.path}:{line}: {message}")

    def get(self, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        self._asked.add(key)
        value = self.data.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, float, (int, float))):
            names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise self.wrong(f"{key} must be {names}, not {value!r}", key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.get(key, list, [])
        for number, item in enumerate(value):
            if not isinstance(item, str):
                raise self.wrong(f"{key} must be a list of texts, not of {item!r}", key, number)
        return tuple(value)

    def one_of(self, key: str, known: Any, default: str) -> str:
        value = self.get(key, str, default)
        if value not in list(known):
            raise self.unknown(f"value of {key}", value, known, key)
        return str(value)

    def unknown(self, kind: str, value: str, known: Any, *key: object) -> SettingsError:
        near = UnknownNameError(kind, value, [str(k) for k in known])
        error = self.wrong(near.message, *key)
        error.hint = near.hint
        return error

    def sections(self, key: str) -> list[tuple[str, Section]]:
        value = self.get(key, dict, {})
        return [(str(name), Section(self.document, *self.at, key, name, data=item)) for name, item in value.items()]

    def items(self, key: str) -> list[Section]:
        value = self.get(key, list, [])
        return [Section(self.document, *self.at, key, n, data=item) for n, item in enumerate(value)]

    def done(self) -> None:
        """Raises SettingsError for a key nobody asked for, naming the nearest one somebody did."""
        for key in self.data:
            if str(key) not in self._asked:
                raise self.unknown("key", str(key), self._asked, key)


def read(path: Path, shown: str) -> Document | None:
    """The YAML at `path`, None when there is no such file."""
    try:
        return parse(path.read_text(encoding="utf-8"), shown)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{shown} cannot be read: {error}") from error


def load_settings(config: Path) -> Settings:
    """`aishell.yaml` and `targets.yaml` of a config folder."""
    main = Section(_document(config, "aishell.yaml"))
    targets = Section(_document(config, "targets.yaml"))
    known = {name: _target(name, section, config) for name, section in targets.sections("targets")}
    targets.done()
    settings = Settings(
        default_target=main.get("default_target", str),
        safety_level=main.one_of("safety_level", SAFETY_LEVELS, "moderate"),
        jobs=main.get("jobs", int, 1),
        targets=known,
        hooks=main.texts("hooks"),
        keep_runs=main.get("keep_runs", int, 1000),
        archives=main.get("archives", str),
        backups=main.get("backups", str),
        backup_recipients=tuple(map(str, main.get("backup_recipients", list, []))),
        backup_identity=main.get("backup_identity", str),
        backup_copies=tuple(map(str, main.get("backup_copies", list, []))),
        backup_copies_days=main.get("backup_copies_days", (int, float), 30),
        programs=main.get("programs", str),
    )
    main.done()
    if settings.backup_copies_days <= 0:
        raise main.wrong(
            f"backup_copies_days must be more than 0, not {settings.backup_copies_days!r}", "backup_copies_days"
        )
    if settings.default_target is not None and settings.default_target not in known:
        raise main.unknown("target", settings.default_target, known, "default_target")
    return settings


def load_policy(config: Path) -> Policy:
    """`policy.yaml`; the built-in defaults where it is absent or silent."""
    document = read(config / "policy.yaml", str(config / "policy.yaml"))
    if document is None:
        return DEFAULT_POLICY
    section = Section(document)
    matrix = {level: dict(row) for level, row in DEFAULT_POLICY.matrix.items()}
    for level, row in section.sections("matrix"):
        if level not in SAFETY_LEVELS:
            raise section.unknown("safety level", level, SAFETY_LEVELS, "matrix", level)
        for risk in row.data:
            if risk not in list(Risk):
                raise row.unknown("risk", str(risk), list(Risk), risk)
            matrix[level][risk] = {**matrix[level][risk], **_decisions(row, risk)}
    rules = tuple(_rule(item, number) for number, item in enumerate(section.items("rules")))
    policy = Policy(
        matrix,
        rules,
        tuple(_constraint(item) for item in section.items("constraints")),
        section.one_of("mode", ("interactive", "unattended"), "interactive"),
        Risk(section.one_of("preapprove_max_risk", [r for r in Risk if r is not Risk.CRITICAL], "medium")),
        section.get("approval_hours", (int, float), 24),
        section.get("prompt_seconds", (int, float), 300),
        _version(document),
    )
    section.done()
    return policy


def load_agent(config: Path, agent_type: str, defaults: AgentConfig) -> AgentConfig:
    """`agents/<type>.yaml` over the agent's own defaults."""
    path = config / "agents" / f"{agent_type}.yaml"
    document = read(path, str(path))
    if document is None:
        return defaults
    root = Section(document)
    name = f"{agent_type}_agent"
    section = Section(document, name, data=root.get(name, dict, {}))
    root.done()
    chosen = Section(document, name, "default_config", data=section.get("default_config", dict, {}))
    capabilities = section.get("capabilities", list, sorted(defaults.capabilities))
    for number, capability in enumerate(capabilities):
        if capability not in list(CAPABILITIES):
            raise section.unknown("capability", str(capability), CAPABILITIES, "capabilities", number)
    section.get("monitoring", dict)
    config_ = AgentConfig(
        agent_id=section.get("agent_id", str, defaults.agent_id),
        agent_type=agent_type,
        capabilities=frozenset(capabilities),
        safety_level=chosen.one_of("safety_level", SAFETY_LEVELS, defaults.safety_level),
        max_retries=chosen.get("max_retries", int, defaults.max_retries),
        timeout_seconds=chosen.get("timeout_seconds", int, defaults.timeout_seconds),
        max_duration=chosen.get("max_duration", int, defaults.max_duration),
        constraints=tuple(_constraint(item) for item in section.items("safety_constraints")) or defaults.constraints,
        retention=_retentions(section, agent_type),
        create_backup=agent_type == "maintenance" and section.get("create_backup", bool, defaults.create_backup),
    )
    chosen.done()
    section.done()
    return config_


def _retentions(section: Section, agent_type: str) -> tuple[Mapping[str, Any], ...]:
    """Of the log_cleanup agent a rule each, of the backup agent one mapping of rules."""
    if agent_type == "log_cleanup":
        return tuple(_retention(item) for item in section.items("retention"))
    if agent_type == "backup":
        item = Section(section.document, *section.at, "retention", data=section.get("retention", dict, {}))
        rules: dict[str, Any] = {name: item.get(name, int) for name in BACKUP_RETENTION if name != "days"}
        rules["days"] = item.get("days", (int, float))
        item.done()
        for name, value in rules.items():
            if value is not None and value < 0:
                raise item.wrong(f"{name} must be 0 or more, not {value!r}", name)
        given = {name: value for name, value in rules.items() if value is not None}
        return (given,) if given else ()
    return ()


def _document(config: Path, name: str) -> Document:
    return read(config / name, str(config / name)) or Document(str(config / name), {})


def _target(name: str, section: Section, config: Path) -> Target:
    url = section.get("url", str)
    if url is None:
        raise section.wrong(f"the target {name!r} needs a url")
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        url = f"sqlite:///{(config.parent / url.removeprefix('sqlite:///')).absolute()}"  # relative to the site
    target = Target(
        name=name,
        url=url,
        environment=section.get("environment", str, PRODUCTION),
        labels=section.texts("labels"),
        time_zone=section.get("time_zone", str, "UTC"),
        password_env=section.get("password_env", str),
        password_file=section.get("password_file", str),
        inspection_url=section.get("inspection_url", str),
        free_disk_bytes=section.get("free_disk_bytes", int),
        binlog=section.one_of("binlog", ("", "LOCAL"), ""),
        pgbackrest=_pgbackrest(section),
    )
    section.done()
    if target.environment != PRODUCTION and target.environment.casefold().startswith(("prod", "prd")):
        # A typo must not take a target out of production.
        raise section.unknown("environment", target.environment, [PRODUCTION], "environment")
    try:
        target.zone  # noqa: B018  looked up to be checked
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise section.wrong(f"unknown time zone {target.time_zone!r}", "time_zone") from error
    return target


def _pgbackrest(section: Section) -> PgBackRest | None:
    given = section.get("pgbackrest", dict)
    if given is None:
        return None
    item = Section(section.document, *section.at, "pgbackrest", data=given)
    stanza, repo = item.get("stanza", str), item.get("repo", int, 1)
    made = PgBackRest(stanza or "", item.get("config", str), repo)
    item.done()
    if not stanza:
        raise item.wrong("pgbackrest needs the name of its stanza")
    if repo < 1:
        raise item.wrong(f"repo must be 1 or more, not {repo!r}", "repo")
    return made


def _decisions(row: Section, risk: str) -> dict[str, Decision]:
    value = row.get(risk, (str, dict))
    mapping = value if isinstance(value, dict) else {"default": value}
    for environment, decision in mapping.items():
        if decision not in list(Decision):
            raise row.unknown("decision", str(decision), list(Decision), risk, environment)
    return {str(e): Decision(d) for e, d in mapping.items()}


def _rule(item: Section, number: int) -> Rule:
    rule = Rule(
        item.get("name", str, f"rule {number + 1}"),
        Decision(item.one_of("decision", list(Decision), "confirm")),
        *(item.get(key, str, "*") for key in ("tool", "target", "label")),
    )
    item.done()
    return rule


def _constraint(item: Section) -> Mapping[str, Any]:
    """A constraint's own keys are checked by its class; where it stands is kept for its error."""
    if not item.get("type", str):
        raise item.wrong("a constraint needs a type")
    return {**item.data, "where": f"{item.document.path}:{item.document.line(*item.at)}"}


def _retention(item: Section) -> Mapping[str, Any]:
    """A retention rule of the log_cleanup agent; what its values may be is checked with the task's inputs."""
    rule = {
        "tables": item.get("tables", str),
        "retention_days": item.get("retention_days", int),
        "date_column": item.get("date_column", str),
        "filters": item.get("filters", list),
        "archive": item.get("archive", bool),
    }
    item.done()
    for key in ("tables", "retention_days"):
        if rule[key] is None:
            raise item.wrong(f"a retention rule needs {key}")
    return {key: value for key, value in rule.items() if value is not None}


def _version(document: Document) -> str:
    return digest(document.data)
