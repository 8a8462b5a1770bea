"""A test double of Ollama: a real HTTP server on this host that speaks its API, and misbehaves when told to. No model is in it.

It answers /api/chat and /api/generate (streaming lines of JSON, and whole), /api/tags, /api/show, /api/ps and /api/version, and
refuses requests as Ollama's `server/routes.go` does, with its words and status codes. What a "model" says is scripted:

    def test_it(ollama):                                   # the fixture of tests/fix_ollama.py
        ollama.says({"steps": []}, "plain text", HANG)     # one for each request to chat or generate, in turn
        ollama.always(lambda asked: {"echo": asked.user})  # when those are used up; without it, the least that fits the schema
        ollama.url                                         # for `host:` in configuration, or OLLAMA_HOST
        ollama.asked                                       # every request of chat and generate: .path .body .user .system …
        ollama.requests                                    # every request at all
        ollama.at["/api/show"] = refusal(500, "no")        # of the other paths

An answer is a text, a value (its JSON is the text), a Behaviour, or a function of the request (`Asked`) that returns one of
these. Behaviours, all of which end when the client leaves or the double closes:

    HANG            takes the request and says nothing             SLOW        a piece of text every 20 ms, without end
    TRICKLE         a byte every 20 ms, never a whole line         SLOW_HEAD   the same, of the HTTP header
    STALL           pieces of an answer, then nothing more         RESET       closes before a byte of answer
    DROPPED         pieces, then closes in the middle              CUT         pieces, ends properly, without `done`
    ERROR_MIDWAY    pieces, then a line with `error`               HTML        status 200 and a page of HTML
    GARBAGE         status 200 and bytes that are no JSON          NO_OBJECT   a line of JSON that is a list
    ODD_ERROR       a line whose `error` is no text                NO_MESSAGE  a line without a message
    HUGE            text without end                               HUGE_LINE   one line without end
    BLANK           white space without end                        TRUNCATED   half an answer, done_reason "length"
    WRONG_SCHEMA    JSON that fits no sensible schema              PROSE       the format is ignored: a sentence
    NOT_JSON        what looks like JSON and is not                DEEP        JSON nested 100,000 deep
    SURROGATE       half of a pair of UTF-16                       ZIPPED      a small body that unpacks to 50 MB
    EMPTY           an answer without text
    refusal(status, message)  an error as Ollama says it           page(status)     HTML with a status, as a proxy says it
    redirect(url)   to another place                               after(n, b)      n pieces of `b`'s text, then `b`

Nobody listens at all at `refused_url()`.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Seconds between what slow behaviours send. No test goes by them.
PAUSE = 0.02
#: Tokens per second that the double says it makes.
SPEED = 50
_NOW = "2026-10-01T12:00:00.000000Z"
#: Types of options that Ollama checks (api.Options); others are passed over with a warning in its log.
_WHOLE = {"num_ctx", "num_predict", "num_keep", "seed", "top_k", "repeat_last_n", "num_batch", "num_gpu", "num_thread"}
_NUMBERS = {"temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty"}


@dataclass(frozen=True)
class Model:
    """A model that the double says it has."""

    name: str = "small:1b"
    digest: str = "ab" * 32
    context_length: int = 32768
    capabilities: tuple[str, ...] = ("completion", "tools")


@dataclass(frozen=True)
class Asked:
    """A request: `body` as it came (None where it was no JSON)."""

    path: str
    body: Any
    headers: Mapping[str, str]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body.get("messages") or [])

    def _said(self, role: str) -> str:
        return "\n".join(str(one.get("content", "")) for one in self.messages if one.get("role") == role)

    @property
    def system(self) -> str:
        """All that the system messages say."""
        return self._said("system") or str(self.body.get("system") or "")

    @property
    def user(self) -> str:
        """The last message of a user, or the prompt."""
        said = [one.get("content", "") for one in self.messages if one.get("role") == "user"]
        return str(said[-1] if said else self.body.get("prompt") or "")

    @property
    def schema(self) -> Any:
        """The format that was asked for; None without one."""
        return self.body.get("format") or None

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.body.get("options") or {})

    @property
    def streams(self) -> bool:
        return self.body.get("stream") is not False


class Reply:
    """The way back to one client, for behaviours."""

    def __init__(self, handler: _Handler, asked: Asked) -> None:
        self._handler, self.asked, self.pieces = handler, asked, 0
        self._chunked = False

    def head(self, status: int = 200, kind: str = "application/x-ndjson", **headers: str) -> None:
        """Status and header of a body that comes in chunks."""
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.send_header("Transfer-Encoding", "chunked")
        self._handler.end_headers()
        self._chunked = True

    def whole(self, status: int, body: bytes, kind: str = "application/json; charset=utf-8", **headers: str) -> None:
        """All of it."""
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.send_header("Content-Length", str(len(body)))
        self._handler.end_headers()
        self._handler.wfile.write(body)

    def json(self, status: int, value: object) -> None:
        self.whole(status, json.dumps(value, ensure_ascii=False).encode())

    def raw(self, data: bytes) -> None:
        """Bytes of the body."""
        self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        self._handler.wfile.flush()

    def line(self, value: object) -> None:
        self.raw(json.dumps(value).encode() + b"\n")

    def piece(self, text: str) -> None:
        """A piece of the model's text."""
        self.pieces += 1
        self.line(self._part(text, done=False))

    def done(self, reason: str = "stop", tokens: int | None = None) -> None:
        """The last line."""
        self.line(self._last("", reason, self.pieces if tokens is None else tokens))
        self.end()

    def end(self) -> None:
        """The end of the chunks."""
        self._handler.wfile.write(b"0\r\n\r\n")

    def drop(self, *, hard: bool = False) -> None:
        """The connection is gone; `hard`: it is reset."""
        if hard:
            self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._handler.connection.close()
        self._handler.close_connection = True

    def wait(self, seconds: float | None = None) -> None:
        """Until so many seconds are over (None: for ever). Raises ConnectionAbortedError when the double closes."""
        if self._handler.server.closing.wait(seconds):
            raise ConnectionAbortedError("the double closes")

    def text(self, text: str, reason: str = "stop") -> None:
        """An answer as Ollama gives it."""
        if not self.asked.streams:
            self.json(200, self._last(text, reason, len(text) // 4 + 1))
            return
        self.head()
        for start in range(0, len(text), 12):
            self.piece(text[start : start + 12])
        self.done(reason)

    def _part(self, text: str, *, done: bool) -> dict[str, Any]:
        said = (
            {"message": {"role": "assistant", "content": text}}
            if self.asked.path == "/api/chat"
            else {"response": text}
        )
        return {"model": self.asked.body["model"], "created_at": _NOW, **said, "done": done}

    def _last(self, text: str, reason: str, tokens: int) -> dict[str, Any]:
        prompt = sum(len(str(one.get("content", ""))) for one in self.asked.messages) // 4 + 1
        counted = {
            "total_duration": tokens * 10**9 // SPEED + 2 * 10**9,
            "load_duration": 10**9,
            "prompt_eval_count": prompt,
            "prompt_eval_duration": 10**9,
            "eval_count": tokens,
            "eval_duration": tokens * 10**9 // SPEED,
        }
        return {**self._part(text, done=True), "done_reason": reason, **counted}


@dataclass(frozen=True)
class Behaviour:
    """What the double does instead of answering."""

    name: str
    act: Callable[[Reply], None] = field(repr=False)


Answer = object  # a text, a value, a Behaviour, or a function of Asked that returns one of these


def refusal(status: int, message: str) -> Behaviour:
    return Behaviour(f"refusal {status}", lambda reply: reply.json(status, {"error": message}))


def page(status: int) -> Behaviour:
    text = f"<html><head><title>{status}</title></head><body><h1>{status} Bad Gateway</h1></body></html>".encode()
    return Behaviour(f"page {status}", lambda reply: reply.whole(status, text, "text/html"))


def redirect(url: str, status: int = 307) -> Behaviour:
    return Behaviour(f"redirect {status}", lambda reply: reply.whole(status, b"", Location=url))


def after(pieces: int, then: Behaviour, text: str = '{"steps": [') -> Behaviour:
    """So many pieces of text, then a behaviour that sends no header of its own."""

    def act(reply: Reply) -> None:
        reply.head()
        for _ in range(pieces):
            reply.piece(text)
        then.act(reply)

    return Behaviour(f"{then.name} after {pieces}", act)


def _lines(name: str, *lines: object, end: bool = True) -> Behaviour:
    def act(reply: Reply) -> None:
        reply.head()
        for line in lines:
            reply.raw(line) if isinstance(line, bytes) else reply.line(line)
        if end:
            reply.end()

    return Behaviour(name, act)


def _endless(name: str, piece: str | None = None, raw: bytes = b"", first: bytes = b"", pause: float = 0) -> Behaviour:
    def act(reply: Reply) -> None:
        reply.head()
        if first:
            reply.raw(first)
        while True:
            if piece is not None:
                reply.piece(piece)
            else:
                reply.raw(raw)
            reply.wait(pause)

    return Behaviour(name, act)


def _stall(reply: Reply) -> None:
    reply.wait()


def _slow_head(reply: Reply) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Waiting: ":
        reply.raw(bytes([byte]))
    while True:
        reply.raw(b"x")
        reply.wait(PAUSE)


def _zipped(reply: Reply) -> None:
    line = b'{"message": {"role": "assistant", "content": "' + b"x" * 50_000_000 + b'"}, "done": false}\n'
    reply.whole(200, gzip.compress(line, 1), "application/x-ndjson", Content_Encoding="gzip")


def _truncated(reply: Reply) -> None:
    reply.text('{"steps": [{"tool": "vacuum_ta', "length")


#: What a runner that ends says.
ERROR_TEXT = "an error was encountered while running the model: CUDA error: out of memory"


def _error_midway(reply: Reply) -> None:
    reply.head()
    reply.piece('{"steps": [')
    reply.line({"error": ERROR_TEXT})
    reply.end()


HANG = Behaviour("HANG", _stall)
SLOW = _endless("SLOW", piece="so ", pause=PAUSE)
TRICKLE = _endless("TRICKLE", raw=b" ", first=b'{"message":', pause=PAUSE)
SLOW_HEAD = Behaviour("SLOW_HEAD", _slow_head)
STALL = after(2, Behaviour("STALL", _stall))
RESET = Behaviour("RESET", lambda reply: reply.drop(hard=True))
DROPPED = after(2, Behaviour("DROPPED", lambda reply: reply.drop()))
CUT = after(2, Behaviour("CUT", lambda reply: reply.end()))
ERROR_MIDWAY = Behaviour("ERROR_MIDWAY", _error_midway)
HTML = page(200)
GARBAGE = _lines("GARBAGE", b"\x00\xff\xfe not a line of JSON\n\x80\n")
NO_OBJECT = _lines("NO_OBJECT", [1, 2, 3])
ODD_ERROR = _lines("ODD_ERROR", {"error": {"code": 7}})
NO_MESSAGE = _lines("NO_MESSAGE", {"model": "small:1b", "done": False})
HUGE = _endless("HUGE", piece="x" * 4000)
HUGE_LINE = _endless("HUGE_LINE", raw=b"x" * 65536, first=b'{"message": {"role": "assistant", "content": "')
BLANK = _endless("BLANK", piece="\n  \t ")
TRUNCATED = Behaviour("TRUNCATED", _truncated)
WRONG_SCHEMA = Behaviour("WRONG_SCHEMA", lambda reply: reply.text('{"surprise": [null, {"deep": true}]}'))
PROSE = Behaviour("PROSE", lambda reply: reply.text("Sure! Here is the plan that you asked for: first, vacuum."))
NOT_JSON = Behaviour("NOT_JSON", lambda reply: reply.text('{"steps": [}, NaN'))
DEEP = Behaviour("DEEP", lambda reply: reply.text("[" * 100_000))
SURROGATE = Behaviour("SURROGATE", lambda reply: reply.text('{"name": "\ud800"}'))
ZIPPED = Behaviour("ZIPPED", _zipped)
EMPTY = Behaviour("EMPTY", lambda reply: reply.text(""))


def least(schema: Any) -> Any:
    """The least value that fits a JSON Schema of the usual kinds; references are resolved within it."""
    return _least(schema, schema)


def _least(schema: Any, top: Any) -> Any:
    if "$ref" in schema:
        found = top
        for key in schema["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        return _least(found, top)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _least(schema[several][0], top)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: _least(schema["properties"][name], top) for name in schema.get("required", ())}
    if kind == "array":
        return [_least(schema["items"], top) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return "x" * schema.get("minLength", 0)
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return False if kind == "boolean" else None


class OllamaDouble(ThreadingHTTPServer):
    """See the module."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *models: Model, version: str = "0.12.6") -> None:
        self.models, self.version = list(models or (Model(),)), version
        self.requests: list[Asked] = []
        self.at: dict[str, Answer] = {}
        self.left = 0  # answers that their client did not wait for
        self.closing, self.gone = threading.Event(), threading.Event()  # `gone`: somebody has left
        self._script: list[Answer] = []
        self._always: Answer | None = None
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def asked(self) -> list[Asked]:
        """What a model was asked."""
        return [one for one in self.requests if one.path in ("/api/chat", "/api/generate")]

    def says(self, *answers: Answer) -> None:
        """Answers of the next requests."""
        self._script.extend(answers)

    def always(self, answer: Answer) -> None:
        """The answer when those of `says` are used up."""
        self._always = answer

    def forget(self) -> None:
        """The script, and what was asked."""
        self._script.clear()
        self.requests.clear()
        self._always = None

    def find(self, name: object) -> Model | None:
        """A model by its name, with or without its tag."""
        wanted = str(name).casefold()
        wanted = wanted if ":" in wanted else f"{wanted}:latest"
        return next((one for one in self.models if one.name.casefold() == wanted), None)

    def next_answer(self, asked: Asked) -> Answer:
        with self._lock:
            answer = self._script.pop(0) if self._script else self._always
        while callable(answer):
            answer = answer(asked)
        if answer is None:
            schema = asked.schema
            return least(schema) if isinstance(schema, dict) else "This is a test double of Ollama."
        return answer

    def note(self, asked: Asked) -> None:
        with self._lock:
            self.requests.append(asked)

    def missed(self) -> None:
        with self._lock:
            self.left += 1
        self.gone.set()


class _Handler(BaseHTTPRequestHandler):
    server: OllamaDouble
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answered(None)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        self._answered(body, empty=not data)

    def _answered(self, body: Any, *, empty: bool = False) -> None:
        asked = Asked(self.path, body, {name.lower(): value for name, value in self.headers.items()})
        self.server.note(asked)
        reply = Reply(self, asked)
        try:
            self._answer(reply, asked, empty=empty)
        except OSError:  # the client is gone, or the double closes
            self.server.missed()
            self.close_connection = True

    def _answer(self, reply: Reply, asked: Asked, *, empty: bool) -> None:
        if asked.path in self.server.at:
            _give(reply, self.server.at[asked.path])
            return
        ways = {"GET": _READ, "POST": _ASK}[self.command]
        if asked.path not in ways:
            reply.whole(404, b"404 page not found", "text/plain")
        elif self.command == "GET":
            reply.json(200, ways[asked.path](self.server))
        elif (wrong := _refused(self.server, asked, empty=empty)) is not None:
            reply.json(wrong[0], {"error": wrong[1]})
        elif asked.path == "/api/show":
            reply.json(200, _shown(self.server.find(asked.body.get("model") or asked.body.get("name"))))
        elif asked.path == "/api/chat" and not asked.messages:
            reply.json(200, reply._last("", "load", 0))
        else:
            _give(reply, self.server.next_answer(asked))

    def log_message(self, *told: Any) -> None:
        """The tests look at what it got."""


def _give(reply: Reply, answer: Answer) -> None:
    if isinstance(answer, Behaviour):
        answer.act(reply)
    elif isinstance(answer, str):
        reply.text(answer)
    else:
        reply.text(json.dumps(answer))


_GO = {dict: "object", list: "array", str: "string", int: "number", float: "number", bool: "bool"}


def _refused(double: OllamaDouble, asked: Asked, *, empty: bool) -> tuple[int, str] | None:
    """Status and words of a request that Ollama does not take."""
    if empty:
        return 400, "missing request body"
    if not isinstance(asked.body, dict):
        return 400, "invalid character 'x' looking for beginning of value"
    kind = {"/api/chat": "ChatRequest", "/api/generate": "GenerateRequest", "/api/show": "ShowRequest"}[asked.path]
    for key, type_, go in _FIELDS:
        value = asked.body.get(key)
        if value is not None and not isinstance(value, type_):
            return 400, f"json: cannot unmarshal {_GO[type(value)]} into Go struct field {kind}.{key} of type {go}"
    for one in asked.messages:
        if not isinstance(one, dict) or not isinstance(one.get("content", ""), str):
            return 400, f"json: cannot unmarshal into Go struct field {kind}.messages of type api.Message"
        if one.get("role") not in ("system", "user", "assistant", "tool"):
            return 400, f"invalid role: {one.get('role')}; must be one of [system user assistant tool]"
    model = asked.body.get("model") or (asked.body.get("name") if asked.path == "/api/show" else "")
    if not model:
        return 400, "model is required"
    found = double.find(model)
    if found is None:
        return 404, f"model '{model}' not found"
    if asked.path == "/api/show":
        return None
    if asked.body.get("think") and "thinking" not in found.capabilities:
        return 400, f'"{model}" does not support thinking'
    for name, value in asked.options.items():
        if name in _WHOLE and (isinstance(value, bool) or not isinstance(value, (int, float))):
            return 500, f'option "{name}" must be of type integer'
        if name in _NUMBERS and (isinstance(value, bool) or not isinstance(value, (int, float))):
            return 500, f'option "{name}" must be of type float32'
    form = asked.body.get("format")
    if form not in (None, "", "json"):
        if not isinstance(form, dict):
            return 500, f'invalid format: {json.dumps(json.dumps(form))}; expected "json" or a valid JSON Schema object'
        if not _is_schema(form):
            return 500, "invalid JSON schema in format"
    return None


_FIELDS: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
    ("model", str, "string"),
    ("messages", list, "[]api.Message"),
    ("prompt", str, "string"),
    ("system", str, "string"),
    ("stream", bool, "bool"),
    ("options", dict, "map[string]interface {}"),
)
#: Keywords by one of which llama.cpp's converter knows what to make of a schema; one with none of them is refused.
_SHAPES = {"type", "properties", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "items", "prefixItems", "pattern"}
_TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}


def _is_schema(schema: Any) -> bool:
    if not isinstance(schema, dict) or not set(schema) & _SHAPES:
        return False
    kinds = schema.get("type", [])
    if not set([kinds] if isinstance(kinds, str) else kinds) <= _TYPES:
        return False
    below = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    below += [schema["items"]] if isinstance(schema.get("items"), dict) else []
    return all(_is_schema(one) or one == {} for one in below)


def _details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "1.2B",
        "quantization_level": "Q4_K_M",
    }


def _tags(double: OllamaDouble) -> dict[str, Any]:
    return {
        "models": [
            {
                "name": one.name,
                "model": one.name,
                "modified_at": _NOW,
                "size": 1_321_098_329,
                "digest": one.digest,
                "details": _details(),
            }
            for one in double.models
        ]
    }


def _ps(double: OllamaDouble) -> dict[str, Any]:
    listed = _tags(double)["models"]
    for one in listed:
        one |= {"expires_at": _NOW, "size_vram": 0, "context_length": 8192}
    return {"models": listed}


def _shown(model: Model | None) -> dict[str, Any]:
    assert model is not None
    return {
        "license": "",
        "modelfile": f"FROM {model.name}",
        "parameters": 'stop "<|eot_id|>"',
        "template": "{{ .Prompt }}",
        "details": _details(),
        "model_info": {"general.architecture": "llama", "llama.context_length": model.context_length},
        "capabilities": list(model.capabilities),
        "modified_at": _NOW,
    }


_READ: dict[str, Any] = {
    "/api/tags": _tags,
    "/api/ps": _ps,
    "/api/version": lambda double: {"version": double.version},
}
_ASK: dict[str, Any] = {"/api/chat": None, "/api/generate": None, "/api/show": None}


@contextmanager
def ollama_double(*models: Model, version: str = "0.12.6") -> Iterator[OllamaDouble]:
    """A double that serves until it is left."""
    with OllamaDouble(*models, version=version) as double:
        thread = threading.Thread(target=double.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield double
        finally:
            double.closing.set()
            double.shutdown()
            thread.join()


def refused_url() -> str:
    """An address of this host where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"
