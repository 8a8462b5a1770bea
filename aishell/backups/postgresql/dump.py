"""PostgreSQL logical backups: pg_dump in its directory format, with the cluster's roles."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import IO, Any

from aishell.backups.create.making import Work, Written, expected_bytes, inside_data_directory, make, require, total
from aishell.backups.methods import Chain, Method
from aishell.backups.postgresql import place as pg_place
from aishell.backups.postgresql.fingerprints import GRANTED, Values, fingerprint, set_values, snapshot
from aishell.backups.postgresql.libpq import connection, use_programs
from aishell.backups.store.backup_store import store_of
from aishell.backups.store.manifest import BackupManifest, Fingerprint
from aishell.claims import SCRATCH
from aishell.clients.clients import Throttle, writing
from aishell.databases.base import Session
from aishell.databases.connections import Credentials
from aishell.errors import BackupError, DatabaseError, NotAtHandError, NotTakenError, StepError
from aishell.planning.backup_rights import of_reading
from aishell.registry.tool import Tool
from aishell.running.context import Context

DUMP, GLOBALS = "dump", "globals.sql"
#: Compression -> pg_dump's --compress. Level 4 of gzip had the best time for its size on two cores (bench_backups).
LEVELS = {"none": "0", "gzip": "4", "zstd": "zstd:3"}
#: Bytes read at a time, where the rate is limited.
BLOCK = 1 << 18
#: The first pg_restore that sets transaction_timeout, which older servers do not know.
TIMEOUT_SINCE = 17
_UNKNOWN = 'unrecognized configuration parameter "transaction_timeout"'
ZSTD_SINCE = 16
#: A line of the table of contents: `3342; 0 16402 TABLE DATA public orders postgres`. Names are unquoted, without line breaks.
_ENTRY = re.compile(r"\d+; \d+ \d+ (.+)")
_SET = re.compile(r"^SELECT pg_catalog\.setval\('((?:[^']|'')+)', (-?\d+), (true|false)\);$", re.MULTILINE)
_NAME = re.compile(r'("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)', re.DOTALL)
_DATA = "TABLE DATA "
#: An event trigger, its comment and its security label.
_EVENT_TRIGGER = re.compile(r"(COMMENT - |SECURITY LABEL - )?EVENT TRIGGER ")
#: Entries left out of a restore of single tables, with their comments and grants: other rows, foreign keys, large objects.
_LEFT_OUT = re.compile(
    r"TABLE DATA |FK CONSTRAINT |BLOB|MATERIALIZED VIEW DATA |(COMMENT|ACL|SECURITY LABEL) - LARGE OBJECT|COMMENT .+ CONSTRAINT "
)


def full(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_database_full`. Requirements are checked before anything is written."""
    require_ready(Work(tool, params, context))
    expected = expected_bytes(params) * (
        2 if params["compression"] == "none" else 1
    )  # the estimate is of compressed rows
    return make(tool, params, context, PgDump(), expected=expected)


