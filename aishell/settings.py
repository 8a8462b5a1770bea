"""Configuration: YAML files of a site, checked against their schemas, as values.

Plain dataclasses rather than pydantic: these few files are read at every start, and pydantic costs 71 ms to import.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from aishell.databases.urls import read_url, tells_password
from aishell.errors import SettingsError, UnknownNameError, UsageError
from aishell.models import Risk, canonical, digest, server_of
from aishell.schema import Known, Schema, check, wrong
from aishell.settings_hooks import Hook, read_hooks
from aishell.settings_schemas import AISHELL, NOTIFICATIONS, POLICY, SCHEDULES, TARGETS
from aishell.trust import secret_text
from aishell.verdicts import Decision
from aishell.whole_servers import database_in, in_database, name_of, reached, wanted
from aishell.yamlfile import Document, parse

PRODUCTION = "production"
#: The files of a config folder, beside those of `agents/`.
FILES = {
    "aishell.yaml": AISHELL,
    "targets.yaml": TARGETS,
    "policy.yaml": POLICY,
    "schedules.yaml": SCHEDULES,
    "notifications.yaml": NOTIFICATIONS,
}
#: What a file's name ends with that may be meant as configuration.
_READ = (".yaml", ".yml", ".json", ".toml")


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
    password_command: tuple[str, ...] = ()  # a program and its arguments, which prints it; asked for each connection
    inspection_url: str | None = field(default=None, repr=False)
    free_disk_bytes: int | None = None  # where the server's disk cannot be seen from here
    binlog: str = ""  # MySQL: LOCAL keeps maintenance statements out of the binary log
    pgbackrest: PgBackRest | None = None  # PostgreSQL: what its backups are made with
    databases: tuple[str, ...] = ()  # it is a whole server: globs, and with a ! before them those that are left out
    host: str | None = None  # the machine that work on it is a load on; None: as its URL says
    server: str = ""  # the target that it is a database of (`whole_servers`)

    @property
    def names(self) -> tuple[str, ...]:
        """By which rules can name it: its own name, and that of its server."""
        return (self.name, self.server) if self.server else (self.name,)

    @property
    def machine(self) -> str:
        """The machine that work on it is a load on: `host`, or the first of its URL; empty for this one, and for files."""
        if self.host is not None:
            return self.host
        url = read_url(self.url)
        return "" if url.local else url.host or ""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def password(self) -> str | None:
        """The password from the environment, a file or a program; None when the URL or the driver's own files have it.

        Raises SettingsError, and DatabaseError where the program fails.
        """
        if self.password_env is not None:
            value = os.environ.get(self.password_env)
            if value is None:
                raise SettingsError(f"target {self.name!r}: the environment variable {self.password_env} is not set")
            return value
        if self.password_file is not None:
            path = Path(self.password_file).expanduser()
            try:
                return secret_text(path, f"target {self.name!r}: the password file")
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"target {self.name!r}: {path} cannot be read: {error}") from error
        if self.password_command:
            from aishell.databases.passwords import told

            return told(self.password_command)
        return None

    def takes(self, database: str) -> bool:
        """Whether a database of the server that it is has a target of its own."""
        return bool(self.databases) and wanted(self.databases, database)

    def of(self, database: str) -> Target:
        """The target of one database: everything is this one's but the name and where the URLs lead."""
        inspection = in_database(self.inspection_url, database) if self.inspection_url else None
        url, name = in_database(self.url, database), name_of(self.name, database)
        return replace(self, name=name, url=url, inspection_url=inspection, databases=(), server=self.name)

    def server_faults(self, others: Iterable[str]) -> Iterator[tuple[str, str, str | None]]:
        """What is wrong with it as a whole server, beside the names of other targets; as `faults`."""
        for name in others:
            if server_of(name) == self.name:
                yield (
                    "databases",
                    f"the target {name!r} is called as one of its databases would be",
                    "give it another name",
                )
        if self.pgbackrest is not None:
            yield "databases", "pgbackrest backs up a whole server, and not database by database", "make it two targets"
        for key, url in (("url", self.url), ("inspection_url", self.inspection_url)):
            if url is not None and "dbname=" in url.partition("?")[2]:
                yield (
                    key,
                    "the database of a whole server stands in the query",
                    "write it behind the host, or leave it out",
                )

    def faults(self) -> Iterator[tuple[str, str, str | None]]:
        """What is wrong with its URLs and with how its password is named: the key, a sentence, and what to do."""
        named = [name for name in ("password_env", "password_file", "password_command") if getattr(self, name)]
        for key, url in (("url", self.url), ("inspection_url", self.inspection_url)):
            try:
                has_password = url is not None and read_url(url, key).password is not None
            except UsageError as error:
                yield key, error.message, error.hint
                continue
            if key == "url" and len(named) + has_password > 1:
                places = [*named, *(["url"] if has_password else [])]
                yield places[0], f"the password is named in several places: {', '.join(places)}", "name it in one"

    def without_password(self) -> Target:
        """The same target, of whose password nothing is known."""
        return replace(self, password_env=None, password_file=None, password_command=())


