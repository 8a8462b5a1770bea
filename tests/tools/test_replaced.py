"""A table is replaced under its name before a tool works on it, or while it does: the new one stays, and the step fails."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aishell.archives import shelf
from aishell.errors import AishellError, DatabaseError, ReplacedError
from aishell.models import Row
from aishell.running import dispatch
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.context import settled
from tests.fix_tools import Engine, make_engine, named, registry
from tests.tools.cleaner import EVERY, OLD, Cleaner
from tests.tools.partitions import DROP, EXCLUSIVELY, resumed, to_drop
from tests.tools.test_archives import fill, which
from tests.tools.test_mariadb_partitions import partitions, ranged
from tests.tools.test_partitions import monthly

#: What works on the whole file, whatever tables are in it; and a file whose `find` returns no row.
WHOLE_FILE = ("checkpoint_wal", "incremental_vacuum", "optimize_table", "rebuild_table", "update_all_statistics")
NEVER = "tools/sqlite/without_dbstat/rebuild_fragmented_indexes.sql"
#: They are about no table, or find nothing in one that is sound.
NO_TABLE = {"drop_invalid_indexes", "drop_replication_slot", "drop_scratch_database", "reset_restore_mark"}
MOVED = "is not the object that was approved"
HOW = pytest.mark.parametrize("how", ["renamed away", "dropped"])
#: Old rows of the table that takes the name: all of them would go.
FRESH = 40
CHANGING = [
    tool
    for tool in registry()
    if not tool.read_only
    and tool.runs in ("statement", "each", "batched")
    and not (tool.engine == "sqlite" and tool.name in WHOLE_FILE)
    and tool.source != NEVER
]


def renewed(engine: Engine, table: str, how: str) -> None:
    """Another table of the same definition under the name: the old one is `away`, or gone."""
    s = engine.samples
    old, new = s.ref(table), s.ref("fresh")
    if engine.name == "sqlite":
        ((definition,),) = engine.db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", [table])
        s.do(f"ALTER TABLE {old} RENAME TO away" if how == "renamed away" else f"DROP TABLE {old}", definition)
        return
    like = f"(LIKE {old} INCLUDING ALL)" if engine.name == "postgresql" else f"LIKE {old}"
    s.do(f"CREATE TABLE {new} {like}")
    if engine.name == "mysql":
        both = f"RENAME TABLE {old} TO {s.ref('away')}, {new} TO {old}"
        s.do(*([both] if how == "renamed away" else [f"DROP TABLE {old}", f"RENAME TABLE {new} TO {old}"]))
        return
    s.do(f"ALTER TABLE {old} RENAME TO away" if how == "renamed away" else f"DROP TABLE {old}")
    s.do(f"ALTER TABLE {new} RENAME TO {s.q(table)}")


def remade(engine: Engine, table: str) -> None:
    """Dropped and made at once, with the words of the first."""
    if engine.name == "mysql":
        ((_, words),) = engine.db.execute(f"SHOW CREATE TABLE {engine.samples.ref(table)}")
        engine.samples.do(f"DROP TABLE {engine.samples.ref(table)}", words)
    else:
        renewed(engine, table, "dropped")


def found(
    engine: Engine, name: str, on_batch: Callable[[], None] | None = None, **params: Any
) -> tuple[Callable[[], Any], list[Row]]:
    """What a tool found, and a call that runs it on that; `on_batch` happens when a batch is written down."""
    tool = engine.pick(name)
    values, context = tool.prepare(params), engine.context(tool)
    if on_batch is not None:
        context.on_batch = lambda checkpoint, batch: on_batch()
    rows = settled(lambda: dispatch.find(tool, values, context) or [], time.sleep)
    return lambda: dispatch.run(tool, values, rows, context), rows


def told(call: Callable[[], Any]) -> str:
    """Why a tool failed."""
    try:
        result = call()
    except AishellError as error:
        return error.message
    assert result.status == "failed", result
    return str(result.reason)


@pytest.mark.parametrize("tool", CHANGING, ids=named)
def test_every_tool_that_changes_an_object_asks_whether_it_is_the_same(tool):
    assert "same" in tool.blocks
    if (tool.deletes or tool.archives == "delete") and tool.runs != "batched":
        assert "hold" in tool.blocks, "what deletes rows is bound in the transaction of the statement"


@pytest.mark.sampled
@HOW
@pytest.mark.parametrize(
    "name",
    sorted({tool.name for tool in CHANGING if tool.runs != "batched" and not tool.deletes} - NO_TABLE),
)
def test_maintenance_of_another_table_fails(engine, name, how):
    if name not in {tool.name for tool in CHANGING if tool.engine == engine.name}:
        pytest.skip("no such tool here, or one of the whole file")
    if engine.name == "sqlite" and how == "dropped":
        pytest.skip("the same words make the same table in the same place, and ANALYZE and REINDEX of it do no harm")
    engine.samples.bloated("log", rows=2000)
    if (engine.name, name) == ("mysql", "optimize_offline_table"):
        engine.samples.do("ALTER TABLE log ENGINE = Aria")
        time.sleep(1.1)  # Aria keeps the second in which a table was made
    offered = {"schema": engine.schema, "table": "log", "tables": engine.named("log"), "min_index_size": 0}
    offered |= {"fragmentation_threshold": 0}
    tool = engine.pick(name)
    call, rows = found(engine, name, **{key: value for key, value in offered.items() if key in tool.parameters})
    assert rows, "there is something to do"
    if engine.name == "mysql":
        time.sleep(1.1)  # what deletes nothing waits for no second to be over
    renewed(engine, "log", how)
    assert MOVED in told(call)


@pytest.fixture(params=EVERY)
def cleaner(request: pytest.FixtureRequest) -> Iterator[Cleaner]:
    fixture, way = request.param
    for engine in make_engine(request, fixture):
        yield Cleaner(engine, way)


def fresh_rows(cleaner: Cleaner) -> None:
    cleaner.rows(*((number, OLD) for number in range(1, FRESH + 1)))


@pytest.mark.sampled
@pytest.mark.parametrize("how", ["renamed away", "dropped", "remade"])
def test_no_row_of_a_table_that_took_the_name_before_the_first_batch_goes(cleaner, how):
    cleaner.log()
    cleaner.many(500)

    def swap() -> None:
        remade(cleaner.engine, "log") if how == "remade" else renewed(cleaner.engine, "log", how)
        fresh_rows(cleaner)

    cleaner.before_run = swap
    with pytest.raises(ReplacedError, match=MOVED):
        cleaner.delete()
    assert cleaner.left() == list(range(1, FRESH + 1))
    if how == "renamed away":
        assert len(cleaner.left("away")) == 500, "nor does one of the old table"


@pytest.mark.sampled
@pytest.mark.parametrize("how", ["renamed away", "dropped", "remade"])
@pytest.mark.parametrize("limit", [None, 5000], ids=["whole", "limited"])
def test_no_row_of_a_table_that_took_the_name_between_two_batches_goes(cleaner, how, limit):
    cleaner.log()
    cleaner.many(6000)
    swapped: list[BatchCheckpoint] = []

    def swap(checkpoint: BatchCheckpoint) -> None:
        if checkpoint.batches == 2 and not swapped:
            swapped.append(checkpoint)
            remade(cleaner.engine, "log") if how == "remade" else renewed(cleaner.engine, "log", how)
            fresh_rows(cleaner)

    cleaner.on_batch, cleaner.before_run = swap, lambda: None
    with pytest.raises((ReplacedError, DatabaseError)) as told:
        cleaner.delete(batch_target_ms=1, **({"max_rows": limit} if limit else {}))
    if isinstance(told.value, DatabaseError):
        # The next batch came between the DROP and the CREATE, or MariaDB ended it because each held what the other waited for.
        assert told.value.kind in ("missing_object", "deadlock")
    else:
        assert re.search(MOVED, told.value.message)
    assert swapped
    assert cleaner.left() == list(range(1, FRESH + 1))


@pytest.mark.sampled
@HOW
def test_no_row_of_a_table_that_takes_the_name_at_any_moment_goes(cleaner, how):
    """The statement waits for the DDL, or the DDL for the statement: whichever comes first."""
    cleaner.log()
    cleaner.many(6000)
    begun = threading.Event()
    dice = random.Random(str(cleaner.way))

    def swap() -> None:
        begun.wait(60)
        time.sleep(dice.uniform(0, 0.05))
        renewed(cleaner.engine, "log", how)
        fresh_rows(cleaner)

    cleaner.on_batch, cleaner.before_run = lambda checkpoint: begun.set(), lambda: None
    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        cleaner.delete(batch_target_ms=1)
    except AishellError:
        pass  # it came between two batches, or the table was gone for a moment
    finally:
        begun.set()
        swapping.join()
    assert cleaner.left() == list(range(1, FRESH + 1))


@pytest.mark.parametrize("tool", [DROP, EXCLUSIVELY])
def test_a_table_that_took_a_partitions_name_is_not_dropped(pg_engine, tool):
    monthly(pg_engine)
    rows = to_drop(pg_engine, tool)
    pg_engine.samples.do("ALTER TABLE log DETACH PARTITION log_04")
    renewed(pg_engine, "log_04", "renamed away")
    pg_engine.samples.do("INSERT INTO log_04 VALUES (1, '2026-04-02')")
    result = resumed(pg_engine, rows, tool)
    assert (result.status, result.output["partitions_dropped"]) == ("failed", 3), result.reason
    assert MOVED in str(result.reason)
    assert pg_engine.samples.count("log_04") == 1
    assert pg_engine.samples.count("away") == 10


@pytest.mark.parametrize("moment", ["before the first", "between two"])
def test_partitions_of_a_table_that_took_the_name_stay(mariadb_engine, moment):
    engine = mariadb_engine
    ranged(engine)
    rows = settled(lambda: to_drop(engine), time.sleep)
    if moment == "between two":
        assert resumed(engine, rows[:1]).status == "done"
    engine.samples.do("RENAME TABLE log TO away")
    ranged(engine)
    result = resumed(engine, rows[1:] if moment == "between two" else rows)
    assert result.status == "failed"
    assert MOVED in str(result.reason)
    assert partitions(engine) == ["p1", "p2", "p3", "p4"]


@HOW
def test_an_archive_of_two_tables_is_none(engine, tmp_path, how):
    fill(engine)
    engine.archives = tmp_path / "archives"
    given, more = which(engine, "hard")
    done: list[str] = []

    def swap() -> None:
        if not done:
            done.append(how)
            renewed(engine, "hard", how)

    call, _ = found(engine, "archive_old_records", swap, **given, **more)
    with pytest.raises(AishellError):
        call()
    assert done
    assert list(shelf.archives(tmp_path / "archives")) == []


@HOW
def test_archived_rows_of_another_table_stay(engine, tmp_path, how):
    """Even where the rows are the very same: they stand in another table now."""
    fill(engine)
    engine.archives = tmp_path / "archives"
    given, more = which(engine, "hard")
    output = engine.call("archive_old_records", **given, **more).output
    columns = more if "columns" in engine.pick("delete_archived_records").parameters else {}
    call, _ = found(engine, "delete_archived_records", **given, **columns, archive=output["archive_path"])
    renewed(engine, "hard", how)
    if how == "renamed away":
        names = ", ".join(column["column"] for column in more["columns"])
        as_they_are = "OVERRIDING SYSTEM VALUE" if engine.name == "postgresql" else ""
        engine.db.execute(f"INSERT INTO hard ({names}) {as_they_are} SELECT {names} FROM away")
    before = engine.samples.count("hard")
    assert MOVED in told(call)
    assert engine.samples.count("hard") == before


@HOW
def test_an_archive_is_not_loaded_into_another_table(engine, tmp_path, how):
    fill(engine)
    engine.archives = tmp_path / "archives"
    given, more = which(engine, "hard")
    output = engine.call("archive_old_records", **given, **more).output
    renewed(engine, "hard", "dropped")
    offered = {"schema": engine.schema, "table": "hard", "archive": output["archive_id"], "columns": more["columns"]}
    call, _ = found(engine, "load_archive", **offered)
    renewed(engine, "hard", how)
    assert MOVED in told(call)
    assert engine.samples.count("hard") == 0
