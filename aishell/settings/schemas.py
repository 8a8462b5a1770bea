"""JSON schemas of the files of a site's configuration (see `validation`). Every number has a minimum and a maximum."""

from __future__ import annotations

from typing import Any

from aishell.models import CAPABILITIES, SAFETY_LEVELS, Decision, Risk
from aishell.notifying.conditions import ALERT_ACTIONS, RUN_METRICS
from aishell.notifying.events import EVENTS, SEVERITIES

#: Environments that may be named without a configured target in them: `--environment` classifies a URL.
ENVIRONMENTS = ("production", "staging", "test", "development", "local")
#: Upper limits of bytes and seconds: the largest bigint, a year.
MOST_BYTES, YEAR = 2**63 - 1, 366 * 86400
#: The most supervised runs that a rule can require before a tool runs without approval; no more are counted.
MOST_SUPERVISED = 1000

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_URL: dict[str, Any] = {**TEXT, "secret": True}  # may contain a password
_DECISION: dict[str, Any] = {"enum": [str(decision) for decision in Decision], "title": "decision"}
_LEVEL: dict[str, Any] = {"enum": list(SAFETY_LEVELS)}


def mapping(properties: dict[str, Any], *required: str, title: str | None = None) -> dict[str, Any]:
    """The schema of a mapping that has these keys and no others."""
    made = {"type": "object", "properties": properties, "additionalProperties": False, "required": list(required)}
    return made if title is None else {**made, "title": title}


def listing(items: dict[str, Any], *by: str, **more: Any) -> dict[str, Any]:
    """The schema of a list without duplicates. `by`: the keys that identify an item; none: the whole item."""
    return {"type": "array", "items": items, "unique": by, **more}


def pattern(expression: str, title: str, description: str, **more: Any) -> dict[str, Any]:
    """The schema of a text that matches a regular expression. `title` names it in messages; `description` is a hint."""
    return {"type": "string", "pattern": expression, "title": title, "description": description, **more}


def known(kind: str, **more: Any) -> dict[str, Any]:
    """The schema of a text that names a configured thing: a tool, a target, a label."""
    return {**TEXT, "names": kind, **more}


def globs(*kinds: str) -> dict[str, Any]:
    """Return one property per kind of name: a glob that must match at least one name (default: `*`)."""
    return {kind: known(kind, glob=True, default="*") for kind in kinds}


def whole(minimum: int, maximum: int) -> dict[str, Any]:
    """The schema of a whole number in a range."""
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def number(minimum: float, maximum: float) -> dict[str, Any]:
    """The schema of a number in a range."""
    return {"type": "number", "minimum": minimum, "maximum": maximum}


