"""A clean-up with an archive in a window that is too short for it: what is archived goes in the same night, and nothing twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests import logs
from tests.faults.test_archive_kill import archived
from tests.faults.test_log_cleanup_kill import ROWS, arguments, renewed
from tests.fix_aishell import Aishell

#: Four seconds, of which the rests between batches alone are more than an archive of all rows has.
WINDOW = ("--max-duration", "4", "--sleep", "0.3")


@pytest.mark.sampled
def test_each_night_deletes_what_it_archives(log_db: tuple[Any, str], aishell: Aishell) -> None:
    """Most of it on a machine as busy as it may be: the archive does not take the window as a whole, night after night."""
    db, engine = log_db
    renewed(db, engine)
    for _ in range(2):
        before = len(logs.left(db))
        data = aishell(*arguments(db), "--archive", *WINDOW).expect(4).json["output_data"]
        assert data["rows_archived"] < ROWS // 2
        assert 2 * data["rows_deleted"] >= data["rows_archived"]
        assert len(logs.left(db)) == before - data["rows_deleted"]
        (table,) = data["tables"].values()
        assert table["remaining"] is None, "nobody has counted the old rows that no archive has"
    aishell(*arguments(db), "--archive").expect(0)
    assert logs.left(db) == logs.kept(ROWS)
    assert set(archived(aishell)) == {number for number in range(1, ROWS + 1) if number % 2}
