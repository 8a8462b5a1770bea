"""What ANALYZE, CHECK, OPTIMIZE and REPAIR of MySQL and MariaDB say: failures come as rows of the result."""

from __future__ import annotations

from aishell.databases.base import Message
from aishell.models import Row


def read_row(row: Row) -> Message | None:
    """A row of ANALYZE, CHECK, OPTIMIZE or REPAIR as a message; None for a good one."""
    kind, text = str(row.get("Msg_type", "")).lower(), str(row.get("Msg_text", ""))
    lowered = text.lower()
    if not kind or (kind == "status" and lowered in ("ok", "table is already up to date")):
        return None
    if "doesn't support" in lowered or "is not of type 'base table'" in lowered:
        return Message("unsupported", text)
    if "recreate + analyze instead" in lowered:  # InnoDB's way of saying that OPTIMIZE works
        return Message("note", text)
    if kind == "error" or lowered.startswith("operation failed"):
        corrupt = any(word in lowered for word in ("corrupt", "crashed", "marked as", "incorrect key file", "checksum"))
        return Message("corrupt" if corrupt else "error", text)
    if kind == "warning":
        return Message("warning", text)
    return Message("corrupt" if lowered == "corrupt" else "note", text)