#: A list of texts or globs.
TEXTS = listing(TEXT)
_DURATION: dict[str, Any] = {
    "anyOf": [
        whole(0, YEAR),
        pattern(
            r"[0-9]{1,9}[smhd]?",
            "a duration such as 90s, 30m, 26h, 7d",
            "a whole number and one of s, m, h, d; a number alone is seconds",
        ),
    ]
}
_VARIABLE = pattern(r"[A-Za-z_]\w*", "the name of an environment variable", "letters, digits and _, no digit first")
_COMMAND: dict[str, Any] = {"type": "array", "items": TEXT, "minItems": 1, "title": "a command, as a list of its words"}
_ZONE: dict[str, Any] = {"type": "string", "format": "time-zone", "title": "time zone"}
_NAMES = listing(TEXT, minItems=1)
_ON = {"targets": listing(known("target"), minItems=1), "label": known("label")}
#: When a hook is called. A hook of BEFORE that fails prevents what it precedes.
BEFORE = ("before_run", "before_step", "before_approval")
ON_ERROR = "on_error"
EVENTS_OF_HOOKS = (*BEFORE, "after_run", "after_step", "after_approval", ON_ERROR)
_CODE: dict[str, Any] = {"type": "string", "format": "code", "title": "hook"}
#: A hook; exactly one of `command`, `python` and `tool` (`settings.hooks`).
HOOK = mapping(
    {
        "on": {"enum": list(EVENTS_OF_HOOKS), "title": "event"},
        "name": TEXT,
        "command": _COMMAND,
        "python": _CODE,
        "tool": known("tool"),
        "params": {"type": "object"},
        **globs("target", "label"),
        "timeout": _DURATION,
    },
    "on",
    title="a hook",
)
#: Settings of `aishell schedule start`.
DAEMON = mapping(
    {
        "shutdown_grace": _DURATION,
        "socket": TEXT,
        "socket_group": TEXT,
        "listen": pattern(
            r"([\w.-]+|\[[0-9a-f:]+\]):[0-9]{1,5}",
            "an address such as 127.0.0.1:9187",
            "a host or an address (one of IPv6 in brackets), a colon and a port",
        ),
        "token_env": _VARIABLE,
        "token_file": TEXT,
        "prune_every": _DURATION,
        "maintain_every": _DURATION,
    },
    title="the daemon",
)
#: Levels of log lines, least severe first.
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")
LOGGING = mapping({"format": {"enum": list(LOG_FORMATS)}, "level": {"enum": list(LOG_LEVELS)}, "file": TEXT})
TRACING = mapping({"endpoint": _URL, "endpoint_env": _VARIABLE, "headers_env": _VARIABLE, "headers_file": TEXT})
#: A language model (`settings.language_models`). None of its values is secret: an address with a password is rejected.
LLM = mapping(
    {
        "provider": {"enum": ["ollama"], "title": "provider"},
        "model": pattern(
            r"[A-Za-z0-9][\w./:-]*",
            "the name of a model such as qwen3:8b",
            "letters, digits and _ . / : -, as `ollama list` prints it",
        ),
        "host": pattern(
            r"(https?://)?([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[\w./~-]*)?",
            "a host, or a URL such as http://127.0.0.1:11434 (no user and password)",
            "a host, or http:// or https:// and a host, with a port, without user and password",
            secret=True,
        ),
        "timeout": number(1, 86400),
        "connect_timeout": number(0.1, 600),
        "num_ctx": whole(8192, 10_000_000),
        "max_tokens": whole(64, 1_000_000),
        "temperature": number(0, 2),
        "seed": whole(0, 2**31 - 1),
        "token_budget": whole(1024, 1_000_000_000),
        "retries": whole(0, 10),
        "cache": {"anyOf": [mapping({"ttl": whole(1, YEAR), "entries": whole(1, 1_000_000)}), {"type": "boolean"}]},
    },
    "model",
    title="a language model",
)
AISHELL = mapping(
    {
        "default_target": known("target"),
        "safety_level": _LEVEL,
        "jobs": whole(1, 64),
        "max_concurrent": whole(1, 1000),
        "hooks": listing({"anyOf": [_CODE, HOOK]}),
        "keep_runs": whole(0, 10_000_000),
        "keep_days": whole(0, 100_000),
        "keep_notifications": whole(0, 10_000_000),
        "archives": TEXT,
        "backups": TEXT,
        "backup_recipients": listing(
            pattern(
                "age1[0-9a-z]+",
                "a public key of age's",
                "what `age-keygen` prints as the public key: age1, then small letters and digits",
            )
        ),
        "backup_identity": TEXT,
        "backup_copies": listing({"type": "string", "format": "place", "title": "place of copies"}),
        "backup_copies_days": {**number(0, YEAR / 86400), "exclusiveMinimum": 0},
        "programs": TEXT,
        "daemon": DAEMON,
        "logging": LOGGING,
        "tracing": TRACING,
        "llm": LLM,
    }
)

