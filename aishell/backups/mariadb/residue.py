"""What killed restores have left on a MariaDB or MySQL server, taken away: outside the binary log, as it was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.mariadb.dump import BEGUN, WHOLE, quietly
from aishell.errors import BackupError
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.running.context import Context


def drop_scratch(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`drop_scratch_database`. Raises BackupError where somebody is in it."""
    return {"dropped": _dropped(Work(tool, params, context, Path()))}


def drop_unfinished(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`drop_unfinished_restore`. Raises BackupError where the database's comment is not the one that was approved."""
    work = Work(tool, params, context, Path())
    found = work.query("mark")
    if found and (found[0]["mark"] != params["mark"] or not params["mark"].startswith(f"{BEGUN} ")):
        raise BackupError(f"{params['database']} was not dropped: its comment is {found[0]['mark']!r}")
    return {"dropped": _dropped(work)}


def reset_mark(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`reset_restore_mark`: nothing is done where the comment is another one, or is gone."""
    work = Work(tool, params, context, Path())
    wanted = {"mark": f"{WHOLE} {params['mark']}"}
    if work.query("mark") != [wanted]:
        return {"reset": 0}
    _send(work, "do_reset")
    if work.query("mark") == [wanted]:
        raise BackupError(f"the comment of {params['database']} is still there")
    return {"reset": 1}


def _dropped(work: Work) -> int:
    """Drop the database if it is there; how many were."""
    name = work.params["database"]
    found = work.query("there")
    if not found:
        return 0
    if found[0]["sessions"]:
        raise BackupError(f"{name} was not dropped: {found[0]['sessions']} session(s) are in it")
    _send(work, "do_drop")
    if work.query("there"):
        raise BackupError(f"{name} is still there")
    return 1


def _send(work: Work, block: str) -> None:
    """The statement of the tool, noted before it is sent."""
    with work.context.writing() as session, quietly(work, session):
        statement = render(work.tool, work.tool.blocks[block], work.params, work.context.database)
        work.context.on_sent(statement, session)
        work.context.in_slices(lambda: session.execute(statement))
