"""Delivers messages to one URL, in a process of its own: through apprise, or by a GET for a heartbeat.

The URL is a secret: it is read from standard input and passed on to nothing else. The reason of a failure is only in
apprise's log; before it is reported, all parts of the URL but the host are removed.
"""

from __future__ import annotations

import json
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from aishell.notifying.events import CRITICAL, INFO

#: Seconds that a connection, and each answer, may take.
PATIENCE = 5.0
#: Formats of a report, and their media types.
TEXT, MARKDOWN, HTML = "text", "markdown", "html"
_TYPES = {TEXT: "text/plain", MARKDOWN: "text/markdown", HTML: "text/html"}
#: Maximum characters of a report sent to a chat.
LONGEST = 4000
#: Shorter parts of a URL are not treated as secrets: they would match parts of other words.
_SHORTEST = 4
#: Separators of the parts of a URL.
_BETWEEN = re.compile(r"[:/@?&=#;,]+")
_NOT_READ = "apprise cannot read the URL of the service"


@dataclass(frozen=True)
class Delivery:
    """The outcome of a message. `reason`: why it was not sent."""

    number: int
    sent: bool
    reason: str = ""

    def text(self) -> str:
        """As a line for `read`."""
        return json.dumps([self.number, self.sent, self.reason])

    @classmethod
    def read(cls, line: str | bytes) -> Delivery:
        number, sent, reason = json.loads(line)
        return cls(int(number), bool(sent), str(reason))


def send(job: dict[str, Any]) -> Iterator[Delivery]:
    """Deliver messages in order.

    `job`: {url, heartbeat, messages: [{number, severity, title, body}]}; with `page`, `format` and `name`, a message is a
    report, and `body` its gist.
    """
    deliver = _heartbeat if job["heartbeat"] else _Service(job["url"])
    for message in job["messages"]:
        reason = deliver(job["url"], message)
        yield Delivery(message["number"], reason is None, without_secrets(reason or "", job["url"]))


def without_secrets(text: str, url: str) -> str:
    """A text without the parts of a URL, in any encoding, except its scheme and host."""
    scheme, _, rest = url.partition("://")
    user, _, place = re.split(r"[/?#]", rest)[0].rpartition("@")
    host, password = place.partition(":")[0], user.partition(":")[2]
    parts = {part for part in _BETWEEN.split(rest) if len(part) >= _SHORTEST and part.casefold() != host.casefold()}
    parts |= {password} - {""}  # however short
    plain = {form for part in parts for form in (part, unquote(part), unquote_plus(part))}
    secrets = {form for part in plain for form in (part, quote(part), quote_plus(part))}
    for secret in sorted((url, rest, *secrets), key=len, reverse=True):
        if secret not in ("", scheme, host):
            text = text.replace(secret, "***")
    return text


@dataclass(frozen=True)
class Takes:
    """What a service accepts: maximum characters (None: unlimited), files, Markdown."""

    most: int | None = None
    files: bool = False
    markdown: bool = False


@dataclass(frozen=True)
class Letter:
    """A message in the form that a service accepts. `attached`: name, content and type of a file."""

    body: str
    format: str = TEXT
    attached: tuple[str, str, str] | None = None


def shaped(message: dict[str, Any], title: str, takes: Takes) -> Letter:
    """A message in the form that a service accepts, cut to fit.

    A text or Markdown report is sent whole if it is short enough for a chat, else as its gist with the report as a file.
    """
    room = None if takes.most is None else max(1, takes.most - len(title))  # some services count the title
    if "page" not in message:
        return Letter(cut(message["body"], room))
    form, page = message["format"], message["page"]
    body_format = MARKDOWN if form == MARKDOWN and takes.markdown else TEXT
    if form != HTML and (room is None or len(page) <= min(room, LONGEST)):
        return Letter(page, body_format)
    attached = (message["name"], page, _TYPES[form]) if takes.files else None
    return Letter(cut(message["body"], None if room is None else min(room, LONGEST)), body_format, attached)


def cut(text: str, most: int | None) -> str:
    """The first lines of a text that fit into `most` characters, and the number of lines left out."""
    if most is None or len(text) <= most:
        return text
    lines = text.splitlines()
    for kept in range(len(lines) - 1, 0, -1):
        more = f"… {len(lines) - kept} more line(s)"
        shown = "\n".join([*lines[:kept], more])
        if len(shown) <= most:
            return shown
    return f"{text[: most - 2]} …"


def _takes(service: Any) -> Takes:
    """What apprise's plugin accepts. A mail has no limit."""
    from apprise.plugins.email import NotifyEmail

    formats = service.notify_format if isinstance(service.notify_format, tuple) else (service.notify_format,)
    most = None if isinstance(service, NotifyEmail) else service.body_maxlen
    return Takes(most, service.attachment_support, MARKDOWN in {str(one.value) for one in formats})


def _attached(file: tuple[str, str, str]) -> Any:
    from apprise import AppriseAttachment
    from apprise.attachment.memory import AttachMemory

    name, content, kind = file
    made, memory = AppriseAttachment(), cast("Any", AttachMemory)
    made.add(memory(content, name=name, mimetype=kind))
    return made


class _Service:
    """A service of apprise."""

    def __init__(self, url: str) -> None:
        import apprise

        self._kinds = {INFO: apprise.NotifyType.INFO, CRITICAL: apprise.NotifyType.FAILURE}
        self._otherwise = apprise.NotifyType.WARNING
        self._log = _Warnings()
        logger = logging.getLogger("apprise")
        logger.setLevel(logging.INFO)  # its DEBUG has the URLs
        logger.propagate = False
        logger.addHandler(self._log)
        self._service = apprise.Apprise.instantiate(url)
        if self._service is not None:
            self._service.socket_connect_timeout = self._service.socket_read_timeout = PATIENCE
            self._takes = _takes(self._service)

    def __call__(self, url: str, message: dict[str, Any]) -> str | None:
        """Deliver one message; None, or why it failed."""
        if self._service is None:
            return _NOT_READ
        self._log.lines.clear()
        kind = self._kinds.get(message["severity"], self._otherwise)
        title = " ".join(message["title"].split())  # in a mail it is a header
        letter = shaped(message, title, self._takes)
        attached = _attached(letter.attached) if letter.attached else None
        if self._service.notify(
            body=letter.body, title=title, notify_type=kind, body_format=letter.format, attach=attached
        ):
            return None
        return "; ".join(dict.fromkeys(self._log.lines)) or "apprise reported a failure without a reason"


class _Warnings(logging.Handler):
    """Keeps the warnings of a log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _heartbeat(url: str, message: dict[str, Any]) -> str | None:
    """Request a URL; None, or why that failed."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "aishell"})  # noqa: S310  http and https alone, at load
        with urllib.request.urlopen(request, timeout=PATIENCE):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        return f"the server answered {error.code}"
    except (OSError, ValueError) as error:
        return f"the URL could not be called: {getattr(error, 'reason', error)}"
