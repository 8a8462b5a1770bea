"""PostgreSQL, logically: pg_dump in its directory format, and the cluster's roles beside it."""

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
from aishell.backups.postgresql.libpq import reached, use_programs
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
#: Compression -> pg_dump's --compress. Of gzip's levels the fourth took the least time for its size on two cores (bench_backups).
LEVELS = {"none": "0", "gzip": "4", "zstd": "zstd:3"}
#: Bytes read from it at a time, where its speed is limited.
BLOCK = 1 << 18
#: The first pg_restore that sets a timeout which older servers do not know.
TIMEOUT_SINCE = 17
_UNKNOWN = 'unrecognized configuration parameter "transaction_timeout"'
ZSTD_SINCE = 16
#: A line of the contents: `3342; 0 16402 TABLE DATA public orders postgres`. Names stand in it as they are, without line breaks.
_ENTRY = re.compile(r"\d+; \d+ \d+ (.+)")
_SET = re.compile(r"^SELECT pg_catalog\.setval\('((?:[^']|'')+)', (-?\d+), (true|false)\);$", re.MULTILINE)
_NAME = re.compile(r'("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)', re.DOTALL)
_DATA = "TABLE DATA "
#: An event trigger, and what is said of one.
_EVENT_TRIGGER = re.compile(r"(COMMENT - |SECURITY LABEL - )?EVENT TRIGGER ")
#: What makes no sense where not all rows come back, and what is said about that.
_LEFT_OUT = re.compile(
    r"TABLE DATA |FK CONSTRAINT |BLOB|MATERIALIZED VIEW DATA |(COMMENT|ACL|SECURITY LABEL) - LARGE OBJECT|COMMENT .+ CONSTRAINT "
)