class PgDump(Method):
    """A dump of a database as one snapshot sees it."""

    name = "pg_dump"
    programs = frozenset({"pg_restore"})
    in_place = True
    by_table = True
    marks = True

    def write(self, work: Work) -> Written:
        use_programs(work, "dump", work.context.database.version[0])
        params, dump = work.params, work.folder / DUMP
        # The session that exports the snapshot reads with as many parallel workers as pg_dump has jobs.
        jobs = 1 if params["max_rate"] else params["jobs"]
        with work.context.reading() as session, snapshot(work, session, workers=jobs - 1):
            shared = work.query("snapshot", session)[0]["snapshot"]
            about = work.query("about", session)[0]
            itself = work.query("itself", session, database=about["database"])[0]["itself"]
            values = {
                "folder": dump,
                "jobs": params["jobs"],
                "level": LEVELS[params["compression"]],
                "snapshot": shared,
                "lock_wait": round((work.context.options.lock_timeout or 0) * 1000),
            }
            with _fingerprinting(work, session, wanted=bool(params["compare"])) as taken:
                size: dict[str, Any] = {"size": lambda: _size(dump, taken), "expected": expected_bytes(params)}
                if params["max_rate"]:
                    self._run(
                        work, "slow_dump", values, drain=partial(_write_throttled, dump, params["max_rate"]), **size
                    )
                else:
                    self._run(work, "dump", values, **size)
                sequences = sequence_values(work, dump, about["encoding"]) if taken is not None else {}
                prints = None if taken is None else (*taken.result(), *set_values(work, session, sequences))
        self._globals(work, about)
        kept = ("encoding", "collation", "ctype", "provider", "locale", "rules", "owner", "roles", "public", "settings")
        details = {
            **{name: about[name] for name in kept},
            "itself": itself,
            "client": ".".join(map(str, work.clients.version("dump"))),
            "compression": params["compression"],
            "passwords": about["passwords"],
        }
        position = {"lsn": about["lsn"], "snapshot": shared}
        return Written(about["database"], about["bytes"], position, details, prints)

    def read(self, work: Work, folder: Path, manifest: BackupManifest) -> None:
        _use_archive_programs(work, "read", manifest)
        work.clients.run("read", {"folder": folder / DUMP})

    def restore(self, work: Work, chain: Chain, place: str, *, until: str | None, tables: Sequence[str]) -> None:
        if until is not None:
            raise BackupError("a dump can only be restored as of its own time", hint="leave out `until`")
        folder, manifest = chain[-1]
        details, owners, dump = manifest.details, with_owners(work), folder / DUMP
        _use_archive_programs(work, "restore", manifest)
        if pg_place.is_made(work, place):
            return
        if owners:
            pg_place.require_roles(work, details["roles"])
        first, last = restore_lists(work, dump, tables)
        # Until the database is complete it has another name, so that a kill leaves no partial one under the final name.
        scratch = place if place.startswith(SCRATCH) else f"{work.context.claim.scratch}_new"
        pg_place.drop(work, scratch)
        try:
            pg_place.create(work, scratch, details)
            values = {
                "folder": dump,
                "jobs": work.params["jobs"],
                "without": [] if owners else ["--no-owner", "--no-privileges"],
                "list": first,
            }
            self._load(work, scratch, values, last)
            if owners:
                pg_place.settle(work, scratch, details)
            if scratch != place:
                pg_place.rename(work, scratch, place)
        except BaseException as error:
            try:
                pg_place.drop(work, scratch)
            except DatabaseError as left:
                raise BackupError(f"{error}; the database {scratch} is left behind: {left.message}") from error
            raise

    def identity(self, work: Work, place: str) -> str | None:
        return str(work.query("oid", place=place)[0]["oid"])

    def fingerprints(self, work: Work, place: str) -> tuple[Fingerprint, ...]:
        with pg_place.opened(work, place) as database, ExitStack() as stack:
            sessions = []
            for _ in range(work.params["jobs"]):
                session = stack.enter_context(work.session_in(database))
                stack.enter_context(snapshot(work, session))
                sessions.append(session)
            return fingerprint(work, sessions, privileges=with_owners(work), stopped=lambda: False)

    def comparable(self, work: Work, prints: Sequence[Fingerprint]) -> Sequence[Fingerprint]:
        return prints if with_owners(work) else [one for one in prints if one.kind not in GRANTED]

    def drop(self, work: Work, place: str) -> None:
        pg_place.drop(work, place)

    def _globals(self, work: Work, about: Mapping[str, Any]) -> None:
        """Dump the cluster's roles and tablespaces, with passwords if this role may read them."""
        without = [] if about["passwords"] else ["--no-role-passwords"]
        self._run(work, "roles", {"file": work.folder / GLOBALS, "database": about["database"], "without": without})

    def _load(self, work: Work, scratch: str, values: Mapping[str, Any], last: Path | None) -> None:
        """Run pg_restore section by section, up to the first error, then for the entries listed in `last`.

        In one run it would create triggers of a partitioned table while rows of the partitions are still loaded, and fire them.
        Parallel jobs that attach indexes of nested partitions sometimes deadlock, or leave a key of the parent invalid for its
        foreign keys: in 1 of 60 restores with two jobs and 6 with four, on versions 13 and 18.
        """
        credentials = pg_place.credentials_of(work, scratch)
        for section in ("pre-data", "data", "post-data"):
            alone = section == "post-data" and pg_place.has_nested_partitions(work, scratch)
            self._load_section(work, {**values, "section": section, **({"jobs": 1} if alone else {})}, credentials)
        if last is not None:
            self._load_section(work, {**values, "section": section, "jobs": 1, "list": last}, credentials)

    def _load_section(self, work: Work, values: Mapping[str, Any], credentials: Credentials) -> None:
        # A newer pg_restore sets a parameter that an older server does not know: that error, and no other, is ignored.
        newer = work.clients.version("restore")[0] >= TIMEOUT_SINCE > work.context.database.version[0]
        log = work.folder / "restore.log"
        start = log.stat().st_size if log.exists() else 0
        try:
            self._run(work, "restore", {**values, "exit_on_error": [] if newer else ["--exit-on-error"]}, credentials)
        except NotAtHandError:
            raise
        except BackupError as error:
            if not (newer and _only_unknown(log, start)):
                raise NotTakenError(error.message, hint=error.hint) from error

    def _run(
        self, work: Work, program: str, values: Mapping[str, Any], credentials: Credentials | None = None, **more: Any
    ) -> None:
        """Run a program of the tool that connects to a server."""
        with connection(credentials or work.context.database.here) as (login, descriptors):
            work.clients.run(program, {**values, "login": login}, secrets=descriptors, **more)


