"""The wall at load: a reading block is parsed in its engine's dialect and must be one statement that only reads.

Imported only for a tool that has not been checked yet (`registry/wall.py`), since importing the parser takes 0.1 s.
It is not the server's own parser, so little depends on its tree alone. Text that it skips as a comment is refused, since the
server may interpret it (MySQL runs the contents of `/*! */`); literals must be literals by the engine's profile, too; and calls
are found among the tokens, not in the tree.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.mysql import MySQL
from sqlglot.dialects.postgres import Postgres
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.parsers.mysql import MySQLParser
from sqlglot.tokenizer_core import Token, TokenType

from aishell.databases.sqlite_guard import ASKED, TOLD
from aishell.engines import profile
from aishell.registry.functions import COLUMNS, FUNCTIONS, SYS, TYPES, WORDS

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of unknown syntax, which is refused here


class NotReadingError(ValueError):
    """The reason why a text is not a single statement that only reads."""


class _Parser(MySQLParser):
    def _parse_json_column_def(self) -> exp.JSONColumnDef:
        column = super()._parse_json_column_def()
        if self._match(TokenType.CHARACTER_SET) or self._match_text_seq("CHARACTER", "SET"):
            self._parse_var_or_string()
            column.set("path", self._match_text_seq("PATH") and self._parse_string())
        return column


class _MySQL(MySQL):
    """The dialect of MySQL and MariaDB, with CHARACTER SET in the columns of JSON_TABLE."""

    Parser = _Parser


_DIALECTS: dict[str, Dialect] = {"postgresql": Postgres(), "mysql": _MySQL(), "sqlite": SQLite()}
ENGINES = tuple(_DIALECTS)
#: The nodes of a statement that only reads. Locks, INTO, settings and all else are not among them.
_PARTS = (
    exp.Query, exp.Condition, exp.Alias, exp.CTE, exp.With, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Order,
    exp.Ordered, exp.Limit, exp.Offset, exp.Fetch, exp.Distinct, exp.Table, exp.TableAlias, exp.Tuple, exp.Values, exp.Lateral,
    exp.Unnest, exp.DataType, exp.DataTypeParam, exp.Interval, exp.Star, exp.Var, exp.Window, exp.WindowSpec, exp.Filter,
    exp.WithinGroup, exp.Escape, exp.Collate, exp.Identifier, exp.ColumnDef, exp.Partition, exp.JSONTable, exp.JSONSchema,
    exp.JSONColumnDef, exp.JSONKeyValue, exp.JSONPath, exp.JSONPathPart, exp.Kwarg, exp.GroupingSets, exp.Cube, exp.Rollup,
    exp.If, exp.Case, exp.ObjectIdentifier, exp.Func, exp.Predicate, exp.Any, exp.IntervalSpan, exp.CharacterSet,
    exp.PseudoType, exp.IndexTableHint, exp.AtTimeZone,
)  # fmt: skip
#: `@x := 1`, and the next value of a sequence.
_ASSIGNS = (exp.PropertyEQ, exp.NextValueFor)
_BEGINS = (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN)
_NOT_ONE = "not a single SELECT"
#: A backslash before a quote: whether it escapes the quote depends on the server's sql_mode.
_ESCAPED_QUOTE = re.compile(r"(?<!\\)(?:\\\\)*\\['\"]")
#: White space on every server; other Unicode spaces are letters on some.
_BLANK = " \t\r\n\f"
#: A bit string, a byte string, or one of national characters.
_PREFIXED = re.compile(r"[bxn]'[^'\\]*'\Z", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d]|[\\\"`]")
_NO_WORDS = {TokenType.STRING, TokenType.NUMBER, TokenType.BYTE_STRING, TokenType.HEX_STRING, TokenType.NATIONAL_STRING}
_PRAGMA = re.compile(r"PRAGMA\s+(?:[\w\"]+\s*\.\s*)?(\w+)\s*(\([\w\s'\"]*\))?", re.IGNORECASE)
_PRAGMA_TABLE = re.compile(r"pragma_(\w+)", re.IGNORECASE)
#: Schemas whose functions are the server's own, and which of them only read.
_OWN_SCHEMAS = {
    ("postgresql", "pg_catalog"): FUNCTIONS["postgresql"],
    ("postgresql", "information_schema"): FUNCTIONS["postgresql"],
    ("mysql", "sys"): SYS,
}


def unlisted(sql: str, engine: str, *, kept: bool = False) -> list[str]:
    """Return the calls of functions, and casts to types, in a reading statement that are not on the lists of its engine.

    `kept`: whether the text is a view's, as the server stores it.

    Raises NotReadingError unless the text can be parsed and is a single statement that only reads.
    """
    if profile(engine).has_pragmas and (pragma := _PRAGMA.fullmatch(sql.strip())):
        if pragma[1].lower() in ASKED or (pragma[1].lower() in TOLD and not pragma[2]):
            return []
        raise NotReadingError(f"PRAGMA {pragma[1]} is not on the list of those that only read")
    tokens, tree = _parsed(sql, engine, kept)
    for node in tree.walk():
        if not isinstance(node, _PARTS) or isinstance(node, _ASSIGNS):
            text = node.sql(_DIALECTS[engine])[:60]
            raise NotReadingError(f"{_NOT_ONE}: {text!r} does more than read, or is unknown")
    return _calls(tokens, tree, engine)


def _parsed(sql: str, engine: str, kept: bool) -> tuple[Sequence[Token], exp.Query]:
    """Return the tokens and the tree of a single SELECT. Raises NotReadingError."""
    dialect = _DIALECTS[engine]
    try:
        tokens = dialect.tokenize(sql)
        if not tokens or tokens[0].token_type not in _BEGINS:
            raise NotReadingError(_NOT_ONE)
        _check_tokens(tokens, sql, engine, kept)
        trees = dialect.parser().parse(tokens, sql)
    except ParseError as error:
        details = error.errors[0] if error.errors else {}
        near = f" at {details['highlight']!r}" if details.get("highlight") else ""
        raise NotReadingError(f"cannot be parsed: {details.get('description', error)}{near}") from error
    except (SqlglotError, RecursionError) as error:
        raise NotReadingError(f"cannot be parsed: {error}") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise NotReadingError(_NOT_ONE)
    return tokens, trees[0]


def called(sql: str, engine: str) -> set[str]:
    """Return the unqualified words before a parenthesis, in lower case: calls, and keywords."""
    words = _named(_DIALECTS[engine].tokenize(sql))
    return {token.text.lower() for before, token, after in words if before is None and after is TokenType.L_PAREN}


def tables(sql: str, engine: str) -> list[tuple[str | None, str]]:
    """Return (schema or None, name) of each source in a statement that has passed `unlisted`; CTEs are included."""
    trees = _DIALECTS[engine].parse(sql)
    found = (table for tree in trees if tree is not None for table in tree.find_all(exp.Table))
    return [(_folded(table.args.get("db"), engine), name) for table in found if (name := _folded(table.this, engine))]


def _folded(name: exp.Expr | None, engine: str) -> str | None:
    """Return an identifier as the server stores it; None if there is none, and for a function call."""
    if not isinstance(name, exp.Identifier) or not name.name:
        return None
    return name.name.lower() if profile(engine).folds_names and not name.quoted else name.name


def _check_tokens(tokens: Sequence[Token], sql: str, engine: str, kept: bool) -> None:
    """Raise NotReadingError for text between the tokens, for a literal that may end elsewhere, for hints and for INTO."""
    position = 0
    for token in tokens:
        if sql[position : token.start].strip(_BLANK):
            raise NotReadingError(_passed_over(sql[position : token.start]))
        raw, position = sql[token.start : token.end + 1], token.end + 1
        if raw[-1] in "'\"`$" and not re.fullmatch(profile(engine).string, raw, re.DOTALL) and not _PREFIXED.match(raw):
            raise NotReadingError(f"the server may end the literal {raw[:40]!r} elsewhere")
        # A view's text is stored with backslash escapes, and read so in any sql_mode (sql/sql_view.cc, mysql_make_view).
        if profile(engine).escapes_quotes and not kept and raw[0] in "'\"" and _ESCAPED_QUOTE.search(raw):
            raise NotReadingError(f"where {raw[:40]!r} ends depends on the server's sql_mode: double the quote")
        if token.token_type is TokenType.HINT or raw.upper() == "INTO":
            raise NotReadingError(f"{raw} is not allowed in a statement that only reads")
    if sql[position:].strip(_BLANK):
        raise NotReadingError(_passed_over(sql[position:]))


def _passed_over(text: str) -> str:
    kind = "an executable comment" if re.match(r"\s*/\*M?!", text) else "a comment on some servers only"
    return f"{text.strip()[:40]!r} is {kind}"


def _calls(tokens: Sequence[Token], tree: exp.Expr, engine: str) -> list[str]:
    """Return unlisted names before a parenthesis, or after a dot if the engine calls functions by attribute, and casts."""
    with_columns = Counter(alias.name.lower() for alias in tree.find_all(exp.TableAlias) if alias.args.get("columns"))
    found = [name for word in _named(tokens) for name in _call(*word, with_columns, engine)]
    casts = list[str]()
    if profile(engine).calls_by_attribute:
        found += _attributes(tokens, tree)
        casts = [f"CAST(… AS {name})" for name in _types(tree)]
    return list(dict.fromkeys([*(f"{name}()" for name in found), *casts]))


def _call(
    before: Token | None, token: Token, after: TokenType | None, with_columns: Counter[str], engine: str
) -> Iterator[str]:
    """Yield the name of a token if it is a call that is not on the list."""
    dialect = profile(engine)
    followed = after is TokenType.L_PAREN
    if dialect.has_pragmas and (pragma := _PRAGMA_TABLE.fullmatch(token.text)):
        if pragma[1].lower() not in (ASKED if followed else TOLD | ASKED):
            yield token.text
        return
    if dialect.takes_nextval and before is not None and token.text.lower() == "nextval":
        yield token.text
    if not followed or _is_listed(before, token, engine):
        return
    if before is not None:
        yield f"{before.text}.{token.text}"
    elif with_columns[token.text.lower()] > 0:
        with_columns[token.text.lower()] -= 1  # a table's alias, and the names of its columns
    else:
        yield token.text


def _is_listed(before: Token | None, token: Token, engine: str) -> bool:
    """Whether a word before a parenthesis is a function on the list, or not a function."""
    quoted = token.token_type is TokenType.IDENTIFIER
    name = token.text if quoted else token.text.lower()
    if before is None:
        return name in FUNCTIONS[engine] or (not quoted and name.split()[-1] in WORDS)
    # If schema names are case-sensitive, `SYS` is another database than `sys`.
    schema = before.text if profile(engine).schemas_by_case else before.text.lower()
    return name in _OWN_SCHEMAS.get((engine, schema), ())


def _named(tokens: Sequence[Token]) -> Iterator[tuple[Token | None, Token, TokenType | None]]:
    """Yield each word with its qualifier, and the type of the token that follows."""
    for number, token in enumerate(tokens):
        if token.token_type in _NO_WORDS or not _WORD.match(token.text):
            continue
        dotted = number > 1 and tokens[number - 1].token_type is TokenType.DOT
        following = tokens[number + 1].token_type if number + 1 < len(tokens) else None
        yield tokens[number - 2] if dotted else None, token, following


def _attributes(tokens: Sequence[Token], tree: exp.Expr) -> Iterator[str]:
    """Yield calls written as attributes: PostgreSQL takes `x.name` for `name(x)` if x, a function's result, has no such column.

    `SELECT s.pg_read_file FROM lower('postgresql.conf') AS s` reads the file. Any name that is not a known column is a call.
    """
    known = FUNCTIONS["postgresql"] | COLUMNS
    for before, token, after in _named(tokens):
        of_value = before is not None and before.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET)
        if of_value and after is not TokenType.L_PAREN and token.text not in known:
            yield f"(…).{token.text}"
    sources: dict[tuple[int, str], exp.Expr] = {}
    for table in tree.find_all(exp.Table, exp.Lateral, exp.Unnest, exp.Subquery):
        sources[id(table.find_ancestor(exp.Select)), table.alias_or_name.lower()] = table
    for column in tree.find_all(exp.Column):
        source = _source(column, sources)
        unnamed = source is None and column.table.lower() in FUNCTIONS["postgresql"]  # its name is the function's
        returned = source is not None and _returned(source) and column.name not in _columns(source)
        if (unnamed or returned) and column.name not in known:
            yield f"{column.table}.{column.name}"


def _types(tree: exp.Expr) -> Iterator[str]:
    """Yield types that are not PostgreSQL's own: a cast evaluates a domain's CHECK, or calls the type's input function."""
    for made in tree.find_all(exp.DataType):
        kind = made.args.get("kind")
        own = isinstance(kind, exp.Identifier) and (kind.name if kind.quoted else kind.name.lower()) in TYPES
        if made.this is exp.DataType.Type.USERDEFINED and not own:
            yield made.sql("postgres")


def _source(column: exp.Column, sources: Mapping[tuple[int, str], exp.Expr]) -> exp.Expr | None:
    """Return the source of a column, from its own SELECT or from one around that."""
    select = column.find_ancestor(exp.Select)
    while column.table and select is not None:
        if found := sources.get((id(select), column.table.lower())):
            return found
        select = select.find_ancestor(exp.Select)
    return None


def _returned(table: exp.Expr) -> bool:
    return isinstance(table, exp.Unnest) or isinstance(table.this, exp.Func)


def _columns(table: exp.Expr) -> frozenset[str]:
    """Return the names that a source of rows gives to its columns."""
    alias, ordinality = table.args.get("alias"), table.args.get("offset")
    named = [*(alias.args.get("columns") or ())] if alias is not None else []
    return frozenset(one.name for one in (*named, ordinality) if isinstance(one, exp.Expr))
