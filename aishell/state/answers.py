"""A cache of language models' answers."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from aishell.state.store import Store

#: Neither expired nor, if the clock was set back, from the future.
_FIND = "SELECT * FROM model_answers WHERE key = :key AND made_at > :oldest AND made_at <= :now"
_REMOVE_OLD = "DELETE FROM model_answers WHERE made_at <= :oldest OR made_at > :now"
#: A model that was pulled again may give other answers.
_REMOVE_OTHERS = """DELETE FROM model_answers WHERE provider = :provider AND model = :model
    AND model_digest <> :digest AND model_digest <> '' AND :digest <> ''"""
_REMOVE_UNUSED = """DELETE FROM model_answers WHERE key NOT IN
    (SELECT key FROM model_answers ORDER BY used_at DESC, key LIMIT :entries)"""


@dataclass(frozen=True)
class KeptAnswer:
    """A cached answer. `seconds`: the time that the model took."""

    provider: str
    model: str
    model_digest: str
    prompt_digest: str
    answer_digest: str
    text: str
    prompt_tokens: int
    answer_tokens: int
    seconds: float


class Answers:
    """The cached answers in a store: at most `entries`, oldest use removed first, valid for `ttl` seconds."""

    def __init__(self, store: Store, *, ttl: float, entries: int) -> None:
        self._store, self._ttl, self._entries = store, timedelta(seconds=ttl), entries

    def find(self, key: str) -> KeptAnswer | None:
        """Return the answer for a key, None if there is no valid one."""
        now = datetime.now(UTC)
        row = self._store.first(_FIND, {"key": key, "now": _stamp(now), "oldest": _stamp(now - self._ttl)})
        if row is None:
            return None
        found = KeptAnswer(**{name: getattr(row, name) for name in KeptAnswer.__dataclass_fields__})
        if hashlib.sha256(found.text.encode()).hexdigest() != found.answer_digest:
            return None  # changed in the store; the next answer replaces it
        with self._store.write() as connection:
            connection.update("model_answers", "key = :key", {"key": key}, {"used_at": _stamp(now)})
        return found

    def keep(self, key: str, answer: KeptAnswer) -> None:
        """Store an answer. Remove expired answers, those of an earlier version of the model, and excess ones."""
        now = datetime.now(UTC)
        stamps = {"now": _stamp(now), "oldest": _stamp(now - self._ttl)}
        row = {"key": key, **asdict(answer), "made_at": stamps["now"], "used_at": stamps["now"]}
        again = ", ".join(f"{name} = excluded.{name}" for name in row if name != "key")
        with self._store.write() as connection:
            connection.execute(_REMOVE_OLD, stamps)
            model = {"provider": answer.provider, "model": answer.model, "digest": answer.model_digest}
            connection.execute(_REMOVE_OTHERS, model)
            connection.insert("model_answers", row, known=f"ON CONFLICT (key) DO UPDATE SET {again}")
            connection.execute(_REMOVE_UNUSED, {"entries": self._entries})


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
