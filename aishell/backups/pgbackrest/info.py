"""What pgbackrest says of its repository: the sets in it, whether they are sound, how far it has come. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aishell.errors import NotAtHandError

#: Codes of `info`: all is well, and a stanza that is there and has no backup yet.
OK, EMPTY = 0, 2
#: Codes of `info` for what is not there: the stanza's folder, the stanza's files.
MISSING = (1, 3)
_PERCENT = re.compile(r", ([\d.]+)%\)")
_WARNING = re.compile(r"^WARN: (.+)$", re.MULTILINE)
_BACKUP = re.compile(
    r"^\s*backup: (\S+), status: ([^,]+), total files checked: (\d+), total valid files: (\d+)", re.MULTILINE
)
_BAD = re.compile(r"(invalid checksum|invalid size|invalid result|file missing) (?:'([^']+)'|(\S+?):)")
#: Characters of a WAL file's name that tell the segment; its digest follows.
_SEGMENT = 24


@dataclass(frozen=True, slots=True)
class Set:
    """One backup in the repository. Sizes in bytes, times in UTC (ISO 8601).

    `error`: whether pages had wrong checksums, None where nobody looked. `marks` are its annotations; `tablespaces` are oids, and
    told only where this one set was asked for.
    """

    label: str
    kind: str  # full | diff | incr
    prior: str | None
    reference: frozenset[str]
    database: int
    lsn: tuple[str, str]
    archive: tuple[str, str]
    started_at: str
    stopped_at: str
    size: int
    stored: int
    error: bool | None
    marks: Mapping[str, str] = field(default_factory=dict)
    tablespaces: frozenset[str] = frozenset()

    @property
    def timeline(self) -> int:
        return int(self.archive[1][:8], 16)


@dataclass(frozen=True, slots=True)
class Stanza:
    """One stanza in one repository. `systems`: the system identifier of each cluster it was made for, by pgbackrest's number.

    `archives`: where the WAL of each is.
    """

    code: int
    message: str
    cipher: str
    systems: Mapping[int, str]
    archives: Mapping[int, str]
    sets: tuple[Set, ...]

    @property
    def system(self) -> str | None:
        """The system identifier of the cluster that it is for now."""
        return self.systems[max(self.systems)] if self.systems else None

    @property
    def newest(self) -> Set | None:
        """What an increment would go on from."""
        return next((one for one in reversed(self.sets) if one.database == max(self.systems, default=0)), None)

    def find(self, label: str) -> Set | None:
        return next((one for one in self.sets if one.label == label), None)

    def made_by(self, name: str, mark: str) -> Set | None:
        """The set that carries this annotation."""
        return next((one for one in self.sets if one.marks.get(name) == mark), None)

    def dependents(self, label: str) -> list[str]:
        """The sets that cannot be restored without this one."""
        return [one.label for one in self.sets if label in one.reference or one.prior == label]


def stanza_of(text: str, name: str, repo: int) -> Stanza:
    """A stanza as `info --output=json` tells it. Raises NotAtHandError where that cannot be read, or tells of an error."""
    try:
        told = next((one for one in json.loads(text) if one["name"] == name), None)
        if told is None:
            return Stanza(MISSING[0], "it is not there", "none", {}, {}, ())
        state = next(one for one in told["repo"] if one["key"] == repo)
        code, message = int(state["status"]["code"]), str(state["status"]["message"])
        stanza = Stanza(
            code,
            message,
            str(state.get("cipher", "none")),
            {int(one["id"]): str(one["system-id"]) for one in told["db"] if one["repo-key"] == repo},
            {
                int(one["database"]["id"]): str(one["id"])
                for one in told["archive"]
                if one["database"]["repo-key"] == repo
            },
            tuple(_set(one) for one in told["backup"] if one["database"]["repo-key"] == repo),
        )
    except (ValueError, LookupError, TypeError, StopIteration) as error:
        raise NotAtHandError(f"pgbackrest tells nothing of {name} that can be read: {text.strip()[:200]!r}") from error
    if code not in (OK, EMPTY, *MISSING):
        raise NotAtHandError(f"the stanza {name} in repository {repo}: {message}")
    return stanza


def _set(told: Mapping[str, Any]) -> Set:
    info, repository = told["info"], told["info"]["repository"]
    return Set(
        label=str(told["label"]),
        kind=str(told["type"]),
        prior=told.get("prior"),
        reference=frozenset(told.get("reference") or ()),
        database=int(told["database"]["id"]),
        lsn=(str(told["lsn"]["start"]), str(told["lsn"]["stop"])),
        archive=(str(told["archive"]["start"]), str(told["archive"]["stop"])),
        started_at=_moment(told["timestamp"]["start"]),
        stopped_at=_moment(told["timestamp"]["stop"]),
        size=int(info["size"]),
        stored=int(repository.get("delta", 0)),
        error=told.get("error"),
        marks=told.get("annotation") or {},
        tablespaces=frozenset(str(one["oid"]) for one in told.get("tablespace") or ()),
    )


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def percent(text: str) -> float:
    """How far a backup has come, by the last line that tells it; 0 where none does."""
    found = _PERCENT.findall(text)
    return float(found[-1]) if found else 0.0


def warnings(text: str) -> list[str]:
    """What it warns of, without the hints below."""
    return _WARNING.findall(text)


def damage(text: str, made: Set, segments: Collection[str]) -> list[str]:
    """What `verify` found wrong with a set, with those that it refers to, or with the WAL that makes it one moment's."""
    labels = {made.label, *made.reference}
    problems = []
    for what, quoted, plain in _BAD.findall(text):
        folder, _, name = (quoted or plain).partition("/")
        if folder in labels or name.rpartition("/")[2][:_SEGMENT] in segments:
            problems.append(f"{what}: {folder}/{name}")
    seen = {label: (status, int(checked) - int(valid)) for label, status, checked, valid in _BACKUP.findall(text)}
    if made.label not in seen:
        problems.append("pgbackrest finds none of its files")
    elif seen[made.label] != ("valid", 0) and not problems:
        problems.append(f"{seen[made.label][1]} of its files are not valid ({seen[made.label][0]})")
    return problems


def missing(text: str, segments: Collection[str]) -> list[str]:
    """The segments that are not among the files of an archive, as `repo-ls` tells them."""
    there = {name.rpartition("/")[2][:_SEGMENT] for name in text.split()}
    return [f"the segment {name} is not in the archive" for name in sorted(set(segments) - there)]
