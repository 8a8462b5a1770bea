"""How pgbackrest is run: with whose configuration, on which stanza and repository, as whom."""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work
from aishell.errors import BackupError, NotAtHandError

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
#: Annotations of sets came with this version.
OLDEST = (2, 41)


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
        """The system identifier of its current cluster."""
        return self.systems[max(self.systems)] if self.systems else None

    @property
    def newest(self) -> Set | None:
        """The set that an increment would build on."""
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
        raise NotAtHandError(f"pgbackrest returned nothing readable about {name}: {text.strip()[:200]!r}") from error
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
    """Its warnings, without the hints after them."""
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


@dataclass(frozen=True)
class Reach:
    """A stanza in one of its repositories. `config` None: pgbackrest's own default; `account`: whose the server's files are."""

    stanza: str
    config: str | None
    repo: int
    account: str

    @classmethod
    def of(cls, told: Mapping[str, Any], account: str | None = None) -> Reach:
        """From the parameters of a tool, or the details of a manifest."""
        return cls(told["stanza"], told["config"], told["repo"], account or told["account"])

    @property
    def named(self) -> str:
        return f"the stanza {self.stanza} in repository {self.repo}"

    def run(self, work: Work, program: str, **more: Any) -> str:
        """Run a program of the tool; the end of what it said. `size` and `expected` as in `Clients.run`. Raises BackupError."""
        watched = {name: more.pop(name) for name in ("size", "expected", "drain") if name in more}
        values = {"config": self.config, "stanza": self.stanza, "repo": self.repo, "label": None, **more}
        user = self.user()
        work.clients.bin_folder = None  # it does not lie among PostgreSQL's own programs
        home = {} if user is None else {"HOME": user.pw_dir}  # where libpq looks for the password file
        return work.clients.run(program, values, account=user, env=home, folder=Path("/"), **watched)

    def ask(self, work: Work, program: str, **values: Any) -> tuple[str, str]:
        """Its output, and its messages. Raises NotAtHandError when it fails: then nothing was learnt."""
        output: list[bytes] = []
        try:
            said = self.run(work, program, drain=lambda pipe: output.append(pipe.read()), **values)
        except NotAtHandError:
            raise
        except BackupError as error:
            raise NotAtHandError(f"{self.named} cannot be looked at: {error.message}") from error
        return b"".join(output).decode(errors="replace"), said

    def read(self, work: Work, label: str | None = None) -> tuple[Stanza, str]:
        """What is in the repository, of all sets or of one in full, and the text of that. Raises NotAtHandError."""
        text, _ = self.ask(work, "info", label=label)
        return stanza_of(text, self.stanza, self.repo), text

    def user(self) -> pwd.struct_passwd | None:
        """Whom root runs it as: what root wrote into a repository, the server could not. None for all others."""
        if os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam(self.account)
        except KeyError as error:
            raise NotAtHandError(f"there is no account {self.account} here, which pgbackrest was run as") from error


def account_of(data: str | None) -> str:
    """Who has to run pgbackrest: the account of the server's files. Raises BackupError where that is not, and cannot be, us."""
    if data is None:
        how = "GRANT pg_read_all_settings, or pg_monitor, to it"
        raise BackupError("the role may not see where the server's files are", hint=how)
    ours = pwd.getpwuid(os.geteuid()).pw_name
    try:
        owner = pwd.getpwuid(Path(data).stat().st_uid).pw_name
    except FileNotFoundError as error:
        if os.geteuid() != 0:
            return ours  # the server is on another host, which pgbackrest knows its own way to
        raise BackupError(f"{data} is not on this host", hint="run aishell as the owner of the repository") from error
    except (PermissionError, KeyError):
        owner = "another account"
    if os.geteuid() != 0 and not os.access(data, os.R_OK | os.X_OK):
        how = "run aishell as the server's own account, e.g. sudo -u postgres aishell …"
        raise BackupError(f"pgbackrest has to read {data}, which {owner} owns, and {ours} may not", hint=how)
    return owner if os.geteuid() == 0 else ours


def version_of(reach: Reach, work: Work) -> str:
    """The version of pgbackrest. Raises BackupError where it is too old, NotAtHandError where there is none."""
    said, _ = reach.ask(work, "version")
    found = re.search(r"(\d+)\.(\d+)\S*", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise BackupError(f"pgbackrest {OLDEST[0]}.{OLDEST[1]} or newer is needed, not {said.strip()!r}")
    return found[0]
