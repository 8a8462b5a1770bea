"""Which uids are users of this host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aishell.errors import DeniedError
from aishell.serving import answers
from aishell.serving.answers import NOBODY, Person

#: Nobody has an entry with it.
STRANGER = 4_000_000


@pytest.fixture
def lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(answers, "SUBORDINATE", tmp_path / "subuid")
    return tmp_path / "subuid"


def test_a_user_of_the_host_decides(lent: Path):
    Person(os.getuid(), "socket").require_known()


@pytest.mark.parametrize("at_socket", [True, False])
def test_the_one_behind_whom_anybody_may_be_does_not(lent: Path, at_socket: bool):
    with pytest.raises(DeniedError, match="the kernel does not know the user"):
        Person(NOBODY, "socket" if at_socket else None).require_known()


def test_who_has_no_entry_decides_with_access_to_the_site_alone(lent: Path):
    with pytest.raises(DeniedError, match="not a user of this host"):
        Person(STRANGER, "socket").require_known()
    Person(STRANGER).require_known()


@pytest.mark.parametrize("at_socket", [True, False])
@pytest.mark.parametrize("range_", ["{uid}:1", "{before}:2", "{before}:65536"])
def test_a_uid_that_is_lent_to_another_does_not_although_it_has_an_entry(lent: Path, range_: str, at_socket: bool):
    uid = 1  # daemon
    lent.write_text(f"# comment\n\nbroken:x:y\ngsvc:{range_.format(uid=uid, before=uid - 1)}\n")
    with pytest.raises(DeniedError, match="assigns it to namespaces of gsvc"):
        Person(uid, "socket" if at_socket else None).require_known()


@pytest.mark.parametrize("range_", ["2:65536", "0:1", "1:0"])
def test_those_beside_a_range_are_not_of_it(lent: Path, range_: str):
    lent.write_text(f"gsvc:{range_}\n")
    Person(1, "socket").require_known()


def test_ranges_that_cannot_be_read_let_nobody_in(lent: Path):
    lent.mkdir()
    with pytest.raises(DeniedError, match="cannot be read"):
        Person(os.getuid(), "socket").require_known()
