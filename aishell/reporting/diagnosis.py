"""The findings of `aishell doctor` on a target, judged from the facts that `services.doctor` collected. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aishell.backups.store.catalog import CatalogEntry
from aishell.commands import command, on
from aishell.databases.quoting import pattern, quote
from aishell.databases.tls import Encryption
from aishell.engines import profile
from aishell.errors import AishellError
from aishell.models import OK, PROBLEM, WARNING, Finding, Residue, Server
from aishell.moments import at
from aishell.planning.backup_rights import (
    Account,
    Lack,
    lines,
    of_dump,
    of_files,
    of_reading,
    of_replicating,
    of_routines,
)
from aishell.planning.privileges import Access, account_of, execution, in_force
from aishell.reporting import roles
from aishell.reporting.units import DAY, age, few_names, size

#: Programs with a version of their own, different from the server's.
OWN_VERSION = ("mariadb-binlog", "mysqlbinlog")
#: A verified backup older than this gives a warning; seconds.
STALE = 7 * DAY
#: The least free disk space, as a share of the database's size, for rewriting a large table.
LOW_DISK = 0.2


@dataclass(frozen=True)
class TargetFacts:
    """Facts about a target. Times in seconds, sizes in bytes."""

    server: Server
    display: str  # the URL without password
    connect: float
    round_trip: float
    access: Access | None = None  # the blocks of `inspect_privileges`; None if the engine has no such tool
    free_disk: int | None = None
    disk_seen: bool = False
    writable: bool | None = None  # SQLite: the file and its folder
    programs: Mapping[str, str | None] = field(default_factory=dict)  # client program -> its version, None if not found
    encryption: Encryption | None = None
    local: bool = True  # whether traffic stays on this host


def failed(subject: str, error: AishellError) -> Finding:
    """Return an error as a finding."""
    return Finding(PROBLEM, subject, error.message, error.hint)


def judge(facts: TargetFacts) -> Iterator[Finding]:
    """Yield every finding on a reachable target."""
    server = facts.server
    yield Finding(
        OK,
        "connection",
        f"{facts.display}: connected in {facts.connect * 1000:.0f} ms, {facts.round_trip * 1000:.1f} ms a statement",
    )
    if facts.encryption is not None:
        yield tls(facts.encryption, local=facts.local, engine=server.engine)
    yield version(server)
    if server.standby or server.read_only:
        what = "a standby" if server.standby else "read-only (or this database by default)"
        yield Finding(WARNING, "server", f"it is {what}: only inspection runs here", "maintain the primary")
    if facts.access is not None:
        yield from _OF_ACCESS[server.engine](server, facts.access)
    elif profile(server.engine).is_file:
        yield from _of_file(facts)
    yield disk(facts)
    yield from programs(server, facts.programs)


def tls(found: Encryption, *, local: bool, engine: str) -> Finding:
    """Judge the negotiated encryption: whether others on the network could read traffic or pose as the server."""
    if local:
        return Finding(OK, "tls", f"{found}, on this host")
    remedy = f"put {profile(engine).verified_by} into the URL to verify the server"
    if found.version is None:
        text = "plain text: anyone on the network can read and change rows and statements"
        return Finding(WARNING, "tls", text, f"turn TLS on in the server; {remedy}")
    if found.verified is None:
        return Finding(WARNING, "tls", f"{found}: another server can pose as it", remedy)
    return Finding(OK, "tls", str(found))


def version(server: Server) -> Finding:
    """Judge whether this version is supported."""
    first, unknown = profile(server.engine).supported[server.product]
    text = f"{server.product} {server.version_text}"
    if server.version < first:
        needed = ".".join(map(str, first))
        return Finding(PROBLEM, "version", f"{text}; aishell supports {needed} and newer", "update the server")
    if unknown is not None and server.version >= unknown:
        return Finding(
            WARNING, "version", f"{text} is newer than any version aishell was tested with", "look for a newer aishell"
        )
    if (damage := profile(server.engine).known_damage(server.version)) is not None:
        return Finding(WARNING, "version", f"{text}: {damage[0]}", damage[1])
    return Finding(OK, "version", text)


def _postgresql(server: Server, access: Access) -> Iterator[Finding]:
    role = quote(str(access["role"][0]["role_name"]), "postgresql")
    if server.superuser:
        yield _superuser(server, access)
    else:
        yield _reading(server, access, role)
        yield _maintaining(server, access, role)
        yield _backing_up(of_reading(access["obstacles"], server.version), f"{role} may read everything a dump needs")
        yield _physically(
            of_replicating(str(access["role"][0]["role_name"]), may=bool(access["role"][0]["replicates"]))
        )
    yield from (_extension(access, role, name, missed) for name, missed in _MISSED.items())


def _superuser(server: Server, access: Access) -> Finding:
    return Finding(
        WARNING,
        "privileges",
        f"connected as the superuser {server.user}, which may do more than maintenance needs",
        f"create the roles below and connect as {roles.MAINTAIN}; {roles.INSPECT} is enough for inspection_url",
        roles.roles(server, access),
    )


def _reading(server: Server, access: Access, role: str) -> Finding:
    held = set(access["role"][0]["held"])
    tables, readable = (sum(row[name] for row in access["owners"]) for name in ("tables", "readable"))
    missing = []
    if "pg_monitor" not in held:
        missing.append("other sessions' transactions, replicas and settings are hidden (pg_monitor)")
    if readable < tables:
        missing.append(f"{tables - readable} of {tables} tables cannot be read, so their bloat is not estimated")
    if missing:
        grants = tuple(roles.reading(server, access, role))
        return Finding(WARNING, "inspection", f"{role}: {'; '.join(missing)}", "grant what inspection needs", grants)
    return Finding(OK, "inspection", f"{role} sees everything that inspection needs")


def _maintaining(server: Server, access: Access, role: str) -> Finding:
    tables, mine = (sum(row[name] for row in access["owners"]) for name in ("tables", "maintainable"))
    if mine < tables:
        others = [f"{row['schema']}.{row['table']} of {row['owner']}" for row in roles.unmaintained(access)]
        text = f"{role} may maintain {mine} of {tables} tables; steps on {few_names(others)} are left out of plans"
        grants = tuple(roles.maintaining(server, access, role))
        return Finding(WARNING, "maintenance", text, "grant it, or use the role for inspection only", grants)
    return Finding(OK, "maintenance", f"{role} may maintain all {tables} tables")


def _backing_up(lacks: Iterable[Lack | None], good: str) -> Finding:
    """Judge the privileges that a full backup checks at its start."""
    found = [lack for lack in lacks if lack is not None]
    if not found:
        return Finding(OK, "full backup", good)
    text = f"{'; '.join(lack.reason for lack in found)}: a full backup fails"
    grants = tuple(grant for lack in found for grant in lack.grants)
    return Finding(WARNING, "full backup", text, "grant it, or back up as another role", grants)


def _physically(lack: Lack | None) -> Finding:
    """Judge the privileges that `--physical` checks at its start. They are optional."""
    if lack is None:
        return Finding(OK, "physical backup", "the role has the privileges for it")
    return Finding(
        OK, "physical backup", f"{lack.reason}: --physical does not work", "to use it, grant it", lack.grants
    )


#: The consequences of a missing extension.
_MISSED = {
    "pgstattuple": "bloat is estimated from statistics, and withheld where they are stale",
    "amcheck": "tables and indexes cannot be checked for damage",
}


def _extension(access: Access, role: str, name: str, missed: str) -> Finding:
    row = next((row for row in access["extensions"] if row["name"] == name), None)
    called = [function for function in access["functions"] if function["extension"] == name]
    if row is None:
        remedy = "install the package with PostgreSQL's contrib modules on the server"
        return Finding(WARNING, name, f"not available on the server: {missed}", remedy)
    installed, shipped = row["installed_version"], row["default_version"]
    if installed is None:
        create = (f"CREATE EXTENSION {name};",)
        return Finding(WARNING, name, f"not installed here: {missed}", "as a superuser", create)
    if installed != shipped:
        text, update = (
            f"version {installed} is installed, the server ships {shipped}",
            f"ALTER EXTENSION {name} UPDATE;",
        )
        return Finding(WARNING, name, text, "as its owner", (update,))
    if all(function["allowed"] for function in called):
        return Finding(OK, name, f"version {installed}")
    if name == "amcheck":
        missed, grants = f"{missed}; the check is left out of plans", execution(called, role)
    else:  # a predefined role covers its functions
        schemas = execution([{**function, "granted": True} for function in called], role)
        grants = [*schemas, f"GRANT pg_stat_scan_tables TO {role};"]
    return Finding(WARNING, name, f"{role} may not call it: {missed}", "as a superuser", tuple(grants))


def _mysql(server: Server, access: Access) -> Iterator[Finding]:
    account = account_of(access)
    if server.superuser:
        yield _superuser(server, access)
        return
    unseen = []
    if "process" not in server.features:
        unseen.append("other sessions and their transactions are hidden (PROCESS)")
    if "innodb_stats" not in server.features:
        unseen.append("fragmentation cannot be judged, nor ANALYZE verified (SELECT on mysql.innodb_*_stats)")
    if unseen:
        wanted = tuple(roles.granting(server, account, roles.MYSQL_READS))[:-1]
        yield Finding(WARNING, "inspection", f"{account}: {'; '.join(unseen)}", "grant what inspection needs", wanted)
    else:
        yield Finding(OK, "inspection", f"{account} sees other sessions and InnoDB's statistics")
    yield _mysql_maintaining(server, access, account)
    who = Account(str(access["role"][0]["role_name"]), server.product, server.version)
    grants, hidden = lines(access["grants"]), access["hidden"]
    lacks = [of_dump(grants, server.database, who)]
    lacks += [of_routines(hidden, who)] if lacks[0] is None else []
    yield _backing_up(lacks, f"{who.name} may read everything a dump needs")
    if server.product in profile(server.engine).physical:
        yield _physically(of_files(grants, who))


def _mysql_maintaining(server: Server, access: Access, account: str) -> Finding:
    known, held = in_force(access)
    missing = [privilege for privilege in roles.MYSQL_WRITES if privilege not in held]
    if not missing:
        return Finding(OK, "maintenance", f"{account} may maintain every table of {server.database}")
    where = quote(known, "mysql") if known is not None else pattern(server.database)
    grants = (f"GRANT {', '.join(missing)} ON {where}.* TO {account};",)
    active = access["role"][0]["active_role"]
    if active:
        text = (
            f"{account} uses the role {active}, whose privileges the server does not show; {', '.join(missing)} needed"
        )
        return Finding(OK, "maintenance", text, "check with SHOW GRANTS")
    some = [
        row["privilege"] for row in access["privileges"] if row["place"] == "tables" and row["privilege"] in missing
    ]
    text = f"{account} lacks {', '.join(missing)} on {server.database}" + (" (except on some tables)" if some else "")
    return Finding(WARNING, "maintenance", text, "grant it, or use the account for inspection only", grants)


#: Engine -> the findings from the rows of `inspect_privileges`.
_OF_ACCESS: Mapping[str, Callable[[Server, Access], Iterator[Finding]]] = {"postgresql": _postgresql, "mysql": _mysql}


def _of_file(facts: TargetFacts) -> Iterator[Finding]:
    if facts.writable is False:
        remedy = "give this user write permission on both (SQLite writes its journal beside the file)"
        yield Finding(WARNING, "file", "the file or its folder cannot be written: only inspection runs", remedy)
    else:
        yield Finding(OK, "file", f"can be written; journal mode {facts.server.journal_mode}")
    if "dbstat" not in facts.server.features:
        text = "this Python's SQLite is built without it: free pages are seen, but not free space inside pages"
        yield Finding(WARNING, "dbstat", text, "use a Python whose SQLite has SQLITE_ENABLE_DBSTAT_VTAB")
    else:
        yield Finding(OK, "dbstat", "space inside pages can be measured")


def disk(facts: TargetFacts) -> Finding:
    """Judge the free disk space of the database."""
    needed = facts.server.database_bytes
    if facts.free_disk is None:
        text = "the server's disk cannot be seen from here, so every rewrite needs approval"
        return Finding(OK, "disk", text, "set free_disk_bytes for the target in targets.yaml")
    where = "free where the database is" if facts.disk_seen else "free, as free_disk_bytes says"
    text = f"{size(facts.free_disk)} {where}, database {size(needed)}"
    if needed is not None and facts.free_disk < needed * LOW_DISK:
        return Finding(WARNING, "disk", text, "free some space: a rewrite needs room for a second copy of its table")
    return Finding(OK, "disk", text)


def programs(server: Server, found: Mapping[str, str | None]) -> Iterable[Finding]:
    """Judge client programs: one older than the server refuses to work, or leaves out what it does not know."""
    wanted = profile(server.engine).programs
    if not wanted:
        return
    missing = [names[0] for names in wanted if not any(found.get(name) for name in names)]
    there = [(name, text) for names in wanted for name in names if (text := found.get(name))]
    older = [
        f"{name} {text}"
        for name, text in there
        if name not in OWN_VERSION
        and _release(server, tuple(map(int, text.split(".")))) < _release(server, server.version)
    ]
    if missing:
        yield Finding(
            WARNING,
            "programs",
            f"not found: {', '.join(missing)}",
            "install the engine's client package, or set its folder as `programs:` in config/aishell.yaml",
        )
    if older:
        release = ".".join(map(str, _release(server, server.version)))
        text = f"older than the server ({server.product} {release}): {', '.join(older)}"
        yield Finding(WARNING, "programs", text, f"install the client programs of version {release} or newer")
    elif not missing:
        yield Finding(OK, "programs", ", ".join(f"{name} {text}" for name, text in there))


def _release(server: Server, version: tuple[int, ...]) -> tuple[int, ...]:
    """Return the significant part of a version."""
    return version[: profile(server.engine).release]


def described(one: Residue) -> str:
    """Return `scratch database aishell_scratch_1a2b3c4d, 8.0 MB, since 2026-11-21T03:15:00, of the run 1a2b3c4d`."""
    parts = [
        f"{one.kind} {one.name}",
        size(one.bytes) if one.bytes is not None else "",
        f"since {at(one.since)}" if one.since else "",
        f"of the run {one.run_id[:8]}" if one.run_id else "",
    ]
    return ("" if one.certain else "perhaps: ") + ", ".join(filter(None, parts))


def left(name: str, found: Sequence[Residue], *, whole: bool) -> Iterator[Finding]:
    """Yield a finding for each thing that killed runs left on a target, with what removes it.

    `whole`: the database was searched too.
    """
    subject = f"residue of {name}" if "://" not in name else "residue"
    for one in found:
        remedy = command("run", "residue", *on(name)) if one.goes else one.kept
        yield Finding(WARNING if one.certain else OK, subject, described(one), remedy, residue=one)
    if not found and whole:
        yield Finding(OK, subject, "killed runs have left nothing")


def backup(name: str, known: Sequence[CatalogEntry], now: datetime, *, identity: str | None = None) -> Finding:
    """Judge the age of a target's last verified backup; none is a warning. `known`: its backups, oldest first.

    `identity`: the target's present database, if known. Backups of another database do not count, nor do those of a
    database that a restore in place has replaced.
    """
    remedy = command("run", "backup", *on(name))
    subject = f"backup of {name}" if "://" not in name else "backup"
    mine = [one for one in known if identity in (None, one.identity)]
    good = [one for one in mine if one.verified and not one.replaced]
    if not good:
        return Finding(WARNING, subject, *_without_backup(name, known, mine))
    last = good[-1]
    old = max(0.0, (now - datetime.fromisoformat(last.started_at)).total_seconds())
    text = f"{age(old)} old, {last.verification_level.replace('-', ' ')}: {last.backup_id}"
    if mine[-1] is not last:
        replaced = "a restore in place has replaced its database" if mine[-1].verified else "it was not verified"
        bad = mine[-1].wrong or replaced
        return Finding(WARNING, subject, f"{text}; the newest, {mine[-1].backup_id}, does not count: {bad}", remedy)
    if old > STALE:
        return Finding(WARNING, subject, text, remedy)
    return Finding(OK, subject, text)


def _without_backup(name: str, known: Sequence[CatalogEntry], mine: Sequence[CatalogEntry]) -> tuple[str, str]:
    """Return why none of a target's backups counts, and the remedy."""
    remedy = command("run", "backup", *on(name))
    other = f"; {len(known) - len(mine)} of another database under this name" if len(mine) < len(known) else ""
    if not mine:
        return f"there is none{other}", remedy
    verified = any(one.verified for one in mine)  # of a database that a restore has replaced
    none = f"none of {len(mine)} is of the restored database" if verified else f"none of {len(mine)} is verified"
    return f"{none}{other}", f"{command('backups', 'verify', '--target', name)}, or {remedy}"
