"""Pruning on real folders: what is removed, what stops it, and what is left when it is cut off at any moment."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest

from aishell.backups.store.catalog import CHECKSUMMED, COMPARED, GONE, VERIFIED
from aishell.backups.store.pruning import AT_MOST, decisions, finish, remove, rules_of
from aishell.errors import BackupError, ParameterError, UnknownNameError
from aishell.models import Step, StepStatus
from tests.unit.backups.made import backup_store, put
from tests.unit.making import start_run

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RULES = rules_of({"count": 1})


@pytest.fixture
def here(tmp_path):
    made = backup_store(tmp_path)
    yield made
    made.store().close()


def going(backup_store, **options):
    return {d.backup.backup_id for d in decisions(backup_store, None, RULES, NOW, **options) if d.goes}


def waits(backup_store):
    return {d.waits for d in decisions(backup_store, None, RULES, NOW) if d.waits}


def prune(backup_store):
    return remove(backup_store, decisions(backup_store, None, RULES, NOW))


def backed_up(backup_store, status, tool="backup_database_full", target="shop"):
    runs, run_id, owner = start_run(backup_store.store(), Step("backup", tool), target=target)
    runs.step_ended(run_id, owner, 0, {"status": status, "error": "no room"}, task_id="t1", total=1)
    return run_id


def test_what_goes_is_gone_from_the_folder_and_the_catalog(here):
    full = put(here, 1)
    child = put(here, 2, parent=full)
    new = put(here, 3)
    heard = []
    removed = remove(here, decisions(here, None, RULES, NOW), lambda entry: heard.append(entry.backup_id))
    assert removed == heard == [child.backup_id, full.backup_id], "what rests on others first"
    assert here.catalog.all() == [new]
    assert [path for path, _ in here.repository.all()] == [new.folder]
    assert here.repository.trash() == []


@pytest.mark.parametrize("done", [0, 1])
@pytest.mark.parametrize("moment", ["move_to_trash", "forget", "delete"])
def test_cut_off_at_any_moment_it_is_there_whole_or_not_at_all(here, monkeypatch, moment, done):
    """The process ends before one of the things that it does to each of two backups; another one finishes it."""
    full = put(here, 1)
    put(here, 2, parent=full)
    new = put(here, 3)
    kind = type(here.catalog if moment == "forget" else here.repository)
    real, calls = getattr(kind, moment), []

    def killed(self, *arguments):
        calls.append(arguments)
        if len(calls) > done:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(kind, moment, killed)
    with pytest.raises(KeyboardInterrupt):
        prune(here)
    monkeypatch.undo()
    listed = {entry.backup_id for entry in here.entries()}
    assert {path.name for path, _ in here.repository.all()} == listed, "nothing is half listed"
    assert all(here.chain(entry) for entry in here.entries()), "what is listed can be restored"
    finish(here, "shop")
    prune(here)
    assert here.catalog.all() == [new]
    assert here.repository.trash() == []


def test_finishing_leaves_the_trash_of_other_targets_to_them(here):
    mine, other = put(here, 1), put(here, 1, target="crm")
    for entry in (mine, other):
        here.repository.move_to_trash(entry.folder)
    assert finish(here, "shop") == [mine.backup_id]
    assert [path.parent.name for path in here.repository.trash()] == ["crm"]
    assert here.entries() == []


def test_a_catalog_that_names_another_folder_removes_nothing(here, tmp_path):
    old, _ = put(here, 1), put(here, 2)
    chosen = decisions(here, None, RULES, NOW)
    elsewhere = old.folder.with_name("precious")
    old.folder.rename(elsewhere)
    here.catalog.add(here.repository.manifest(elsewhere), elsewhere)
    with pytest.raises(BackupError, match="is not named"):
        remove(here, chosen)
    assert elsewhere.is_dir()


def test_a_folder_that_holds_another_backup_is_not_removed(here):
    """Somebody has exchanged the two: the one that may go lies where the only good one belongs."""
    old, new = put(here, 1), put(here, 2)
    aside = old.folder.with_name("aside")
    for source, place in ((old.folder, aside), (new.folder, old.folder), (aside, new.folder)):
        source.rename(place)
    with pytest.raises(BackupError, match=f"contains {new.backup_id}"):
        prune(here)
    assert (old.folder / "manifest.json").is_file()
    assert {entry.backup_id for entry in here.catalog.all()} == {old.backup_id, new.backup_id}
    (old.folder / "manifest.json").write_text("damaged")
    assert prune(here) == [old.backup_id], "it goes for what it was"


def test_truncated_backups_push_no_good_one_out(here):
    """A week of them, as it has happened to others."""
    good = [put(here, day) for day in (1, 2)]
    for day in range(3, 10):
        here.catalog.failed(put(here, day).backup_id, "it was cut off")
    assert not going(here)
    assert good[1].verified
    assert going(here, despite_failure=True) == {good[0].backup_id}, "the newest good one stays whatever is said"


def test_backups_that_are_gone_count_for_nothing_and_are_not_forgotten(here):
    old, new = put(here, 1), put(here, 2)
    shutil.rmtree(new.folder)
    assert not going(here)
    newest = put(here, 3)
    assert going(here) == {old.backup_id}
    assert waits(here) == {GONE}
    prune(here)
    assert {entry.backup_id for entry in here.catalog.all()} == {new.backup_id, newest.backup_id}


def test_nothing_goes_while_the_newest_was_not_verified(here):
    old, middle, new = put(here, 1), put(here, 2), put(here, 3, rung=CHECKSUMMED)
    assert not going(here)
    assert waits(here) == {f"the newest backup, {new.backup_id}, is not verified"}
    here.catalog.proven(new.backup_id, VERIFIED)
    assert going(here) == {old.backup_id, middle.backup_id}


def test_nothing_goes_after_a_backup_that_failed_until_one_succeeds(here):
    old = put(here, 1)
    put(here, 2)
    run_id = backed_up(here, StepStatus.FAILED)
    assert not going(here)
    assert waits(here) == {f"the last backup failed (run {run_id[:8]})"}
    assert going(here, despite_failure=True) == {old.backup_id}
    backed_up(here, StepStatus.FAILED, target="crm")
    backed_up(here, StepStatus.FAILED, tool="vacuum")
    backed_up(here, StepStatus.DONE)
    assert going(here) == {old.backup_id}


def test_another_target_is_left_alone_but_what_it_rests_on_is_kept(here):
    full = put(here, 1)
    put(here, 5)
    put(here, 2, target="by its URL", parent=full)
    assert {d.backup.backup_id for d in decisions(here, "by its URL", RULES, NOW)} == {
        entry.backup_id for entry in here.catalog.all("by its URL")
    }
    assert not {d.backup.backup_id for d in decisions(here, "shop", RULES, NOW) if d.goes}


def test_databases_and_servers_do_not_stand_in_for_each_other(here):
    put(here, 1, database="a.db")
    put(here, 2, database="b.db")
    put(here, 3, identity="another server")
    assert not going(here)


def test_a_pin_and_a_comparison_hold(here):
    pinned, compared, old, new = put(here, 1), put(here, 2, rung=COMPARED), put(here, 3), put(here, 4)
    here.catalog.pin(pinned.backup_id, True)
    assert going(here) == {old.backup_id}
    here.catalog.pin(pinned.backup_id, False)
    here.catalog.proven(new.backup_id, COMPARED)
    assert going(here) == {pinned.backup_id, compared.backup_id, old.backup_id}


def test_no_more_than_a_limit_goes_in_one_run(here):
    for _ in range(AT_MOST + 3):
        put(here, 1)
    assert len(going(here)) == AT_MOST
    assert waits(here) == {f"no more than {AT_MOST} in one run"}


def test_times_without_a_zone_are_utc(here):
    put(here, 1, started_at="2026-11-01T03:15:00")
    put(here, 2)
    assert len(going(here)) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": -1}, "count is -1"),
        ({"count": 1.5}, "a whole number"),
        ({"count": True}, "True"),
        ({"count": "7"}, "'7'"),
        ({"count": None}, "None"),
        ({"days": nan}, "nan"),
        ({"days": inf}, "inf"),
        ({"days": -0.5}, "-0.5"),
        ({"at_most": -1}, "at_most"),
    ],
)
def test_a_rule_that_is_none_is_refused(given, said):
    with pytest.raises(ParameterError) as caught:
        rules_of(given)
    assert said in caught.value.message


def test_an_unknown_rule_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        rules_of({"mothly": 3})
    assert "did you mean 'monthly'" in str(caught.value.hint)
    assert rules_of({"days": 0.5}).at_most == AT_MOST
    assert rules_of({"count": 1, "at_most": 3}).at_most == 3
    assert rules_of({}).empty
    assert rules_of({"at_most": 3, "count": 0, "days": 0}).empty


def test_a_month_of_nights_thins_out_as_the_rules_say(here):
    rules = rules_of({"daily": 3, "weekly": 2, "monthly": 1, "at_most": 100})
    for day in range(1, 29):
        put(here, day)
    later = datetime(2026, 11, 28, tzinfo=UTC) + timedelta(hours=6)
    remove(here, decisions(here, None, rules, later))
    assert [entry.started_at[8:10] for entry in here.catalog.all()] == ["22", "26", "27", "28"]