class Targets(Mapping[str, Target]):
    """The targets of a site by name. Those that stand in `targets.yaml` are walked over; those of databases are found by name."""

    def __init__(self, configured: Mapping[str, Target] | None = None) -> None:
        self._configured = dict(configured or {})

    def __getitem__(self, name: str) -> Target:
        if name in self._configured:
            return self._configured[name]
        server = self._configured.get(server_of(name))
        database = None if server is None else database_in(server.name, name)
        if server is None or database is None or not server.takes(database):
            raise KeyError(name)
        return server.of(database)

    def __iter__(self) -> Iterator[str]:
        return iter(self._configured)

    def __len__(self) -> int:
        return len(self._configured)

    def fits(self, glob: str) -> bool:
        """Whether a glob can choose a target: also one of a database that nobody has seen yet."""
        return any(
            fnmatchcase(name, glob) or (one.databases and glob.startswith(f"{name}/"))
            for name, one in self._configured.items()
        )


@dataclass(frozen=True)
class PolicyRule:
    """A scoped rule above the matrix; globs on tool, target, label and environment."""

    name: str
    decision: Decision
    tool: str = "*"
    target: str = "*"
    label: str = "*"
    environment: str = "*"


@dataclass(frozen=True)
class Earned:
    """A tool that runs unasked on a target after so many supervised runs there. None is every target of the environment."""

    tool: str
    after: int
    environment: str
    max_risk: Risk
    target: str | None = None


def in_force(constraints: Iterable[Mapping[str, Any]]) -> list[str]:
    """Constraints as what they ask for: not by where they stand in a file, and in no order."""
    return sorted({canonical({key: value for key, value in one.items() if key != "where"}) for one in constraints})


@dataclass(frozen=True)
class Policy:
    """`config/policy.yaml`. `matrix[level][risk]` is a decision, or one per environment with `default`."""

    matrix: Mapping[str, Mapping[str, Mapping[str, Decision]]]
    rules: tuple[PolicyRule, ...] = ()
    constraints: tuple[Mapping[str, Any], ...] = ()
    mode: str = "interactive"  # interactive | unattended
    preapprove_max_risk: Risk = Risk.MEDIUM
    earned: tuple[Earned, ...] = ()
    approval_hours: float = 24
    prompt_seconds: float = 300

    @property
    def version(self) -> str:
        """The digest of what decides: an approval given under another one is void.

        What only says how long something is waited for (`approval_hours`, `prompt_seconds`), how a rule is called, and in which
        order things stand decides nothing.
        """
        rules = sorted({(rule.decision, rule.tool, rule.target, rule.label, rule.environment) for rule in self.rules})
        decides = [self.matrix, rules, in_force(self.constraints), self.mode, self.preapprove_max_risk]
        if self.earned:  # a policy without them keeps the digest that it had before there were any
            decides.append(sorted(canonical(rule) for rule in set(self.earned)))
        return digest(decides)


