"""What a clean-up with relatives says of itself against the rows that a client finds before and after, whenever it is stopped."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest

from tests import kin
from tests.faults.killed import Fault
from tests.faults.killing import KILLED, new_site
from tests.faults.test_related_kill import empty, load  # noqa: F401  a fixture
from tests.fix_aishell import Aishell, Ended
from tests.seed import dice
from tests.servers import wait_until

#: Stopped at no moment; killed around a commit of the deletion, again and again; asked to stop between and in its batches.
MOMENTS = ["never", "killed before", "killed after", "ctrl-c", "sigterm", "pause"]
#: A run has about so many commits before its deletion begins.
BEGIN = 14
LAST_BATCH = """SELECT count(*) FROM events e JOIN steps s ON s.run_id = e.run_id AND s.step_index = e.step_index
                WHERE e.type = 'batch_committed' AND s.step_id LIKE 'delete%'"""


def arguments(db: Any, *more: str) -> tuple[str, ...]:
    fixed = ("--url", db.url, "--environment", "test", "--yes", "--output", "json")
    small = ("--set", "batch_target_ms=1")
    return ("run", "log-cleanup", "--table", "ev", "--retention-days", "90", "--archive", *small, *more, *fixed)


def assert_told(ended: Ended, before: kin.Rows, after: kin.Rows, *, exact: bool = True) -> None:
    """Every figure of the document and of the sentences is what the rows say."""
    true, told = kin.Difference.of(before, after), ended.json["output_data"]
    (table,) = told["tables"].values()
    found = kin.Difference(table["rows_deleted"], table["relatives_deleted"], table["relatives_changed"])
    if exact:
        assert found == true
        assert told["rows_deleted"] == true.rows
        assert "uncounted_batches" not in told
        assert "at least" not in ended.json["reasoning"].lower()
    numbers = [
        int(number.replace(",", ""))
        for number in re.findall(r"\b\d[\d,]*(?= row\(s\)| old row\(s\))", ended.json["reasoning"])
    ]
    if true.rows:
        assert numbers[:2] == [true.rows, true.relatives] or not exact
    old = {key for key, row in before["ev"].items() if key % 4}
    left = len(old & after["ev"].keys())
    if table.get("remaining") is not None:
        assert table["remaining"] == left


def killed_and_resumed(site: Aishell, db: Any, when: str) -> Ended:
    """Killed around one commit of its deletion, then around the ones after it, three times."""
    ended = site(*arguments(db), fault=Fault(dice("at").randint(BEGIN, BEGIN + 6), when))
    for number in range(3):
        if ended.code != KILLED or site.state_of(site.only_run()) == "completed":
            break
        fault = Fault(dice("again").randint(4, 8), when) if number < 2 else None
        ended = site("runs", "resume", site.only_run(), "--output", "json", fault=fault)
    return ended


def stopped_and_resumed(site: Aishell, db: Any, how: str, look: Any) -> Ended:
    """Stopped twice after a few batches of the deletion; each time what it says is looked at."""
    site.url = db.url
    running = site.start(*arguments(db, "--sleep", "0.03"))
    done = 0
    for _ in range(2):
        wait_until(lambda: running.ended or batches(site) > done + 1, "a few batches")  # noqa: B023
        if running.ended:
            break
        if how == "pause":
            site("runs", "pause", site.only_run())
        else:
            running.signal(signal.SIGINT if how == "ctrl-c" else signal.SIGTERM)
        ended = running.wait()
        assert ended.code in (0, 4, 130), ended.err
        if site.state_of(site.only_run()) != "paused":
            return ended
        look(ended)
        done = batches(site)
        running = site.start("runs", "resume", site.only_run(), "--output", "json")
    return running.wait()


def batches(site: Aishell) -> int:
    if not site.state.exists() or not site.rows("SELECT name FROM sqlite_schema WHERE name = 'events'"):
        return 0
    return int(site.rows(LAST_BATCH)[0][0])


@pytest.mark.sampled
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("shape", list(kin.SHAPES))
def test_what_is_said_is_what_went(empty: tuple[Any, str], aishell: Aishell, shape: str, moment: str) -> None:  # noqa: F811
    """And one night is enough, and the archive gives everything back."""
    db, engine = empty
    kin.make(db, engine, shape, dice(f"{shape} {engine}"))
    before = kin.look(db, shape)
    if moment == "never":
        ended = aishell(*arguments(db))
    elif moment.startswith("killed"):
        ended = killed_and_resumed(aishell, db, moment.split()[1])
    else:
        ended = stopped_and_resumed(aishell, db, moment, lambda one: assert_told(one, before, kin.look(db, shape)))
    after = kin.look(db, shape)
    if ended.code != KILLED:
        assert_told(ended.expect(0), before, after)
    assert not [key for key in after["ev"] if key % 4], "one night is enough"
    (archive,) = aishell("archives", "list", "--output", "json").expect(0).json
    load(aishell, db, archive["archive_id"])
    assert kin.look(db, shape) == before
