"""What is told of a delivery that failed holds no part of the URL but its host."""

from __future__ import annotations

import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.notifying.delivering import Parcel, deliver
from aishell.notifying.sending import Delivery, without_secrets

SECRET = st.text(string.ascii_letters + string.digits + "-_.~ !+%*äß", min_size=4, max_size=30)


@given(SECRET, SECRET, SECRET, SECRET)
def test_no_part_of_a_url_is_left_in_a_reason(user, password, path, token):
    url = f"https://{quote(user)}:{quote(password)}@hooks.example/{quote(path)}?token={quote_plus(token)}"
    for part in (user, password, path, token):
        for form in (part, quote(part), quote_plus(part), url):
            told = without_secrets(f"no answer from hooks.example to <{form}>", url)
            assert form not in told.replace("no answer from hooks.example to", "")


@pytest.mark.parametrize("url", ["json://u:pw@h/", "mailto://u:pw@[::1", "x", "://", "json://u:p%20w@h?x=y"])
def test_urls_that_are_none_and_short_passwords(url):
    assert "pw" not in without_secrets("said pw", url) or "pw" not in url
    assert url == "x" or url not in without_secrets(f"said {url}", url)


def test_the_host_stays():
    assert without_secrets("refused by db1.example", "json://db1.example/secret") == "refused by db1.example"


def test_a_delivery_is_read_as_it_was_written():
    one = Delivery(7, False, 'it said: "no"\n')
    assert Delivery.read(one.text()) == one


def test_a_process_that_dies_fails_the_message_it_was_at_alone(monkeypatch):
    script = "import sys; sys.stdin.read(); print('[1, true, \"\"]', flush=True); sys.exit(3)"
    monkeypatch.setattr("aishell.notifying.delivering._COMMAND", ("python3", "-c", script))
    messages = [{"number": number, "severity": "info", "title": "t", "body": "b"} for number in (1, 2, 3)]
    ended = list(deliver([Parcel("chat", lambda: "json://h/x", messages)]))
    assert ended == [Delivery(1, True), Delivery(2, False, "the process that delivers it ended with 3")]