TARGET = mapping(
    {
        "url": _URL,
        "environment": TEXT,
        "labels": TEXTS,
        "time_zone": _ZONE,
        "password_env": _VARIABLE,
        "password_file": TEXT,
        "password_command": _COMMAND,
        "inspection_url": _URL,
        "free_disk_bytes": whole(0, MOST_BYTES),
        "binlog": {"enum": ["", "LOCAL"]},
        "databases": {**TEXTS, "minItems": 1},
        "host": TEXT,
        "pgbackrest": mapping({"stanza": TEXT, "config": TEXT, "repo": whole(1, 256)}, "stanza"),
    },
    "url",
)
TARGETS = mapping({"targets": {"type": "object", "additionalProperties": TARGET}})

#: The class of a constraint defines its further keys (`safety.constraints`).
_CONSTRAINTS = listing(
    {
        "type": "object",
        "properties": {"type": TEXT, "on_violation": {"enum": ["ask", "block"]}},
        "required": ["type"],
        "title": "a constraint",
    }
)
_SCOPE = ("tool", "target", "label", "environment")
_RULE = mapping({"name": TEXT, **globs(*_SCOPE), "decision": _DECISION}, "decision", title="a rule")
_EARNED = mapping(
    {
        **{kind: known(kind) for kind in ("tool", "environment", "target")},
        "after": whole(1, MOST_SUPERVISED),
        "max_risk": {"enum": [str(Risk.LOW), str(Risk.MEDIUM)]},
    },
    "tool",
    "after",
    "environment",
    "max_risk",
    title="a rule of what is earned",
)
_BY_ENVIRONMENT = {
    "type": "object",
    "properties": {"default": _DECISION},
    "additionalProperties": _DECISION,
    "names": "environment",
}
_ROW = mapping({str(risk): {"anyOf": [_DECISION, _BY_ENVIRONMENT]} for risk in Risk})
POLICY = mapping(
    {
        "mode": {"enum": ["interactive", "unattended"]},
        "preapprove_max_risk": {"enum": [str(risk) for risk in Risk if risk is not Risk.CRITICAL]},
        "approval_hours": {"type": "number", "exclusiveMinimum": 0, "maximum": 24 * 366},
        "prompt_seconds": number(0, 86400),
        "matrix": mapping(dict.fromkeys(SAFETY_LEVELS, _ROW)),
        "rules": listing(_RULE, *_SCOPE),
        "earned": listing(_EARNED, "tool", "target", "environment"),
        "constraints": _CONSTRAINTS,
    }
)

_MONITORING = mapping(
    {
        "metrics": listing({"enum": list(RUN_METRICS), "title": "metric"}),
        "alerts": listing(
            mapping(
                {"condition": TEXT, "action": {"enum": list(ALERT_ACTIONS), "title": "action"}},
                "condition",
                "action",
                title="an alert",
            )
        ),
    }
)


#: Keys of `agents/<type>.yaml` for any agent; the agent's class adds its own (`agents.configuration`).
AGENT = {
    "agent_id": TEXT,
    "capabilities": listing({"enum": sorted(CAPABILITIES), "title": "capability"}),
    "default_config": mapping(
        {
            "safety_level": _LEVEL,
            "max_retries": whole(0, 100),
            "timeout_seconds": whole(1, YEAR),
            "max_duration": whole(1, YEAR),
        }
    ),
    "safety_constraints": _CONSTRAINTS,
    "monitoring": _MONITORING,
    "llm_config": LLM,
}


