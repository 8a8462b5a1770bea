"""Several hosts in a URL: what was begun on one server does not go on with another, nor with the same in another role."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aishell.backups.postgresql.libpq import conninfo
from aishell.databases.base import SessionOptions, Statement
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.errors import DatabaseError
from tests.postgresql import SUPERUSER, PostgresqlDatabase
from tests.servers import HOST, wait_until

PORT = Statement("SELECT inet_server_port() AS port", {}, "the port")


def url_of(*databases: PostgresqlDatabase, more: str = "") -> str:
    hosts = ",".join(f"{HOST}:{db.server.port}" for db in databases)
    return f"postgresql://{SUPERUSER}@{hosts}/{databases[0].dbname}{more}"


def promote(standby: PostgresqlDatabase) -> None:
    standby.execute("SELECT pg_promote(true)")
    wait_until(lambda: not standby.execute("SELECT pg_is_in_recovery()")[0][0], "the standby is a primary")


def test_every_session_goes_to_the_server_that_the_first_has_reached(pg_standby):
    primary, standby = pg_standby.primary, pg_standby
    database = open_database(parse_url(url_of(primary, standby, more="?load_balance_hosts=random")))
    ports = set()
    for wait in range(1, 9):  # each limit of its own is a connection of its own
        with database.session(SessionOptions(lock_timeout=wait)) as session:
            ports.add(session.query(PORT)[0]["port"])
    assert len(ports) == 1
    assert database.here.url.hosts[0].port in ports
    assert len(database.credentials.url.hosts) == 2, "what is shown and stored is what was given"
    database.stay()
    database.close()


def test_a_server_that_fails_is_not_replaced_by_the_next(pg_standby):
    primary, standby = pg_standby.primary, pg_standby
    database = open_database(parse_url(url_of(primary, standby)))
    with database.session(SessionOptions()) as session:
        assert session.query(PORT)[0]["port"] == primary.server.port
    primary.server.crash()
    promote(standby)
    with pytest.raises(DatabaseError) as caught, database.session(SessionOptions(lock_timeout=1)):
        pass
    assert caught.value.kind == "connect"
    with pytest.raises(DatabaseError):
        database.stay()
    database.close()
    # A new process has the new primary.
    again = open_database(parse_url(url_of(primary, standby, more="?target_session_attrs=read-write")))
    with again.session(SessionOptions(read_only=False)) as session:
        assert session.query(PORT)[0]["port"] == standby.server.port
    again.close()


def test_a_role_that_changes_is_seen_on_open_sessions_and_on_new_ones(pg_standby):
    primary, standby = pg_standby.primary, pg_standby
    database = open_database(parse_url(url_of(standby, primary)))
    database.stay()  # nothing is known yet
    with database.session(SessionOptions()):
        database.stay()
    promote(standby)
    told = f"it was {HOST}:{standby.server.port}, a standby, and now it is {HOST}:{standby.server.port}, a primary"
    for check in (database.stay, lambda: database._connect(SessionOptions(lock_timeout=3))):
        with pytest.raises(DatabaseError, match=told) as caught:
            check()
        assert caught.value.kind == "moved"
        assert not caught.value.transient
    database.close()


HOOK = """
import json, pathlib, time

FOLDER = pathlib.Path({folder!r})

class Pause:
    def after(self, call, result):
        (FOLDER / call.step_id).touch()
        while not (FOLDER / "go on").exists():
            time.sleep(0.02)

hook = Pause()
"""


@pytest.mark.parametrize("moved", [True, False])
def test_a_failover_between_two_steps_stops_the_run(aishell, pg_standby, moved):
    """A backup of a standby, which becomes the primary after the first step: no step runs on it, and the run can be resumed."""
    primary, standby = pg_standby.primary, pg_standby
    folder = aishell.home / "hook"
    folder.mkdir()
    (folder / "pausing.py").write_text(HOOK.format(folder=str(folder)))
    aishell.configure("aishell.yaml", f"programs: {standby.server.bin}\nhooks: [pausing:hook]\n")
    url = url_of(standby, primary)
    words = ("run", "backup", "--url", url, "--environment", "test", "--yes", "--output", "json")
    running = aishell.start(*words, alone=True, PYTHONPATH=str(folder))
    wait_until(lambda: list(folder.glob("size")), "the first step has ended")
    if moved:
        promote(standby)
    (folder / "go on").touch()
    ended = running.wait()
    if not moved:
        assert ended.expect(0).json["status"] == "success"
        return
    document: dict[str, Any] = ended.expect(1).json
    assert "the server has changed" in json.dumps(document["error"])
    assert [action["step_id"] for action in document["actions_taken"] if action["status"] == "done"] == ["size"]
    assert aishell.state_of(document["run_id"]) == "failed"
    resumed = aishell("runs", "resume", document["run_id"], "--yes", "--output", "json", PYTHONPATH=str(folder))
    assert resumed.expect(0).json["status"] == "success", "a person has said so"


def test_the_programs_go_to_the_same_server(pg_standby):
    primary, standby = pg_standby.primary, pg_standby
    database = open_database(parse_url(url_of(standby, primary)))
    assert f"port='{standby.server.port},{primary.server.port}'" in conninfo(database.here)
    with database.session(SessionOptions()):
        pass
    assert f"port='{standby.server.port}'" in conninfo(database.here)
    database.close()
