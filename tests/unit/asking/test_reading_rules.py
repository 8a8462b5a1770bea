"""What the rules keep to for any text, and for every order of words that people use."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import cycle, product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aishell.agents.loading import BUILT_IN, load_agent
from aishell.asking.requests import Known
from aishell.asking.understanding import understand

AGENTS = {name: load_agent(name) for name in BUILT_IN}
KNOWN = Known(
    date(2026, 11, 24), AGENTS, {"shop": (), "crm": ()}, ("events", "app_log", "audit_log", "sessions", "ledger")
)

_NEGATED = {
    "en": (
        *product(
            (
                "don't",
                "do not",
                "never",
                "please do not ever",
                "you mustn't",
                "you shouldn't",
                "avoid to",
                "dont",
                "cannot",
            ),
            ("delete", "remove", "purge", "prune", "drop"),
            ("old backups", "any of the old backups", "the expired backups"),
        ),
        *product(
            ("no", "without", "instead of", "refrain from"),
            ("deleting", "removing", "purging"),
            ("old backups", "expired copies"),
        ),
        *product(
            ("old backups",),
            ("must not be", "are never to be", "aren't to be", "should not get"),
            ("removed", "deleted"),
        ),
        ("do not, under any circumstances, delete old backups",),
        ("delete old backups, no, never",),
        ("old backups: do not delete",),
    ),
    "de": (
        *product(
            ("alte Sicherungen", "die abgelaufenen Sicherungen", "veraltete Backups"),
            (
                "bitte nicht",
                "auf keinen Fall",
                "niemals",
                "dürfen nicht",
                "jetzt noch nicht",
                "bitte aber wirklich nicht",
            ),
            ("löschen", "entfernen", "gelöscht werden", "wegwerfen"),
        ),
        *product(
            ("lösche", "entferne", "bereinige"),
            (
                "alte Sicherungen nicht",
                "die alten Sicherungen bitte nicht",
                "keine alten Sicherungen",
                "nichts von den alten Sicherungen",
            ),
        ),
        *product(
            ("ohne", "statt", "verzichte darauf,"),
            ("alte Sicherungen zu löschen", "die alten Sicherungen zu entfernen"),
        ),
    ),
    "es": (
        *product(
            ("no", "nunca", "por favor no", "jamás", "tampoco"),
            ("borres", "elimines", "quites", "borrar", "eliminar"),
            ("las copias antiguas", "los respaldos viejos", "ninguna copia antigua"),
        ),
        *product(
            ("las copias antiguas", "los respaldos viejos"),
            ("no las borres", "no se eliminan", "no hay que borrarlas", "mejor no borrar"),
        ),
        *product(("sin", "en vez de", "en lugar de"), ("borrar copias antiguas", "eliminar los respaldos viejos")),
    ),
}
_BACKUP = {"en": "back up shop", "de": "Sicherung von shop", "es": "copia de seguridad de shop"}
_PIECES = (
    "back up", "delete", "nicht", "events", "shop", "older than", "since", "March", "90", "days", "-", ":", ",", ".", "?", "(",
    "full", "maintenance", "keep", "'", '"', "1/3/2026", "31 February", "10MB", "*", "ohne", "sin", "all", "#", "~", "@", "..",
)  # fmt: skip
_JOINED = (", {}", ". {}.", ", {} bitte", " - {}!")


@pytest.mark.parametrize("language", _NEGATED)
def test_a_negated_clause_removes_no_backups(language):
    removed = []
    for words, joined in zip(_NEGATED[language], cycle(_JOINED), strict=False):
        text = _BACKUP[language] + joined.format(" ".join(words))
        if any(order.inputs.get("cleanup_old") for order in understand(text, KNOWN).orders):
            removed.append(text)
    assert not removed


@pytest.mark.parametrize(
    "text",
    [
        "back up shop and remove the old backups",
        "back up shop without comparing, then remove the old backups",
        "Sicherung von shop, alte Sicherungen löschen",
        "copia de seguridad de shop y borra las copias antiguas",
    ],
)
def test_old_backups_are_removed_when_it_is_said(text):
    assert [order.inputs.get("cleanup_old") for order in understand(text, KNOWN).orders] == [True]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=120) | st.lists(st.sampled_from(_PIECES), max_size=14).map(" ".join))
def test_no_text_raises(text):
    request = understand(text, KNOWN)
    assert request.orders or request.question or request.refused or request.unclear


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.sampled_from("weather coffee shop crm please 90 days the , . and blue events friday".split()), max_size=12
    )
)
def test_no_order_without_a_word_of_an_agent(words):
    assert not understand(" ".join(words), KNOWN).orders


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 400), st.sampled_from([("days", 1), ("weeks", 7), ("Tage", 1), ("semanas", 7)]))
def test_never_fewer_days_than_the_text_says(number, unit):
    request = understand(f"delete rows older than {number} {unit[0]} from events on shop", KNOWN)
    assert all(order.inputs["retention_days"] >= number * unit[1] for order in request.orders)


@pytest.mark.parametrize("name", ["film", "rental", "customers"])
@pytest.mark.parametrize(
    "text",
    [
        "vacuum everything except {} on shop",
        "vacuum everything but {} on shop",
        "vacuum all tables of shop but leave out the table {}",
        "full maintenance of shop without {}",
        "rebuild the indexes of {} in shop",
        "Bitte die Indizes von {} in shop neu aufbauen",
        "reconstruye los índices de {} en shop",
        "Wartung von shop ausser {}",
        "mantenimiento completo de shop excepto {}",
    ],
)
def test_a_name_that_narrows_work_down_and_is_unknown_is_refused(text, name):
    """Without it more would be worked on than was asked for."""
    known = replace(KNOWN, tables=frozenset({"public.events", "public.orders"}))
    request = understand(text.format(name), known)
    assert request.refused, request.orders
    assert name in request.refused


@pytest.mark.parametrize(
    "text", ["vacuum shop without downtime", "Wartung von shop ohne Ausfall", "backup of shop, without comparing"]
)
def test_what_is_no_table_leaves_nothing_out(text):
    assert understand(text, replace(KNOWN, tables=frozenset({"public.events"}))).orders


@pytest.mark.parametrize(
    "text",
    [
        "don't touch crm, only do a standard maintenance on shop",
        "standard maintenance on shop, leave crm alone",
        "standard maintenance of shop, without the database crm",
        "Standardwartung auf shop, crm nicht anfassen",
        "mantenimiento estándar de shop, crm ni tocarlo",
        "standard maintenance on shop but do not touch crm",
    ],
)
def test_a_target_that_is_to_be_left_alone_is_not_worked_on(text):
    assert [order.target for order in understand(text, KNOWN).orders] == ["shop"]


@pytest.mark.parametrize(
    "text",
    [
        "standard maintenance of all databases except shop",
        "full maintenance but leave crm alone",
        "vacuum everything, don't touch shop",
    ],
)
def test_what_is_left_of_the_targets_is_asked_for(text):
    """Else the site's default would be worked on, which may be the one to be left alone."""
    assert "left alone" in (understand(text, KNOWN).refused or "")


