"""What each tool promises to return: the table of agents.md, and the columns of docs/inspection.md as that page lists them."""

from __future__ import annotations

from tests.fix_tools import ROOT

CONTRACT: dict[str, tuple[str, ...]] = {
    "analyze_database_health": ("findings", "tables", "database_bytes"),
    "analyze_table_fragmentation": (
        "fragmentation_percent",
        "method",
        "recommendation",
        "estimated_benefit",
        "table_stats",
    ),
    "analyze_index_fragmentation": ("indexes",),
    "check_table_corruption": ("corrupted_tables", "checked", "not_checked"),
    "count_table_rows": ("row_count", "method"),
    "generate_maintenance_report": ("report", "format"),
    "update_table_statistics": ("statistics_updated",),
    "batch_update_statistics": ("statistics_updated",),
    "rebuild_fragmented_indexes": ("indexes_rebuilt", "bytes_before", "bytes_after"),
    "drop_invalid_indexes": ("indexes_dropped", "reported"),
    "optimize_table": ("bytes_before", "bytes_after"),
    "rebuild_table": ("bytes_before", "bytes_after"),
}
INDEX_FIGURES = {"index", "fragmentation_percent", "method", "bytes", "reclaimable_bytes"}


def _columns() -> dict[str, set[str]]:
    columns = {}
    for line in (ROOT / "docs" / "inspection.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 4 and cells[1].startswith("`"):
            # `measure_indexes` says in words that it returns `find`'s columns too.
            listed = cells[4].rpartition(" and ")[2] if cells[4].startswith("all ") else cells[4]
            names = [name.split(" (")[0].strip() for name in listed.split(", ")]
            columns[cells[1].strip("`")] = {name for name in names if name}
    return columns


COLUMNS = _columns()
