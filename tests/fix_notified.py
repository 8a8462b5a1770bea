"""A site that tells people of what it does, by a mail server and a web server on this host."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.faults.killed import Fault
from tests.fix_aishell import Aishell, Ended
from tests.sinks import Sink, WebSink, mail_sink, web_sink


@pytest.fixture
def mail() -> Iterator[Sink]:
    with mail_sink() as sink:
        yield sink


@pytest.fixture
def web() -> Iterator[WebSink]:
    with web_sink() as sink:
        yield sink


class Notified:
    """A site with a small database that is told of by mail and by a webhook."""

    def __init__(self, aishell: Aishell, mail: Sink, web: WebSink) -> None:
        self.aishell, self.mail, self.web = aishell, mail, web
        self.urls = {"ADMIN_URL": mail.url, "HOOK_URL": web.url}
        with contextlib.closing(sqlite3.connect(aishell.site / "shop.db")) as shop:
            shop.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
        self.target()

    def target(self, path: str = "shop.db") -> None:
        text = f"targets:\n  shop: {{url: 'sqlite:///{path}', environment: test, labels: [small]}}\n"
        self.aishell.configure("targets.yaml", text)

    def rules(self, *rules: str, top: str = "") -> None:
        lines = [top, "services:", "  admin: {url_env: ADMIN_URL}", "  hook: {url_env: HOOK_URL}", "rules:"]
        self.aishell.configure("notifications.yaml", "\n".join([*lines, *(f"  - {{{rule}}}" for rule in rules)]) + "\n")

    def __call__(self, *arguments: str, **more: Any) -> Ended:
        return self.aishell(*arguments, **(self.urls | more))

    def run(self, code: int = 0, *more: str) -> Ended:
        return self("run", "maintenance", "--type", "quick", "--target", "shop", "--yes", *more).expect(code)

    def fail(self, code: int = 1) -> Ended:
        """A run of which a step fails: an index of a function that SQLite does not know without us."""
        with contextlib.closing(sqlite3.connect(self.aishell.site / "shop.db")) as shop:
            shop.create_function("ours", 1, lambda value: value, deterministic=True)
            shop.execute("CREATE TABLE IF NOT EXISTS u (i INTEGER)")
            shop.execute("CREATE INDEX IF NOT EXISTS f ON u (ours(i))")
            shop.executemany("INSERT INTO u VALUES (?)", [(number,) for number in range(2000)])
            shop.commit()
        return self("run", "maintenance", "--type", "full", "--target", "shop", "--yes").expect(code)

    def mend(self) -> None:
        """What failed fails no more."""
        with contextlib.closing(sqlite3.connect(self.aishell.site / "shop.db")) as shop:
            shop.execute("DROP TABLE u")
            shop.commit()

    def run_killed(self, fault: Fault) -> Ended:
        return self("run", "maintenance", "--type", "quick", "--target", "shop", "--yes", fault=fault)

    def later(self, **passed: float) -> None:
        """So much time goes by for what waits to be tried again."""
        with contextlib.closing(sqlite3.connect(self.aishell.state)) as state:
            for number, text in state.execute("SELECT id, next_at FROM outbox").fetchall():
                moment = datetime.fromisoformat(text) - timedelta(**passed)
                state.execute(
                    "UPDATE outbox SET next_at = ? WHERE id = ?", [moment.isoformat(timespec="microseconds"), number]
                )
            state.commit()

    def outbox(self) -> list[dict[str, Any]]:
        return self("notify", "list", "--output", "json").expect(0).json


@pytest.fixture
def notified(aishell: Aishell, mail: Sink, web: WebSink) -> Notified:
    return Notified(aishell, mail, web)
