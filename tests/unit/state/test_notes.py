"""Notes of people: found by target, table and words, and never anything but a stricter decision."""

from __future__ import annotations

import pytest

from aishell.errors import UsageError
from aishell.state.notes import DECISIONS, Note, Notes
from aishell.state.store import Store

ORDERS = [("public", "orders")]


@pytest.fixture
def notes(tmp_path):
    store = Store.open(tmp_path / "state.db")
    yield Notes(store)
    store.close()


def test_a_note_is_kept_and_listed_by_target(notes):
    first = notes.add("grows by 2 GB a night", "ada", target="shop", table="orders")
    notes.add("replica lags on Mondays", "ada", target="crm")
    everywhere = notes.add("no work on the 24th", "bob")
    assert notes.all("shop") == [first, everywhere]
    assert first.about == "table orders, target shop"
    assert everywhere.about == "everything"


def test_a_note_on_a_whole_server_is_on_its_databases(notes):
    note = notes.add("old disk", "ada", target="cluster")
    assert notes.all("cluster/shop") == [note]
    assert notes.all("shop") == []


def test_the_table_goes_before_the_words_and_the_words_before_age(notes):
    words = notes.add("Vacuuming the ledger is slow", "ada")
    table = notes.add("hot", "ada", table="public.ord*")
    newest = notes.add("unrelated", "ada")
    assert notes.relevant("shop", ORDERS, "why is LEDGER slow?") == [table, words, newest]
    assert notes.relevant("shop", ORDERS, "why is LEDGER slow?", most=1) == [table]
    assert notes.relevant("shop", [], 'NEAR("ledger" AND') == [words, newest, table]


@pytest.mark.parametrize("text", ["", "   ", "x" * 2001, "a\x1b[2J"])
def test_what_cannot_be_read_is_no_note(notes, text):
    with pytest.raises(UsageError, match="printable"):
        notes.add(text, "ada")
    assert notes.all() == []


def test_a_removed_note_is_gone_from_the_words_too(notes):
    note = notes.add("never vacuum full", "ada", decision="deny")
    assert notes.remove(note.id, "bob") == note
    assert notes.relevant("shop", [], "vacuum") == []
    with pytest.raises(UsageError, match="does not exist"):
        notes.remove(note.id, "bob")


def test_both_are_in_the_audit_log(notes):
    notes.remove(notes.add("hot", "ada").id, "bob")
    with notes.store.read() as connection:
        kinds = [row.type for row in connection.all("SELECT type FROM events ORDER BY id")]
    assert kinds == ["note_added", "note_removed"]


def on(**given: str) -> Note:
    return Note(
        **{"id": 1, "target": "", "table": "", "tool": "", "text": "x", "decision": "deny", "by": "", "at": "", **given}
    )


@pytest.mark.parametrize(
    ("note", "tool", "tables", "tightens"),
    [
        (on(), "optimize_table", ORDERS, True),
        (on(table="orders"), "optimize_table", ORDERS, True),
        (on(table="public.orders"), "optimize_table", ORDERS, True),
        (on(table="customers"), "optimize_table", ORDERS, False),
        (on(table="orders"), "optimize_table", [], False),  # a whole SQLite file: not every change of it is meant
        (on(table="orders", tool="optimize_*"), "optimize_table", [], True),
        (on(tool="rebuild_table"), "optimize_table", ORDERS, False),
        (on(table="orders", decision=None), "optimize_table", ORDERS, False),
    ],
)
def test_what_a_note_tightens(note, tool, tables, tightens):
    assert note.tightens(tool, tables) is tightens


def test_there_is_no_word_that_loosens():
    assert set(DECISIONS) == {"confirm", "review", "deny"}
