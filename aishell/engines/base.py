"""The facts of an engine's profile, with defaults that hold for most engines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Version = tuple[int, ...]

#: A patient wait for what queues behind autovacuum (a short one leaves invalid indexes); for what blocks readers, in slices.
PATIENT, SHORT = 300.0, 15.0
#: A change behind a WITH.
WRITES = r"\b(INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|UPDATE\s+\S+\s+SET)\b"


@dataclass(frozen=True)
class Lock:
    """`blocks`: who waits while it is held. `queues`: readers queue behind whoever waits for it. `timeout`: seconds of waiting
    for it altogether, `tries` times where nobody queues."""

    name: str
    strength: int
    blocks: str
    timeout: float
    tries: int = 3
    queues: bool = False

    @property
    def exclusive(self) -> bool:
        """Whether the application's reads wait while it is held."""
        return self.strength >= 8


def by_name(*locks: Lock) -> Mapping[str, Lock]:
    """Locks as a profile has them."""
    return {lock.name: lock for lock in locks}


class Engine:
    """One kind of database. Sizes are bytes, speeds bytes or rows a second, versions tuples of numbers."""

    name: ClassVar[str]
    #: What a URL may begin with.
    schemes: ClassVar[Sequence[str]]
    #: Product -> (first version that is supported, first that nobody has tried yet).
    supported: ClassVar[Mapping[str, tuple[Version, Version | None]]]
    #: Products of which a backup can copy the files of the whole server.
    physical: ClassVar[frozenset[str]] = frozenset()
    #: Of a server, where its URL names none.
    port: ClassVar[int | None] = None

    # Names and text: the quote of an identifier, what a literal or a quoted name is, and a comment, as patterns.
    quote: ClassVar[str] = '"'
    string: ClassVar[str] = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]"
    comment: ClassVar[str] = r"--[^\n]*"
    longest_name: ClassVar[tuple[int, Literal["bytes", "characters"]] | None] = None
    #: Whether a name without quotes is kept in lower case.
    folds_names: ClassVar[bool] = False
    #: Whether the case of a schema's name counts although it is not quoted.
    schemas_by_case: ClassVar[bool] = False
    #: Whether a backslash escapes a quote, which its server's sql_mode decides.
    escapes_quotes: ClassVar[bool] = False
    #: Whether `x.name` calls the function `name` where x has no such column.
    calls_by_attribute: ClassVar[bool] = False
    #: Whether `x.nextval` takes the next value of a sequence, as Oracle writes it.
    takes_nextval: ClassVar[bool] = False
    #: Whether PRAGMA, and tables named after it, describe the database.
    has_pragmas: ClassVar[bool] = False
    #: Whether a comparison of rows, `(a, b) > (1, 2)`, is searched for in an index.
    compares_rows: ClassVar[bool] = True
    #: Whether a column holds only values of its declared type.
    types_bind: ClassVar[bool] = True
    #: Whether there is a type for true and false; elsewhere they are 1 and 0.
    has_boolean: ClassVar[bool] = False

    # Locks: those there are; (statement, the lock it takes), the first that matches; (statement, role, the lock it takes on the
    # tables of that role), every one that matches. The roles are those of safety/locks.py.
    locks: ClassVar[Mapping[str, Lock]]
    taken: ClassVar[Sequence[tuple[str, str]]]
    taken_elsewhere: ClassVar[Sequence[tuple[str, str, str]]] = ()
    #: Whether the whole database takes one writer at a time.
    one_writer: ClassVar[bool] = False

    # How fast, measured on 2 cores (shared/spec/performance.md): tool -> bytes; rows that are deleted in batches; rows into an
    # archive (bench/results/log_cleanup.txt: what it has with one, less what it has without).
    bytes_per_second: ClassVar[Mapping[str, float]]
    rows_deleted_per_second: ClassVar[float]
    rows_archived_per_second: ClassVar[float]
    #: Rows counted by an index before an estimate is taken instead: its entries are counted at 2 to 5 million a second.
    most_counted: ClassVar[int] = 20_000

    # What it does with its space and its statistics.
    #: Whether VACUUM gives dead rows' space to new ones, with fresh statistics, beside the application.
    vacuums: ClassVar[bool] = False
    #: Whether a rewrite is of the whole file only.
    rewrites_whole: ClassVar[bool] = False
    #: Whether OPTIMIZE of a table rebuilds all its indexes, and no index can be rebuilt alone.
    rebuilds_indexes_together: ClassVar[bool] = False
    #: Whether the unused share of a table is known by its statistics alone.
    fragmentation_by_statistics: ClassVar[bool] = False
    #: Whether maintenance is written to a log that replicas read, unless a statement says LOCAL.
    logs_maintenance: ClassVar[bool] = False
    #: The extension that checks for corruption; None where the server itself does.
    checked_by: ClassVar[str | None] = None
    #: Whether ANALYZE keeps a histogram of each column that can be read.
    keeps_histograms: ClassVar[bool] = False
    #: Whether EXPLAIN looks into an index to estimate the rows of a range.
    estimates_ranges: ClassVar[bool] = False

    # Rows and tables.
    #: What a table is walked along: its pages, its row numbers, or the columns of its primary key.
    walked_along: ClassVar[Literal["pages", "row numbers", "key"]]
    #: Where it is walked along its pages: the first version that reads a range of them and no others.
    page_ranges: ClassVar[Version | None] = None
    #: Whether partitions are tables with names of their own, which can be detached.
    partitions_are_tables: ClassVar[bool] = False
    #: Whether what a foreign key does to rows fires their table's triggers.
    foreign_keys_fire: ClassVar[bool] = True

    # Where it is, and how it is put back.
    #: Whether the database is a file on this host, which needs no connection to a server.
    is_file: ClassVar[bool] = False
    #: Whether a pooler between it and us may pass for the server itself.
    may_be_pooled: ClassVar[bool] = False
    #: The database that is connected to where a URL names none.
    default_database: ClassVar[str | None] = None
    #: Whether each database has a number of its own, and changes places with another by their names.
    exchanged_by_name: ClassVar[bool] = False
    #: Whether what is restored keeps its owners and privileges, which takes a superuser.
    keeps_owners: ClassVar[bool] = False
    #: What is left of a database that another took the place of, where no safety backup was made; `{}` is where it is kept.
    last_copy: ClassVar[str]

    # Who may do it, and with which programs.
    #: What a tool may need on a table, or on the file. EXECUTE ON is of no table: it is of those functions of an extension that
    #: `inspect_privileges` asks for.
    privileges: ClassVar[Sequence[str]]
    #: The blocks of `inspect_privileges` that planning reads; None if the engine has no privileges.
    access: ClassVar[tuple[str, ...] | None] = None
    #: The URL option that requires a verified server.
    verified_by: ClassVar[str | None] = None
    #: Client programs that backups are made with, each under any of its names.
    programs: ClassVar[Sequence[Sequence[str]]] = ()
    #: Whether several versions of them may be installed side by side.
    programs_by_version: ClassVar[bool] = False
    #: How many numbers of a version identify a release.
    release: ClassVar[int] = 2

    def known_damage(self, version: Version) -> tuple[str, str] | None:
        """Damage that a version is known to cause, and the remedy."""
        return None

    def counts_by_statistics(self, features: Collection[str]) -> bool:
        """Whether the size of the database is only the sum of its tables' statistics."""
        return False

    def client_names(self, names: Sequence[str], product: str) -> Sequence[str]:
        """The names of a client program in the order in which they are looked for, for a server of `product`."""
        return names
