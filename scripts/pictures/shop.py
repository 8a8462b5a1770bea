"""Where the pictures are taken: a site, as `aishell init` makes it, and a worn database on a server of the test suite."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.postgresql import PostgresqlServer

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
def shop(server: PostgresqlServer, home: Path, orders: int) -> Iterator[Shop]:
    """Make the site in `home/shop` and its database with so many `orders` on `server`, which gets it dropped in the end."""
    password = secrets.token_hex(8)
    environment = {
        "HOME": str(home),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "LANG": "C.UTF-8",
        "SHOP_PASSWORD": password,
    }
    database = server.create("shop")
    try:
        url = database.make_role("maintenance", password).replace(f":{password}", "")
        with database.connect() as connection:
            connection.execute("SELECT set_config('shop.orders', %s, false)", [str(orders)])
            for statement in (Path(__file__).parent / "shop.sql").read_text(encoding="utf-8").split(";\n"):
                connection.execute(statement)
        subprocess.run(["aishell", "init", "shop"], cwd=home, env=environment, check=True, capture_output=True)
        with (home / "shop" / "config" / "targets.yaml").open("a", encoding="utf-8") as targets:
            targets.write(_TARGET.format(url=url))
        yield Shop(home / "shop", environment)
    finally:
        database.drop()