@dataclass(frozen=True)
class DaemonSettings:
    """`daemon:` of aishell.yaml."""

    shutdown_grace: str | int = 0  # at its end runs are asked to pause, and waited for so long; 0: they go on alone
    socket: str | None = None  # relative to the site; None: daemon.sock beside the state
    socket_group: str | None = None  # who may answer at it beside its owner
    listen: str | None = None  # host:port of what monitors read; None: it is on the socket alone
    token_env: str | None = None  # where the token stands that callers of `listen` have to know
    token_file: str | None = None
    prune_every: str | int = "1d"  # `runs prune` is run so often; 0: not by the daemon
    maintain_every: str | int = "7d"  # and `state maintain`

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of `listen`."""
        host, _, port = (self.listen or "").rpartition(":")
        return (host.strip("[]"), int(port)) if host else None

    @property
    def loopback(self) -> bool:
        """Whether nobody but this host can reach what listens."""
        host = self.address[0] if self.address else "localhost"
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False

    def token(self) -> str | None:
        """What callers have to know; None where it is not needed. Raises SettingsError."""
        if self.token_env is not None:
            value = os.environ.get(self.token_env)
            if not value:
                raise SettingsError(f"daemon: the environment variable {self.token_env} is not set")
            return value
        if self.token_file is None:
            return None
        path = Path(self.token_file).expanduser()
        try:
            value = secret_text(path, "daemon: the token file").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"daemon: {path} cannot be read: {error}") from error
        if not value:
            raise SettingsError(f"daemon: the token file {path} is empty")
        return value


@dataclass(frozen=True)
class Logging:
    """`logging:` of aishell.yaml."""

    format: str = "text"  # text: what people read on standard error | json: a line for each event
    level: str = "info"  # the least that a line is about: debug | info | warning | error
    file: str | None = None  # None: standard error


@dataclass(frozen=True)
class Tracing:
    """`tracing:` of aishell.yaml: a collector of OpenTelemetry's that takes spans over HTTP."""

    endpoint: str | None = None  # its address; /v1/traces is added
    endpoint_env: str | None = None
    headers_env: str | None = None  # `name=value,name=value`, as OTEL_EXPORTER_OTLP_HEADERS
    headers_file: str | None = None

    def address(self) -> str:
        """Where spans are sent to. Raises SettingsError."""
        address = self.endpoint or os.environ.get(self.endpoint_env or "", "")
        if not address.startswith(("http://", "https://")):
            what = f"the environment variable {self.endpoint_env} is" if self.endpoint_env else "endpoint is"
            raise SettingsError(f"tracing: {what} no URL of http or https")
        return address if address.endswith("/v1/traces") else f"{address.rstrip('/')}/v1/traces"

    def headers(self) -> dict[str, str]:
        """What is sent with them. Raises SettingsError, which tells no value."""
        text = ""
        if self.headers_env is not None:
            text = os.environ.get(self.headers_env, "")
            if not text:
                raise SettingsError(f"tracing: the environment variable {self.headers_env} is not set")
        elif self.headers_file is not None:
            path = Path(self.headers_file).expanduser()
            try:
                text = secret_text(path, "tracing: the file of headers").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"tracing: {path} cannot be read: {error}") from error
        pairs = [pair.partition("=") for pair in re.split(r"[,\n]", text) if pair.strip()]
        if not all(name.strip() and equals for name, equals, _ in pairs):
            raise SettingsError("tracing: the headers are not of the form name=value,name=value")
        return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


