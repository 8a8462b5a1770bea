"""The daemon's HTTP application: `/health`, `/ready` and `/metrics` for monitoring; for people of this host the pending
approvals, runs, schedules and the emergency stop.

Routes for people need a peer whose identity the kernel reports: they exist on the unix socket and are 404 elsewhere.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aishell.errors import AishellError, DeniedError, StateError, UnknownNameError, UsageError
from aishell.scheduling.daemon import TICK, Daemon
from aishell.scheduling.outlook import listed
from aishell.serving import answers, control
from aishell.serving.answers import Person
from aishell.state.probes import beat
from aishell.telemetry.tracebacks import unexpected

#: The largest request body.
MOST_BYTES = 65_536
#: How many runs are listed, the newest.
RUNS = 50
_STATUS: tuple[tuple[type[AishellError], int], ...] = (
    (UnknownNameError, 404),
    (DeniedError, 403),
    (StateError, 409),
    (UsageError, 400),
)


def application(daemon: Daemon, token: Callable[[], str | None]) -> Starlette:
    """Return the application. `token`: returns the token that clients outside the socket must send."""

    def health(request: Request) -> Response:
        """200 as long as the daemon's main loop runs."""
        return JSONResponse({"status": "alive" if daemon.turning else "stuck"}, 200 if daemon.turning else 503)

    def ready(request: Request) -> Response:
        """200 if the daemon can take work: state.db accepts a commit, schedules are checked, and a run may start."""
        found = readiness(daemon)
        return JSONResponse(found, 200 if found["ready"] else 503)

    def metrics(request: Request) -> Response:
        """The metrics in Prometheus' text format."""
        from aishell import metrics as known  # brings its library with it

        valid = daemon.configuration.refused is None
        try:
            text = known.exposition(daemon.site, configuration_valid=valid, tick=daemon.ticked)
        except StateError as error:
            return JSONResponse({"error": {"message": error.message}}, 503)
        return Response(text, media_type=known.CONTENT_TYPE)

    def approve(request: Request, person: Person, said: dict[str, Any]) -> Any:
        target = said.get("confirm_target")
        return answers.approve(daemon.site, request.path_params["id"], person, **_answer(said), target=target)

    def reject(request: Request, person: Person, said: dict[str, Any]) -> Any:
        return answers.reject(daemon.site, request.path_params["id"], person, **_answer(said))

    def edit(request: Request, person: Person, said: dict[str, Any]) -> Any:
        params = said.get("params")
        if not isinstance(params, dict):
            raise UsageError("an edit needs `params`")
        return answers.edit(daemon.site, request.path_params["id"], params, person, **_answer(said))

    def hold(request: Request, person: Person, said: dict[str, Any]) -> Any:
        person.require_known()
        placed, new = control.place(daemon.site, person.text, str(said.get("reason") or ""), said.get("target"))
        return {**control.document(placed), "new": new}

    def release(request: Request, person: Person, said: dict[str, Any]) -> Any:
        person.require_known()
        return control.document(control.release(daemon.site, person.text, said.get("target")))

    return Starlette(
        routes=[
            Route("/health", _guarded(health, token)),
            Route("/ready", _guarded(ready, token)),
            Route("/metrics", _guarded(metrics, token)),
            Route("/approvals", _for_people(lambda _: answers.waiting(daemon.site))),
            Route(
                "/approvals/{id}", _for_people(lambda request: answers.asked(daemon.site, request.path_params["id"]))
            ),
            Route(
                "/approvals/{id}/approve", _with_body(approve, "reason", "digest", "confirm_target"), methods=["POST"]
            ),
            Route("/approvals/{id}/edit", _with_body(edit, "reason", "digest", "params"), methods=["POST"]),
            Route("/approvals/{id}/reject", _with_body(reject, "reason", "digest"), methods=["POST"]),
            Route("/runs", _for_people(lambda _: control.runs(daemon.site, limit=RUNS))),
            Route("/schedules", _for_people(lambda _: listed(daemon.site, daemon.clock()))),
            Route("/hold", _for_people(lambda _: control.held(daemon.site)), methods=["GET"]),
            Route("/hold", _with_body(hold, "reason", "target"), methods=["POST"]),
            Route("/hold/release", _with_body(release, "target"), methods=["POST"]),
        ]
    )


