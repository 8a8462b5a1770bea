"""A target that is a whole server: a run for each of its databases, by names that stay, on those that are there tonight."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aishell.settings.settings import load_settings
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbServer, quoted
from tests.postgresql import PostgresqlServer
from tests.scheduled import back, nightly, rows

#: A name that breaks bad quoting everywhere, and how its target is called.
HOSTILE = 'we"ird`x %s/ü;\n--'
CALLED = "prod/we%22ird%60x%20%25s%2Fü%3B%0A--"


class Server:
    """A server of the test's own, PostgreSQL or MariaDB, with what its databases are made and looked into by."""

    def __init__(self, server: PostgresqlServer | MariadbServer) -> None:
        self.server = server
        self.postgresql = isinstance(server, PostgresqlServer)
        database = server.database("postgres" if self.postgresql else None)
        self.url = database.url.removesuffix("/postgres").rstrip("/")
        self.execute: Callable[[str], Any] = database.execute

    def create(self, *names: str) -> None:
        for name in names:
            self.execute(
                f'CREATE DATABASE "{name.replace(chr(34), chr(34) * 2)}"'
                if self.postgresql
                else f"CREATE DATABASE {quoted(name)}"
            )


@pytest.fixture(params=["pg", pytest.param("mariadb", marks=pytest.mark.thorough)])
def server(request: pytest.FixtureRequest) -> Server:
    if request.param == "pg":
        return Server(request.getfixturevalue("pg_server_factory")("distribution"))
    return Server(request.getfixturevalue("mariadb_server_factory")())


def configure(
    site: Aishell, server: Server, globs: str = '["*", "!temp_*", "!postgres", "!test"]', more: str = ""
) -> None:
    text = (
        f"targets:\n  prod: {{url: {json.dumps(server.url)}, environment: test, labels: [small], databases: {globs}}}\n"
    )
    site.configure("targets.yaml", text + more)


QUICK = ("run", "maintenance", "--type", "quick", "--yes")


def ran(site: Aishell) -> list[str]:
    return [name for (name,) in site.rows("SELECT target FROM runs ORDER BY rowid")]


def test_a_run_for_each_database_by_whatever_name_it_has(aishell: Aishell, server: Server) -> None:
    server.create("orders", "temp_x", HOSTILE)
    configure(aishell, server)
    aishell("targets", "list").expect(0)
    assert not aishell.state.exists(), "nothing was asked of the server"
    documents = aishell(*QUICK, "--target", "prod", "--output", "json").expect(0).json["runs"]
    assert [one["target"] for one in documents] == ran(aishell) == ["prod/orders", CALLED]
    aishell(*QUICK, "--target", CALLED).expect(0)
    aishell(*QUICK, "--target", "prod/temp_x").expect(2)
    aishell("run", "backup", "--target", CALLED, "--yes").expect(0)
    assert CALLED in aishell("backups", "list").expect(0).out.replace("\n", "")
    aishell("targets", "test", "prod").expect(0)
    listed = aishell("targets", "list", "--output", "json").expect(0).json
    assert [(one["name"], one["server"]) for one in listed] == [
        ("prod", None),
        ("prod/orders", "prod"),
        (CALLED, "prod"),
    ]
    assert 'aishell_hold{target="prod/orders"} 0.0' in aishell("metrics").expect(0).out
    # What was laid down for the server holds for each of its databases.
    aishell("hold", "--target", "prod", "--reason", "stop").expect(0)
    aishell(*QUICK, "--target", "prod/orders").expect(5)
    aishell("release", "--target", "prod").expect(0)
    aishell.configure("policy.yaml", "rules:\n  - {name: kept out, target: prod, tool: '*', decision: deny}\n")
    aishell(*QUICK, "--target", "prod/orders").expect(5)
    aishell.configure("policy.yaml", "rules:\n  - {name: kept out, target: prod/temp_*, tool: '*', decision: deny}\n")
    aishell(*QUICK, "--target", "prod/orders").expect(0)


def test_what_is_named_twice_is_run_once(aishell: Aishell, server: Server) -> None:
    server.create("orders", "wiki")
    alone = f"  shop: {{url: {json.dumps(f'{server.url}/orders')}, environment: test}}\n"
    other = f"  again: {{url: {json.dumps(server.url)}, environment: test, databases: [wiki]}}\n"
    configure(aishell, server, more=alone + other)
    assert (
        aishell("run", "maintenance", "--url", f"{server.url}/wiki", "--dry-run", "--output", "json")
        .expect(0)
        .json["target"]
        == "prod/wiki"
    )
    aishell(*QUICK, "--all").expect(0)
    assert ran(aishell) == ["prod/wiki", "shop"]


