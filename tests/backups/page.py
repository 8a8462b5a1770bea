"""docs/restore-without-aishell.md as somebody follows it at night: its blocks of commands, and a bash that runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aishell.backups.store.repository import PAGE as TRAVELS_AS
from tests.postgresql import PostgresqlServer
from tests.servers import HANG, Server

PAGE = Path(__file__).parents[2] / "docs" / "restore-without-aishell.md"
_BLOCK = re.compile(r"^```bash (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: A variable that a person sets, and its example on the page.
_SET = re.compile(r"^([A-Z]+)=", re.MULTILINE)
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: The block of variables, which a person fills in, and what is done first in every case.
VARIABLES, FIRST = "set", ("check", "decrypt")

_DUMP = ("mariadb-server", "mariadb-accounts", "mariadb-accounts-run", "mariadb-dump")
#: What is done for a backup of each method and kind, after that.
STEPS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("sqlite", "full"): ("sqlite-full",),
    ("sqlite", "incremental"): ("sqlite-increment",),
    ("pg_dump", "full"): ("pg_dump-roles", "pg_dump"),
    ("pg_basebackup", "full"): ("pg_basebackup-copy", "pg_basebackup", "pg-start"),
    ("pg_basebackup", "wal"): ("pg_basebackup-copy", "pg_basebackup", "pg_basebackup-wal", "pg-start"),
    ("pg_basebackup", "pages"): ("pg_basebackup-pages", "pg_basebackup", "pg-start"),
    ("pgbackrest", "any"): ("pgbackrest", "pg-start"),
    ("mariadb-dump", "full"): (*_DUMP, "mariadb-events"),
    ("mariadb-dump", "incremental"): (*_DUMP, "mariadb-binlog", "mariadb-events"),
    ("mariadb-backup", "any"): ("mariadb-backup",),
}
#: After a restore by aishell, which leaves events disabled.
ENABLE = "mariadb-enable"


def blocks(page: Path = PAGE) -> dict[str, str]:
    """The page's blocks by their names, of which there is one each."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    assert len(dict(found)) == len(found)
    return dict(found)


@dataclass
class Night:
    """A machine with the engine's programs, a folder of backups that came from somewhere, and no aishell.

    `as_user` is whom the commands are run as, as `subprocess` takes it; `programs` a folder that comes first on the path.
    """

    home: Path
    programs: Path | None = None
    as_user: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def on(cls, server: Server, **environment: str) -> Night:
        """With the account and the programs of a server, in its folder."""
        programs = server.bin if isinstance(server, PostgresqlServer) else None
        return cls(server.folder / "night", programs, server.as_user, environment)

    @property
    def repository(self) -> Path:
        return self.home / "some where" / "backups"

    def carry(self, root: Path) -> None:
        """Bring the folder of backups here, as an object store has it: without folders that have nothing in them."""
        shutil.copytree(root, self.repository)
        for path in sorted(self.repository.rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        (self.home / "work").mkdir()
        self.own()

    def own(self) -> None:
        for path in [self.home, *self.home.rglob("*")] if self.as_user else ():
            os.chown(path, self.as_user["user"], self.as_user["group"], follow_symlinks=False)

    def found(self, backup_id: str) -> Path:
        (folder,) = self.repository.rglob(backup_id)
        return folder

    def follow(
        self,
        backup_id: str,
        steps: tuple[str, ...],
        target: Path,
        by_hand: Mapping[str, str] | None = None,
        **given: str,
    ) -> str:
        """Do what the page that came with the backups says; what was printed. `by_hand`: what else is done before a block."""
        page = blocks(self.repository / TRAVELS_AS)
        values = {
            "REPOSITORY": str(self.repository),
            "BACKUP": str(self.found(backup_id)),
            "TARGET": str(target),
            "WORK": str(self.home / "work"),
            "KEY": str(self.home / "key"),
            "UNTIL": "",
        }
        assert set(_SET.findall(page[VARIABLES])) == values.keys()
        encrypted = any(self.repository.rglob("*.age"))
        for program, used in (("age", encrypted), ("zstd", any(self.repository.rglob("*.zst")))):
            if used and shutil.which(program, path=SYSTEM) is None:
                pytest.skip(f"{program} is not installed")
        texts = [f"{name}='{value}'\n" for name, value in (values | given).items()]
        for name in (*(FIRST if encrypted else FIRST[:1]), *steps):
            texts += [(by_hand or {}).get(name, ""), page[name]]
        return self.bash("".join(texts))

    def bash(self, text: str) -> str:
        """Each command has to end well. Nothing of the tests' own environment is in that of the commands."""
        script = self.home / "followed"
        script.write_text(f"set -eu -o pipefail\n{text}")
        path = ":".join(filter(None, [str(self.programs or ""), SYSTEM]))
        assert shutil.which("aishell", path=path) is None
        done = subprocess.run(
            ["bash", str(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=self.home,
            env={"PATH": path, "HOME": str(self.home), "LC_ALL": "C.UTF-8", **self.environment},
            timeout=HANG,
            **self.as_user,
        )
        assert done.returncode == 0, done.stdout[-5000:]
        return done.stdout
