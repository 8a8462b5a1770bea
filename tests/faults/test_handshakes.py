"""What listens on a port is not the server that was meant, or says nothing: one sentence, after connect_timeout at the latest."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, count, repeat

import pytest

from aishell.databases.base import SessionOptions
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.errors import DatabaseError
from tests.commands.test_doctor import findings
from tests.servers import HOST

#: What a listener sends on a connection, piece by piece with a pause before each; without an end it says nothing more for ever.
SAYS: dict[str, Callable[[], Iterator[bytes]]] = {
    "nothing": lambda: iter(()),
    "bytes": lambda: (b"J" for _ in count()),
    "a packet byte by byte": lambda: chain([b"\xff\xff\x7f\x00"], repeat(b"J")),
    "a message byte by byte": lambda: chain([b"R\x00\x00\x07\xd0"], repeat(b"J")),
    "a long packet never ended": lambda: iter([b"\xff\xff\x7f\x00\x0a"]),
    "no end of packets": lambda: (b"\x01\x00\x00\x00\x00" for _ in count()),
    "text": lambda: iter([b"220 mail.example ESMTP ready\r\n"]),
    "a greeting that makes no sense": lambda: iter([b"\x05\x00\x00\x00\x0a\x35\x2e\x35\x00"]),
    "an answer that makes no sense": lambda: iter([b"S" * 40]),
    "an old greeting and silence": lambda: iter([b"\x0f\x00\x00\x00\x0a5.5.5-10.11\x00\x00"]),
}
#: Seconds; psycopg waits 2 at least.
LIMIT = {"postgresql": 2, "mysql": 1}


@pytest.fixture
def listener() -> Iterator[Callable[[str], int]]:
    """`listener(what)`: the port of somebody who accepts and says that."""
    made: list[socket.socket] = []
    over = threading.Event()

    def serve(server: socket.socket, says: Callable[[], Iterator[bytes]]) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                client, _ = server.accept()
                made.append(client)
                threading.Thread(target=speak, args=(client, says()), daemon=True).start()

    def speak(client: socket.socket, pieces: Iterator[bytes]) -> None:
        with suppress(OSError):  # the other side has hung up
            for piece in pieces:
                if over.wait(0.1):
                    return
                client.sendall(piece)

    def start(what: str) -> int:
        server = socket.create_server((HOST, 0))
        made.append(server)
        threading.Thread(target=serve, args=(server, SAYS[what]), daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    over.set()
    for one in made:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize(
    "how",
    ["postgresql&", "postgresql&sslmode=disable", "mysql&", "mysql&ssl_mode=REQUIRED", "mysql&ssl_mode=PREFERRED"],
)
@pytest.mark.sampled
def test_no_handshake_lasts_longer_than_its_limit(listener, says, how):
    engine, _, tls = how.partition("&")
    url = f"{engine}://app@{HOST}:{listener(says)}/shop?connect_timeout={LIMIT[engine]}&{tls}".rstrip("&")
    database = open_database(parse_url(url))
    try:
        with pytest.raises(DatabaseError) as caught, database.session(SessionOptions()):
            pass
        assert caught.value.kind == "connect"
    finally:
        database.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://a@{}/d?connect_timeout={}", "no session within"),
        ("postgresql://a@{}/d?connect_timeout={}&sslmode=disable", "timeout expired"),
    ],
)
def test_the_limit_is_over_all_of_it(listener, url, words):
    """Each byte that arrives would begin it anew, were it one over a single read: they go on arriving for minutes."""
    says = "a packet byte by byte" if url.startswith("mysql") else "a message byte by byte"
    database = open_database(parse_url(url.format(f"{HOST}:{listener(says)}", LIMIT[url.partition(":")[0]])))
    with pytest.raises(DatabaseError, match=words):
        database._connect(SessionOptions())


@pytest.fixture(
    params=[("pg_current", "mysql"), ("mariadb", "postgresql")], ids=["mysql on pg", "postgresql on mariadb"]
)
def mistaken(request) -> str:
    """A URL of one engine that leads to a server of the other."""
    fixture, engine = request.param
    port = request.getfixturevalue(fixture).server.port
    return f"{engine}://app@{HOST}:{port}/shop?connect_timeout={LIMIT[engine]}"


def test_another_engines_server_is_told_by_every_command(aishell, mistaken):
    found = findings(aishell("doctor", "--url", mistaken, "--output", "json"), 1)["connection"]
    assert found["level"] == "problem"
    assert found["remedy"]
    (row,) = aishell("targets", "test", mistaken, "--output", "json").expect(2).json
    assert row["mode"] == "unreachable"
    assert "no connection to" in aishell("run", "maintenance", "--dry-run", "--url", mistaken).expect(2).err


@pytest.mark.parametrize("engine", LIMIT)
def test_silence_is_told_by_every_command(aishell, listener, engine):
    url = f"{engine}://app@{HOST}:{listener('nothing')}/shop?connect_timeout={LIMIT[engine]}"
    words = {"mysql": "no session within 1 s", "postgresql": "connection timeout expired"}[engine]
    found = findings(aishell("doctor", "--url", url, "--output", "json"), 1)["connection"]
    assert words in found["text"]
    assert "connect_timeout" in found["remedy"]
    (row,) = aishell("targets", "test", url, "--output", "json").expect(2).json
    assert words in row["error"]
    assert words in aishell("run", "maintenance", "--dry-run", "--url", url).expect(2).err
