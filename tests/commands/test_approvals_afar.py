"""Approvals at the daemon's socket: who answers is who the kernel says, and the run goes on in the database."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aishell.cli.daemon_client import call
from aishell.errors import AishellError
from aishell.serving.answers import NOBODY
from tests.commands.test_daemon import fill, over, started
from tests.fix_aishell import Aishell, Running
from tests.scheduled import back, nightly, rows
from tests.servers import wait_until

#: Two of the users that every host has, and a uid that none has; the kernel knows them by their number.
ALICE, BOB, GROUP = (pwd.getpwnam(name).pw_uid for name in ("daemon", "bin", "sys"))
STRANGER = 61001
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user of the host may enter."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def site(aishell: Aishell, place: Path) -> Aishell:
    """A night that asks, of a daemon with a socket."""
    fill(aishell.site / "shop.db")
    nightly(aishell, "sqlite:///shop.db", environment="production", kind="full", approve="")
    aishell.configure("aishell.yaml", f"daemon: {{socket: {place}/shop.sock, shutdown_grace: 0}}\n")
    back(aishell, "nightly", days=1)
    return aishell


@pytest.fixture
def path(site: Aishell, place: Path) -> Iterator[str]:
    """The socket of a daemon whose run waits."""
    daemon = waits(site)
    (place / "shop.sock").chmod(0o666)
    yield str(place / "shop.sock")
    daemon.signal(signal.SIGTERM)
    daemon.wait().expect(0)
    assert not (place / "shop.sock").exists()


def waits(site: Aishell) -> Running:
    daemon = started(site)
    wait_until(lambda: rows(site) and rows(site)[-1].status == "waiting", "the run waits")
    return daemon


def as_user(uid: int, path: str, *names: str, body: dict[str, Any] | None = None) -> Any:
    """What `call` answers another user, or the error it raises."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setgid(GROUP)
            os.setuid(uid)
            try:
                told: Any = call(path, *names, body=body)
            except AishellError as error:
                told = {"refused": error.message, "exit_code": error.exit_code}
            os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text)


def answers(site: Aishell) -> list[dict[str, Any]]:
    return [
        event for event in site.events("approval_decided") if event["status"] in ("approved", "rejected", "pending")
    ]


@as_root
def test_another_user_approves_and_the_night_goes_on_within_seconds(site: Aishell, path: str):
    found = as_user(ALICE, path, "approvals")
    assert found
    before = (site.site / "shop.db").stat().st_size
    for one in found:
        shown = as_user(ALICE, path, "approvals", one["id"])
        assert shown["statements"]
        assert shown["digest"].startswith("sha256:")
        told = as_user(ALICE, path, "approvals", one["id"], "approve", body={"reason": "agreed"})
        assert (told["status"], told["scheduled"]) == ("approved", True)
    wait_until(lambda: over(site), "the night is over")
    decided = site.rows("SELECT max(at) FROM events WHERE type = 'approval_decided' AND data LIKE '%agreed%'")[0][0]
    resumed = site.rows("SELECT at FROM events WHERE type = 'state_changed' AND data LIKE '%resumed%'")[0][0]
    taken = datetime.fromisoformat(resumed) - datetime.fromisoformat(decided)
    assert taken.total_seconds() < 60, "seconds; a machine under test may be slow"
    assert (site.site / "shop.db").stat().st_size < before, "the step has taken effect"
    for event in answers(site):
        assert (event["uid"], event["terminal"]) == (ALICE, "socket")
        assert event["by"].endswith(f"(uid {ALICE})")
    assert [row.outcome for row in rows(site)] == ["success"]
    site("audit", "verify").expect(0)


@as_root
def test_a_rejection_has_a_reason_and_ends_the_night_with_5(site: Aishell, path: str):
    for one in as_user(BOB, path, "approvals"):
        refused = as_user(BOB, path, "approvals", one["id"], "reject", body={"reason": " "})
        assert (refused["exit_code"], "reason" in refused["refused"]) == (2, True)
        as_user(BOB, path, "approvals", one["id"], "reject", body={"reason": "not before the release"})
        again = as_user(ALICE, path, "approvals", one["id"], "approve", body={})
        assert "it can no longer be decided" in again["refused"]
    wait_until(lambda: over(site), "the night is over")
    assert [(row.exit_code, row.outcome) for row in rows(site)] == [(5, "rejected")]


