"""Delivery of the outbox: one process per service, killed when it takes too long.

Thus a server that hangs delays nothing for longer than PATIENCE, apprise stays out of the daemon, and its log, which may contain
the URL, is discarded.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aishell.databases.passwords import told
from aishell.errors import AishellError
from aishell.notifying.rules import Service
from aishell.notifying.sending import Delivery
from aishell.trust import configured_secret

#: Seconds that a service may take for its messages, and the maximum number of messages at a time.
PATIENCE, MOST = 30.0, 20
#: Processes at a time.
_TOGETHER = 4
_COMMAND = (sys.executable, "-P", "-m", "aishell", "notify", "deliver")


@dataclass(frozen=True)
class Parcel:
    """Messages for one URL, which `url` returns when it is needed. `heartbeat`: the URL is only requested."""

    service: str
    url: Callable[[], str]
    messages: Sequence[Mapping[str, str | int]] = field(default_factory=list)
    heartbeat: bool = False


def url_of(service: Service) -> str:
    """The URL of a service. Raises AishellError, which does not contain it."""
    what = f"the service {service.name!r}"
    url = configured_secret(what, variable=service.url_env, file=service.url_file, what="the file of its URL")
    if url is not None:
        return url.strip()
    return told(service.url_command, what=f"url_command of {what}", wanted="the URL").strip()


def deliver(parcels: Iterable[Parcel], patience: float = PATIENCE) -> Iterator[Delivery]:
    """Deliver parcels, several at a time; the outcome of each message that was tried."""
    waiting = list(parcels)
    while waiting:
        now, waiting = waiting[:_TOGETHER], waiting[_TOGETHER:]
        couriers = [_Courier(parcel, patience) for parcel in now]
        for courier in couriers:
            courier.start()
        for courier in couriers:
            courier.join()
            yield from courier.outcome


class _Courier(threading.Thread):
    """Delivers one parcel; `outcome` has the result of each message tried."""

    def __init__(self, parcel: Parcel, patience: float) -> None:
        super().__init__(name=f"aishell-notify-{parcel.service}", daemon=True)
        self.parcel, self.patience = parcel, patience
        self.outcome: list[Delivery] = []

    def run(self) -> None:
        numbers = [int(message["number"]) for message in self.parcel.messages]
        try:
            self.outcome = self._deliver(self.parcel.url(), numbers)
        except AishellError as error:
            self.outcome = [Delivery(number, False, error.message) for number in numbers]
        except OSError as error:
            reason = f"a process cannot be started: {error.strerror}"
            self.outcome = [Delivery(number, False, reason) for number in numbers]

    def _deliver(self, url: str, numbers: Sequence[int]) -> list[Delivery]:
        job = {"url": url, "heartbeat": self.parcel.heartbeat, "messages": list(self.parcel.messages)}
        with subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C interrupts only this process
        ) as process:
            try:
                out, _ = process.communicate(json.dumps(job).encode(), timeout=self.patience)
                ended = f"the process that delivers it ended with {process.returncode}"
            except subprocess.TimeoutExpired:
                process.kill()
                out, _ = process.communicate()
                ended = f"it took longer than {self.patience:g} s"
        tried = [Delivery.read(line) for line in out.splitlines(keepends=True) if line.endswith(b"\n")]
        left = [number for number in numbers if number not in {one.number for one in tried}]
        return tried + [Delivery(number, False, ended) for number in left[:1]]  # later ones were not tried