def full(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_database_full`. Nothing is written before it is clear that it can be made."""
    require_ready(Work(tool, params, context))
    expected = expected_bytes(params) * (2 if params["compression"] == "none" else 1)  # it is that of compressed rows
    return make(tool, params, context, PgDump(), expected=expected)


class PgDump(Method):
    """A database as one snapshot saw it, whatever is written meanwhile."""

    name = "pg_dump"
    programs = frozenset({"pg_restore"})
    in_place = True
    by_table = True
    marks = True

    def write(self, work: Work) -> Written:
        use_programs(work, "dump", work.context.database.version[0])
        params, dump = work.params, work.folder / DUMP
        # One session alone has the snapshot that it gives to pg_dump: with its helpers it is as many as those.
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
            with _beside(work, session, wanted=bool(params["compare"])) as seen:
                size: dict[str, Any] = {"size": lambda: _size(dump, seen), "expected": expected_bytes(params)}
                if params["max_rate"]:
                    self._run(work, "slow_dump", values, drain=partial(_slowly, dump, params["max_rate"]), **size)
                else:
                    self._run(work, "dump", values, **size)
                moved = sequence_values(work, dump, about["encoding"]) if seen is not None else {}
                prints = None if seen is None else (*seen.result(), *set_values(work, session, moved))
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
            raise BackupError("a dump is of its own time and of no other", hint="leave out `until`")
        folder, manifest = chain[-1]
        details, owners, dump = manifest.details, with_owners(work), folder / DUMP
        _use_archive_programs(work, "restore", manifest)
        if pg_place.is_made(work, place):
            return
        if owners:
            pg_place.require_roles(work, details["roles"])
        first, last = lists(work, dump, tables)
        # A database that is not whole never has the name it is to get, whenever we are killed.
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
        """The cluster's roles and tablespaces; with their passwords where this role may read those."""
        without = [] if about["passwords"] else ["--no-role-passwords"]
        self._run(work, "roles", {"file": work.folder / GLOBALS, "database": about["database"], "without": without})

    def _load(self, work: Work, scratch: str, values: Mapping[str, Any], last: Path | None) -> None:
        """pg_restore, to the first error, section by section, and what `last` lists when all else is there.

        In one go it creates triggers of a partitioned table while the partitions' rows still come in, and fires them on those.
        Jobs that attach the indexes of partitions on two levels at once end in a deadlock now and then, or in a key of the parent
        that is not valid for the foreign keys to it: one of 60 restores with two jobs and six with four, on 13 and on 18.
        """
        credentials = pg_place.credentials_of(work, scratch)
        for section in ("pre-data", "data", "post-data"):
            alone = section == "post-data" and pg_place.has_nested_partitions(work, scratch)
            self._load_section(work, {**values, "section": section, **({"jobs": 1} if alone else {})}, credentials)
        if last is not None:
            self._load_section(work, {**values, "section": section, "jobs": 1, "list": last}, credentials)

    def _load_section(self, work: Work, values: Mapping[str, Any], credentials: Credentials) -> None:
        # A newer pg_restore sets, in each of its sessions, what an older server does not know; that is an error, and the only
        # one that may be.
        newer = work.clients.version("restore")[0] >= TIMEOUT_SINCE > work.context.database.version[0]
        log = work.folder / "restore.log"
        begun = log.stat().st_size if log.exists() else 0
        try:
            self._run(work, "restore", {**values, "exit_on_error": [] if newer else ["--exit-on-error"]}, credentials)
        except NotAtHandError:
            raise
        except BackupError as error:
            if not (newer and _only_unknown(log, begun)):
                raise NotTakenError(error.message, hint=error.hint) from error

    def _run(
        self, work: Work, program: str, values: Mapping[str, Any], credentials: Credentials | None = None, **more: Any
    ) -> None:
        """A program of the tool that connects to a server."""
        with reached(credentials or work.context.database.here) as (login, descriptors):
            work.clients.run(program, {**values, "login": login}, secrets=descriptors, **more)


def _only_unknown(log: Path, begun: int) -> bool:
    """Whether all that pg_restore found wrong is the setting that this server does not know."""
    with log.open(encoding="utf-8", errors="replace") as said:
        said.seek(begun)
        errors = [line for line in said if line.startswith("pg_restore: error:")]
    return bool(errors) and all(_UNKNOWN in line for line in errors)


@contextmanager
def _beside(work: Work, session: Session, *, wanted: bool) -> Iterator[Future[tuple[Fingerprint, ...]] | None]:
    """The fingerprints of the session's snapshot, taken while something else is done; stopped when that fails."""
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


def _slowly(file: Path, rate: int, pipe: IO[bytes]) -> None:
    """What pg_dump writes, no faster than that, into a file: it writes a folder by itself, as fast as it can."""
    throttle = Throttle(rate)
    with writing(file), file.open("wb") as out:
        while block := pipe.read(throttle.most(BLOCK)):
            out.write(block)
            throttle.passed(len(block))


def _size(dump: Path, seen: Future[tuple[Fingerprint, ...]] | None) -> int:
    """Bytes of the dump so far. Raises what the fingerprints failed with: then there is no backup to wait for."""
    if seen is not None and seen.done():
        seen.result()
    return total([dump, *dump.glob("*")])


def with_owners(work: Work) -> bool:
    """Whether who owns what comes back too: only a superuser can give objects to others. Restored by anybody else, all of it is
    theirs and nobody else's: then it cannot be used by more roles than before."""
    wanted = work.params.get("owners")
    return work.server.superuser if wanted is None else bool(wanted)


def _use_archive_programs(work: Work, program: str, manifest: BackupManifest) -> None:
    """Those of the version that made the dump, or newer ones. A machine without them says nothing about the backup."""
    try:
        use_programs(work, program, int(str(manifest.details["client"]).partition(".")[0]))
    except BackupError as error:
        why = f"{manifest.backup_id} was made by pg_dump {manifest.details['client']}: {error.message}"
        raise StepError(why, hint=error.hint) from error


def require_ready(work: Work) -> None:
    """Raises BackupError for whatever would make a backup fail, or be less than the database."""
    server, compression = work.context.database.version[0], work.params["compression"]
    use_programs(work, "dump", server)
    client = work.clients.version("dump")[0]
    if compression == "zstd" and client < ZSTD_SINCE:
        why = f"pg_dump {client} does not support zstd, which came with {ZSTD_SINCE}"
        raise BackupError(why, hint="use gzip, or set `programs:` in config/aishell.yaml")
    _refuse_data_directory(work)
    compare = bool(work.params["compare"])
    for lack in of_reading(work.query("obstacles"), work.context.database.version, compare=compare):
        require(lack)


def _refuse_data_directory(work: Work) -> None:
    """Raises BackupError for a backup inside the server's data directory: it would be lost with it."""
    directory = work.server.data_directory
    if directory is None or not work.context.database.credentials.url.local:
        return
    backup_store = store_of(work.context)
    home = backup_store.repository.folder(work.context.target, str(work.params.get("destination") or "")).resolve()
    if home.is_relative_to(Path(directory).resolve()):
        raise inside_data_directory(home, directory)


def contents(work: Work, dump: Path) -> list[str]:
    """The lines of a dump's table of contents, without comments."""
    said: list[bytes] = []
    work.clients.run("contents", {"folder": dump}, drain=lambda pipe: said.append(pipe.read()))
    text = b"".join(said).decode(errors="surrogateescape")
    return [line for line in text.split("\n") if _ENTRY.match(line)]


def sequence_values(work: Work, dump: Path, encoding: str) -> Values:
    """The values that a dump sets sequences to. They belong to no snapshot: what the dump read is what comes back.

    `encoding` is the database's, in which the dump has the names.
    """
    chosen = [line for line in contents(work, dump) if _what(line).startswith("SEQUENCE SET ")]
    if not chosen:
        return {}
    list_, file = _listed(work, ".sequences.list", chosen), work.folder / ".sequences.sql"
    try:
        work.clients.run("sequences", {"folder": dump, "list": list_, "file": file})
        text = file.read_text(encoding=_codec(encoding), errors="surrogateescape")
    finally:
        list_.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
    values = {
        _parts(name.replace("''", "'")): (int(value), called == "true") for name, value, called in _SET.findall(text)
    }
    if len(values) != len(chosen):
        raise BackupError(f"{dump} sets {len(values)} of its {len(chosen)} sequences")
    return values


def lists(work: Work, dump: Path, tables: Sequence[str]) -> tuple[Path | None, Path | None]:
    """Lists for pg_restore, of what comes first and of what comes last; None stands for everything, and for nothing.

    Event triggers come last: REFRESH MATERIALIZED VIEW, which pg_restore sends beside them, fires those that are there by then,
    and on versions before 17 nothing else keeps all of them from that. Of `tables`, where there are any, see `_chosen_rows`.
    """
    lines = contents(work, dump)
    kept = _chosen_rows(lines, tables) if tables else lines
    last = [line for line in kept if _EVENT_TRIGGER.match(_what(line))]
    if not last:
        return (_listed(work, ".restore.list", kept) if tables else None), None
    first = [line for line in kept if line not in set(last)]
    return _listed(work, ".restore.list", first), _listed(work, ".triggers.list", last)


def _chosen_rows(lines: Sequence[str], tables: Sequence[str]) -> list[str]:
    """Every definition, and the rows of these tables (`schema.table`) alone, without foreign keys.

    pg_restore's own --table brings back neither the types nor the schema of a table, nor its indexes. Raises BackupError for one
    whose rows the dump does not have.
    """
    wanted = set[str]().union(*(_rows_of(lines, table) for table in tables))
    return [line for line in lines if line in wanted or not _LEFT_OUT.match(_what(line))]


def _rows_of(lines: Sequence[str], table: str) -> set[str]:
    """The lines of a table's rows. Any dot of its name may be the one behind the schema."""
    places = [dot for dot, letter in enumerate(table) if letter == "."]
    named = tuple(f"{_DATA}{table[:dot]} {table[dot + 1 :]} ".replace("\n", " ") for dot in places)
    found = {line for line in lines if _what(line).startswith(named)}
    if not found:
        how = "name it as schema.table; a partitioned table by its partitions, which have the rows"
        raise BackupError(f"the backup has no rows of {table!r}", hint=how)
    return found


def _what(line: str) -> str:
    match = _ENTRY.match(line)
    return match[1] if match else ""


def _listed(work: Work, name: str, lines: Sequence[str]) -> Path:
    path = work.folder / name
    with writing(path):
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
    return path


def _codec(encoding: str) -> str:
    """Python's name of an encoding of PostgreSQL's; where it has none, names beyond ASCII are compared byte by byte."""
    try:
        return codecs.lookup(re.sub(r"^WIN(\d)", r"cp\1", encoding.replace("KOI8", "koi8_"))).name
    except LookupError:
        return "utf-8"


def _parts(name: str) -> tuple[str, str]:
    """`"a""b".c` as its two names. Raises BackupError for what is none."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise BackupError(f"the dump sets {name!r}, which is not a sequence in a schema")
    return _plain(match[1]), _plain(match[2])


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