def _only_unknown(log: Path, start: int) -> bool:
    """Whether the only errors of pg_restore are about the parameter that this server does not know."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        lines.seek(start)
        errors = [line for line in lines if line.startswith("pg_restore: error:")]
    return bool(errors) and all(_UNKNOWN in line for line in errors)


@contextmanager
def _fingerprinting(work: Work, session: Session, *, wanted: bool) -> Iterator[Future[tuple[Fingerprint, ...]] | None]:
    """The fingerprints of the session's snapshot, computed during the block; stopped if that fails."""
    if not wanted:
        yield None
        return
    stop = Event()
    with ThreadPoolExecutor(1, thread_name_prefix="prints") as pool:
        try:
            yield pool.submit(fingerprint, work, [session], privileges=True, stopped=stop.is_set, values={})
        except BaseException:
            stop.set()
            raise


def _write_throttled(file: Path, rate: int, pipe: IO[bytes]) -> None:
    """Write the output of pg_dump to a file at `rate` kB/s: a folder it would write by itself, at full speed."""
    throttle = Throttle(rate)
    with writing(file), file.open("wb") as out:
        while block := pipe.read(throttle.most(BLOCK)):
            out.write(block)
            throttle.passed(len(block))


def _size(dump: Path, taken: Future[tuple[Fingerprint, ...]] | None) -> int:
    """Bytes of the dump so far. Raises the error of the fingerprints if they failed, since the backup then fails too."""
    if taken is not None and taken.done():
        taken.result()
    return total([dump, *dump.glob("*")])


def with_owners(work: Work) -> bool:
    """Whether ownership and privileges are restored too, which only a superuser can do. Otherwise everything belongs to the role
    that restores it, and no other role gains access."""
    wanted = work.params.get("owners")
    return work.server.superuser if wanted is None else bool(wanted)


def _use_archive_programs(work: Work, program: str, manifest: BackupManifest) -> None:
    """Use programs of the version that made the dump, or newer. Raises StepError without them: the backup may be fine."""
    try:
        use_programs(work, program, int(str(manifest.details["client"]).partition(".")[0]))
    except BackupError as error:
        why = f"{manifest.backup_id} was made by pg_dump {manifest.details['client']}: {error.message}"
        raise StepError(why, hint=error.hint) from error


def require_ready(work: Work) -> None:
    """Raises BackupError for anything that would make the backup fail or be incomplete."""
    server, compression = work.context.database.version[0], work.params["compression"]
    use_programs(work, "dump", server)
    client = work.clients.version("dump")[0]
    if compression == "zstd" and client < ZSTD_SINCE:
        why = f"pg_dump {client} does not support zstd, which requires version {ZSTD_SINCE}"
        raise BackupError(why, hint="use gzip, or set `programs:` in config/aishell.yaml")
    _refuse_data_directory(work)
    compare = bool(work.params["compare"])
    for lack in of_reading(work.query("obstacles"), work.context.database.version, compare=compare):
        require(lack)


def _refuse_data_directory(work: Work) -> None:
    """Raises BackupError for a backup inside the server's data directory, with which it would be lost."""
    directory = work.server.data_directory
    if directory is None or not work.context.database.credentials.url.local:
        return
    backup_store = store_of(work.context)
    home = backup_store.repository.folder(work.context.target, str(work.params.get("destination") or "")).resolve()
    if home.is_relative_to(Path(directory).resolve()):
        raise inside_data_directory(home, directory)


