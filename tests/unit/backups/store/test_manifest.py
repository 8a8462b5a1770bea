"""A manifest comes back as it was written, and one that was changed or cut off is refused, wherever that was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aishell.backups.store.manifest import VERSION, BackupManifest, File, Fingerprint, chain_summary
from aishell.errors import BackupError
from tests.unit.backups.made import manifest

TEXT = st.text(max_size=20)  # of every plane, lone surrogates apart
DETAILS = st.dictionaries(
    TEXT, st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT, max_size=3), max_size=4
)
FILES = st.lists(st.builds(File, TEXT, st.integers(0, 1 << 60), TEXT), max_size=3).map(tuple)
PRINTS = st.none() | st.lists(
    st.builds(Fingerprint, TEXT, TEXT, st.none() | st.integers(0, 1 << 60), TEXT), max_size=3
).map(tuple)


@given(TEXT, DETAILS, FILES, PRINTS, st.lists(TEXT, max_size=2).map(tuple))
@settings(max_examples=100)
def test_it_comes_back_as_it_was(database, details, files, prints, commands):
    made = manifest(database=database, details=details, files=files, prints=prints, commands=commands)
    read = BackupManifest.of(made.text(), "here")
    assert read == made
    assert read.digest == made.digest == made.text().splitlines()[-1]


def test_other_content_has_another_digest():
    assert manifest().digest != manifest(database="other").digest


@given(st.data())
@settings(max_examples=60)
def test_any_changed_byte_is_noticed(data):
    text = manifest(database="shop").text()
    at = data.draw(st.integers(0, len(text) - 2))  # the line's end after the digest says nothing
    other = data.draw(st.characters(codec="ascii").filter(lambda char: char != text[at]))
    with pytest.raises(BackupError, match="was changed or cut off"):
        BackupManifest.of(text[:at] + other + text[at + 1 :], "shop/manifest.json")


@given(st.integers(0, len(manifest().text()) - 2))
@settings(max_examples=60)
def test_one_that_was_cut_off_is_noticed(length):
    with pytest.raises(BackupError, match=r"shop/manifest\.json was changed or cut off"):
        BackupManifest.of(manifest().text()[:length], "shop/manifest.json")


def sealed(body: object) -> str:
    """A text with the right digest, whatever it says."""
    import hashlib

    text = json.dumps(body)
    return f"{text}\n{hashlib.sha256(text.encode()).hexdigest()}\n"


@pytest.mark.parametrize("body", [{}, [], 7, {"version": VERSION}, {"version": 1, "files": [{}], "prints": None}])
def test_what_is_none_is_refused_though_its_digest_is_right(body):
    with pytest.raises(BackupError, match="is not a backup manifest"):
        BackupManifest.of(sealed(body), "here")


def test_one_of_a_newer_aishell_is_not_guessed_at():
    with pytest.raises(BackupError, match=f"has unknown format version {VERSION + 1}") as caught:
        BackupManifest.of(sealed({"version": VERSION + 1}), "here")
    assert "newer aishell" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("sizes", "needs"),
    [
        ([(10, 100)], 100),
        ([(10, None)], 10),
        ([(10, 100), (500, 500), (1, 1)], 601),  # logs, replayed on the full one
        ([(10, 100), (5, 300)], 300),  # pages: what it saw was larger
        ([(10, 100), (50, None)], 150),
    ],
)
def test_what_a_restore_reads_and_needs_is_that_of_the_whole_chain(sizes, needs):
    chain = [manifest(files=(File("f", mine, "0"),), source_bytes=source) for mine, source in sizes]
    told = chain_summary(chain)
    assert told["chain_bytes"] == sum(mine for mine, _ in sizes)
    assert (told["needs_bytes"], told["rests_on"]) == (needs, len(sizes) - 1)
    assert told["bytes"] == sizes[-1][0], "its own, as in every list"


def test_a_summary_says_whether_it_can_be_compared():
    assert manifest().summary()["compared"] is True
    assert manifest(prints=None).summary()["compared"] is False
    assert manifest().summary()["bytes"] == manifest().bytes > 0