@dataclass(frozen=True)
class Settings:
    """Everything a site configures."""

    default_target: str | None = None
    safety_level: str = "moderate"
    jobs: int = 1
    max_concurrent: int | None = None  # runs of schedules, and stages of workflows, at a time; None: as many as come
    targets: Targets = field(default_factory=Targets)
    hooks: tuple[str | Hook, ...] = ()  # `module:attribute`, or a hook of its own
    keep_runs: int = 1000
    keep_days: int = 30  # no younger run is pruned
    keep_notifications: int = 1000
    archives: str | None = None  # the folder of archives, relative to the site
    backups: str | None = None  # the folder of backups, relative to the site
    backup_recipients: tuple[str, ...] = ()  # age keys that backups are encrypted to
    backup_identity: str | None = None  # the file of the key that opens them
    backup_copies: tuple[str, ...] = ()  # second places of backups: absolute paths, or URLs that fsspec knows
    backup_copies_days: float = 30  # a copy in a second place is read again when it was not for so many days
    programs: str | None = None  # the folder of the client programs; None: those on the path
    daemon: DaemonSettings = field(default_factory=lambda: DaemonSettings())
    logging: Logging = field(default_factory=Logging)
    tracing: Tracing | None = None


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


def read(path: Path, shown: str) -> Document | None:
    """The YAML at `path`, None when there is no such file."""
    try:
        return parse(path.read_text(encoding="utf-8"), shown)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{shown} cannot be read: {error}") from error


def load_settings(config: Path, known: Known | None = None) -> Settings:
    """`aishell.yaml` and `targets.yaml` of a config folder. Raises SettingsError, with file and line, for what is wrong.

    `known`: what hooks can name beside targets and their labels.
    """
    document = _document(config, "targets.yaml")
    given = checked(document, TARGETS).get("targets") or {}
    targets = Targets({str(name): _target(str(name), data, document, config, given) for name, data in given.items()})
    main = _document(config, "aishell.yaml")
    labels = lambda: {label for target in targets.values() for label in target.labels}  # noqa: E731
    fields = fields_of(checked(main, AISHELL, {**(known or {}), "target": lambda: targets, "label": labels}))
    if "hooks" in fields:
        fields["hooks"] = read_hooks(main)
    if "daemon" in fields:
        fields["daemon"] = _daemon(fields["daemon"], main)
    if "logging" in fields:
        fields["logging"] = _logging(fields["logging"], main, config)
    if "tracing" in fields:
        fields["tracing"] = _tracing(fields["tracing"], main)
    settings = Settings(targets=targets, **fields)
    for number, copy in enumerate(settings.backup_copies):
        if tells_password(copy):  # it is shown, and stands in the catalogue
            message = "a second place of backups has a password in its URL"
            hint = "fsspec takes them from its own configuration, ~/.config/fsspec, or from the store's"
            raise wrong(main, "backup_copies", number, message=message, hint=hint)
    return settings


def load_logging(config: Path) -> Logging:
    """`logging:` of `aishell.yaml` alone. Raises SettingsError, as `load_settings` does, for whatever is wrong in the file."""
    document = _document(config, "aishell.yaml")
    return _logging(checked(document, AISHELL).get("logging") or {}, document, config)


def load_policy(
    config: Path, known: Known | None = None, unearnable: Callable[[Earned], str | None] = lambda rule: None
) -> Policy:
    """`policy.yaml`; the built-in defaults where it is absent or silent. `known`: what its rules can name (see `schema`).

    `unearnable` says why a rule of `earned` could never let its tool run unasked.
    """
    document = read(config / "policy.yaml", str(config / "policy.yaml"))
    if document is None:
        return DEFAULT_POLICY
    data = checked(document, POLICY, known)
    matrix = {level: dict(row) for level, row in DEFAULT_POLICY.matrix.items()}
    for level, row in (data.get("matrix") or {}).items():
        for risk, said in (row or {}).items():
            given = said if isinstance(said, dict) else {"default": said}
            decisions = {str(where): Decision(decision) for where, decision in given.items() if decision is not None}
            matrix[level][risk] = {**matrix[level][risk], **decisions}
    values = {name: data[name] for name in ("mode", "approval_hours", "prompt_seconds") if data.get(name) is not None}
    return Policy(
        matrix,
        tuple(_rule(rule, number) for number, rule in enumerate(data.get("rules") or ())),
        placed(document, "constraints"),
        preapprove_max_risk=Risk(data.get("preapprove_max_risk") or "medium"),
        earned=_earned(document, unearnable),
        **values,
    )


