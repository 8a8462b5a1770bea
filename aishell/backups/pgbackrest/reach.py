"""How pgbackrest is run: with whose configuration, on which stanza and repository, as whom."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.pgbackrest.info import Stanza, stanza_of
from aishell.errors import BackupError, NotAtHandError

#: Annotations of sets came with this version.
OLDEST = (2, 41)


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
    def noted(self) -> dict[str, Any]:
        """As a manifest's details have it."""
        return {"stanza": self.stanza, "config": self.config, "repo": self.repo, "account": self.account}

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
        """Its output, and what it said beside that. Raises NotAtHandError when it fails: then nothing was learnt."""
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
        raise BackupError(
            "the role may not see where the server's files are", hint="GRANT pg_read_all_settings, or pg_monitor, to it"
        )
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
        raise BackupError(
            f"pgbackrest has to read {data}, which is {owner}'s, and {ours} may not",
            hint="run aishell as the server's own account, e.g. sudo -u postgres aishell …",
        )
    return owner if os.geteuid() == 0 else ours


def version_of(reach: Reach, work: Work) -> str:
    """The version of pgbackrest. Raises BackupError where it is too old, NotAtHandError where there is none."""
    said, _ = reach.ask(work, "version")
    found = re.search(r"(\d+)\.(\d+)\S*", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise BackupError(f"pgbackrest {OLDEST[0]}.{OLDEST[1]} or newer is needed, not {said.strip()!r}")
    return found[0]
