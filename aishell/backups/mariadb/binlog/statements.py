"""Rewrites statements of a binary log or a dump for a restored copy. Pure.

A restored copy is usually on the server of its source, which a statement with the source's name would change. So a statement is
only sent if its form is known and every name in it has been rewritten; statements of other databases are left out, and one that
cannot be classified stops the restore.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from aishell.backups.mariadb.views import DEFINER, INVOKER, Rights
from aishell.databases.quoting import quote
from aishell.errors import BackupError

#: Bits of sql_mode that change where a literal ends. https://mariadb.com/kb/en/sql-mode/
ANSI_QUOTES, NO_BACKSLASH_ESCAPES = 1 << 2, 1 << 20

#: Statements that do not change the contents of a backup.
_ASIDE = frozenset(
    """GRANT REVOKE FLUSH ANALYZE OPTIMIZE CHECK REPAIR INSTALL UNINSTALL SET RESET PURGE KILL SHUTDOWN CHANGE START STOP
    CACHE BACKUP""".split()
)
_DDL = frozenset("CREATE ALTER DROP RENAME TRUNCATE".split())
_OBJECTS = frozenset(
    """TABLE TABLES VIEW INDEX TRIGGER PROCEDURE FUNCTION PACKAGE EVENT SEQUENCE DATABASE SCHEMA
    USER ROLE SERVER TABLESPACE LOGFILE INSTANCE RESOURCE""".split()
)
_UNKNOWN = "its effect is not known"
_OF_THE_SERVER = frozenset("USER ROLE SERVER TABLESPACE LOGFILE INSTANCE RESOURCE".split())


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a statement: `kind` word | name | string | mark; `value`: a name without its quotes."""

    kind: str
    value: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The token as a keyword; empty unless it is a bare word."""
        return self.value.upper() if self.kind == "word" else ""


@dataclass(frozen=True, slots=True)
class Name:
    """A name, with the database that qualifies it, in the tokens from `first` to before `after`."""

    database: str | None
    first: int
    after: int


@cache
def _pattern(sql_mode: int) -> re.Pattern[str]:
    rest = r"[^\\{0}]|{0}{0}|\\." if not sql_mode & NO_BACKSLASH_ESCAPES else "[^{0}]|{0}{0}"
    single, double = (f"{mark}(?:{rest.format(mark)})*{mark}" for mark in ("'", '"'))
    ticks = "`(?:[^`]|``)*`"
    string, name = (single, f"{ticks}|{double}") if sql_mode & ANSI_QUOTES else (f"{single}|{double}", ticks)
    # The text of an executable comment is read like any other.
    return re.compile(
        rf"(?P<skip>\s+|--(?=\s|\Z)[^\n]*|\#[^\n]*|/\*(?!M?!).*?\*/|/\*M?!\d*|\*/)"
        rf"|(?P<string>{string})|(?P<name>{name})|(?P<word>[\w$@\u0080-\U0010ffff]+)|(?P<mark>.)",
        re.DOTALL,
    )


def tokens(statement: str, sql_mode: int = 0) -> list[Token]:
    """The tokens of a statement, without blanks and comments."""
    found = []
    for match in _pattern(sql_mode).finditer(statement):
        kind = match.lastgroup
        if kind == "name":
            mark = match[0][0]
            found.append(Token("name", match[0][1:-1].replace(mark * 2, mark), match.start(), match.end()))
        elif kind is not None and kind != "skip":
            found.append(Token(kind, match[0], match.start(), match.end()))
    return found


@dataclass(frozen=True)
class Rewriter:
    """Rewrites names of a source database to the place where it is restored. `fold`: database names ignore case.

    `rights` records the views and functions that are created.
    """

    source: str
    place: str
    fold: bool = False
    rights: Rights = field(default_factory=Rights, compare=False)

    def is_source(self, name: str | None) -> bool:
        return name is not None and (name.casefold() == self.source.casefold() if self.fold else name == self.source)

    def statement(self, text: str, current: str | None, sql_mode: int = 0) -> str | None:
        """Rewrite `text`, run with the default database `current`; None if it concerns another database.

        Events become disabled, views SQL SECURITY INVOKER. Raises BackupError for a statement that cannot be applied to a copy.
        """
        return next(iter(self.statements(text, current, sql_mode)), None)

    def statements(self, text: str, current: str | None, sql_mode: int = 0) -> tuple[str, ...]:
        """The same, with the statement to send after it, by which functions become SQL SECURITY INVOKER too (see `views`)."""
        statement = _Statement(self, text, current, tokens(text, sql_mode))
        rewritten = statement.rewrite()
        return () if rewritten is None else tuple(filter(None, (rewritten, statement.following)))

    def dumped_function(self, text: str, sql_mode: int) -> str:
        """The statement to send after a routine of a dump, if it is a function."""
        found = tokens(text, sql_mode)
        at = next((n for n, token in enumerate(found) if token.word in ("FUNCTION", "PROCEDURE", "PACKAGE")), None)
        if at is None or found[at].word != "FUNCTION" or at + 1 == len(found):
            return ""
        return self.rights.function(found[at + 1].value, _security(found, DEFINER))


def _security(found: Sequence[Token], otherwise: str) -> str:
    """The SQL SECURITY of a routine."""
    words = [token.word for token in found]
    securities = (words[n + 2] for n in range(len(words) - 2) if words[n : n + 2] == ["SQL", "SECURITY"])
    return next((word for word in securities if word in (DEFINER, INVOKER)), otherwise)


class _Statement:
    def __init__(self, rewriter: Rewriter, text: str, current: str | None, found: Sequence[Token]) -> None:
        self.rewriter, self.text, self.tokens = rewriter, text, found
        self.ours = rewriter.is_source(current)
        self.at = self.kind = 0  # the present token, and that of the object's kind
        self.following = ""

    def rewrite(self) -> str | None:
        if self._word(0) == "SET" and self._word(1) == "STATEMENT":  # … FOR the statement itself
            self.at = self._after("FOR", 0, otherwise=0)
        verb = self._word(self.at)
        if verb in _DDL:
            return self._definition(verb)
        if verb in _ASIDE or not (self.ours or self._mentions()):
            return None
        # A server logs this for a MEMORY table after a restart.
        emptied = self._name(self.at + 2) if verb == "DELETE" and self._word(self.at + 1) == "FROM" else None
        if emptied is None or emptied.after != len(self.tokens):
            raise self._refused("it is a statement where rows are needed: set binlog_format = ROW")
        return self._rewritten() if self._own(emptied) else None

    def _definition(self, verb: str) -> str | None:
        kind = next((n for n in range(self.at + 1, len(self.tokens)) if self._word(n) in _OBJECTS), None)
        if verb == "TRUNCATE":
            kind = self.at + (self._word(self.at + 1) == "TABLE")
        if kind is None:
            raise self._refused(_UNKNOWN)
        thing = self._word(kind)
        temporary = "TEMPORARY" in map(self._word, range(self.at, kind))
        loaded = thing == "FUNCTION" and "SONAME" in map(self._word, range(kind, kind + 8))
        if thing in _OF_THE_SERVER or temporary or loaded:
            return None
        self.kind, self.at = kind, self._past(kind + 1)
        by_itself = thing in ("DATABASE", "SCHEMA", "INDEX")
        if verb == "RENAME" and not by_itself:
            return self._renaming()
        if verb == "DROP" and not by_itself and thing != "TRIGGER":
            return self._all(self._names((",",)))
        if thing == "INDEX":
            self.at = self._after("ON", self.at, otherwise=self.at)
        forms = {
            **dict.fromkeys(("DATABASE", "SCHEMA"), self._database),
            **dict.fromkeys(("PROCEDURE", "FUNCTION", "PACKAGE"), self._routine),
            **{"TRIGGER": self._trigger, "EVENT": self._event, "TABLE": self._table, "VIEW": self._view},
        }
        return forms[thing](verb) if thing in forms else self._first()

    def _renaming(self) -> str | None:
        names = self._names((",", "TO"))
        renamed = self._all(names)
        for old, new in zip(names[::2], names[1::2], strict=False):
            if renamed is not None:
                self.rewriter.rights.renamed(self._bare(old), self._bare(new))
        return renamed

    def _routine(self, verb: str) -> str | None:
        """Rewrites only the head: the body stays as it is."""
        name = self._name(self.at)
        rewritten = self._first(self.tokens[name.after].start if name and name.after < len(self.tokens) else None)
        security = _security(self.tokens, DEFINER if verb == "CREATE" else "")
        if self._word(self.kind) == "FUNCTION" and rewritten is not None and name is not None and security:
            self.following = self.rewriter.rights.function(self._bare(name), security)
        return rewritten

    def _view(self, verb: str) -> str | None:
        """SQL SECURITY is before the word VIEW, if it is given."""
        name = self._named()
        if not self._own(name):
            return None
        at = next((n + 1 for n in range(self.kind) if self._word(n) == "SQL" and self._word(n + 1) == "SECURITY"), None)
        security = self._word(at + 1) if at is not None else DEFINER
        self.rewriter.rights.view(self._bare(name), security)
        if at is None or security != DEFINER:
            return self._rewritten()
        word = self.tokens[at + 1]
        head = self._rewritten(word.start, until=word.start)
        return head + INVOKER + self._rewritten(begin=word.end)

    def _database(self, verb: str) -> str | None:
        name = self.tokens[self.at] if self.at < len(self.tokens) else None
        unnamed = name is None or name.word in ("CHARACTER", "CHARSET", "COLLATE", "DEFAULT", "COMMENT")
        if not (self.ours if unnamed else self.rewriter.is_source(name.value if name else None)):
            return None
        if verb != "ALTER":
            raise self._refused(f"the whole database was {'dropped' if verb == 'DROP' else 'created again'}")
        if unnamed or name is None:
            return self.text
        return self.text[: name.start] + quote(self.rewriter.place, "mysql") + self.text[name.end :]

    def _table(self, verb: str) -> str | None:
        target = self._name(self.at)
        if target is None or not self._own(target):
            if verb == "ALTER" and self._mentions():
                raise self._refused("it moves a table between databases")
            return None
        for at in range(target.after, len(self.tokens)):
            word, following = self._word(at), self._word(at + 1)
            if (word == "SELECT" and verb == "CREATE") or (word in ("DISCARD", "IMPORT") and following == "TABLESPACE"):
                raise self._refused("its source data is not in the binary log")
            other = self._second_table(verb, at)
            if other is not None and not self._own(other) and self.tokens[other.first].kind != "string":
                raise self._refused("it names a table of another database")
        return self._rewritten()

    def _second_table(self, verb: str, at: int) -> Name | None:
        """The other table named after the word at this token, if any."""
        word, following = self._word(at), self._word(at + 1)
        if verb == "CREATE" and word == "LIKE":
            return self._name(at + 1)
        if verb == "ALTER" and word == "RENAME" and following not in ("COLUMN", "INDEX", "KEY"):
            return self._name(at + 2 if following in ("TO", "AS") or self._value(at + 1) == "=" else at + 1)
        if verb == "ALTER" and word in ("WITH", "CONVERT", "TO") and following == "TABLE":
            # EXCHANGE PARTITION … WITH TABLE, CONVERT TABLE …, CONVERT PARTITION … TO TABLE
            return self._name(at + 2)
        return None

    def _trigger(self, verb: str) -> str | None:
        name = self._name(self.at)
        if verb == "DROP" or name is None:
            return self._first()
        table = self._name(self._after("ON", name.after, otherwise=len(self.tokens)))
        if table is None:
            raise self._refused(_UNKNOWN)
        return self._rewritten(self.tokens[table.after - 1].end) if self._own(name) or self._own(table) else None

    def _event(self, verb: str) -> str | None:
        """Rewrites only the head, and disables the event; the body stays as it is."""
        name = self._name(self.at)
        if name is None or not self._own(name):
            return None
        body = self._after("DO", name.after, otherwise=len(self.tokens) + 1) - 1
        words = {self._word(n): n for n in range(body - 1, name.after - 1, -1)}
        if "ENABLE" in words:
            state = self.tokens[words["ENABLE"]]
            cut, until = state.start, state.end
        elif verb == "CREATE" and "DISABLE" not in words:
            before = self.tokens[min(words.get("COMMENT", body), len(self.tokens) - 1)]
            cut = until = before.start
        else:
            return self._rewritten(self.tokens[body].start if body < len(self.tokens) else len(self.text))
        head, tail = self._rewritten(cut, until=cut), self.text[until:]
        return f"{head} DISABLE {tail}"

    def _first(self, until: int | None = None) -> str | None:
        """A statement about the object named first, with names rewritten up to `until`."""
        return self._rewritten(until) if self._own(self._named()) else None

    def _all(self, names: Sequence[Name]) -> str | None:
        own = [name for name in names if self._own(name)]
        if not own:
            return None
        if len(own) < len(names):
            raise self._refused("it affects several databases")
        return self._rewritten()

    def _names(self, between: Sequence[str]) -> list[Name]:
        """A list of names, separated by these words or marks."""
        names, at = [], self.at
        while (name := self._name(at)) is not None:
            names.append(name)
            at = name.after
            if at >= len(self.tokens) or self.tokens[at].value.upper() not in between:
                break
            at += 1
        if not names:
            raise self._refused(_UNKNOWN)
        return names

    def _named(self) -> Name:
        """The object of the statement. Raises BackupError if there is none."""
        name = self._name(self.at)
        if name is None:
            raise self._refused(_UNKNOWN)
        return name

    def _after(self, word: str, start: int, *, otherwise: int) -> int:
        """The token after the first such word."""
        return next((n + 1 for n in range(start, len(self.tokens)) if self._word(n) == word), otherwise)

    def _name(self, at: int) -> Name | None:
        if at >= len(self.tokens) or self.tokens[at].kind not in ("word", "name"):
            return None
        if self._value(at + 1) == "." and at + 2 < len(self.tokens) and self.tokens[at + 1].kind == "mark":
            return Name(self.tokens[at].value, at, at + 3)
        return Name(None, at, at + 1)

    def _bare(self, name: Name) -> str:
        return self.tokens[name.after - 1].value

    def _own(self, name: Name) -> bool:
        return self.ours if name.database is None else self.rewriter.is_source(name.database)

    def _past(self, at: int) -> int:
        """The token after `BODY`, `IF [NOT] EXISTS` and the like."""
        while self._word(at) in ("BODY", "IF", "NOT", "EXISTS") and self._value(at + 1) not in (".", "("):
            at += 1
        return at

    def _qualified(self) -> Iterator[Token]:
        """The tokens of the source's name where it qualifies another name."""
        for token, dot in zip(self.tokens, self.tokens[1:], strict=False):
            qualifies = dot.value == "." and dot.kind == "mark" and token.kind != "string"
            if qualifies and self.rewriter.is_source(token.value):
                yield token

    def _mentions(self) -> bool:
        return next(self._qualified(), None) is not None

    def _rewritten(self, zone: int | None = None, *, begin: int = 0, until: int | None = None) -> str:
        """The text from `begin` to `until`, with the source's name rewritten as far as `zone`."""
        place, written, position = quote(self.rewriter.place, "mysql"), list[str](), begin
        for token in self._qualified():
            if token.start >= begin and (zone is None or token.end <= zone):
                written += [self.text[position : token.start], place]
                position = token.end
        return "".join([*written, self.text[position:until]])

    def _word(self, at: int) -> str:
        return self.tokens[at].word if at < len(self.tokens) else ""

    def _value(self, at: int) -> str:
        return self.tokens[at].value if at < len(self.tokens) else ""

    def _refused(self, why: str) -> BackupError:
        shown = " ".join(self.text.split())
        shown = shown if len(shown) <= 120 else f"{shown[:117]}..."
        message = f"the binary log has a statement that cannot be applied to a copy ({why}): {shown}"
        return BackupError(message, hint="make a full backup after it")
