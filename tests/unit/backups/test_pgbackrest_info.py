"""What pgbackrest says, read: its JSON, the text of `verify`, and how far a backup has come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aishell.backups.pgbackrest import stanza as pgbackrest_stanza
from aishell.backups.pgbackrest.stanza import EMPTY, account_of, damage, missing_segments, percent, stanza_of, warnings
from aishell.errors import BackupError, NotAtHandError

FULL, INCR = "20261122-000323F", "20261122-000323F_20261122-000326I"


def told(label: str, kind: str, prior: str | None = None, repo: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "archive": {"start": "000000010000000000000002", "stop": "000000010000000000000003"},
        "database": {"id": 1, "repo-key": repo},
        "error": False,
        "info": {"delta": 22, "repository": {"delta": 4, "size": 5}, "size": 22},
        "label": label,
        "lsn": {"start": "0/2000028", "stop": "0/3000050"},
        "prior": prior,
        "reference": [prior] if prior else None,
        "timestamp": {"start": 1795305803, "stop": 1795305805},
        "type": kind,
        **more,
    }


def info(code: int = 0, message: str = "ok", sets: list[dict[str, Any]] | None = None) -> str:
    stanza = {
        "archive": [{"database": {"id": 1, "repo-key": 1}, "id": "15-1"}],
        "backup": [told(FULL, "full"), told(INCR, "incr", FULL)] if sets is None else sets,
        "db": [{"id": 1, "repo-key": 1, "system-id": 7710779700006868174, "version": "15"}],
        "name": "main",
        "repo": [{"cipher": "none", "key": 1, "status": {"code": code, "message": message}}],
    }
    return json.dumps([stanza])


MADE = stanza_of(info(), "main", 1).sets


def test_a_stanza_as_pgbackrest_tells_it():
    stanza = stanza_of(info(), "main", 1)
    assert (stanza.system, stanza.archives) == ("7710779700006868174", {1: "15-1"})
    assert stanza.newest is stanza.find(INCR)
    assert stanza.dependents(FULL) == [INCR]
    assert (MADE[0].started_at, MADE[0].timeline) == ("2026-11-22T00:03:23.000000+00:00", 1)
    marked = [told(FULL, "full", annotation={"aishell": "run:backup"}), told(INCR, "incr", FULL, repo=2)]
    stanza = stanza_of(info(sets=marked), "main", 1)
    assert [one.label for one in stanza.sets] == [FULL], "what is in another repository is not in this one"
    assert stanza.made_by("aishell", "run:backup") == stanza.newest
    assert stanza.made_by("aishell", "another") is None


def test_a_stanza_that_is_not_there_or_cannot_be_looked_at():
    assert stanza_of("[]", "main", 1).system is None
    assert stanza_of(info(EMPTY, "no valid backups", []), "main", 1).newest is None
    for text, said in (
        (info(99, "permission denied"), "permission denied"),
        ("", "unreadable output"),
        ('[{"name": "main"}]', "unreadable output"),
    ):
        with pytest.raises(NotAtHandError, match=said):
            stanza_of(text, "main", 1)


def verified(*sets: tuple[str, str, int, int], said: str = "") -> str:
    lines = [
        f"  backup: {label}, status: {status}, total files checked: {checked}, total valid files: {valid}\n"
        "    missing: 0, checksum invalid: 1, size invalid: 0, other: 0"
        for label, status, checked, valid in sets
    ]
    return "\n".join(["stanza: main", "status: error", *lines, said])


SOUND = ((FULL, "valid", 964, 964), (INCR, "valid", 965, 965))


@pytest.mark.parametrize(
    ("text", "of_full", "of_incr"),
    [
        (verified(*SOUND), [], []),
        (
            verified(
                (FULL, "invalid", 964, 963),
                (INCR, "invalid", 965, 964),
                said=f"INFO: invalid checksum '{FULL}/pg_data/a b'",
            ),
            [f"invalid checksum: {FULL}/pg_data/a b"],
            [f"invalid checksum: {FULL}/pg_data/a b"],
        ),
        (
            verified(SOUND[0], said=f"INFO: file missing '{INCR}/x'"),
            [],
            [f"file missing: {INCR}/x", "finds none"],
        ),
        (
            verified(SOUND[0], (INCR, "manifest missing", 0, 0)),
            [],
            ["0 of its files are not valid (manifest missing)"],
        ),
        (verified((FULL, "invalid", 9, 7), SOUND[1]), ["2 of its files are not valid (invalid)"], []),
        (
            verified(*SOUND, said="INFO: invalid result 15-1/0001/000000010000000000000003-6280.lz4: [29] lz4 error"),
            ["invalid result: 15-1/0001/000000010000000000000003-6280.lz4"],
            ["invalid result: 15-1/0001/000000010000000000000003-6280.lz4"],
        ),
        (verified(*SOUND, said="INFO: invalid result 15-1/0001/000000010000000000000009-6280.lz4: [29] lz4"), [], []),
    ],
)
def test_what_verify_finds_is_held_against_the_sets_that_need_it(text, of_full, of_incr):
    """It ends with 0 whatever it finds."""
    for made, expected in zip(MADE, (of_full, of_incr), strict=True):
        found = damage(text, made, ["000000010000000000000002", "000000010000000000000003"])
        assert len(found) == len(expected)
        assert all(said in one for one, said in zip(found, expected, strict=True))


def test_segments_that_are_missing_which_verify_says_nothing_of():
    text = "0000000100000000/000000010000000000000002-8f01af.lz4\n"
    assert missing_segments(text, ["000000010000000000000002"]) == []
    (problem,) = missing_segments(text, ["000000010000000000000002", "000000010000000000000003"])
    assert "000000010000000000000003" in problem


def test_how_far_it_has_come_and_what_it_warns_of():
    text = (
        "WARN: option 'repo1-retention-full' is not set\n      HINT: set it\n"
        "DETAIL: backup file /data/base/5/1255 (768KB, 3.42%) checksum 46f8\n"
        "DETAIL: backup file /data/base/5/2838 (bundle 1/0, 512KB, 14.82%) checksum 1ca5\n"
    )
    assert percent(text) == 14.82
    assert percent("INFO: backup start") == 0
    assert warnings(text) == ["option 'repo1-retention-full' is not set"]


def test_who_has_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    owner = tmp_path.owner()
    assert account_of(str(tmp_path)) == owner
    with pytest.raises(BackupError, match="not permitted to see"):
        account_of(None)
    monkeypatch.setattr(pgbackrest_stanza.os, "geteuid", lambda: 1)
    monkeypatch.setattr(pgbackrest_stanza.os, "access", lambda path, mode: False)
    with pytest.raises(BackupError, match=f"must read {tmp_path}, which {owner} owns") as caught:
        account_of(str(tmp_path))
    assert "sudo -u" in str(caught.value.hint)
