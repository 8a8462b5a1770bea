"""`aishell init`: a site that works at once, and nothing of anybody's overwritten."""

from __future__ import annotations

import shlex
import sqlite3

from aishell.site import Site


def test_a_new_site_works_at_once(aishell, tmp_path):
    folder = tmp_path / "the shop"
    said = aishell("init", str(folder)).expect(0)
    with Site.open(folder) as site:
        assert site.settings.default_target == "sample"
        assert "update_table_statistics" in site.registry().names
    commands = [shlex.split(line) for line in said.out.partition("next:")[2].splitlines() if line]
    assert len(commands) == 2
    for command in commands:
        assert command.pop(0) == "aishell"
        assert command[:2] == ["--site", str(folder)]
        aishell(*command).expect(0)


def test_the_sample_needs_maintenance(aishell, tmp_path):
    aishell("init", str(tmp_path / "site")).expect(0)
    planned = aishell("--site", str(tmp_path / "site"), "plan", "maintenance", "--type", "full", "--output", "json")
    tools = {step["tool"] for step in planned.expect(0).json["plan"]["steps"]}
    assert {"optimize_table", "batch_update_statistics"} <= tools


def test_what_is_there_is_kept_and_named(aishell, tmp_path):
    folder = tmp_path / "site"
    (folder / "config").mkdir(parents=True)
    mine = {
        folder / "config" / "targets.yaml": "targets: {}\n",
        folder / "README.md": "mine",
        folder / "sample.db": "not a database",
    }
    for path, text in mine.items():
        path.write_text(text)
    said = aishell("init", str(folder)).expect(0)
    for path, text in mine.items():
        assert path.read_text() == text
        assert f"already exists, unchanged: {path}" in said.out
    assert f"created: {folder / 'config' / 'policy.yaml'}" in said.out


def test_twice_changes_nothing(aishell, tmp_path):
    folder = tmp_path / "site"
    aishell("init", str(folder)).expect(0)
    sqlite3.connect(folder / "sample.db").execute("CREATE TABLE mine (i)").connection.close()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "made:" not in aishell("init", str(folder)).expect(0).out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_current_folder_needs_no_site_option(aishell):
    said = aishell("init")  # its current folder is the fixture's site
    assert "\n  aishell doctor\n" in said.expect(0).out


def test_a_place_where_nothing_can_be_made(aishell, tmp_path):
    (tmp_path / "file").write_text("x")
    said = aishell("init", str(tmp_path / "file" / "site")).expect(2)
    assert "a site cannot be created" in said.err
