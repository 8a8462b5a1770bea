"""What a clean-up with relatives says of itself against the rows that a client finds before and after, whenever it is stopped."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest

from tests import kin
from tests.faults.killed import Fault
from tests.faults.killing import KILLED
from tests.faults.test_related_kill import load
from tests.fix_aishell import Aishell, Ended
from tests.fix_tools import ENGINES, label
from tests.seed import dice
from tests.servers import wait_until

#: Stopped at no moment; killed around a commit of the deletion, again and again; asked to stop between and in its batches.
MOMENTS = ["never", "killed before", "killed after", "ctrl-c", "sigterm", "pause"]
#: A run has about so many commits before its deletion begins.
BEGIN = 14
LAST_BATCH = """SELECT count(*) FROM events e JOIN steps s ON s.run_id = e.run_id AND s.step_index = e.step_index
                WHERE e.type = 'batch_committed' AND s.step_id LIKE 'delete%'"""


@pytest.fixture(params=ENGINES, ids=label)
def empty(request: pytest.FixtureRequest) -> tuple[Any, str]:
    """An empty database on each server in turn, and its engine."""
    engine = {"pg": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}[request.param.split("_")[0]]
    return request.getfixturevalue(request.param), engine


def arguments(db: Any, *more: str) -> tuple[str, ...]:
    fixed = ("--url", db.url, "--environment", "test", "--yes", "--output", "json")
    small = ("--set", "batch_target_ms=1")
    return ("run", "log-cleanup", "--table", "ev", "--retention-days", "90", "--archive", *small, *more, *fixed)


#: The figures of the sentences.
SENTENCES = {
    "rows": r"([\d,]+) (?:old )?row\(s\) were deleted",
    "relatives": r"went ([\d,]+) row\(s\) of other tables",
    "changed": r"([\d,]+) row\(s\) that stay were changed",
}


def told_in(ended: Ended) -> kin.Difference:
    """What the document says, and the sentences with it."""
    told = ended.json["output_data"]
    (table,) = told["tables"].values()
    found = kin.Difference(table["rows_deleted"], table["relatives_deleted"], table["relatives_changed"])
    assert told["rows_deleted"] == found.rows
    for name, pattern in SENTENCES.items():
        said = re.search(pattern, ended.json["reasoning"])
        assert int(said[1].replace(",", "") if said else 0) == getattr(found, name)
    return found


def assert_told(ended: Ended, before: kin.Rows, after: kin.Rows) -> None:
    """Every figure of the document and of the sentences is what the rows say."""
    assert told_in(ended) == kin.Difference.of(before, after)
    assert "uncounted_batches" not in ended.json["output_data"]
    assert "at least" not in ended.json["reasoning"].lower()
    (table,) = ended.json["output_data"]["tables"].values()
    if table["remaining"] is not None:
        assert table["remaining"] == len(old_in(after))


def old_in(rows: kin.Rows) -> list[int]:
    return [key for key in rows["ev"] if key % 4]


def killed_and_resumed(site: Aishell, db: Any, when: str) -> Ended:
    """Killed around one commit of its deletion, then around the ones after it, three times."""
    ended = site(*arguments(db), fault=Fault(dice("at").randint(BEGIN, BEGIN + 6), when))
    for number in range(3):
        if ended.code != KILLED or site.state_of(site.only_run()) == "completed":
            break
        fault = Fault(dice("again").randint(4, 8), when) if number < 2 else None
        ended = site("runs", "resume", site.only_run(), "--output", "json", fault=fault)
    return ended


def stopped_and_resumed(site: Aishell, db: Any, how: str, look: Any) -> Ended | None:
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
        if site.state_of(site.only_run()) != "paused":  # it came to its end just before
            return None if ended.code == 130 else ended
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
def test_what_is_said_is_what_went(empty: tuple[Any, str], aishell: Aishell, shape: str, moment: str) -> None:
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
    if ended is not None and ended.code != KILLED:
        assert_told(ended.expect(0), before, after)
    assert not old_in(after), "one night is enough"
    (archive,) = aishell("archives", "list", "--output", "json").expect(0).json
    load(aishell, db, archive["archive_id"])
    assert kin.look(db, shape) == before


@pytest.mark.sampled
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_another_run_took_meanwhile_is_not_counted_as_its_own(
    empty: tuple[Any, str],
    aishell: Aishell,
    when: str,
) -> None:
    db, engine = empty
    kin.make(db, engine, "self cascade", dice(engine))
    before = kin.look(db, "self cascade")
    killed = aishell(*arguments(db), fault=Fault(BEGIN + 2, when))
    assert killed.code == KILLED
    first = aishell.only_run()
    between = kin.look(db, "self cascade")
    assert old_in(between), "it was killed in the midst"
    told_by_second = told_in(aishell(*arguments(db)).expect(0))
    after = kin.look(db, "self cascade")
    ended = aishell("runs", "resume", first, "--output", "json").expect(0)
    assert kin.look(db, "self cascade") == after
    told, true = told_in_doubt(ended), kin.Difference.of(before, between)
    assert told_by_second == kin.Difference.of(between, after)
    if "uncounted_batches" in ended.json["output_data"]:
        assert told.rows < true.rows + ended.json["output_data"]["rows_uncounted"]
        assert "at least" in ended.json["reasoning"].lower()
        assert told.rows <= true.rows
    else:
        assert told == true


@pytest.mark.sampled
@pytest.mark.parametrize("shape", ["chain", "self cascade"])
def test_an_old_row_that_came_in_where_a_chunk_went_takes_nothing_from_the_figures(
    empty: tuple[Any, str], aishell: Aishell, shape: str
) -> None:
    """The run was killed behind the commit of a chunk; the application then wrote a row with a key of it anew."""
    db, engine = empty
    kin.make(db, engine, shape, dice(engine))
    before = kin.look(db, shape)
    assert aishell(*arguments(db), fault=Fault(BEGIN + 2, "before")).code == KILLED
    between = kin.look(db, shape)
    went = sorted(before["ev"].keys() - between["ev"].keys())
    if went:
        fields = ["NULL"] * (len(before["ev"][went[0]]) - 3)
        line = ", ".join([str(went[-1]), kin.AGO[engine].format(100), "'anew'", *fields])
        db.execute(f"INSERT INTO ev VALUES ({line})")
    ended = aishell("runs", "resume", aishell.only_run(), "--output", "json")
    after = kin.look(db, shape)
    anew = {key for key, row in after["ev"].items() if row[2] == "anew"}
    true = kin.Difference.of(before, {**after, "ev": {k: row for k, row in after["ev"].items() if k not in anew}})
    told, data = told_in_doubt(ended), ended.json["output_data"]
    if "uncounted_batches" in data:
        assert told.rows <= true.rows <= told.rows + data["rows_uncounted"]
        assert "at least" in ended.json["reasoning"].lower()
    else:
        assert told == true
    # On SQLite it has a place behind all that was archived: it is of another night.
    assert ended.code == (4 if anew and engine != "sqlite" else 0)


def told_in_doubt(ended: Ended) -> kin.Difference:
    (table,) = ended.json["output_data"]["tables"].values()
    return kin.Difference(table["rows_deleted"], table["relatives_deleted"], table["relatives_changed"])


@pytest.mark.sampled
@pytest.mark.parametrize("shape", ["chain", "self set null", "both"])
def test_what_stays_is_known_after_a_kill(empty: tuple[Any, str], aishell: Aishell, shape: str) -> None:
    """A row is changed by somebody else between two processes of the run, and stays; a third one has to say so."""
    db, engine = empty
    kin.make(db, engine, shape, dice(engine))
    before = kin.look(db, shape)
    ended = aishell(*arguments(db), fault=Fault(BEGIN + 1, "after"))
    assert ended.code == KILLED
    changed = old_in(kin.look(db, shape))[20]
    db.execute(f"UPDATE ev SET note = 'corrected' WHERE id = {changed}")
    ended = aishell("runs", "resume", aishell.only_run(), "--output", "json", fault=Fault(8, "after"))
    if ended.code == KILLED and aishell.state_of(aishell.only_run()) != "completed":
        ended = aishell("runs", "resume", aishell.only_run(), "--output", "json")
    after = kin.look(db, shape)
    left = old_in(after)
    assert changed in left
    assert after["ev"][changed][2] == "corrected"
    if ended.code == KILLED:
        return
    assert ended.code == 4
    (table,) = ended.json["output_data"]["tables"].values()
    assert table["remaining"] == len(left)
    (deferred,) = ended.json["output_data"]["deferred"]
    assert sum(map(int, re.findall(r"\d+", deferred["reason"]))) == len(left), deferred
    if engine != "postgresql":
        assert "stay in chunks that changed since they were archived" in deferred["reason"]
    before["ev"][changed] = (*before["ev"][changed][:2], "corrected", *before["ev"][changed][3:])
    (archive,) = aishell("archives", "list", "--output", "json").expect(0).json
    load(aishell, db, archive["archive_id"])
    assert kin.look(db, shape) == before


@pytest.mark.sampled
def test_what_somebody_else_set_to_null_stays_however_often_it_is_killed(
    empty: tuple[Any, str], aishell: Aishell
) -> None:
    """It looks as if this run had done it, which it would have a chunk later."""
    db, engine = empty
    kin.make(db, engine, "self set null", dice(engine))
    ended = aishell(*arguments(db), fault=Fault(BEGIN, "after"))
    assert ended.code == KILLED
    now = kin.look(db, "self set null")["ev"]
    chosen = max(key for key, row in now.items() if key % 4 and row[-1] is not None and row[-1] % 4)
    db.execute(f"UPDATE ev SET reply_to = NULL WHERE id = {chosen}")
    faults = [None, Fault(6, "after"), Fault(5, "before"), Fault(5, "after")]
    while ended.code == KILLED and aishell.state_of(aishell.only_run()) != "completed":
        ended = aishell("runs", "resume", aishell.only_run(), "--output", "json", fault=faults.pop())
    after = kin.look(db, "self set null")["ev"]
    assert after[chosen][-1] is None
    assert ended.code in (4, KILLED)
