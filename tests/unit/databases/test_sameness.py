"""Two URLs that mean one database, and two that do not."""

from __future__ import annotations

import socket

import pytest

from aishell.databases.sameness import same_database
from aishell.databases.urls import read_url

HERE = socket.gethostname()
SAME = (
    ("postgresql://a@localhost/shop", "postgres://b:secret@127.0.0.1:5432/shop?sslmode=require"),
    ("postgresql://a@/shop?host=/var/run/postgresql", "postgresql://localhost/shop"),
    ("postgresql://a@db1.example,db2.example/shop", "postgresql://db2.example:5432/shop"),
    ("postgresql://nowhere.example/shop?hostaddr=127.0.0.1", "postgresql://localhost/shop"),
    ("postgresql://shop@[::1]/", "postgresql://localhost/shop"),
    ("mysql://a@localhost/shop", "mariadb://127.0.0.1:3306/shop"),
)
OTHERS = (
    ("postgresql://localhost/shop", "postgresql://localhost/wiki"),
    ("postgresql://localhost:5432/shop", "postgresql://localhost:5433/shop"),
    ("postgresql://localhost/shop", "mysql://localhost/shop"),
    ("postgresql://localhost/shop", "postgresql://192.0.2.1/shop"),
    ("postgresql://a.invalid/shop", "postgresql://b.invalid/shop"),
)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_urls_that_mean_one_database(one, other):
    assert same_database(read_url(one), read_url(other))
    assert same_database(read_url(other), read_url(one))


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_urls_that_mean_two(one, other):
    assert not same_database(read_url(one), read_url(other))


@pytest.mark.parametrize("way", ["link", "hard link", "dots", "relative"])
def test_a_file_by_another_path(tmp_path, monkeypatch, way):
    path, other = tmp_path / "shop.db", tmp_path / "other.db"
    path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    if way == "link":
        other.symlink_to(path)
    elif way == "hard link":
        other.hardlink_to(path)
    url = {"dots": f"sqlite:///{tmp_path}/../{tmp_path.name}/shop.db", "relative": "sqlite:///shop.db"}
    assert same_database(read_url(f"sqlite:///{path}"), read_url(url.get(way, f"sqlite:///{other}")))
    (tmp_path / "third.db").write_bytes(b"")
    assert not same_database(read_url(f"sqlite:///{path}"), read_url("sqlite:///third.db"))
