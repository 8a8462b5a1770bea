"""End-to-end cases, a folder each: adding one needs no code. docs: README.md beside this file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fix_aishell import Aishell, Ended
from tests.fix_tools import ENGINES, label
from tests.statement_log import StatementLog

FOLDER = Path(__file__).parent
KEYS = {"engines", "login", "files", "commands", "checks", "secrets", "absent"}
COMMAND_KEYS = {"run", "exit", "json", "steps", "error", "err", "files", "untouched", "environment", "lines", "only"}
SQL = {"postgresql": "postgresql.sql", "mariadb": "mysql.sql", "sqlite": "sqlite.sql"}


def engine_of(fixture: str) -> str:
    return "postgresql" if fixture.startswith("pg_") else fixture


def cases() -> list[Any]:
    found = []
    for path in sorted(FOLDER.glob("*/case.yaml")):
        wanted = yaml.safe_load(path.read_text()).get("engines", list(SQL))
        for fixture in ENGINES:
            if fixture in wanted or engine_of(fixture) in wanted:
                found.append(pytest.param(path.parent, fixture, id=f"{path.parent.name}-{label(fixture)}"))
    return found


def known(given: dict[str, Any], keys: set[str], where: Path) -> dict[str, Any]:
    assert set(given) <= keys, f"{where}: unknown keys {set(given) - keys}"
    return given


def subset(expected: Any, given: Any, where: str = "") -> None:
    """Every key that is expected has the value that is expected; a text that begins with ~ is a pattern."""
    if isinstance(expected, dict):
        assert isinstance(given, dict), f"{where} is {given!r}"
        for key, value in expected.items():
            assert key in given, f"{where}.{key} is missing"
            subset(value, given[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert isinstance(given, list), f"{where} is {given!r}"
        assert len(given) == len(expected), f"{where} is {given!r}"
        for number, (one, other) in enumerate(zip(expected, given, strict=True)):
            subset(one, other, f"{where}[{number}]")
    elif isinstance(expected, str) and expected.startswith("~"):
        assert re.search(expected[1:], str(given), re.DOTALL), f"{where} is {given!r}, expected {expected[1:]}"
    else:
        assert given == expected, f"{where} is {given!r}, expected {expected!r}"


class Case:
    """One case on one engine."""

    def __init__(self, folder: Path, engine: str, db: Any, aishell: Aishell) -> None:
        self.folder, self.engine, self.db, self.aishell = folder, engine, db, aishell
        self.data = known(yaml.safe_load((folder / "case.yaml").read_text()), KEYS, folder)
        self.names = {"url": db.url, "wrong_url": db.url, "schema": self.schema, "site": str(aishell.site)}
        self.said: list[Ended] = []

    @property
    def schema(self) -> str:
        return {"postgresql": "public", "mariadb": str(getattr(self.db, "dbname", "")), "sqlite": "main"}[self.engine]

    def prepare(self) -> None:
        path = self.folder / SQL[self.engine]
        for statement in re.split(r";\n", path.read_text()) if path.exists() else ():
            if statement.strip():
                self.db.execute(statement)
        if self.engine == "postgresql":
            self.db.collected()
        login = self.data.get("login")
        if login and self.engine == "postgresql":
            self.names["login_url"] = self.db.make_role("app_case", login["password"], login.get("postgresql", ""))
        elif login and self.engine == "mariadb":
            self.names["login_url"] = self.db.make_user("app_case", login["password"], login.get("mariadb", ""))
        if login:
            self.names["url_without_password"] = self.names["login_url"].replace(f":{login['password']}", "")
            self.names["wrong_url"] = self.names["login_url"].replace(login["password"], f"not-{login['password']}")
        self.write(self.data.get("files", {}))

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.aishell.site / self.filled(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.filled(text))

    def filled(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: self.names.get(match[1], match[0]), text)

    def run(self) -> None:
        for number, command in enumerate(self.data["commands"]):
            if self.engine not in command.get("only", SQL):
                continue
            chosen = {**known(command, {*COMMAND_KEYS, *SQL}, self.folder), **command.get(self.engine, {})}
            self.command(chosen, f"command {number + 1}")

    def command(self, command: dict[str, Any], where: str) -> None:
        self.write(command.get("files", {}))
        before = self.fingerprint() if command.get("untouched") else None
        log = StatementLog(self.db) if hasattr(self.db, "server") else None
        environment = {name: self.filled(value) for name, value in command.get("environment", {}).items()}
        ended = self.aishell(*(self.filled(str(word)) for word in command["run"]), **environment)
        self.said.append(ended)
        ended.expect(command["exit"])
        if "error" in command:
            self.one_sentence(ended, command["error"])
        if "json" in command:
            subset(command["json"], ended.json, where)
        if "steps" in command:
            assert ended.statuses() == command["steps"], where
        for pattern in command.get("lines", ()):
            said = ended.out + ended.err
            assert re.search(self.filled(pattern), said, re.DOTALL), f"{where}: no {pattern}\n{said}"
        assert "\x1b" not in ended.out + ended.err, f"{where}: a terminal escape was printed"
        if before is not None:
            assert self.fingerprint() == before, f"{where} changed the database"
            assert log is None or log.changing() == [], where
        self.remember(ended)

    def one_sentence(self, ended: Ended, pattern: str) -> None:
        """One sentence on standard error, then at most one line of advice; never a traceback."""
        lines = ended.err.strip().splitlines()
        assert re.search(self.filled(pattern), ended.err, re.DOTALL), f"{pattern!r} is not in:\n{ended.err}"
        assert lines[0].startswith("aishell: "), ended.err
        assert len(lines) <= 2, ended.err
        assert all(line.startswith("  → ") for line in lines[1:]), ended.err

    def remember(self, ended: Ended) -> None:
        """Ids that later commands of the case may name: {run} and {approval}."""
        found = self.aishell.rows("SELECT id FROM runs ORDER BY created_at DESC") if self.aishell.state.exists() else []
        if found:
            self.names["run"] = found[0][0]
            waiting = self.aishell.rows("SELECT id FROM approvals WHERE status = 'pending' ORDER BY requested_at")
            self.names["approval"] = waiting[0][0] if waiting else "none-waits"

    def fingerprint(self) -> Any:
        """The database's files as they are, or what the server would have counted."""
        if self.engine == "sqlite":
            return hashlib.sha256(self.db.path.read_bytes()).hexdigest()
        if self.engine == "postgresql":
            return self.db.execute(
                """SELECT oid, relfilenode, pg_stat_get_last_vacuum_time(oid), pg_stat_get_last_analyze_time(oid),
                          pg_stat_get_vacuum_count(oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY oid"""
            )
        return self.db.execute(
            """SELECT t.TABLE_NAME, t.CREATE_TIME, s.last_update, s.n_rows FROM information_schema.TABLES AS t
               LEFT JOIN mysql.innodb_table_stats AS s
                 ON s.database_name = t.TABLE_SCHEMA AND s.table_name = t.TABLE_NAME
               WHERE t.TABLE_SCHEMA = %s ORDER BY 1""",
            [self.db.dbname],
        )

    def check(self) -> None:
        for look in self.data.get("checks", {}).get(self.engine, ()):
            found = [list(row) for row in self.db.execute(self.filled(look["query"]))]
            assert found == look["rows"], look["query"]
        for secret in self.data.get("secrets", ()):
            for path in [
                p for p in self.aishell.home.rglob("*") if p.is_file() and self.aishell.config not in p.parents
            ]:
                assert secret.encode() not in path.read_bytes(), f"the secret stands in {path.name}"
        for name in self.data.get("absent", ()):
            assert not (self.aishell.site / name).exists(), f"{name} was made"


@pytest.mark.parametrize(("folder", "fixture"), cases())
def test_case(request: pytest.FixtureRequest, aishell: Aishell, folder: Path, fixture: str) -> None:
    case = Case(folder, engine_of(fixture), request.getfixturevalue(fixture), aishell)
    case.prepare()
    case.run()
    case.check()