def checked(document: Document, schema: Schema, known: Known | None = None) -> dict[str, Any]:
    """What a file says. Raises SettingsError: of a key that is at home in other files, those are named."""
    for key in document.data if isinstance(document.data, dict) else ():
        homes = [name for name, other in FILES.items() if key in other["properties"]]
        if homes and key not in schema["properties"]:
            raise wrong(document, key, message=f"unknown key {key!r}", hint=f"it belongs in {' or '.join(homes)}")
    return check(document, schema, known)


def check_files(config: Path, built_in: Collection[str], agents: Callable[[], Collection[str]]) -> None:
    """Raises SettingsError for a file in the folder that nothing reads: a misspelt name would be no configuration at all.

    `built_in`: the types of agents that come with aishell; `agents`: all there are, asked for a file of none of those.
    """
    own = config / "agents"
    usual = {*(config / name for name in FILES), *(own / f"{name}.yaml" for name in built_in)}
    for path in sorted({*config.glob("*"), *own.glob("*")} - usual):
        if path.name.startswith(".") or not (path.suffix in _READ or (path.parent == own and path.is_dir())):
            continue
        known = list(FILES) if path.parent == config else [f"{name}.yaml" for name in agents()]
        if path.name not in known:
            raise _unread(path, known)
    for path in sorted((config / "workflows").glob("*")):
        if path.suffix in _READ and path.suffix != ".yaml" and not path.name.startswith("."):
            raise _unread(path, [f"{path.stem}.yaml"])


def _unread(path: Path, known: Collection[str]) -> SettingsError:
    """A file that nothing reads. That all names end in .yaml makes none of them alike."""
    stems = {name.rpartition(".")[0]: name for name in known}
    near = UnknownNameError("file", path.stem, stems).nearest
    hint = f"did you mean {stems[near]!r}?" if near is not None else f"known: {', '.join(sorted(known))}"
    return SettingsError(f"{path}:1: unknown file {path.name!r}: nothing reads it", hint=hint)


def check_environment(environment: str) -> str:
    """An environment's name. Raises UnknownNameError for a misspelt production: a typo takes nothing out of it."""
    if environment != PRODUCTION and environment.casefold().startswith(("prod", "prd")):
        raise UnknownNameError("environment", environment, [PRODUCTION])
    return environment


def _document(config: Path, name: str) -> Document:
    return read(config / name, str(config / name)) or Document(str(config / name), {})


def _daemon(data: Mapping[str, Any], document: Document) -> DaemonSettings:
    """Raises SettingsError for a port that is none, and for one that other hosts can reach without a token."""
    daemon = DaemonSettings(**fields_of(data))
    if daemon.address is not None and not 0 < daemon.address[1] < 65536:
        message = f"listen is out of range: port {daemon.address[1]}"
        raise wrong(document, "daemon", "listen", message=message, hint="write a port from 1 to 65535")
    if not daemon.loopback and daemon.token_env is None and daemon.token_file is None:
        message = f"other hosts can reach {daemon.listen}, and no token is asked for"
        raise wrong(
            document, "daemon", "listen", message=message, hint="name token_file or token_env, or listen on 127.0.0.1"
        )
    if daemon.token_env is not None and daemon.token_file is not None:
        message = "the token is named in two places: token_env, token_file"
        raise wrong(document, "daemon", "token_file", message=message, hint="name it in one")
    return daemon


def _logging(data: Mapping[str, Any], document: Document, config: Path) -> Logging:
    """Its file is relative to the site. Raises SettingsError for one that cannot be written."""
    logging = Logging(**fields_of(data))
    if logging.file is None:
        return logging
    path = (config.parent / Path(logging.file).expanduser()).absolute()
    place = path if path.exists() else path.parent
    if not place.exists() or path.is_dir() or not os.access(place, os.W_OK):
        why = "there is no such folder" if not place.exists() else "it is not a writable file"
        message = f"the log cannot be written to {path}: {why}"
        raise wrong(document, "logging", "file", message=message, hint="make its folder, or name another file")
    return replace(logging, file=str(path))


