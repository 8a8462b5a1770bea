"""What is told of a delivery that failed holds no part of the URL but its host."""

from __future__ import annotations

import re
import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.notifying.delivering import Parcel, deliver
from aishell.notifying.sending import LONGEST, Delivery, Letter, Takes, cut, shaped, without_secrets

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


@given(st.lists(st.text("ab \n", max_size=30), max_size=40).map("\n".join), st.integers(40, 200))
def test_what_is_cut_is_counted(text: str, most: int):
    shown = cut(text, most)
    assert len(shown) <= most
    if shown != text:
        *kept, more = shown.split("\n")
        found = re.fullmatch(r"… (\d+) more line\(s\)", more)
        assert found
        assert kept == text.splitlines()[: len(kept)]
        assert len(kept) + int(found[1]) == len(text.splitlines())
    assert cut(text, None) == text


def report(form: str, page: str) -> dict[str, str]:
    return {"body": "the gist", "page": page, "format": form, "name": f"digest.{form}"}


@pytest.mark.parametrize(
    ("form", "page", "takes", "letter"),
    [
        ("html", "<p>", Takes(), Letter("the gist")),
        ("html", "<p>", Takes(files=True), Letter("the gist", "text", ("digest.html", "<p>", "text/html"))),
        ("text", "x" * 9000, Takes(files=True), Letter("x" * 9000)),  # a mail is as long as it is
        ("text", "short", Takes(2000, files=True), Letter("short")),
        ("text", "x" * 2000, Takes(2000, True), Letter("the gist", "text", ("digest.text", "x" * 2000, "text/plain"))),
        ("text", "x" * (LONGEST + 1), Takes(35_000), Letter("the gist")),
        ("markdown", "# short", Takes(2000, markdown=True), Letter("# short", "markdown")),
        (
            "markdown",
            "# <b>",
            Takes(2000),
            Letter("# <b>"),
        ),  # else apprise would make HTML of it, that of others included
    ],
)
def test_a_report_goes_in_the_form_that_a_service_takes(form: str, page: str, takes: Takes, letter: Letter):
    assert shaped(report(form, page), "title", takes) == letter


def test_a_message_that_is_longer_than_a_service_takes_is_cut():
    lines = "\n".join(["a line of a message"] * 30)
    letter = shaped({"body": lines}, "title", Takes(140))
    assert len(letter.body) <= 135
    assert letter.body.endswith("… 25 more line(s)")


def test_a_process_that_dies_fails_the_message_it_was_at_alone(monkeypatch):
    script = "import sys; sys.stdin.read(); print('[1, true, \"\"]', flush=True); sys.exit(3)"
    monkeypatch.setattr("aishell.notifying.delivering._COMMAND", ("python3", "-c", script))
    messages = [{"number": number, "severity": "info", "title": "t", "body": "b"} for number in (1, 2, 3)]
    ended = list(deliver([Parcel("chat", lambda: "json://h/x", messages)]))
    assert ended == [Delivery(1, True), Delivery(2, False, "the process that delivers it ended with 3")]
