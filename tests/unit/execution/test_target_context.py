"""Rules that are written anew are read once for each change, and only then."""

from __future__ import annotations

from pathlib import Path

from aishell.execution.target_context import Rereading, Rules
from aishell.files import stamp
from aishell.settings.policy import DEFAULT_POLICY


def test_a_file_is_read_when_it_is_another(tmp_path: Path) -> None:
    one, other = tmp_path / "policy.yaml", tmp_path / "maintenance.yaml"
    one.write_text("rules: []")
    made: list[Rules] = []

    def read() -> Rules:
        made.append(Rules(DEFAULT_POLICY, ()))
        return made[-1]

    rereading = Rereading({path: stamp(path) for path in (one, other)}, read)
    assert rereading.newer() is None
    other.write_text("a: 1")  # it was not there before
    assert rereading.newer() is made[0]
    assert rereading.newer() is made[0]
    one.rename(tmp_path / "gone")
    assert rereading.newer() is made[1]
    (tmp_path / "gone").rename(one)
    assert rereading.newer() is made[2]
    assert len(made) == 3
