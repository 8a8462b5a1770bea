"""The audit chain: an edit, a deletion, a gap, a cut tail and a rewritten chain all show; secrets are never in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.state import audit
from aishell.state.store import Store


@pytest.fixture
def store(tmp_path):
    made = Store.open(tmp_path / "state.db")
    fill(made)
    yield made
    made.close()


def fill(store: Store, kinds: str = "abcde") -> None:
    with store.write() as connection:
        for number, kind in enumerate(kinds):
            audit.append(connection, kind, {"n": number}, run_id="r", step_index=number)


def change(store: Store, statement: str) -> None:
    """What somebody with a text editor for databases does."""
    with store.write() as connection:
        connection.execute(statement)


def head(store: Store) -> tuple[int, str]:
    with store.read() as connection:
        return audit.head(connection)


def problems(store: Store, expected_head: str | None = None) -> list[tuple[int, str]]:
    with store.read() as connection:
        return [(problem.event_id, problem.text) for problem in audit.verify(connection, expected_head)]


def test_an_untouched_chain_is_whole(store):
    assert problems(store) == []
    assert head(store)[0] == 5
    assert problems(store, head(store)[1]) == []
    assert problems(store, head(store)[1][:12]) == []


def test_an_empty_chain_begins_with_zeros(tmp_path):
    store = Store.open(tmp_path / "empty.db")
    assert head(store) == (0, audit.GENESIS)
    assert problems(store) == []
    store.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("data", "'{}'"),
        ("type", "'x'"),
        ("at", "'2020-01-01'"),
        ("run_id", "NULL"),
        ("run_id", "'other'"),
        ("step_index", "7"),
        ("step_index", "NULL"),
    ],
)
@pytest.mark.parametrize("event", [1, 3, 5])
def test_an_edit_of_any_field_shows_at_its_event(store, column, value, event):
    change(store, f"UPDATE events SET {column} = {value} WHERE id = {event}")
    assert problems(store) == [(event, "it was changed after it was written")]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (1, [(2, "it does not follow from the event before it")]),
        (3, [(4, "1 event(s) before it are missing"), (4, "it does not follow from the event before it")]),
    ],
)
def test_a_deleted_event_shows_at_the_next(store, event, expected):
    change(store, f"DELETE FROM events WHERE id = {event}")
    assert problems(store) == expected


def test_a_gap_that_was_renumbered_away_still_shows(store):
    change(store, "DELETE FROM events WHERE id = 3")
    change(store, "UPDATE events SET id = id - 1 WHERE id > 3")
    assert problems(store) == [(3, "it does not follow from the event before it")]


def test_a_gap_that_was_linked_over_still_shows(store):
    """The hash is of the one before, too: whoever changes the link has to change all hashes that follow."""
    change(store, "DELETE FROM events WHERE id = 3")
    change(store, "UPDATE events SET id = 3, previous = (SELECT hash FROM events WHERE id = 2) WHERE id = 4")
    change(store, "UPDATE events SET id = 4 WHERE id = 5")
    assert problems(store) == [(3, "it was changed after it was written")]


def test_an_inserted_event_shows(store):
    change(store, "UPDATE events SET id = id + 100 WHERE id > 2")
    change(
        store,
        "INSERT INTO events SELECT 3, run_id, step_index, type, at, data, previous, hash FROM events WHERE id = 2",
    )
    assert (3, "it does not follow from the event before it") in problems(store)


def test_events_in_another_order_show(store):
    change(store, "UPDATE events SET id = CASE id WHEN 2 THEN -3 ELSE -2 END WHERE id IN (2, 3)")
    change(store, "UPDATE events SET id = -id WHERE id < 0")
    assert {event for event, _ in problems(store)} == {2, 3, 4}


def test_a_cut_tail_shows_against_a_copy_of_the_head(store):
    _, known = head(store)
    change(store, "DELETE FROM events WHERE id > 3")
    assert problems(store) == []
    assert problems(store, known) == [
        (3, f"no event has the hash {known}: the tail was cut off or the chain rewritten")
    ]


def test_a_cut_tail_that_was_written_on_shows_against_a_copy_of_the_head(store):
    _, known = head(store)
    change(store, "DELETE FROM events WHERE id > 3")
    fill(store, "xy")
    assert problems(store) == []
    assert len(problems(store, known)) == 1


def test_a_rewritten_chain_shows_against_a_copy_of_the_head(store):
    _, known = head(store)
    change(store, "DELETE FROM events")
    fill(store, "abcde")
    assert problems(store) == []
    assert "rewritten" in problems(store, known)[0][1]


def test_an_emptied_chain_shows_against_a_copy_of_the_head(store):
    _, known = head(store)
    change(store, "DELETE FROM events")
    assert len(problems(store, known)) == 1


def test_an_older_head_is_still_part_of_a_chain_that_grew(store):
    _, known = head(store)
    fill(store, "fgh")
    assert problems(store, known) == []


def test_what_is_rolled_back_leaves_no_event(store):
    def fail() -> None:
        with store.write() as connection:
            audit.append(connection, "x", {})
            raise ZeroDivisionError

    before = head(store)
    with pytest.raises(ZeroDivisionError):
        fail()
    assert head(store) == before


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"password": "x", "user": "u"}, {"password": "***", "user": "u"}),
        ({"DB_PASSWORD": "x"}, {"DB_PASSWORD": "***"}),
        ({"a": [{"api_key": "x"}, {"apiKey": "y"}]}, {"a": [{"api_key": "***"}, {"apiKey": "***"}]}),
        ({"secret": {"deep": "x"}}, {"secret": "***"}),
        ({"password": None, "token": ""}, {"password": None, "token": ""}),
        ("postgresql://u:pw@h/d", "postgresql://u:***@h/d"),
        ("see mysql://u:pw@h and mysql://v:qw@h", "see mysql://u:***@h and mysql://v:***@h"),
        ("postgresql://u:p/w@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@w@h/d", "postgresql://u:***@h/d"),
        ("postgresql://:pw@h/d", "postgresql://:***@h/d"),
        ("postgresql://u@h:5432/d", "postgresql://u@h:5432/d"),
        ("postgresql://u@h/d?password=pw&sslmode=require", "postgresql://u@h/d?password=***&sslmode=require"),
        ("see https://h/x?a=b&token=pw now", "see https://h/x?a=b&token=*** now"),
        ("postgresql://h/d?passfile=/x", "postgresql://h/d?passfile=/x"),
        (("x", 5, None), ["x", 5, None]),
    ],
)
def test_secrets_are_taken_out_by_key_and_from_urls(value, expected):
    assert audit.redact(value) == expected


def test_an_event_holds_no_secret(store):
    with store.write() as connection:
        audit.append(connection, "x", {"params": {"password": "hunter2", "url": "mysql://u:hunter2@h/d"}})
        found = connection.value("SELECT group_concat(data) FROM events")
    assert "hunter2" not in found
    assert problems(store) == []


KEYS = st.sampled_from(["password", "client_secret", "TOKEN", "apikey", "private_key", "credentials"])


@given(st.lists(st.sampled_from(["a", "b", "0"])), KEYS, st.text(min_size=8))
def test_a_secret_is_found_at_any_depth(path, key, value):
    nested: object = {key: f"<{value}>"}
    for part in path:
        nested = [nested] if part == "0" else {part: nested}
    assert f"<{value}>" not in repr(audit.redact(nested))


@given(st.text(alphabet="abc:/@.%+#?", min_size=6).map(lambda password: f"{password}-secret"))
def test_no_password_of_a_url_survives(password):
    assert "secret" not in audit.redact(f"postgresql://user:{password}@host/db")
