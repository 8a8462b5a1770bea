"""Where the pictures are taken: a site, as `aishell init` makes it, and a worn database on a server of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.postgresql import PostgresqlServer, pypi_bin

#: What a server in production has, in place of what tests have.
_SETTINGS = {"fsync": "on", "autovacuum": "on", "autovacuum_naptime": "1h"}
_TARGET = """
  shop:
    url: {url}
    password_env: SHOP_PASSWORD
    environment: production
"""


@dataclass(frozen=True)
class Shop:
    """A folder to run `aishell` in, and the environment to do so."""

    folder: Path
    environment: dict[str, str]


@contextmanager
def shop(home: Path, orders: int) -> Iterator[Shop]:
    """Make the site in `home/shop`, and its database, in which there were so many `orders`."""
    environment = {
        "HOME": str(home),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "LANG": "C.UTF-8",
        "SHOP_PASSWORD": secrets.token_hex(8),
    }
    with _server() as server:
        database = server.create("shop")
        database.make_role("maintenance", environment["SHOP_PASSWORD"])
        with database.connect() as connection:
            connection.execute("SELECT set_config('shop.orders', %s, false)", [str(orders)])
            for statement in (Path(__file__).parent / "shop.sql").read_text(encoding="utf-8").split(";\n"):
                connection.execute(statement)
        subprocess.run(["aishell", "init", "shop"], cwd=home, env=environment, check=True, capture_output=True)
        with (home / "shop" / "config" / "targets.yaml").open("a", encoding="utf-8") as targets:
            targets.write(_TARGET.format(url=database.url_as("maintenance")))
        yield Shop(home / "shop", environment)


@contextmanager
def _server() -> Iterator[PostgresqlServer]:
    programs = pypi_bin()
    if programs is None:
        raise RuntimeError("there is no PostgreSQL from PyPI: make setup")
    server = PostgresqlServer(programs, _SETTINGS)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.remove()
