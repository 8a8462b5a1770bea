"""Sinks that notifications are sent to: a mail server and a web server on this host, that refuse, or hang, when told to."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Mail(socketserver.StreamRequestHandler):
    """SMTP as far as a client needs it to hand a mail over."""

    server: Sink

    def handle(self) -> None:
        self.server.connections += 1
        if self.server.hanging.is_set():
            self.server.closing.wait()
            return
        self._say("220 sink")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self._say("354 go on")
                lines = []
                while (part := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(part.removeprefix(b"."))
                if self.server.refusing.is_set():
                    self._say("554 not today")
                    continue
                self.server.got.append(message_from_bytes(b"".join(lines), policy=policy.default))
            elif word == b"EHLO":
                self._say("250-sink")
                self._say("250 AUTH PLAIN")
                continue
            elif word == b"AUTH":
                self._say("235 welcome")
                continue
            elif word == b"QUIT":
                self._say("221 bye")
                return
            self._say("250 sink")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Web(BaseHTTPRequestHandler):
    server: WebSink  # type: ignore[assignment]

    def do_GET(self) -> None:
        self.server.connections += 1
        if self.server.hanging.is_set():
            self.server.closing.wait()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        refused = self.server.refusing.is_set()
        if not refused:
            self.server.got.append((self.path, json.loads(body) if body else None))
        self.send_response(503 if refused else 200)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *told: Any) -> None:
        """The tests look at what it got."""


class _State:
    """What a sink got, and how it behaves."""

    def __init__(self, *arguments: Any) -> None:
        self.got: list[Any] = []
        self.connections = 0
        self.refusing, self.hanging, self.closing = threading.Event(), threading.Event(), threading.Event()
        super().__init__(*arguments)

    @property
    def port(self) -> int:
        return self.server_address[1]  # type: ignore[attr-defined,no-any-return]


class Sink(_State, socketserver.ThreadingTCPServer):
    """A mail server: `got` are mails."""

    daemon_threads, allow_reuse_address = True, True
    got: list[EmailMessage]

    @property
    def url(self) -> str:
        return f"mailto://night:mailsecret@127.0.0.1:{self.port}/?from=aishell@shop.test&to=dba@shop.test&mode=insecure"


class WebSink(_State, ThreadingHTTPServer):
    """A web server: `got` are paths and the JSON that was sent there."""

    daemon_threads = True
    got: list[tuple[str, Any]]

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook/webhooksecret"


@contextmanager
def served(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def mail_sink() -> Any:
    return served(Sink(("127.0.0.1", 0), _Mail))


def web_sink() -> Any:
    return served(WebSink(("127.0.0.1", 0), _Web))
