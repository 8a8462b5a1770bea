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
    ("mysql://a@localhost/shop?unix_socket=/run/a.sock", "mysql://127.0.0.1:3307/shop"),
    ("mysql://a@localhost/", "mysql://127.0.0.1/shop"),
    ("mysql://a@localhost?unix_socket=/run/../run/a.sock", "mysql://localhost/shop?unix_socket=/run/a.sock"),
)
OTHERS = (
    ("postgresql://localhost/shop", "postgresql://localhost/wiki"),
    ("postgresql://localhost:5432/shop", "postgresql://localhost:5433/shop"),
    ("postgresql://localhost/shop", "mysql://localhost/shop"),
    ("postgresql://localhost/shop", "postgresql://192.0.2.1/shop"),
    ("postgresql://a.invalid/shop", "postgresql://b.invalid/shop"),
    ("mysql://localhost/shop?unix_socket=/run/a.sock", "mysql://localhost/wiki"),
    ("mysql://localhost/shop?unix_socket=/run/a.sock", "mysql://192.0.2.1/shop"),
    ("mysql://localhost/shop?unix_socket=/run/a.sock", "mysql://localhost/shop?unix_socket=/run/b.sock"),
)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_urls_that_mean_one_database(one, other):
    assert same_database(read_url(one), read_url(other))
    assert same_database(read_url(other), read_url(one))


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_urls_that_mean_two(one, other):
    assert not same_database(read_url(one), read_url(other))


KNOWN = "postgresql://a@127.0.0.1:5439/shop"
SERVICE = "[prod]\nhost=localhost\nport=5439\ndbname=shop\n"
#: A URL, what the environment adds to it, and whether libpq then goes where KNOWN leads.
ADDED = (
    ("postgresql://127.0.0.1/shop", {"PGPORT": "5439"}, True),
    ("postgresql://a@/shop", {"PGHOST": "localhost", "PGPORT": "5439"}, True),
    ("postgresql://", {"PGHOST": "127.1", "PGPORT": "5439", "PGDATABASE": "shop"}, True),
    ("postgresql://localhost:5439", {"PGUSER": "shop"}, True),
    ("postgresql://nowhere.invalid:5439/shop", {"PGHOSTADDR": "127.0.0.1"}, True),
    ("postgresql://a.invalid,b.invalid:5439/shop", {"PGHOSTADDR": "192.0.2.1,127.0.0.1"}, True),
    ("postgresql:///?service=prod", {}, True),
    ("postgresql://a@127.0.0.1/shop", {"PGSERVICE": "prod"}, True),
    ("postgresql://127.0.0.1:5439/shop", {"PGPORT": "1", "PGDATABASE": "wiki", "PGHOST": "192.0.2.1"}, True),
    ("postgresql:///wiki?service=prod", {}, False),
    ("postgresql:///?service=nobody", {}, False),
    ("postgresql://127.0.0.1/shop", {"PGPORT": "5440"}, False),
    ("postgresql://localhost:5439/shop", {"PGHOSTADDR": "192.0.2.1"}, False),
)


@pytest.mark.parametrize(("url", "environment", "same"), ADDED)
def test_what_libpq_adds_to_a_url(tmp_path, monkeypatch, url, environment, same):
    (tmp_path / "services").write_text(SERVICE, encoding="utf-8")
    for name, value in {"PGSERVICEFILE": str(tmp_path / "services"), **environment}.items():
        monkeypatch.setenv(name, value)
    known = KNOWN if "PGHOSTADDR" not in environment else KNOWN + "?hostaddr=127.0.0.1"
    assert same_database(read_url(url), read_url(known)) is same


def test_an_environment_does_not_lead_a_target_away_from_its_own_database(monkeypatch):
    monkeypatch.setenv("PGPORT", "5440")
    assert same_database(read_url("postgresql://127.0.0.1:5432/shop"), read_url("postgresql://127.0.0.1/shop"))


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