@pytest.fixture
def fragmented(aishell: Aishell, place: Path, bloated_pg) -> Iterator[Aishell]:
    """The same on PostgreSQL, whose rebuilt indexes have a threshold to be edited."""
    nightly(aishell, bloated_pg.make().url, environment="production", kind="full", approve="")
    aishell.configure("aishell.yaml", f"daemon: {{socket: {place}/shop.sock}}\n")
    back(aishell, "nightly", days=1)
    daemon = waits(aishell)
    yield aishell
    daemon.signal(signal.SIGTERM)
    daemon.wait().expect(0)


def test_an_edited_step_is_asked_about_again_as_it_would_run_then(fragmented: Aishell, place: Path):
    path = f"{place}/shop.sock"
    (one,) = (one for one in call(path, "approvals") if one["tool"] == "rebuild_fragmented_indexes")
    before = call(path, "approvals", one["id"])
    edit = ("approvals", "edit", one["id"], "--socket", path, "--set")
    assert "cannot change table" in fragmented(*edit, "table=other").expect(2).err
    assert "unknown" in fragmented(*edit, "fragmentation_treshold=1").expect(2).err
    assert "the parameters are unchanged" in fragmented(*edit, f"schema={before['params']['schema']}").expect(2).err
    assert "fragmentation_threshold" in fragmented(*edit, "fragmentation_threshold=101").expect(2).err
    assert (
        "'2027-01-01' is not of type 'number'" in fragmented(*edit, "fragmentation_threshold=2027-01-01").expect(2).err
    )
    said = {"params": {"fragmentation_threshold": 1}, "reason": "the worst"}
    if os.geteuid() == 0:
        (place / "shop.sock").chmod(0o666)
        editor, told = ALICE, as_user(ALICE, path, "approvals", one["id"], "edit", body=said)
    else:
        editor, told = os.getuid(), call(path, "approvals", one["id"], "edit", body=said)
    assert (told["status"], "the daemon continues the run" in told["goes_on"]) == ("modified", True)

    def asked_again() -> list[dict[str, Any]]:
        found = [call(path, "approvals", o["id"]) for o in call(path, "approvals") if o["step"] == one["step"]]
        return [o for o in found if o["id"] != one["id"]]

    wait_until(asked_again, "it needs approval again")
    (after,) = asked_again()
    assert after["params"] == {**before["params"], "fragmentation_threshold": 1}
    assert after["digest"] != before["digest"]
    (edit_,) = after["edits"]
    assert (edit_["uid"], edit_["changes"]) == (editor, {"fragmentation_threshold": [30, 1]})
    assert editor in after["requesters"], "who edited it is not the one of two who approve it"
    assert f"approvals show {after['id']}`" in fragmented(*edit, "min_index_size=1").expect(2).err
    shown = fragmented("approvals", "show", after["id"], "--socket", path).expect(0).out
    assert "edited by" in shown
    assert "fragmentation_threshold: 30.0 → 1" in shown
    for waiting in call(path, "approvals"):
        fragmented("approvals", "approve", waiting["id"], "--socket", path).expect(0)
    wait_until(lambda: over(fragmented), "the night is over")
    ran = fragmented.rows("SELECT params, approved_by FROM steps WHERE step_id = ?", one["step"])
    assert [json.loads(params)["fragmentation_threshold"] for params, _ in ran] == [1]
    assert f"(uid {os.getuid()})" in ran[0][1]
    assert [row.outcome for row in rows(fragmented)] == ["success"]
    fragmented("audit", "verify").expect(0)


@as_root
def test_nobody_decides_nothing_and_names_of_the_environment_count_for_nothing(site: Aishell, path: str):
    (first, *_) = as_user(NOBODY, path, "approvals")
    refused = as_user(NOBODY, path, "approvals", first["id"], "approve", body={})
    assert (refused["exit_code"], "cannot decide" in refused["refused"]) == (5, True)
    for stranger in (STRANGER, 2**31):  # as setpriv, or a user's own namespace, makes them
        refused = as_user(stranger, path, "approvals", first["id"], "approve", body={})
        assert (refused["exit_code"], "not a user of this host" in refused["refused"]) == (5, True)
    assert answers(site) == []
    site("approvals", "approve", first["id"], LOGNAME="mallory", USER="mallory").expect(0)
    (event,) = answers(site)
    assert event["uid"] == os.getuid()
    assert "mallory" not in event["by"]


