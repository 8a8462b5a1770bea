"""What a person is told of a lock that was not had."""

from aishell.execution.obstacles import held_by

HOLDER = {
    "session": "4711",
    "who": "app, psql",
    "doing": "idle in transaction",
    "modes": "AccessExclusive",
    "seconds": 192.4,
}


def test_who_since_when_on_what_and_what_to_do():
    assert held_by([HOLDER, {**HOLDER, "session": "12", "who": "etl", "doing": None, "seconds": None}]) == (
        "held by session 4711 (app, psql), idle in transaction for 3 min 12 s: AccessExclusive; "
        "session 12 (etl), unknown: AccessExclusive; end that session, or try again when it has ended"
    )


def test_nobody_holds_it_any_more():
    assert held_by([]) == ""
