"""What an exchange on MariaDB goes by: the definitions of both databases as they are now; and the statements it will send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.mariadb.definitions import (
    EVENT,
    REPLACED,
    TRIGGER,
    Definition,
    definitions,
    inside,
    noted,
    unchanged,
)
from aishell.backups.mariadb.undoing import tables_in
from aishell.backups.restore.in_place import restored
from aishell.backups.store.manifest import INCREMENTAL
from aishell.databases.base import Database, Statement
from aishell.models import Row
from aishell.registry.foreseen import ONLY_BACK, foreseen, program
from aishell.registry.tool import Tool
from aishell.reporting.units import definition, exact
from aishell.running.context import Context

Move = tuple[tuple[str, str], tuple[str, str]]


@dataclass(frozen=True)
class Exchange:
    """`before`: the definitions of the database, `after`: those it gets; `defaults` and `wished`: character sets, likewise.

    `enable`: the events that are enabled afterwards; `asleep`: those that were when the full backup was made, and are not now.
    """

    before: Sequence[Definition]
    after: Sequence[Definition]
    defaults: Row
    wished: Row
    enable: Sequence[str] = ()
    asleep: Sequence[str] = ()


def looked(work: Work) -> Exchange:
    """The exchange as it is to be. Only reads. Raises BackupError for a definition that cannot be read."""
    place, back = work.params["place"], work.params["back"]
    with inside(work, work.params["database"]) as session:
        before = definitions(work, session)
        enabled = {row["name"] for row in work.query("events", session) if row["status"] == "ENABLED"}
        defaults = work.query("defaults", session)[0]
    with inside(work, place) as session:
        after = [] if back else definitions(work, session)
        wished = work.query("defaults", session)[0]
    if back:  # they were written down beside the tables that were replaced
        return Exchange(before, noted(work.query("noted", kept=place), REPLACED), defaults, wished)
    _, first, manifest = restored(work)
    wanted = set(first.details.get("enabled_events", ())) & {one.name for one in after if one.kind == EVENT}
    # Whether the binary log has disabled one since the full backup is not known: then today's counts too.
    grown = manifest.kind == INCREMENTAL
    enable, asleep = (wanted & enabled, wanted - enabled) if grown else (wanted, set[str]())
    return Exchange(before, after, defaults, wished, sorted(enable), sorted(asleep))


def moves(work: Work) -> list[Move]:
    """What one RENAME TABLE moves: the tables of the database out, those of the place in."""
    database, place, kept = (work.params[name] for name in ("database", "place", "kept"))
    out: list[Move] = [((database, name), (kept, name)) for name in tables_in(work, database)]
    return [*out, *(((place, name), (database, name)) for name in tables_in(work, place))]


def foresee(tool: Tool, params: Mapping[str, Any], context: Context) -> list[Statement]:
    """All that the exchange will send to the database, in its order, with the names of now; and what only where it fails."""
    work = Work(tool, params, context, Path())
    if not work.query("there", place=params["place"]) or not moves(work):
        return program(tool, params, context.database)
    return list(_statements(work, looked(work), context.database))


def _statements(work: Work, found: Exchange, database: Database) -> Iterator[Statement]:
    tool, params = work.tool, work.params
    named = exact(params["database"])
    goes, made_again = f"what is replaced goes from {named}", f"made again in {named}, as the server tells it"

    def one(block: str, note: str, **values: Any) -> Statement:
        return replace(foreseen(tool, tool.blocks[block], {**params, **values}, database), note=note)

    there = moves(work)
    same = unchanged(found.before, found.after)
    yield one("keep", "what is replaced goes there, and its definitions are written down", **found.defaults)
    for each in found.before:
        if each.kind == TRIGGER:
            yield one("drop_trigger", f"{goes}: its table is moved", name=each.name)
    yield one("do_move", "the tables of the one out, those of the other in, at once", moves=there)
    for each in found.before:
        if each not in same and each.kind not in (TRIGGER, "package body"):  # a body goes with its package
            yield one(f"drop_{each.kind}", goes, name=each.name)
    yield one("do_adopt", "what new tables take over", **found.wished)
    yield from (_text(each, made_again) for each in found.after if each not in same)
    yield from (one("enable", f"enabled again in {named}", name=name) for name in found.enable)
    yield one("do_drop_place", "nothing is in it any more")
    yield one("do_move", f"{ONLY_BACK}: the tables as they were", moves=_backwards(there, params["database"]))
    if found.before:
        made = [each for each in found.before if each not in same]
        yield from (_text(each, f"{ONLY_BACK}: {made_again}") for each in made)
    yield one("do_adopt", ONLY_BACK, **found.defaults)
    yield one("back_drop_kept", f"{ONLY_BACK}, once nothing is in it any more")


def _backwards(moves: Sequence[Move], database: str) -> list[Move]:
    """What moves tables back that were moved: those that came in go first."""
    back = [(end, start) for start, end in moves]
    return sorted(back, key=lambda move: move[0][0] != database)


def _text(wanted: Definition, note: str) -> Statement:
    """A definition as the server has shown it, which is how it is made again."""
    return Statement("", {}, wanted.statement, definition(wanted.statement), note=note)