@pytest.mark.parametrize(
    "work", ["clean up logs older than 90 days", "purge *_log older than 90 days", "vacuum everything"]
)
@pytest.mark.parametrize(
    "words",
    [
        ", keep {}",
        " but keep {}",
        "; {} must survive",
        ", {} is sacred",
        ", {} is precious",
        "; {} is needed by the auditors",
        "; {} is to be left out",
        ", behalte {}",
        ", {} wird noch gebraucht",
        ", conserva {}",
        "; {} stays",
        ". Whatever happens, {} has to be there tomorrow",
    ],
)
def test_a_table_that_is_to_be_kept_is_not_worked_on(work, words):
    """Attacked: `…, keep audit_log` deleted from audit_log."""
    request = understand(work + words.format("audit_log"), KNOWN)
    for order in request.orders:
        assert "audit_log" in order.inputs.get("exclude", ()), request.orders
        assert "audit_log" not in order.inputs.get("tables", ())


@given(word=st.text("jkqvwxyz", min_size=4, max_size=9))
@pytest.mark.parametrize("text", ["vacuum the {} audit_log", "purge audit_log {}", "archive {} events, 30 days"])
def test_a_word_that_is_not_known_beside_a_table_is_asked_about(text, word):
    """It may be any language's word for a table that is to be left alone, also beside a verb of work."""
    request = understand(text.format(word), KNOWN)
    assert request.refused or request.unclear, request.orders


@pytest.mark.parametrize(
    "words",
    [
        *(" except errors", " where level not error", " unless level is error", " but keep errors", " excpet errors"),
        *(
            ", excluding warnings",
            " but leave 50 rows",
            " on weekends only",
            " tomorrow",
            " at 3 am",
            " but ask me first",
        ),
        *(", nur Debug-Zeilen", ", die Fehler bleiben", ", aber frag mich vorher", " pero guarda los errores"),
    ],
)
def test_a_restriction_of_a_deletion_that_is_not_read_is_asked_about(words):
    """Attacked: each was listed as not read, and all rows of that age were deleted."""
    assert understand("delete audit_log older than 90 days", KNOWN).orders
    assert understand(f"delete audit_log older than 90 days{words}", KNOWN).refused


@pytest.mark.parametrize(
    "text",
    [
        "delete only errors from audit_log older than 90 days",
        "delete half of the audit_log rows older than 90 days",
        "delete the first 100 audit_log rows older than 90 days",
        "delete audit_log entries between 100 and 200 days old",
        "lösche audit_log zwischen 100 und 200 Tagen alt",
        "borra audit_log de más de 90 días a menos que level sea error",
    ],
)
def test_a_part_of_the_old_rows_is_not_taken_for_all(text):
    assert understand(text, KNOWN).refused
