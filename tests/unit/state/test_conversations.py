"""Conversations in the store: every turn is kept, whoever says it; what is deleted is gone, and the audit log says so."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from aishell.errors import UsageError
from aishell.state.conversations import Conversations
from aishell.state.pruning import prune
from aishell.state.store import Store


@pytest.fixture
def conversations(tmp_path: Path) -> Iterator[Conversations]:
    store = Store.open(tmp_path / "state.db")
    yield Conversations(store)
    store.close()


def test_a_turn_is_kept_before_and_after_its_work(conversations: Conversations) -> None:
    talk = conversations.begin("ann", "shop")
    number = conversations.say(talk.id, "back up postgres://ann:secret@db/shop")
    (turn,) = conversations.turns(talk.id)
    assert (turn.number, turn.request, turn.work, turn.exit_code) == (number, None, {}, None)
    conversations.note(talk.id, number, request={"orders": []}, work={"runs": ["a"]})
    conversations.note(talk.id, number, reply="postgres://ann:secret@db/shop is done", exit_code=0)
    (turn,) = conversations.turns(talk.id)
    assert (turn.request, turn.work, turn.exit_code) == ({"orders": []}, {"runs": ["a"]}, 0)
    assert turn.ended_at is not None
    assert "secret" not in turn.text + turn.reply
    assert conversations.find(talk.id[:8]) == conversations.find()
    with pytest.raises(UsageError, match="does not exist"):
        conversations.find("zzz")


def _say(path: Path, conversation: str, name: str) -> None:
    store = Store.open(path)
    for number in range(20):
        Conversations(store).say(conversation, f"{name} {number}")
    store.close()


def test_two_shells_in_one_conversation_lose_no_turn(conversations: Conversations) -> None:
    talk = conversations.begin("ann")
    context = multiprocessing.get_context("spawn")
    shells = [context.Process(target=_say, args=(conversations.store.path, talk.id, name)) for name in "ab"]
    for shell in shells:
        shell.start()
    for shell in shells:
        shell.join()
    turns = conversations.turns(talk.id)
    assert [turn.number for turn in turns] == list(range(1, 41))
    assert {turn.text for turn in turns} == {f"{name} {number}" for name in "ab" for number in range(20)}


def test_the_first_of_two_summaries_stays(conversations: Conversations) -> None:
    talk = conversations.begin("ann")
    assert conversations.sum_up(talk, "one", 4, {"name": "small"})
    assert not conversations.sum_up(talk, "two", 6, None)
    assert (conversations.find().summary, conversations.find().model) == ("one", {"name": "small"})


def test_a_deleted_conversation_is_gone_but_for_the_log(conversations: Conversations) -> None:
    talk = conversations.begin("ann")
    number = conversations.say(talk.id, "vacuum orders")
    assert conversations.delete(talk.id, "ben") == 1
    assert conversations.all() == []
    assert conversations.turns(talk.id) == []
    conversations.note(talk.id, number, exit_code=0)  # of a shell that was at work
    with pytest.raises(UsageError, match="was deleted"):
        conversations.say(talk.id, "and customers")
    row = conversations.store.first("SELECT * FROM events WHERE type = 'conversation_deleted'")
    assert row is not None
    assert json.loads(row.data) == {"conversation": talk.id, "turns": 1, "deleted_by": "ben"}


def test_old_conversations_are_pruned(conversations: Conversations) -> None:
    old, young = conversations.begin("ann"), conversations.begin("ann")
    conversations.say(old.id, "vacuum orders")
    with conversations.store.write() as connection:
        connection.update("conversations", "id = :id", {"id": old.id}, {"used_at": "2020-01-01T00:00:00.000000+00:00"})
    assert prune(conversations.store, keep=0, older_than_days=30).conversations == 1
    assert [one.id for one, _, _ in conversations.all()] == [young.id]
    assert conversations.turns(old.id) == []
