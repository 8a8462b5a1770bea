"""The transport to a model's server: HTTP with limits on the total time and bytes, to the configured host only.

httpx limits each read, so a server that sends one byte a second never times out; and it gathers a line without a limit. Here
the deadline and the byte count apply at the socket, below HTTP: name, TLS, header and body share one allowance. Proxies of the
environment are not used, redirects are not followed, nothing is decompressed, and no connection is kept.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import httpcore
import httpx

from aishell.errors import ModelAnswerError, ModelTimeoutError, ModelUnavailableError


@dataclass
class Allowance:
    """The limits of one request: seconds to connect and in total, and bytes received. The time begins with the constructor.

    `server`: the server's name in messages.
    """

    server: str
    seconds: float
    connect_seconds: float
    most_bytes: int
    received: int = 0
    began: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Return the seconds left. Raises ModelTimeoutError if there are none."""
        left = self.began + self.seconds - time.monotonic()
        if left <= 0:
            raise self.late()
        return left

    def late(self) -> ModelTimeoutError:
        hint = "raise `timeout` of the language model's configuration, or use a smaller model"
        return ModelTimeoutError(f"{self.server} took longer than {self.seconds:g} s", hint=hint)

    def count(self, size: int) -> None:
        """Count received bytes. Raises ModelAnswerError if the total is too large."""
        self.received += size
        if self.received > self.most_bytes:
            raise ModelAnswerError(f"the answer of {self.server} is larger than {self.most_bytes:,} bytes")


class _Stream(httpcore.NetworkStream):
    """A connection within an allowance, which replaces the timeouts of calls."""

    def __init__(self, inner: httpcore.NetworkStream, allowance: Allowance) -> None:
        self._inner, self._allowance = inner, allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = self._inner.read(max_bytes, self._allowance.left())
        except httpcore.ReadTimeout as error:
            raise self._allowance.late() from error
        self._allowance.count(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._inner.write(buffer, self._allowance.left())
        except httpcore.WriteTimeout as error:
            raise self._allowance.late() from error

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = min(self._allowance.connect_seconds, self._allowance.left())
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._allowance)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    """A network backend that opens connections within an allowance."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = min(self._allowance.connect_seconds, self._allowance.left())
        inner = httpcore.SyncBackend().connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(inner, self._allowance)


class _Body(httpx.SyncByteStream):
    """A body, passed on as it arrives."""

    def __init__(self, inner: Iterable[bytes]) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    def close(self) -> None:
        if (close := getattr(self._inner, "close", None)) is not None:
            close()


class Transport(httpx.BaseTransport):
    """A transport for one request within an allowance. Connection errors of httpcore and `Allowance` are raised unchanged."""

    def __init__(self, allowance: Allowance, *, tls: bool) -> None:
        self._allowance = allowance
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context() if tls else None,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=_Network(allowance),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        body = _Body(cast("Iterable[bytes]", answer.stream))
        made = httpx.Response(answer.status, headers=answer.headers, stream=body)
        if made.headers.get("content-encoding", "identity") != "identity":
            made.close()
            raise ModelAnswerError(f"{self._allowance.server} packed its answer, which was not asked for")
        if made.has_redirect_location:
            made.close()
            raise ModelUnavailableError(
                f"{self._allowance.server} redirects to another address (HTTP {answer.status}), which is not followed",
                hint="write the server's own address as `host`",
            )
        return made

    def close(self) -> None:
        self._pool.close()
