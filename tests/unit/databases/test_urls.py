"""A target's URL: a plain SQLite file is read without SQLAlchemy, and as SQLAlchemy reads it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from aishell.databases.connections import FileURL, parse_url
from aishell.errors import UnknownNameError, UsageError


@given(st.text(alphabet="ab/.~ +-_%?&=#@:é\n\\'\"", min_size=1))
@example("/abs/path.db")
@example("../we ird+1.db")
@example("a%20b.db")
@example("x.db?mode=ro")
def test_it_is_what_sqlalchemy_makes_of_it(path):
    url = f"sqlite:///{path}"
    read, wanted = parse_url(url), make_url(url)
    assert (read.engine, read.url.database, read.url.host, read.password) == ("sqlite", wanted.database, None, None)
    assert read.display == wanted.render_as_string(hide_password=True)


@pytest.mark.parametrize(
    "url", ["sqlite:///shop.db", "sqlite:////var/lib/shop-1/shop.db", "sqlite:///~/my files/a+b.db"]
)
def test_a_plain_file_is_read_without_sqlalchemy(url):
    assert isinstance(parse_url(url).url, FileURL)


def test_a_password_from_elsewhere_is_kept():
    assert parse_url("sqlite:///x.db", password="secret").password == "secret"


def test_what_cannot_be_read_and_what_is_unknown_is_said():
    with pytest.raises(UsageError, match="cannot be read"):
        parse_url("no url")
    with pytest.raises(UnknownNameError):
        parse_url("oracle://u@h/d")
