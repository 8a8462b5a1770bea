"""The facts of an engine's profile, with defaults that hold for most engines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Version = tuple[int, ...]

#: Seconds to wait behind autovacuum (a short wait leaves invalid indexes), and, in slices, for locks that block readers.
PATIENT, SHORT = 300.0, 15.0
#: A change after WITH.
WRITES = r"\b(INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|UPDATE\s+\S+\s+SET)\b"


@dataclass(frozen=True)
class Lock:
    """`blocks`: what waits while it is held. `queues`: readers queue behind a session that waits for it. `timeout`: seconds to
    wait for it in all, over `tries` attempts if nothing queues."""

    name: str
    strength: int
    blocks: str
    timeout: float
    tries: int = 3
    queues: bool = False

    @property
    def exclusive(self) -> bool:
        """Whether the application's reads wait while this lock is held."""
        return self.strength >= 8


def by_name(*locks: Lock) -> Mapping[str, Lock]:
    """Return locks by name, as in a profile."""
    return {lock.name: lock for lock in locks}


class Engine:
    """One kind of database. Sizes are in bytes, speeds in bytes or rows a second, versions are tuples of numbers."""

    name: ClassVar[str]
    #: The schemes of its URLs.
    schemes: ClassVar[Sequence[str]]
    #: Product -> (first supported version, first untested version).
    supported: ClassVar[Mapping[str, tuple[Version, Version | None]]]
    #: Products whose backups can copy the files of the whole server.
    physical: ClassVar[frozenset[str]] = frozenset()
    #: The port of a server whose URL names none.
    port: ClassVar[int | None] = None

    # Names and text: the quote of an identifier, and patterns for a literal or quoted name and for a comment.
    quote: ClassVar[str] = '"'
    string: ClassVar[str] = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]"
    comment: ClassVar[str] = r"--[^\n]*"
    longest_name: ClassVar[tuple[int, Literal["bytes", "characters"]] | None] = None
    #: Whether unquoted names are folded to lower case.
    folds_names: ClassVar[bool] = False
    #: Whether names of schemas are case-sensitive even if they are not quoted.
    schemas_by_case: ClassVar[bool] = False
    #: Whether a backslash may escape a quote, depending on the server's sql_mode.
    escapes_quotes: ClassVar[bool] = False
    #: Whether `x.name` calls the function `name` if x has no such column.
    calls_by_attribute: ClassVar[bool] = False
    #: Whether `x.nextval` takes the next value of a sequence, as Oracle writes it.
    takes_nextval: ClassVar[bool] = False
    #: Whether there is PRAGMA, with tables named after it, to describe the database.
    has_pragmas: ClassVar[bool] = False
    #: Whether a comparison of rows, `(a, b) > (1, 2)`, can use an index.
    compares_rows: ClassVar[bool] = True
    #: Whether a column holds only values of its declared type.
    types_bind: ClassVar[bool] = True
    #: Whether there is a Boolean type; elsewhere true and false are 1 and 0.
    has_boolean: ClassVar[bool] = False

    # All locks; (statement, the lock that it takes), of which the first match counts; (statement, role, the lock that it takes on
    # tables of that role), of which all matches count. The roles are those of safety/locks.py.
    locks: ClassVar[Mapping[str, Lock]]
    taken: ClassVar[Sequence[tuple[str, str]]]
    taken_elsewhere: ClassVar[Sequence[tuple[str, str, str]]] = ()
    #: Whether the whole database takes one writer at a time.
    one_writer: ClassVar[bool] = False

    # Speeds, measured on 2 cores (shared/spec/performance.md): tool -> bytes; rows deleted in batches; rows written to an archive
    # (bench/results/log_cleanup.txt: the difference between runs with and without one).
    bytes_per_second: ClassVar[Mapping[str, float]]
    rows_deleted_per_second: ClassVar[float]
    rows_archived_per_second: ClassVar[float]
    #: The most rows that are counted by an index before an estimate replaces the count: 2 to 5 million entries a second.
    most_counted: ClassVar[int] = 20_000

    # Space and statistics.
    #: Whether VACUUM frees the space of dead rows for new ones and updates statistics without blocking the application.
    vacuums: ClassVar[bool] = False
    #: Whether only the whole file can be rewritten.
    rewrites_whole: ClassVar[bool] = False
    #: Whether OPTIMIZE of a table rebuilds all its indexes, and no single index can be rebuilt.
    rebuilds_indexes_together: ClassVar[bool] = False
    #: Whether the unused share of a table is known only from statistics.
    fragmentation_by_statistics: ClassVar[bool] = False
    #: Whether maintenance is written to a log that replicas read, unless the statement has LOCAL.
    logs_maintenance: ClassVar[bool] = False
    #: The extension that checks for corruption; None if the server itself does.
    checked_by: ClassVar[str | None] = None
    #: Whether ANALYZE keeps a histogram of each column that can be read.
    keeps_histograms: ClassVar[bool] = False
    #: Whether EXPLAIN reads an index to estimate the rows of a range.
    estimates_ranges: ClassVar[bool] = False

    # Rows and tables.
    #: How a table is traversed: by its pages, its row numbers, or the columns of its primary key.
    walked_along: ClassVar[Literal["pages", "row numbers", "key"]]
    #: If it is traversed by pages: the first version that can read only a range of them.
    page_ranges: ClassVar[Version | None] = None
    #: Whether partitions are tables with names of their own, which can be detached.
    partitions_are_tables: ClassVar[bool] = False
    #: Whether a foreign key's actions fire the triggers of the tables whose rows they change.
    foreign_keys_fire: ClassVar[bool] = True

    # Location and restore.
    #: Whether the database is a file on this host, which needs no connection to a server.
    is_file: ClassVar[bool] = False
    #: Whether a connection pooler may answer in place of the server.
    may_be_pooled: ClassVar[bool] = False
    #: The database to connect to if a URL names none.
    default_database: ClassVar[str | None] = None
    #: Whether each database has a number of its own, and two databases are exchanged by renaming them.
    exchanged_by_name: ClassVar[bool] = False
    #: Whether a restored database keeps its owners and privileges, which requires a superuser.
    keeps_owners: ClassVar[bool] = False
    #: What is left of a replaced database if no safety backup was made; `{}` is the place where it is kept.
    last_copy: ClassVar[str]

    # Privileges and programs.
    #: The privileges that a tool may need on a table, or on the file. EXECUTE ON applies to no table, but to the functions of an
    #: extension that `inspect_privileges` checks.
    privileges: ClassVar[Sequence[str]]
    #: The blocks of `inspect_privileges` that planning reads; None if the engine has no privileges.
    access: ClassVar[tuple[str, ...] | None] = None
    #: The URL option that requires a verified server.
    verified_by: ClassVar[str | None] = None
    #: Client programs for backups, each with all its names.
    programs: ClassVar[Sequence[Sequence[str]]] = ()
    #: Whether several versions of them may be installed side by side.
    programs_by_version: ClassVar[bool] = False
    #: How many numbers of a version identify a release.
    release: ClassVar[int] = 2

    def known_damage(self, version: Version) -> tuple[str, str] | None:
        """Return the damage that a version is known to cause, and the remedy; None if there is none."""
        return None

    def counts_by_statistics(self, features: Collection[str]) -> bool:
        """Whether the size of the database is only the sum of its tables' statistics."""
        return False

    def client_names(self, names: Sequence[str], product: str) -> Sequence[str]:
        """Return the names of a client program in the order in which to look for them, for a server of `product`."""
        return names
