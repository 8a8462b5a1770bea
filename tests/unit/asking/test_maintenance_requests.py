"""Work on tables and files in many wordings: what it is read as, and that a negation of any of them is never executed."""

from __future__ import annotations

from datetime import date
from itertools import pairwise, product
from typing import Any

import pytest

from aishell.agents.loading import BUILT_IN, load_agent
from aishell.asking.requests import Known, Request
from aishell.asking.understanding import understand

AGENTS = {name: load_agent(name) for name in BUILT_IN}
KNOWN = Known(date(2026, 11, 24), AGENTS, {"shop": (), "crm": ()}, ("orders", "events", "app_log", "ledger"))
_REWRITE = {"maintenance_type": "full", "rebuild_tables": True}
_ON = {"en": "{} on shop", "de": "{} auf shop", "es": "{} en shop"}
#: Work, in words, with the inputs that it comes to.
WORK: dict[str, dict[str, dict[str, Any]]] = {
    "en": {
        "rewrite orders": {**_REWRITE, "tables": ["orders"]},
        "rewrite table orders to give its free space back": {**_REWRITE, "tables": ["orders"]},
        "repack orders": {**_REWRITE, "tables": ["orders"]},
        "vacuum full orders": {**_REWRITE, "tables": ["orders"]},
        "rewrite the tables": _REWRITE,
        "optimize the fragmented tables": {"maintenance_type": "full"},
        "optimise events": {"maintenance_type": "full", "tables": ["events"]},
        "defragment orders": {"maintenance_type": "full", "tables": ["orders"]},
        "defragment the database": {"maintenance_type": "full"},
        "give the free pages back to the disk": {"maintenance_type": "full"},
        "return the unused space": {"maintenance_type": "full"},
        "shrink the database file": {"maintenance_type": "full"},
        "compact the file": {"maintenance_type": "full"},
        "freeze the old tables": {"maintenance_type": "standard"},
        "freeze orders before it reaches wraparound": {"maintenance_type": "standard", "tables": ["orders"]},
        "vacuum orders": {"maintenance_type": "standard", "tables": ["orders"]},
    },
    "de": {
        "orders neu schreiben": {**_REWRITE, "tables": ["orders"]},
        "schreibe die Tabelle orders neu": {**_REWRITE, "tables": ["orders"]},
        "die fragmentierten Tabellen optimieren": {"maintenance_type": "full"},
        "die Datenbankdatei verkleinern": {"maintenance_type": "full"},
        "den freien Platz zurückgeben": {"maintenance_type": "full"},
        "die alten Tabellen einfrieren": {"maintenance_type": "standard"},
    },
    "es": {
        "reescribe la tabla orders": {**_REWRITE, "tables": ["orders"]},
        "optimizar las tablas fragmentadas": {"maintenance_type": "full"},
        "compactar el archivo": {"maintenance_type": "full"},
        "devolver el espacio libre": {"maintenance_type": "full"},
        "congelar las tablas antiguas": {"maintenance_type": "standard"},
    },
}
NEGATIONS = {
    "en": (
        "do not {}", "don't {}", "never {}", "please do not ever {}", "you must not {}", "we should not {}", "avoid to {}",
        "refrain from trying to {}", "{}: please don't", "{}, no, never",
    ),
    "de": ("nicht {}", "bitte nicht {}", "auf keinen Fall {}", "niemals {}", "{}: bitte nicht"),
    "es": ("no {}", "no hay que {}", "nunca {}", "por favor no {}", "{}: no, nunca"),
}  # fmt: skip
MORE = {
    "en": ("full maintenance of shop, but {}", "back up shop. {}"),
    "de": ("volle Wartung von shop, aber {}", "Sicherung von shop. {}"),
    "es": ("mantenimiento completo de shop, pero {}", "copia de seguridad de shop. {}"),
}


@pytest.mark.parametrize(("language", "text"), [(one, text) for one, texts in WORK.items() for text in texts])
@pytest.mark.parametrize("tables", [KNOWN.tables, None], ids=["tables known", "tables not known"])
def test_work_is_read(language: str, text: str, tables: Any) -> None:
    request = understand(_ON[language].format(text), Known(KNOWN.today, AGENTS, KNOWN.targets, tables))
    assert [(order.agent, order.target, dict(order.inputs)) for order in request.orders] == [
        ("maintenance", "shop", WORK[language][text])
    ], request
    assert not request.dry_run


def _executed(request: Request) -> list[str]:
    """The agents whose work would be done, and a rewrite."""
    if request.dry_run:
        return []
    rewrites = any(order.inputs.get("rebuild_tables") for order in request.orders)
    return [*(order.agent for order in request.orders), *(["rewrite"] if rewrites else [])]


@pytest.mark.parametrize("language", WORK)
def test_negated_work_is_not_done(language: str) -> None:
    done = []
    for negation, text in product(NEGATIONS[language], WORK[language]):
        said = negation.format(text)
        allowed = ([], ["maintenance"]), ([], ["backup"])
        if _executed(understand(_ON[language].format(said), KNOWN)):
            done.append(said)
        for more, able in zip(MORE[language], allowed, strict=True):
            if _executed(understand(more.format(said), KNOWN)) not in able:
                done.append(more.format(said))
    assert not done


@pytest.mark.parametrize("negation", ["do not {} and {}", "don't {} or {}", "never {} and {}", "neither {} nor {}"])
def test_what_a_negation_may_be_carried_over_to_is_not_done(negation: str) -> None:
    texts = [*WORK["en"], "delete app_log rows older than 90 days", "back up shop"]
    said = [negation.format(one, other) for one, other in pairwise(texts)]
    assert not [text for text in said if _executed(understand(f"{text} on shop", KNOWN))]


@pytest.mark.parametrize(
    "text",
    [
        "{} everything but the ledger on shop",
        "{} everything except ledger on shop",
        "{} all tables but leave ledger alone on shop",
        "on shop {} everything, ledger excluded",
    ],
)
@pytest.mark.parametrize("verb", ["vacuum", "rewrite", "optimize", "reindex", "analyze"])
def test_what_is_excepted_is_left_alone(verb: str, text: str) -> None:
    request = understand(text.format(verb), KNOWN)
    for order in request.orders:
        assert (order.inputs.get("exclude"), order.inputs.get("tables")) == (["ledger"], None), request


@pytest.mark.parametrize(
    "text",
    ["back up shop without deleting anything", "sichere shop ohne etwas zu löschen", "respalda shop sin borrar nada"],
)
def test_nothing_is_deleted_that_is_not_to_be(text: str) -> None:
    request = understand(text, KNOWN)
    assert [order.agent for order in request.orders] == ["backup"]
    assert not request.orders[0].inputs.get("cleanup_old")


@pytest.mark.parametrize(
    "text",
    [
        "instead of rewriting orders, vacuum it on shop",
        "vacuum orders on shop rather than rewriting it",
        "statt orders neu zu schreiben, mach ein vacuum auf shop",
    ],
)
def test_what_is_done_instead_is_no_rewrite(text: str) -> None:
    assert not any(order.inputs.get("rebuild_tables") for order in understand(text, KNOWN).orders)
