"""Imported only by the fork server: all of aishell, and what its commands import later."""

import gc
import importlib
import pkgutil

import aishell
import aishell.testing.forked
from aishell.locations import built_in
from aishell.registry.registry import Registry

for _module in pkgutil.walk_packages(aishell.__path__, "aishell."):
    if not _module.name.endswith("__main__") and not _module.name.startswith("aishell.testing."):
        importlib.import_module(_module.name)
for _name in ("jsonschema", "psycopg", "pymysql", "rich.console", "rich.progress", "rich.table", "simpleeval"):
    importlib.import_module(_name)
list(Registry.load([built_in("tools")]))  # two thirds of a short command's time; forks inherit it
gc.freeze()  # objects that the collector never touches stay shared with the forks