def _guarded(route: Callable[[Request], Response], token: Callable[[], str | None]) -> Callable[[Request], Response]:
    """Wrap a route: clients outside the socket must send the token."""

    def checked(request: Request) -> Response:
        try:
            wanted = None if _person(request) else token()
        except AishellError as error:  # its file is gone: deny access
            return JSONResponse({"error": {"message": error.message}}, 503)
        given = request.headers.get("authorization", "")
        if wanted is not None and not hmac.compare_digest(given.encode(), f"Bearer {wanted}".encode()):
            return JSONResponse({"error": {"message": "the token is missing or wrong"}}, 401)
        return route(request)

    return checked


def readiness(daemon: Daemon) -> dict[str, Any]:
    """Return the document of `/ready`. Raises nothing."""
    now = daemon.clock()
    late = daemon.ticked is None or not timedelta(0) <= now - daemon.ticked <= 3 * TICK
    running = len({*daemon.starter.running, *daemon.starter.others})
    problems = ["the daemon is shutting down"] if daemon.ending else []
    problems += ["the daemon has not checked which schedules are due"] if late else []
    problems += ["max_concurrent runs are in progress"] if running >= daemon.site.schedules.max_concurrent else []
    try:
        beat(daemon.site.state_path)
    except StateError as error:
        problems.append(error.message)
    refused = daemon.configuration.refused
    return {
        "ready": not problems,
        "problems": problems,
        "running": running,
        "max_concurrent": daemon.site.schedules.max_concurrent,
        "configuration": "valid" if refused is None else refused.message,
    }


def _person(request: Request) -> Person | None:
    """Return the peer that the kernel reports, None outside the socket."""
    uid = getattr(request.state, "peer", None)
    return None if uid is None else Person(uid, "socket")


def _answered(work: Callable[[], Any]) -> Response:
    try:
        return JSONResponse(work())
    except Exception as error:
        known = error if isinstance(error, AishellError) else unexpected(error)
        status = next((status for kind, status in _STATUS if isinstance(known, kind)), 500)
        told = {
            "type": type(known).__name__,
            "message": known.message,
            "hint": known.hint,
            "exit_code": known.exit_code,
        }
        return JSONResponse({"error": told}, status)


def _for_people(work: Callable[[Request], Any]) -> Callable[[Request], Response]:
    """Wrap a route that exists only on the socket."""

    def checked(request: Request) -> Response:
        return Response("Not Found", 404) if _person(request) is None else _answered(lambda: work(request))

    return checked


def _with_body(route: Callable[[Request, Person, dict[str, Any]], Any], *keys: str) -> Callable[[Request], Any]:
    """Wrap a route that takes a JSON object with these keys and no others."""

    async def read(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        person = _person(request)
        if person is None:
            return Response("Not Found", 404)
        body = b""
        try:
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    return JSONResponse({"error": {"message": "the request is too long"}}, 413)
        except ClientDisconnect:  # the client left before its request was complete: there is no one to answer
            return Response(status_code=400)
        return await run_in_threadpool(_answered, lambda: route(request, person, _said(body, keys)))

    return read


def _answer(said: dict[str, Any]) -> dict[str, Any]:
    """Return the reason, and the digest of what the person was shown."""
    return {"reason": said.get("reason") or "", "digest": said.get("digest")}


def _said(body: bytes, keys: Collection[str]) -> dict[str, Any]:
    """Return the JSON object of a body; values are texts, `params` may be a mapping. Raises UsageError."""
    try:
        said: Any = json.loads(body or b"{}")
    except ValueError as error:
        raise UsageError(f"invalid JSON: {error}") from error
    told: dict[str, Any] = said if isinstance(said, dict) else {"": said}
    if not all(key == "params" or value is None or isinstance(value, str) for key, value in told.items()) or "" in told:
        raise UsageError("the JSON must be an object of strings")
    for key in told:
        if key not in keys:
            near = UnknownNameError("key", key, keys)
            raise UsageError(near.message, hint=near.hint)
    return told