def contents(work: Work, dump: Path) -> list[str]:
    """The lines of a dump's table of contents, without comments."""
    output: list[bytes] = []
    work.clients.run("contents", {"folder": dump}, drain=lambda pipe: output.append(pipe.read()))
    text = b"".join(output).decode(errors="surrogateescape")
    return [line for line in text.split("\n") if _ENTRY.match(line)]


def sequence_values(work: Work, dump: Path, encoding: str) -> Values:
    """The values that a dump sets sequences to, which are not part of the snapshot.

    `encoding` is the database's, in which the dump has the names. Raises BackupError if one is missing.
    """
    chosen = [line for line in contents(work, dump) if _entry(line).startswith("SEQUENCE SET ")]
    if not chosen:
        return {}
    list_, file = _write_list(work, ".sequences.list", chosen), work.folder / ".sequences.sql"
    try:
        work.clients.run("sequences", {"folder": dump, "list": list_, "file": file})
        text = file.read_text(encoding=_codec(encoding), errors="surrogateescape")
    finally:
        list_.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
    values = {
        _split_name(name.replace("''", "'")): (int(value), called == "true")
        for name, value, called in _SET.findall(text)
    }
    if len(values) != len(chosen):
        raise BackupError(f"{dump} sets only {len(values)} of its {len(chosen)} sequences")
    return values


def restore_lists(work: Work, dump: Path, tables: Sequence[str]) -> tuple[Path | None, Path | None]:
    """Lists of entries that pg_restore restores first, and last; None stands for all, and for none.

    Event triggers come last, because they would fire on the REFRESH MATERIALIZED VIEW that pg_restore runs beside them, which
    cannot be prevented before version 17. For `tables` see `_chosen_rows`.
    """
    lines = contents(work, dump)
    kept = _chosen_rows(lines, tables) if tables else lines
    last = [line for line in kept if _EVENT_TRIGGER.match(_entry(line))]
    if not last:
        return (_write_list(work, ".restore.list", kept) if tables else None), None
    first = [line for line in kept if line not in set(last)]
    return _write_list(work, ".restore.list", first), _write_list(work, ".triggers.list", last)


def _chosen_rows(lines: Sequence[str], tables: Sequence[str]) -> list[str]:
    """All definitions but foreign keys, and the rows of these tables only (`schema.table`).

    pg_restore's own --table restores neither the schema nor the types and indexes of a table. Raises BackupError for a table
    without rows in the dump.
    """
    wanted = set[str]().union(*(_rows_of(lines, table) for table in tables))
    return [line for line in lines if line in wanted or not _LEFT_OUT.match(_entry(line))]


def _rows_of(lines: Sequence[str], table: str) -> set[str]:
    """The entries of a table's rows. Any dot in the name may separate the schema."""
    places = [dot for dot, letter in enumerate(table) if letter == "."]
    named = tuple(f"{_DATA}{table[:dot]} {table[dot + 1 :]} ".replace("\n", " ") for dot in places)
    found = {line for line in lines if _entry(line).startswith(named)}
    if not found:
        how = "name it as schema.table; a partitioned table by its partitions, which have the rows"
        raise BackupError(f"the backup has no rows of {table!r}", hint=how)
    return found


def _entry(line: str) -> str:
    match = _ENTRY.match(line)
    return match[1] if match else ""


def _write_list(work: Work, name: str, lines: Sequence[str]) -> Path:
    path = work.folder / name
    with writing(path):
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
    return path


def _codec(encoding: str) -> str:
    """Python's name of a PostgreSQL encoding; utf-8 if it has none, when names are compared byte by byte."""
    try:
        return codecs.lookup(re.sub(r"^WIN(\d)", r"cp\1", encoding.replace("KOI8", "koi8_"))).name
    except LookupError:
        return "utf-8"


def _split_name(name: str) -> tuple[str, str]:
    """`"a""b".c` as its two names. Raises BackupError for anything else."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise BackupError(f"the dump sets {name!r}, which is not a sequence in a schema")
    return _unquoted(match[1]), _unquoted(match[2])


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
