"""Passwords of every kind, named in every way: no text that leaves tells one, and none is changed for having it inside."""

from __future__ import annotations

import json
import re
import shutil
import stat
import sys
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from psycopg import sql

from aishell.databases.base import SessionOptions
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.errors import DatabaseError
from tests.fix_aishell import Aishell
from tests.servers import HOST

CONTROL = "Tr0ub4dor-geheim"
#: One letter, digits, every reserved character, other languages, and words that stand in what is printed anyway.
PASSWORDS = (
    "e", "a", "0", "***", "@", "%", ":", "/", " ", "%41", "p@ss:w/o?r#d[%]&x=y+z;", "with a space", "größe 🐘", "'\"\\`$(id)",
    "app", "shop", HOST, "password", "connection", "postgresql", "null", "true",
)  # fmt: skip
TELL = "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))"


def in_url(aishell: Aishell, password: str, number: int) -> tuple[str, dict[str, Any]]:
    return f"app:{quote(password, safe='')}", {}


def in_environment(aishell: Aishell, password: str, number: int) -> tuple[str, dict[str, Any]]:
    return "app", {"password_env": f"SECRET_{number}"}


def in_file(aishell: Aishell, password: str, number: int) -> tuple[str, dict[str, Any]]:
    path = aishell.home / f"secret_{number}"
    path.touch(0o600)
    path.write_text(password)
    return "app", {"password_file": str(path)}


def in_command(aishell: Aishell, password: str, number: int) -> tuple[str, dict[str, Any]]:
    # The sign for a byte is no part of the text: what is checked is the program's output.
    return "app", {"password_command": [sys.executable, "-I", "-c", TELL, password.encode().hex()]}


WAYS = (in_url, in_environment, in_file, in_command)


@pytest.fixture(params=["pg_current", "mariadb"])
def place(request) -> tuple[str, str]:
    """A scheme, and where it leads to: a server that knows another password of `app`'s."""
    db = request.getfixturevalue(request.param)
    (db.make_role if request.param == "pg_current" else db.make_user)("app", "another one")
    return db.url.partition(":")[0], db.url.partition("@")[2]


@pytest.mark.sampled(1)
def test_whatever_the_password_is_the_text_is_the_same(aishell, place):
    """Targets that differ in their password and in how it is named only are shown alike but for `:***@`."""
    scheme, where = place
    targets, environment = {}, {}
    named = [
        *((CONTROL, way) for way in WAYS),
        *zip(PASSWORDS, cycle(WAYS), strict=False),
        ("e", in_url),
        ("@", in_url),
    ]
    for number, (password, way) in enumerate(named):
        login, more = way(aishell, password, number)
        targets[f"t{number}"] = {"url": f"{scheme}://{login}@{where}", "environment": "test", **more}
        environment[f"SECRET_{number}"] = password
    aishell.configure("targets.yaml", json.dumps({"targets": targets}))
    for command, code in (("list", 0), ("test", 2)):
        ended = aishell("targets", command, "--output", "json", **environment).expect(code)
        rows = [_anonymous(row) for row in ended.json]
        assert len(rows) == len(targets)
        assert len({row.replace("app:***@", "app@") for row in rows}) == 1
        assert ["app:***@" in row for row in rows] == [way is in_url for _, way in named]
        assert CONTROL not in ended.out + ended.err
    assert "***" not in aishell("targets", "list").expect(0).out.replace("app:***@", "")


def _anonymous(row: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in row.items() if key not in ("name", "target") and key[-3:] != "_ms"})


#: A client program that notes how it was started, and does its work.
WRAPPER = """#!/bin/sh
{{ tr '\\0' '\\n' < /proc/$$/cmdline; tr '\\0' '\\n' < /proc/$$/environ; }} >> {seen}
exec {program} "$@"
"""
FEW = ("Geheim-@:/?#[%]&=+; ü'\"\\`$(id)", "e", "test")


