"""The upkeep of a site by its daemon: when it is due, one at a time, and logs that do not grow without end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aishell import processes
from aishell.errors import StateError
from aishell.scheduling.chores import Upkeep
from aishell.scheduling.starting import Starter, log_of, remove_old_logs
from aishell.site_files import SiteFiles

DAY = 86_400


class Child:
    def __init__(self, code: int | None) -> None:
        self.code = code

    def poll(self) -> int | None:
        return self.code


class Host:
    """A site whose processes are not started; `begun` has their words."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, settings: str = "{}") -> None:
        (folder / "config").mkdir(exist_ok=True)
        (folder / "config" / "aishell.yaml").write_text(f"daemon: {settings}\n")
        self.site, self.begun, self.ends = SiteFiles.open(folder), list[str](), list[int | None]()
        self.starter = Starter(self.site, ["--site", "x"], lambda row, code: None)
        self.chore = Upkeep(self.starter)

        def start(words: list[str], log: Path) -> Any:
            self.begun.append(" ".join(words[2:]))
            return Child(self.ends.pop(0) if self.ends else 0)

        monkeypatch.setattr(processes, "start", start)

    def age(self, name: str, seconds: float) -> None:
        then = time.time() - seconds
        os.utime(log_of(self.site, name), (then, then))

    def look(self, times: int = 1) -> list[str]:
        before = len(self.begun)
        for _ in range(times):
            self.chore(self.site)
        return self.begun[before:]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    tmp_path.chmod(0o700)
    made = Host(tmp_path, monkeypatch)
    yield made
    made.site.close()


def test_each_is_begun_when_its_time_has_gone_by_since_it_was_begun_last(host: Host):
    assert host.look(3) == [], "it counts from the first start of a daemon"
    host.age("prune", DAY - 60)
    assert host.look() == []
    host.age("prune", DAY + 1)
    host.age("maintain", 7 * DAY + 1)
    assert host.look(4) == ["runs prune", "state maintain"]
    host.age("prune", -DAY)  # by a clock that was ahead
    assert host.look(3) == ["runs prune"]


def test_one_is_begun_when_the_one_before_has_ended(host: Host):
    host.look()
    host.age("prune", 2 * DAY)
    host.age("maintain", 8 * DAY)
    host.ends = [None]
    assert host.look(3) == ["runs prune"]


def test_a_store_is_not_locked_while_runs_go_on_but_for_one_that_is_never_at_rest(host: Host):
    host.look()
    host.starter.others = {1}
    host.age("maintain", 8 * DAY)
    assert host.look(2) == []
    host.age("maintain", 15 * DAY)
    assert host.look(2) == ["state maintain"]


def test_what_has_failed_is_told_with_its_log_and_done_again_when_it_is_due(host: Host):
    host.look()
    host.age("maintain", 8 * DAY)
    host.ends = [2]
    host.look()
    with pytest.raises(StateError, match="`aishell state maintain` ended with exit code 2") as caught:
        host.chore(host.site)
    assert str(caught.value.hint).endswith("schedule-logs/maintain.log")
    assert host.look(2) == []


def test_what_is_set_to_0_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tmp_path.chmod(0o700)
    host = Host(tmp_path, monkeypatch, "{prune_every: 0, maintain_every: 2h}")
    host.look()
    assert not log_of(host.site, "prune").exists()
    host.age("maintain", 3 * 3600)
    assert host.look() == ["state maintain"]
    host.site.close()


def test_a_log_is_put_aside_when_it_is_big_and_goes_with_what_it_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "LOG_BYTES", 10)
    log = tmp_path / "logs" / "notifications.log"
    for _ in range(4):
        processes.start(["--version"], log).wait()
    assert log.stat().st_size < 100
    assert sorted(path.name for path in log.parent.iterdir()) == ["notifications.log", "notifications.log.1"]


def test_old_logs_of_runs_and_of_stages_go(host: Host, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("aishell.scheduling.starting.LOGS", 2)
    for folder in ("schedule-logs", "workflow-logs"):
        (host.site.state_path.parent / folder).mkdir(exist_ok=True)
        for name in ("8.log", "9.log", "9.log.1", "10.log", "8.log.1", "prune.log"):
            (host.site.state_path.parent / folder / name).touch()
    remove_old_logs(host.site)
    for folder in ("schedule-logs", "workflow-logs"):
        left = {path.name for path in (host.site.state_path.parent / folder).iterdir()}
        assert left == {"9.log", "9.log.1", "10.log", "prune.log"}