_DAY = pattern(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "a day such as 2026-12-24",
    "the year, the month and the day with four, two and two digits",
)
_WINDOW = pattern(
    r"[0-9]{1,2}:[0-9]{2}\s*-\s*[0-9]{1,2}:[0-9]{2}",
    "a window such as 22:00-05:30",
    "two times of day with hours and minutes, from the first to the second, the next day's where that is earlier",
)
_TIME_OF_DAY = pattern(
    r"([01]?[0-9]|2[0-3]):[0-5][0-9]",
    'a time of day such as "07:00"',
    "hours and minutes in quotes, from 00:00 to 23:59",
)
#: How nominal times are handled that passed while nothing could run them.
MISSED = ("skip", "once", "once_if_open")
_SCHEDULE = mapping(
    {
        "cron": TEXT,
        "every": _DURATION,
        "time_zone": _ZONE,
        "window": _WINDOW,
        "agent": TEXT,
        "workflow": TEXT,
        "input": {"type": "object"},
        **_ON,
        "missed": {"enum": list(MISSED)},
        "grace": _DURATION,
        "approve_up_to": {"enum": [str(risk) for risk in Risk if risk not in (Risk.SAFE, Risk.CRITICAL)]},
        "heartbeat_url": pattern(
            r"https?://[^\s/?#@]+([/?#]\S*)?",
            "a URL such as https://hc.example/uuid (no user and password)",
            "http:// or https://, a host and a path, without user and password",
            secret=True,
        ),
    },
    title="a schedule",
)
_BLACKOUT = mapping(
    {"from": _DAY, "to": _DAY, "reason": TEXT, "schedules": {**_NAMES, "items": {**TEXT, "names": "schedule"}}},
    "from",
    "to",
    title="a blackout",
)
SCHEDULES = mapping(
    {
        "time_zone": _ZONE,
        "max_concurrent": whole(1, 1000),
        "max_concurrent_per_host": whole(1, 1000),
        "blackouts": listing({"anyOf": [_DAY, _BLACKOUT]}),
        "schedules": {"type": "object", "additionalProperties": _SCHEDULE},
    }
)

#: How the failure of a stage affects the stages on the same target that need it.
ON_FAILURE = ("stop", "continue", "rollback")
_STAGE = mapping(
    {
        "agent": TEXT,
        "input": {"type": "object"},
        "output": pattern(
            r"[A-Za-z_][A-Za-z0-9_-]{0,99}", "a name", "at most 100 letters, digits, _ and -, a letter or _ first"
        ),
        **_ON,
        "needs": {**TEXTS, "items": {**TEXT, "names": "stage"}},
        "when": TEXT,
        "parallel": {"type": "boolean"},
        "max_concurrent": whole(1, 1000),
        "timeout": _DURATION,
        "retries": whole(0, 10),
        "on_failure": {"enum": list(ON_FAILURE)},
        "review": {"type": "boolean"},
    },
    "agent",
    title="a stage",
)
WORKFLOW = mapping(
    {
        "description": TEXT,
        "time_zone": _ZONE,
        "max_concurrent": whole(1, 1000),
        "max_concurrent_per_host": whole(1, 1000),
        "stages": {"type": "object", "additionalProperties": _STAGE},
    },
    "stages",
)
_EVENT: dict[str, Any] = {"enum": list(EVENTS), "title": "event"}
#: The source of a service's URL; exactly one of these.
_SERVICE = {
    **mapping({"url_env": {**_VARIABLE, "secret": True}, "url_file": TEXT, "url_command": _COMMAND}, title="a service"),
    "secret": True,  # a user may have written the URL itself here
}
#: Formats of a digest.
DIGEST_FORMATS = ("text", "markdown", "html")
NOTIFICATIONS = mapping(
    {
        "time_zone": _ZONE,
        "quiet_hours": _WINDOW,
        "services": {"type": "object", "additionalProperties": _SERVICE, "secret": True},
        "rules": listing(
            mapping(
                {
                    "name": TEXT,
                    "event": {"anyOf": [_EVENT, listing(_EVENT, minItems=1)]},
                    "when": TEXT,
                    "severity": {"enum": list(SEVERITIES)},
                    **globs("target", "label", "schedule"),
                    "to": _NAMES,
                    "every": _DURATION,
                },
                "name",
                "to",
                title="a rule",
            ),
            "name",
        ),
        "digest": mapping(
            {"at": _TIME_OF_DAY, "to": _NAMES, "format": {"enum": list(DIGEST_FORMATS), "default": "html"}}, "at", "to"
        ),
    }
)