def test_a_night_takes_what_is_there_and_says_what_is_not(aishell: Aishell, server: Server) -> None:
    server.create("orders", "wiki")
    nightly(aishell, server.url, targets="[prod]")
    configure(aishell, server)
    back(aishell, "nightly", 1)
    aishell("schedule", "run-due").expect(0)
    assert [(row.target, row.status, row.exit_code) for row in rows(aishell)] == [
        ("prod", "done", 0), ("prod/orders", "done", 0), ("prod/wiki", "done", 0),
    ]  # fmt: skip
    assert rows(aishell)[0].reason == "2 databases, a run each"
    server.create("tonight")
    if server.postgresql:
        server.execute("ALTER DATABASE wiki ALLOW_CONNECTIONS false")
    else:
        server.execute("DROP DATABASE wiki")
    back(aishell, "nightly", 1)
    aishell("schedule", "run-due").expect(2 if server.postgresql else 0)
    new = {row.target: row for row in rows(aishell)[3:]}
    assert new.keys() == {"prod", "prod/orders", "prod/tonight"} | ({"prod/wiki"} if server.postgresql else set())
    if server.postgresql:
        assert new["prod/wiki"].status == "failed"
        assert "not currently accepting connections" in new["prod/wiki"].reason
        assert not aishell.rows("SELECT * FROM breakers"), "the server has answered"
    server.server.stop()
    back(aishell, "nightly", 1)
    aishell("schedule", "run-due").expect(2)
    last = rows(aishell)[-1]
    assert (last.target, last.status) == ("prod", "failed")
    assert "no connection to" in last.reason
    refused = aishell(*QUICK, "--all").expect(2)
    assert "no connection to" in refused.err
    assert "prod/tonight" in aishell("targets", "list").expect(0).out


def test_run_now_and_a_workflow_have_a_run_for_each_database(aishell: Aishell, server: Server) -> None:
    server.create("orders", "wiki")
    text = "stages:\n  look: {agent: maintenance, input: {maintenance_type: quick}, targets: [prod]}\n"
    aishell.configure("workflows/small.yaml", text)
    nightly(aishell, server.url, targets="[prod]")
    configure(aishell, server)
    aishell("schedule", "run-now", "nightly").expect(0)
    assert sorted(ran(aishell)) == ["prod/orders", "prod/wiki"]
    document = aishell("run", "workflow", "small", "--yes", "--output", "json").expect(0).json
    assert [one["target"] for one in document["stages"]] == ["prod/orders", "prod/wiki"]
    document = aishell("run", "workflow", "small", "--target", "prod/wiki", "--yes", "--output", "json").expect(0).json
    assert [one["target"] for one in document["stages"]] == ["prod/wiki"]


def test_a_folder_of_files(aishell: Aishell, tmp_path: Path) -> None:
    import sqlite3

    folder = tmp_path / "dbs"
    folder.mkdir()
    for name in ("a.db", "b c.db", "notes.txt"):
        sqlite3.connect(folder / name).execute("CREATE TABLE t (i)").connection.close()
    text = f"targets:\n  files: {{url: 'sqlite:///{folder}', environment: test, databases: ['*.db']}}\n"
    aishell.configure("targets.yaml", text)
    aishell(*QUICK, "--all").expect(0)
    assert ran(aishell) == ["files/a.db", "files/b%20c.db"]


def test_a_name_is_one_target_and_no_other(tmp_path: Path) -> None:
    text = "targets:\n  a/b: {url: 'mysql://h', databases: [x*, '!xx', '%']}\n"
    text += "  c: {url: 'postgresql://u:p%40@h:5433?sslmode=require', databases: ['!t*']}\n"
    (tmp_path / "targets.yaml").write_text(text)
    targets = load_settings(tmp_path).targets
    assert list(targets) == ["a/b", "c"]
    assert (targets["a/b/xy"].server, targets["a/b/xy"].url) == ("a/b", "mysql://h/xy")
    assert targets["a/b/%25"].url == "mysql://h/%25"
    assert targets["c/y%3F"].url == "postgresql://u:p%40@h:5433/y%3F?sslmode=require"
    for name in ("a/b/xx", "a/b/y", "a/b/%78", "a/b", "c/tt", "d/x", "a/x"):
        assert (name in targets) is (name == "a/b")
