"""`aishell.yaml`, with the targets of `targets.yaml`, as values.

Plain dataclasses rather than pydantic: these few files are read at every start, and pydantic costs 71 ms to import.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aishell.databases.urls import tells_password
from aishell.errors import SettingsError
from aishell.settings.files import checked, document_of, fields_of
from aishell.settings.hooks import Hook, read_hooks
from aishell.settings.language_models import ModelSettings, read_model
from aishell.settings.schemas import AISHELL
from aishell.settings.targets import Targets, load_targets
from aishell.settings.validation import Known, wrong
from aishell.settings.yamlfile import Document
from aishell.trust import configured_secret


@dataclass(frozen=True)
class DaemonSettings:
    """`daemon:` of aishell.yaml."""

    shutdown_grace: str | int = 0  # how long runs get to pause when the daemon ends; 0: they continue without it
    socket: str | None = None  # relative to the site; None: daemon.sock beside the state
    socket_group: str | None = None  # who may use it besides its owner
    listen: str | None = None  # host:port for monitoring over TCP; None: only on the socket
    token_env: str | None = None  # the variable with the token that clients of `listen` must send
    token_file: str | None = None
    prune_every: str | int = "1d"  # how often to run `runs prune`; 0: never
    maintain_every: str | int = "7d"  # how often to run `state maintain`; 0: never

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port of `listen`."""
        host, _, port = (self.listen or "").rpartition(":")
        return (host.strip("[]"), int(port)) if host else None

    @property
    def loopback(self) -> bool:
        """Whether only this host can reach `listen`."""
        host = self.address[0] if self.address else "localhost"
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False

    def token(self) -> str | None:
        """Return the token that clients must send, None if none is required. Raises SettingsError."""
        value = configured_secret("daemon", variable=self.token_env, file=self.token_file, what="the token file")
        if self.token_file is None or value is None:
            return value
        if not value.strip():
            raise SettingsError(f"daemon: the token file {Path(self.token_file).expanduser()} is empty")
        return value.strip()


@dataclass(frozen=True)
class Logging:
    """`logging:` of aishell.yaml."""

    format: str = "text"  # text: for people, on standard error | json: one line per event
    level: str = "info"  # the least level that is logged: debug | info | warning | error
    file: str | None = None  # None: standard error


@dataclass(frozen=True)
class Tracing:
    """`tracing:` of aishell.yaml: an OpenTelemetry collector that accepts spans over HTTP."""

    endpoint: str | None = None  # its address; /v1/traces is appended
    endpoint_env: str | None = None
    headers_env: str | None = None  # `name=value,name=value`, as OTEL_EXPORTER_OTLP_HEADERS
    headers_file: str | None = None

    def address(self) -> str:
        """Return the URL that spans are sent to. Raises SettingsError."""
        address = self.endpoint or os.environ.get(self.endpoint_env or "", "")
        if not address.startswith(("http://", "https://")):
            what = f"the environment variable {self.endpoint_env} is" if self.endpoint_env else "endpoint is"
            raise SettingsError(f"tracing: {what} no URL of http or https")
        return address if address.endswith("/v1/traces") else f"{address.rstrip('/')}/v1/traces"

    def headers(self) -> dict[str, str]:
        """Return the HTTP headers of the requests. Raises SettingsError, without any value."""
        text = configured_secret(
            "tracing", variable=self.headers_env, file=self.headers_file, what="the file of headers"
        )
        pairs = [pair.partition("=") for pair in re.split(r"[,\n]", text or "") if pair.strip()]
        if not all(name.strip() and equals for name, equals, _ in pairs):
            raise SettingsError("tracing: the headers are not of the form name=value,name=value")
        return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


@dataclass(frozen=True)
class Settings:
    """The configuration of a site."""

    default_target: str | None = None
    safety_level: str = "moderate"
    jobs: int = 1
    max_concurrent: int | None = None  # concurrent runs of schedules and stages of workflows; None: no limit
    targets: Targets = field(default_factory=Targets)
    hooks: tuple[str | Hook, ...] = ()  # `module:attribute`, or a mapping
    keep_runs: int = 1000
    keep_days: int = 30  # younger runs are never pruned
    keep_notifications: int = 1000
    archives: str | None = None  # the folder of archives, relative to the site
    backups: str | None = None  # the folder of backups, relative to the site
    backup_recipients: tuple[str, ...] = ()  # age public keys; backups are encrypted for each
    backup_identity: str | None = None  # the file with the age key that decrypts them
    backup_copies: tuple[str, ...] = ()  # second places of backups: absolute paths, or URLs that fsspec knows
    backup_copies_days: float = 30  # how old the last check of a copy may be, in days, before it is read again
    programs: str | None = None  # the folder of the client programs; None: those on the path
    daemon: DaemonSettings = field(default_factory=lambda: DaemonSettings())
    logging: Logging = field(default_factory=Logging)
    tracing: Tracing | None = None
    llm: ModelSettings | None = None  # None: no language model; nothing requires one


def load_settings(config: Path, known: Known | None = None) -> Settings:
    """Return `aishell.yaml` and `targets.yaml` of a config folder. Raises SettingsError with file and line.

    `known`: what hooks can name beside targets and their labels.
    """
    targets = load_targets(config)
    main = document_of(config, "aishell.yaml")
    labels = lambda: {label for target in targets.values() for label in target.labels}  # noqa: E731
    fields = fields_of(checked(main, AISHELL, {**(known or {}), "target": lambda: targets, "label": labels}))
    if "hooks" in fields:
        fields["hooks"] = read_hooks(main)
    for name, read in (("daemon", _daemon), ("logging", partial(_logging, config)), ("tracing", _tracing)):
        if name in fields:
            fields[name] = read(fields[name], main)
    if "llm" in fields:
        fields["llm"] = read_model(main, "llm")
    settings = Settings(targets=targets, **fields)
    for number, copy in enumerate(settings.backup_copies):
        if tells_password(copy):  # the URL is shown, and stored in the catalog
            message = "a second place of backups has a password in its URL"
            hint = "fsspec takes them from its own configuration, ~/.config/fsspec, or from the store's"
            raise wrong(main, "backup_copies", number, message=message, hint=hint)
    return settings


def load_logging(config: Path) -> Logging:
    """Return only `logging:` of `aishell.yaml`. Raises SettingsError for any fault in the file."""
    document = document_of(config, "aishell.yaml")
    return _logging(config, checked(document, AISHELL).get("logging") or {}, document)


def _daemon(data: Mapping[str, Any], document: Document) -> DaemonSettings:
    """Raises SettingsError for an invalid port, and for one that other hosts can reach without a token."""
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


def _logging(config: Path, data: Mapping[str, Any], document: Document) -> Logging:
    """Raises SettingsError if the log file cannot be written. Its path is relative to the site, `config`'s parent."""
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
    """Raises SettingsError for no collector or several, and if the exporter is not installed."""
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
