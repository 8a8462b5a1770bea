"""aishell: a database maintenance operations agent for PostgreSQL, MySQL/MariaDB and SQLite.

>>> site = aishell.Site.open("path/to/site")
>>> preview = site.plan(aishell.Task(agent="maintenance", target="sample"))
>>> result = site.run(preview, approve=my_callback)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aishell.version import VERSION as __version__

if TYPE_CHECKING:
    from aishell.models import Task
    from aishell.site import Site

__all__ = ["Site", "Task", "__version__"]


def __getattr__(name: str) -> Any:
    # `aishell --help` must not pay for what a run needs: the library's names are imported on first use.
    if name == "Site":
        from aishell.site import Site

        return Site
    if name == "Task":
        from aishell.models import Task

        return Task
    raise AttributeError(f"module 'aishell' has no attribute {name!r}")
