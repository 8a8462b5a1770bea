"""Slots are counted over all processes, and go with the process that was started with them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aishell.state.slots import Slots, give_back


def test_so_many_and_no_more(tmp_path: Path) -> None:
    slots, others = Slots(tmp_path / "locks"), Slots(tmp_path / "locks")
    first, second = slots.take({"site": None, "host a": 2}), others.take({"site": 4, "host a": 2})
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert slots.take({"site": 4, "host a": 2}) == "host a"
    assert slots.take({"site": 2, "host b": 2}) == "site"
    more = slots.take({"site": 3, "host a": 3})
    assert isinstance(more, list)
    assert others.take({"site": 3, "host b": None}) == "site"
    give_back(first)
    assert slots.take({"host a": 1}) == "host a", "two are left"
    again = slots.take({"site": 3, "host a": 3})
    assert isinstance(again, list)
    give_back([*second, *more, *again])


def test_of_eight_at_once_as_many_as_may(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Slots(tmp_path).take({"host": 3}), range(24)))
    assert Counter(map(type, found)) == {list: 3, str: 21}
    give_back([handle for one in found if isinstance(one, list) for handle in one])
    assert len(list(tmp_path.iterdir())) <= 5


def test_a_slot_ends_with_the_process_that_has_it_however_that_ends(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    mine = slots.take({"host": 1})
    assert isinstance(mine, list)
    # What the process starts itself does not get it.
    code = "import subprocess, time; subprocess.Popen(['sleep', '30']); print('works', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, pass_fds=mine)
    give_back(mine)
    assert process.stdout is not None
    assert process.stdout.readline() == b"works\n"
    assert slots.take({"host": 1}) == "host"
    process.kill()
    process.wait()
    process.stdout.close()
    again = slots.take({"host": 1})
    assert isinstance(again, list)
    give_back(again)