@as_root
def test_another_user_sees_what_runs_and_stops_everything(site: Aishell, path: str):
    (run,) = as_user(ALICE, path, "runs")
    assert (run["target"], run["state"]) == ("shop", "waiting_approval")
    assert as_user(ALICE, path, "runs") == site("runs", "list", "--output", "json").expect(0).json
    assert as_user(ALICE, path, "schedules") == site("schedule", "list", "--output", "json").expect(0).json
    assert as_user(ALICE, path, "hold") == []
    stop = {"reason": "disk replaced"}
    assert "cannot decide" in as_user(NOBODY, path, "hold", body=stop)["refused"]
    assert (as_user(ALICE, path, "hold", body={})["exit_code"], as_user(ALICE, path, "hold")) == (2, [])
    assert "unknown target" in as_user(ALICE, path, "hold", body={**stop, "target": "shopp"})["refused"]
    placed = as_user(ALICE, path, "hold", body=stop)
    assert (placed["target"], placed["new"]) == (None, True)
    assert as_user(BOB, path, "hold", body={"reason": "another"})["new"] is False
    for one in as_user(ALICE, path, "approvals"):
        as_user(ALICE, path, "approvals", one["id"], "approve", body={})
    assert "that hold stays" in site("hold", "--socket", path, "--reason", "again").expect(0).out
    (held,) = site("hold", "--socket", path, "--output", "json").expect(0).json
    assert held["by"].endswith(f"(uid {ALICE})")
    assert not over(site)
    assert "cannot decide" in as_user(NOBODY, path, "hold", "release", body={})["refused"]
    assert "released: every target" in site("release", "--socket", path).expect(0).out
    assert as_user(ALICE, path, "hold", "release", body={})["exit_code"] == 2
    (event,) = site.events("hold_released")
    assert event["by"].endswith(f"(uid {os.getuid()})")
    wait_until(lambda: over(site), "the night goes on after it")
    site("audit", "verify").expect(0)


def test_the_command_asks_a_daemon_and_opens_no_site(site: Aishell, path: str, aishell: Aishell):
    listed = site("approvals", "list", "--output", "json").expect(0).json
    aishell.configure("targets.yaml", "nonsense")
    aishell.site.chmod(0o777)  # no site that anybody would open
    assert aishell("approvals", "list", "--socket", path, "--output", "json").expect(0).json == listed
    (first, *_) = listed
    shown = aishell("approvals", "show", first["id"], "--socket", path).expect(0).out
    assert "lock " in shown
    assert "the daemon continues" in aishell("approvals", "approve", first["id"], "--socket", path).expect(0).out
    assert (
        "can no longer be decided"
        in aishell("approvals", "reject", first["id"], "--socket", path, "--reason", "x").expect(2).err
    )
    assert "no daemon answers at" in aishell("approvals", "list", "--socket", f"{path}.gone").expect(2).err
    assert "unknown approval" in aishell("approvals", "show", "ffff", "--socket", path).expect(2).err
    aishell.site.chmod(0o755)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("{", 400),
        ("[]", 400),
        ('{"reason": 5}', 400),
        ('{"reason": "x", "digset": "sha256:00"}', 400),
        ('{"params": {}}', 400),
        ('{"digest": "sha256:00"}', 409),
        (" " * 70_000, 413),
    ],
)
def test_what_is_no_answer_is_refused(site: Aishell, path: str, answer: str, status: int):
    (first, *_) = call(path, "approvals")
    connection = http.client.HTTPConnection("aishell")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request("POST", f"/approvals/{first['id']}/approve", answer)
    assert connection.getresponse().status == status
    connection.close()
    assert answers(site) == []


def test_an_address_of_any_length_is_no_id(site: Aishell, path: str):
    with pytest.raises(AishellError, match="unknown approval 'aaa") as refused:
        call(path, "approvals", "a" * 60_000)
    assert len(refused.value.message) < 200