def _tracing(data: Mapping[str, Any], document: Document) -> Tracing:
    """Raises SettingsError where it names no collector, or several, and where what sends spans is not installed."""
    tracing = Tracing(**fields_of(data))
    for names in (("endpoint", "endpoint_env"), ("headers_env", "headers_file")):
        if len(named := [name for name in names if getattr(tracing, name) is not None]) > 1:
            message = f"tracing names it in two places: {', '.join(named)}"
            raise wrong(document, "tracing", named[-1], message=message, hint="name it in one")
    if tracing.endpoint is None and tracing.endpoint_env is None:
        message, hint = "tracing names no collector", "write endpoint: http://localhost:4318, or endpoint_env"
        raise wrong(document, "tracing", message=message, hint=hint)
    if tracing.endpoint is not None:
        if "@" in tracing.endpoint or "?" in tracing.endpoint:
            message = "the endpoint of tracing may hold a secret"
            raise wrong(document, "tracing", "endpoint", message=message, hint="name it in headers_file or headers_env")
        try:
            tracing.address()
        except SettingsError as error:
            raise wrong(
                document, "tracing", "endpoint", message=error.message, hint="write http://host:4318"
            ) from error
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        message, hint = "what sends spans is not installed", "pip install 'aishell[tracing]', or leave tracing out"
        raise wrong(document, "tracing", message=message, hint=hint)
    return tracing


def fields_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says, as the fields of a dataclass: what it leaves empty keeps its default."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if value is not None}


def _target(name: str, data: Mapping[str, Any], document: Document, config: Path, others: Iterable[object]) -> Target:
    values = fields_of(data)
    if values["url"].startswith("sqlite:///") and not values["url"].startswith("sqlite:////"):
        path = (config.parent / values["url"].removeprefix("sqlite:///")).absolute()  # relative to the site
        values["url"] = f"sqlite:///{path}"
    if "pgbackrest" in values:
        values["pgbackrest"] = PgBackRest(**fields_of(values["pgbackrest"]))
    target = Target(name=name, **values)
    try:
        check_environment(target.environment)
    except UnknownNameError as error:
        raise wrong(document, "targets", name, "environment", message=error.message, hint=error.hint) from error
    for key, message, hint in target.faults():
        raise wrong(document, "targets", name, key, message=message, hint=hint)
    if not target.databases:
        return target
    for key, message, hint in target.server_faults(map(str, others)):
        raise wrong(document, "targets", name, key, message=message, hint=hint)
    return replace(target, url=reached(target.url))


def _rule(data: Mapping[str, Any], number: int) -> PolicyRule:
    return PolicyRule(**{"name": f"rule {number + 1}", **fields_of(data), "decision": Decision(data["decision"])})


def _earned(document: Document, unearnable: Callable[[Earned], str | None]) -> tuple[Earned, ...]:
    rules = []
    for number, data in enumerate(document.data.get("earned") or () if document.data else ()):
        rule = Earned(**{**fields_of(data), "max_risk": Risk(data["max_risk"])})
        if (why := unearnable(rule)) is not None:
            hint = (
                "remove the rule: tools that maintain, ask by their risk alone, delete nothing and verify can earn it"
            )
            raise wrong(document, "earned", number, message=f"{rule.tool} cannot run unasked: {why}", hint=hint)
        rules.append(rule)
    return tuple(rules)


def placed(document: Document, *at: str) -> tuple[Mapping[str, Any], ...]:
    """The items of a list, each with where it stands, for the errors of what judges them later."""
    items = document.data
    for key in at:
        items = (items or {}).get(key)
    return tuple(
        {**item, "where": f"{document.path}:{document.line(*at, number)}"} for number, item in enumerate(items or ())
    )