@pytest.mark.parametrize("password", FEW, ids=["long", "letter", "word"])
@pytest.mark.parametrize("engine", ["pg_current", "mariadb"])
@pytest.mark.sampled
def test_a_password_that_works_leaves_by_no_way(aishell, request, engine, password):
    """Screen, JSON, plan, report, state.db, audit, logs, backups, and what client programs were started with."""
    db = request.getfixturevalue(engine)
    db.execute("CREATE TABLE t (i int PRIMARY KEY)")
    seen = _observed(aishell, db)
    url = _account(db, engine, password)
    fixed = ("--url", url, "--environment", "test")
    told = []
    for arguments in (
        ("run", "maintenance", "--type", "full", "--yes", "-v", *fixed),
        ("run", "backup", "--yes", "--restore-test", "--output", "json", *fixed),
        ("plan", "maintenance", "--type", "quick", "--out", str(aishell.home / "plan.json"), *fixed),
        ("doctor", "--url", url, "--output", "json"),
        ("runs", "list", "--output", "json"),
        ("backups", "list", "--output", "json"),
        ("audit", "export"),
    ):
        ended = aishell(*arguments)
        assert ended.code in (0, 1) if arguments[0] == "doctor" else ended.code == 0, (
            arguments[0],
            ended.err,
            ended.out,
        )
        told.append(ended.out + ended.err)
    (run_id, *_) = [row["run_id"] for row in json.loads(told[4])]
    told += [aishell("runs", "show", run_id, "--output", output).expect(0).out for output in ("table", "json")]
    assert "Geheim" not in seen.read_text()
    assert len(seen.read_text()) > 1000, "programs were started"
    for text in told:
        # Whatever else is masked had the password inside it.
        assert "***" not in re.sub(r":\*\*\*@", "", text)
    kept = [path.read_bytes() for path in aishell.home.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
    if len(password) > 5:
        for form in {password, quote(password, safe=""), json.dumps(password)[1:-1]}:
            assert form not in "".join(told)
            assert not any(form.encode() in content for content in kept)
    # What is shown is not enough to go on with, and says so.
    shown = re.search(r"\w+://app:\*\*\*@\S+?(?=[\"\s])", told[3])
    assert shown is not None
    refused = aishell("run", "maintenance", "--dry-run", "--url", shown[0]).expect(2)
    assert "without its password" in refused.err


def _account(db: Any, engine: str, password: str) -> str:
    if engine == "pg_current":
        db.make_role("app", "x", "SUPERUSER")
        db.execute(sql.SQL("ALTER ROLE app PASSWORD {}").format(password))
        return str(db.url_as("app", quote(password, safe="")))
    db.make_user("app", password, "ALL")
    db.execute(f"GRANT ALL ON *.* TO app@'{HOST}'")
    return str(db.url_as("app", password))


def _observed(aishell: Aishell, db: Any) -> Path:
    """Have the client programs noted; the file with what each was started with."""
    folder, seen = aishell.home / "programs", aishell.home / "seen"
    folder.mkdir()
    names = ("pg_dump", "pg_dumpall", "pg_restore", "mariadb", "mariadb-dump", "mariadb-binlog")
    for name in names:
        program = shutil.which(name, path=f"{db.server.bin}:/usr/bin")
        if program:
            (folder / name).write_text(WRAPPER.format(seen=seen, program=program))
            (folder / name).chmod(0o755)
    aishell.configure("aishell.yaml", f"programs: {folder}\n")
    return seen


@pytest.mark.parametrize("engine", ["pg_current", "mariadb"])
def test_a_password_is_asked_anew_for_each_connection(request, engine):
    """It changes while a session is open: the next one has the new one."""
    db = request.getfixturevalue(engine)
    db.make_role("app", "one") if engine == "pg_current" else db.make_user("app", "one", "ALL")
    now = ["one"]
    database = open_database(parse_url(db.url_as("app"), password=lambda: now[0]))
    with database.session(SessionOptions()) as first:
        if engine == "pg_current":
            db.execute("ALTER ROLE app PASSWORD 'two'")
        else:
            db.execute(f"ALTER USER app@'{HOST}' IDENTIFIED BY 'two'")
        now[0] = "two"
        with database.session(SessionOptions()) as second:
            assert first.server_session != second.server_session or engine == "pg_current"
        now[0] = "wrong"
        with pytest.raises(DatabaseError) as caught, database.session(SessionOptions(lock_timeout=1)):
            pass
        assert caught.value.kind == "connect"
    database.close()


def test_client_programs_get_the_password_that_a_program_told(aishell, pg_current):
    pg_current.execute("CREATE TABLE t (i int PRIMARY KEY)")
    pg_current.make_role("app", "one-time", "SUPERUSER")
    script, calls = aishell.home / "tell", aishell.home / "calls"
    script.write_text(f"#!/bin/sh\necho >> {calls}\necho one-time\n")
    script.chmod(0o700)
    target = {"url": pg_current.url_as("app"), "environment": "test", "password_command": [str(script)]}
    aishell.configure("targets.yaml", json.dumps({"targets": {"shop": target}}))
    aishell.configure("aishell.yaml", f"programs: {pg_current.server.bin}\n")
    ended = aishell("run", "backup", "--target", "shop", "--yes", "--output", "json").expect(0)
    assert len(calls.read_text().splitlines()) > 3, "aishell's own connections, and each program"
    assert "one-time" not in ended.out + ended.err
    assert b"one-time" not in aishell.state.read_bytes()
    script.write_text("#!/bin/sh\necho one-time >&2\nexit 7\n")
    ended = aishell("run", "backup", "--target", "shop", "--yes").expect(2)
    assert "ended with 7" in ended.err
    assert "one-time" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"url": "postgresql://app@h/d?password=geheim"}, "has a password in its query"),
        ({"url": "postgresql://app:geheim@x@h/d"}, "an @ stands where"),
        ({"url": "mysql://app:ge/heim@h/d"}, "an @ stands where"),
        ({"url": "mysql://app@h/d?ssl_mode=geheim"}, "ssl_mode must be one of DISABLED"),
        ({"url": "mysql://app@h/d?sl_mode=geheim"}, "unknown option 'sl_mode'"),
        ({"url": "oracle://app:geheim@h/d"}, "unknown engine 'oracle'"),
        ({"url": "app:geheim@h/d"}, "is not a URL"),
        ({"url": "postgresql://h/d", "inspection_url": "postgresql://i:ge@heim@h/d"}, "inspection_url"),
        ({"url": "postgresql://a:geheim@h/d", "password_env": "X"}, "several places"),
        ({"url": "postgresql://a@h/d", "password_file": "/x", "password_env": "X"}, "several places"),
        ({"url": "postgresql://a@h/d", "password_command": ["x"], "password_env": "X"}, "several places"),
        ({"url": "postgresql://a@h/d", "password_command": "pass geheim"}, "password_command must be "),
    ],
)
def test_a_target_that_is_not_beyond_doubt_is_an_error_of_its_line(aishell, target, said):
    lines = ["targets:", "  shop:", *(f"    {key}: {json.dumps(value)}" for key, value in target.items())]
    path = aishell.configure("targets.yaml", "\n".join(lines))
    for command in (
        ("targets", "list"),
        ("run", "maintenance", "--target", "shop"),
        ("plan", "maintenance", "--target", "shop"),
    ):
        ended = aishell(*command).expect(2)
        assert said in ended.err
        assert f"{path}:" in ended.err
        assert "geheim" not in (ended.out + ended.err).replace("'pass geheim'", "")
    assert not aishell.state.exists()


def test_a_second_place_of_backups_has_no_password_in_it(aishell):
    aishell.configure("aishell.yaml", "backup_copies:\n  - /mnt/x\n  - sftp://me:geheim@h/x\n")
    ended = aishell("backups", "list").expect(2)
    assert "aishell.yaml:3" in ended.err
    assert "geheim" not in ended.err