def test_who_goes_before_they_have_said_all_leaves_no_trace_in_the_log(site: Aishell, place: Path):
    daemon, path = waits(site), str(place / "shop.sock")
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as gone:
            gone.connect(path)
            gone.sendall(b"POST /approvals/1/approve HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert call(path, "approvals")
    daemon.signal(signal.SIGTERM)
    said = daemon.wait().expect(0).err
    assert "Traceback" not in said
    assert "ClientDisconnect" not in said


@pytest.fixture
def odd(place: Path) -> Iterator[Callable[[str | None], str]]:
    """A socket that answers each request with a text, or never."""
    with contextlib.ExitStack() as stack:

        def opened(text: str | None) -> str:
            where = place / "odd.sock"
            listening = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
            listening.bind(str(where))
            listening.listen()
            if text is None:
                return str(where)

            def answer() -> None:
                with contextlib.suppress(OSError), listening.accept()[0] as one:
                    one.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        while one.recv(65536):
                            pass
                    one.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())

            threading.Thread(target=answer, daemon=True).start()
            return str(where)

        yield opened


@pytest.mark.parametrize("text", ["[]", '{"id": 5}', '"x"', "null", "{}"])
@pytest.mark.parametrize("words", [("approvals", "show", "1b2c"), ("hold", "--reason", "x")], ids=["show", "hold"])
def test_an_answer_of_another_shape_is_none_of_a_daemons(aishell: Aishell, odd, text: str, words: tuple[str, ...]):
    assert "is not that of an aishell daemon" in aishell(*words, "--socket", odd(text)).expect(2).err


def test_a_daemon_that_is_stopped_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch, odd):
    monkeypatch.setattr("aishell.cli.daemon_client._TIMEOUT", 0.2)
    with pytest.raises(AishellError, match="did not answer within"):
        call(odd(None), "approvals")


def get(port: int, address: str, token: str | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{address}")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else text
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else text


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_monitors_read_health_at_a_port_and_decide_nothing_there(site: Aishell, place: Path):
    port = free_port()
    (site.home / "token").write_text("s3cret\n")
    (site.home / "token").chmod(0o600)
    daemon = f"socket: {place}/shop.sock, listen: '127.0.0.1:{port}', token_file: {site.home}/token"
    site.configure("aishell.yaml", f"daemon: {{{daemon}}}\n")
    daemon_ = waits(site)
    assert get(port, "/health")[0] == 401
    assert get(port, "/health", "S3cret")[0] == 401
    assert get(port, "/health", "s3cret") == (200, {"status": "alive"})
    wait_until(lambda: get(port, "/ready", "s3cret")[0] == 200, "it is ready")
    assert b"aishell_tick_timestamp_seconds" in get(port, "/metrics", "s3cret")[1]
    assert get(port, "/metrics")[0] == 401
    approval = call(f"{place}/shop.sock", "approvals")[0]["id"]
    for address in (
        "/approvals",
        f"/approvals/{approval}",
        "/runs",
        "/schedules",
        "/hold",
        "/nothing",
    ):
        assert get(port, address, "s3cret")[0] == 404
    with closing(sqlite3.connect(site.state, isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        code, found = get(port, "/ready", "s3cret")
    assert (code, found["ready"]) == (503, False)
    assert "state.db cannot be written" in found["problems"][0]
    token = (site.home / "token").rename(site.home / "elsewhere")
    assert get(port, "/health", "s3cret")[0] == 503
    token.rename(site.home / "token")
    site.configure("schedules.yaml", "schedules: {nightly: {}}\n")
    wait_until(lambda: "schedules.yaml:1" in get(port, "/ready", "s3cret")[1]["configuration"], "the file is refused")
    daemon_.kill()
    again = started(site)
    assert again.ended or call(f"{place}/shop.sock", "health") == {"status": "alive"}


@pytest.mark.parametrize(
    ("daemon", "told"),
    [
        ("listen: '0.0.0.0:9187'", "no token is asked for"),
        ("listen: '127.0.0.1:99999'", "port 99999"),
        ("listen: '127.0.0.1:9187', token_env: NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE is not set"),
        ("socket: /nowhere/shop.sock", "/nowhere/shop.sock cannot be created"),
        ("socket_group: nobody-has-this-group", "nobody-has-this-group"),
    ],
)
def test_a_daemon_that_could_be_reached_by_others_or_not_at_all_does_not_start(site: Aishell, daemon: str, told: str):
    site.configure("aishell.yaml", f"daemon: {{{daemon}}}\n")
    assert told in site("schedule", "start").expect(2).err
    assert "started: process" not in site("schedule", "list").err
