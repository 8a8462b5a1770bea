"""A target's URL: its parts, its options, what is refused, and that no text of it ever tells a password."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aishell.databases.connections import parse_url
from aishell.databases.options import KNOWN, NUMBER, SSL_MODES
from aishell.databases.urls import Host, read_url, tells_password
from aishell.errors import AishellError, UnknownNameError, UsageError

SERVERS = ("postgresql", "mysql")
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1)
#: Letters that mean something in a URL, and some that do not.
PASSWORDS = st.text(alphabet="aZ7é :/?#[]@!$&'()*+,;=%\"<>\\^`{|}~\n\t", min_size=1)
#: Each letter of them for another of its kind: a hexadecimal digit, an ASCII letter, one that is none.
OTHERS = str.maketrans("aZé", "bQü")


def escaped(text: str) -> str:
    return quote(text, safe="")


@given(st.sampled_from(SERVERS), TEXT, TEXT, TEXT, st.integers(1, 65535))
def test_every_part_arrives_as_it_was_written(engine, user, password, database, port):
    text = f"{engine}://{escaped(user)}:{escaped(password)}@db.example:{port}/{escaped(database)}"
    url = read_url(text)
    assert (url.user, url.host, url.port, url.database) == (user, "db.example", port, database)
    assert parse_url(text).password() == password
    # What is shown leads to the same place, and to nowhere without the password.
    assert (read_url(str(url)), str(read_url(str(url)))) == (url, str(url))
    with pytest.raises(UsageError, match="without its password"):
        parse_url(str(url))
    again = read_url(str(url).replace(":***@", "@"))
    assert (again, again.password) == (url, None)


@given(st.sampled_from(SERVERS), TEXT)
def test_no_text_of_it_tells_the_password(engine, password):
    credentials, other = (parse_url(f"{engine}://app:{word}@h/d") for word in (escaped(password), "x"))
    assert (str(credentials.url), credentials.display) == (f"{engine}://app:***@h/d",) * 2
    assert (repr(credentials), repr(credentials.url)) == (repr(other), repr(other.url))
    assert (repr(credentials.url.password), str(credentials.url.password)) == ("***", "***")


@given(st.sampled_from(SERVERS), PASSWORDS, st.sampled_from(["@h/d", "@h:5/d", "@h", ""]))
@example("postgresql", "p@w", "@h/d")
@example("mysql", "p/w", "@h/d")
@example("mysql", "p?w", "@h/d")
@example("postgresql", "secret", "")
@example("postgresql", "7?é", "")
@example("mysql", "7/?a=Z&", "")
def test_an_unescaped_password_is_read_as_it_was_meant_or_refused_without_a_word_of_it(engine, password, rest):
    """A refusal says the same of another password that has the same signs in the same places."""
    texts = [f"{engine}://app:{word}{rest}" for word in (password, password.translate(OTHERS))]
    refused = [_refusal(text) for text in texts]
    if rest and "%" not in password and refused[0] is None:
        url = read_url(texts[0])
        assert url.password is not None
        assert url.password.reveal() == password
        assert str(url) == f"{engine}://app:***{rest}"
    else:
        assert refused[0] == refused[1]


def _refusal(text: str) -> tuple[str, str | None] | None:
    """What is said of a URL that cannot be read."""
    try:
        read_url(text)
    except AishellError as error:
        return error.message, error.hint
    return None


@pytest.mark.parametrize("engine", SERVERS)
@pytest.mark.parametrize(
    "rest",
    [
        "app:p@ss@h/d", "app:p/w@h/d", "app:p?w@h/d", "app:p#w@h/d", "app:p%w@h/d", "app:p%4@h/d", "app:p w@h/d",
        "app:p\tw@h/d", "app:p\nw@h/d", "app:p%00w@h/d", "app:p%FFw@h/d", "app@h/d@x", "app:password", "app@h:0/d",
        "app@h:65536/d", "app@h:port/d", "app@[::1/d", "app@h/d?password=x", "app@h/d?passwd=x", "app@h/d?pwd=x",
        "app@h/d?PASSWORD=x", "app@h/d?sslpassword=x", "app@h/d?ssl_key_password=x", "app@h/d?auth_token=x",
    ],
)  # fmt: skip
def test_what_is_not_beyond_doubt_is_refused_with_the_remedy(engine, rest):
    with pytest.raises(UsageError) as caught:
        read_url(f"{engine}://{rest}")
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert f"{engine}://…" in caught.value.message


@pytest.mark.parametrize("text", ["no url", "app:s3cret@h/d", "//h/d", "postgres//app:s3cret@h", "", "://"])
def test_what_is_no_url_is_not_repeated(text):
    with pytest.raises(UsageError) as caught:
        read_url(text)
    assert caught.value.message == "the target URL is not a URL"


def test_an_unknown_engine_is_told():
    with pytest.raises(UnknownNameError, match="unknown engine 'oracle'"):
        read_url("oracle://scott:tiger@h/d")


def values(engine: str) -> list[tuple[str, str, bool]]:
    """Every option with each of its values, and some that are none of them."""
    found = []
    for name, known in KNOWN[engine].items():
        right = known if isinstance(known, tuple) else ("7",) if known is NUMBER or name == "port" else ("x",)
        wrong = ("", "banana", *(("0", "-1", "1.5") if known is NUMBER else ())) if known != "text" else ("",)
        found += [*((name, value, True) for value in right), *((name, value, False) for value in wrong)]
    return found


@pytest.mark.parametrize(("engine", "name", "value", "right"), [(e, *case) for e in SERVERS for case in values(e)])
def test_options_have_their_own_values_and_no_others(engine, name, value, right):
    text = f"{engine}:///?{name}={value}"
    if not right:
        with pytest.raises(UsageError, match=name):
            read_url(text)
        return
    url = read_url(text)
    part = {"user": url.user, "dbname": url.database, "host": url.host, "port": str(url.port)}
    assert (part if name in part and engine == "postgresql" else url.options)[name] == value


@pytest.mark.parametrize(("engine", "name"), [(engine, name) for engine in SERVERS for name in KNOWN[engine]])
def test_a_misspelt_option_is_answered_with_the_nearest_and_without_its_value(engine, name):
    for wrong in (name + "x", name[:-1], name[0] + name):
        if wrong in KNOWN[engine] or "pass" in wrong:
            continue
        with pytest.raises(UsageError) as caught:
            read_url(f"{engine}://h/d?{wrong}=geheim")
        assert "geheim" not in f"{caught.value.message} {caught.value.hint}"
        assert caught.value.hint


@pytest.mark.parametrize("name", [name for name in KNOWN["mysql"] if "_" in name])
def test_mysqls_options_are_spelt_with_either_sign(name):
    (value,) = {"connect_timeout": ("5",), "ssl_mode": ("REQUIRED",)}.get(name, ("x",))
    assert read_url(f"mysql://h/d?{name.replace('_', '-')}={value}").options[name] == value
    with pytest.raises(UsageError, match="twice"):
        read_url(f"mysql://h/d?{name.replace('_', '-')}={value}&{name}={value}")


@pytest.mark.parametrize("mode", SSL_MODES)
def test_ssl_mode_is_read_as_mysqls_own_programs_read_it(mode):
    for text in (mode, mode.lower(), mode.title()):
        assert read_url(f"mysql://h/d?ssl-mode={text}").options["ssl_mode"] == mode


@pytest.mark.parametrize(("engine", "name"), [(engine, name) for engine in SERVERS for name in KNOWN[engine]])
def test_every_option_and_every_mode_is_documented(engine, name):
    text = (Path(__file__).parents[3] / "docs" / "connections.md").read_text(encoding="utf-8")
    assert f"`{name}`" in text
    for value in KNOWN[engine][name] if name in ("sslmode", "ssl_mode") else ():
        assert f"`{value}`" in text


CAS = [("postgresql", "sslrootcert", "sslmode", "verify-"), ("mysql", "ssl_ca", "ssl_mode", "VERIFY_")]


@pytest.mark.parametrize(("engine", "ca", "mode", "verifying"), CAS)
@pytest.mark.parametrize("host", ["db.example", "127.0.0.1", "localhost", ""])
def test_a_ca_means_that_the_server_is_verified(engine, ca, mode, verifying, host):
    everything = {"postgresql": "verify-full", "mysql": "VERIFY_IDENTITY"}[engine]
    assert read_url(f"{engine}://{host}/d?{ca}=/ca.pem").options[mode] == everything
    for value in KNOWN[engine][mode]:
        text = f"{engine}://{host}/d?{ca}=/ca.pem&{mode}={value}"
        if value.startswith(verifying):
            assert read_url(text).options[mode] == value
        else:
            with pytest.raises(UsageError, match="verifies nothing"):
                read_url(text)


@pytest.mark.parametrize(
    ("engine", "option", "hint"),
    [
        ("mysql", "ssl_verify_identity=true", "ssl_mode=VERIFY_IDENTITY"),
        ("mysql", "ssl_verify_cert=true", "ssl_mode=VERIFY_CA"),
        ("mysql", "ssl-verify-server-cert=1", "ssl_mode=VERIFY_IDENTITY"),
        ("mysql", "sslmode=require", "ssl_mode"),
        ("mysql", "ssl=true", "ssl_mode=REQUIRED"),
        ("postgresql", "ssl_mode=require", "sslmode"),
        ("postgresql", "ssl_ca=/ca.pem", "sslrootcert"),
        ("postgresql", "ssl=true", "sslmode=require"),
    ],
)
def test_another_drivers_words_are_answered_with_ours(engine, option, hint):
    with pytest.raises(UsageError) as caught:
        read_url(f"{engine}://h/d?{option}")
    assert hint in (caught.value.hint or "")


def test_several_hosts_and_sockets():
    url = read_url("postgresql://u@h1:5432,h2,[::1]:7/d?target_session_attrs=primary")
    assert url.hosts == (Host("h1", 5432), Host("h2"), Host("::1", 7))
    assert str(url) == "postgresql://u@h1:5432,h2,[::1]:7/d?target_session_attrs=primary"
    assert read_url("postgresql:///d?host=h1,h2&port=1,2").hosts == (Host("h1", 1), Host("h2", 2))
    assert read_url("postgresql:///d?host=h1,h2&port=1").hosts == (Host("h1", 1), Host("h2", 1))
    socket = read_url("postgresql:///d?host=/run/pg&port=5433")
    assert (socket.hosts, str(socket)) == ((Host("/run/pg", 5433),), "postgresql://%2Frun%2Fpg:5433/d")
    assert read_url(str(socket)) == socket
    for wrong in (
        "mysql://h1,h2/d",
        "postgresql://h/d?host=x",
        "postgresql:///d?host=a,b&port=1,2,3",
        "postgresql://h/d?port=x",
    ):
        with pytest.raises(UsageError):
            read_url(wrong)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("postgresql://h/d", False), ("mysql://h/d", False), ("postgresql://127.0.0.1/d", True), ("mysql:///d", True),
        ("postgresql://[::1]/d", True), ("postgresql:///d?host=/run", True), ("postgresql://localhost,h/d", False),
        ("mysql://h/d?unix_socket=/run/x", True), ("sqlite:///x.db", True), ("postgresql:///d", True),
    ],
)  # fmt: skip
def test_what_stays_on_this_host(text, local):
    assert read_url(text).local is local


@given(st.text(alphabet="ab/.~ +-_%&=#@:é\n\\'\"", min_size=1))
@example("/abs/path.db")
@example("../we ird+1.db")
@example("a%20b@c.db")
def test_a_files_path_is_taken_as_it_stands(path):
    url = read_url(f"sqlite:///{path}")
    assert (url.engine, url.database, url.host, url.password) == ("sqlite", path, None, None)
    assert str(url) == f"sqlite:///{path}"


@pytest.mark.parametrize(
    "text", ["sqlite://x.db", "sqlite://u:geheim@h/x.db", "sqlite:///x.db?mode=ro", "sqlite:///x?password=geheim"]
)
def test_a_file_has_no_host_and_no_options(text):
    with pytest.raises(UsageError) as caught:
        read_url(text)
    assert "geheim" not in f"{caught.value.message} {caught.value.hint}"


def test_a_password_from_elsewhere_goes_first_and_is_asked_for_anew_each_time():
    told = iter(["one", "two"])
    credentials = parse_url("postgresql://u:inside@h/d", password=lambda: next(told))
    assert (credentials.password(), credentials.password()) == ("one", "two")
    assert parse_url("mysql://u@h/d", password="fixed").password() == "fixed"
    assert parse_url("mysql://u@h/d").password() is None


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        ("s3://bucket/x", False), ("/mnt/copies", False), ("sftp://u@h/x", False), ("sftp://u:geheim@h/x", True),
        ("sftp://u:ge@heim@h/x", True), ("https://h/x?token=geheim", True), ("https://h/x?a=b&password=geheim", True),
    ],
)  # fmt: skip
def test_a_password_in_any_url_is_seen(text, tells):
    assert tells_password(text) is tells
