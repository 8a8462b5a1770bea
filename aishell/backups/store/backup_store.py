"""Where a run's backups are: the folder, the catalog, and how this target is to be backed up."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from aishell.backups.store import catalog as cataloguing
from aishell.backups.store.catalog import OTHER_MANIFEST, WRITTEN, Catalog, CatalogEntry, CopyRead, Verification
from aishell.backups.store.manifest import FULL, BackupManifest
from aishell.backups.store.repository import TRASH, Repository
from aishell.commands import command
from aishell.errors import BackupError, NotAtHandError, StepError
from aishell.models import Server
from aishell.running.context import Context
from aishell.settings.settings import Settings
from aishell.state.store import Store


@dataclass(frozen=True)
class BackupStore:
    """The backups of a site. `store` opens the state, which a dry run does not; `programs`: the folder of the client programs."""

    repository: Repository
    store: Callable[[], Store] = field(repr=False)
    programs: Path | None = None
    recipients: tuple[str, ...] = ()  # age keys that backups are encrypted to
    identity: Path | None = None  # the file of the key that opens them, where it is at hand
    copies: tuple[str, ...] = ()  # second places: folders by absolute path, object stores by URL
    recorded: Callable[[], bool] = field(default=lambda: True, repr=False)  # whether there is a state to open

    @classmethod
    def of(
        cls, settings: Settings, base: Path, store: Callable[[], Store], recorded: Callable[[], bool]
    ) -> BackupStore:
        """As configured; folders are relative to `base`, that of the site or of its state."""
        return cls(
            Repository(base / (settings.backups or "backups")),
            store,
            programs=Path(settings.programs).expanduser() if settings.programs else None,
            recipients=settings.backup_recipients,
            identity=Path(settings.backup_identity).expanduser() if settings.backup_identity else None,
            copies=settings.backup_copies,
            recorded=recorded,
        )

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog(self.store(), self.repository.root, self._note)

    def entries(self, target: str | None = None) -> list[CatalogEntry]:
        """Every backup, the oldest first; none where nothing was recorded yet. One that is in the trash is none any more."""
        if not self.recorded():
            return []
        known = [(entry, entry.folder) for entry in self.catalog.all(target)]
        return [one for one, at in known if at.exists() or not at.with_name(TRASH + at.name).exists()]

    def chain(self, entry: CatalogEntry) -> list[tuple[Path, BackupManifest]]:
        """A backup and all that it rests on, the full one first, each with its manifest as the catalog knows it.

        Raises BackupError, naming the missing or changed link.
        """
        links: list[tuple[Path, BackupManifest]] = []
        known = {one.backup_id: one for one in self.catalog.all()}
        at: CatalogEntry | None = entry
        while at is not None:
            manifest = self.manifest(at)
            child = links[-1][1] if links else None
            if child is not None and child.details.get("parent_digest") != manifest.digest:
                raise BackupError(f"{child.backup_id} was not made on {manifest.backup_id} as it is now")
            if child is not None and child.identity != manifest.identity:
                raise BackupError(f"{child.backup_id} and {manifest.backup_id} are of different servers")
            links.append((at.folder, manifest))
            if manifest.kind == FULL:
                return links[::-1]
            if manifest.parent not in known or len(links) > len(known):
                raise BackupError(f"{manifest.backup_id} depends on {manifest.parent}, which is missing")
            at = known[manifest.parent]
        raise BackupError(f"{entry.backup_id} depends on no full backup")

    def manifest(self, entry: CatalogEntry) -> BackupManifest:
        """The manifest of a backup; one that is damaged or another one makes it count for nothing."""
        try:
            manifest = self.repository.manifest(entry.folder)
            if manifest.digest != entry.digest or manifest.backup_id != entry.backup_id:
                raise BackupError(f"{entry.folder} is not the backup that the catalog knows as {entry.backup_id}")
        except NotAtHandError:
            raise
        except BackupError as error:
            self.catalog.failed(entry.backup_id, error.message)
            raise
        return manifest

    def _note(self, entry: CatalogEntry) -> None:
        """Write what the catalog knows of a backup beside it."""
        if not entry.folder.is_dir():
            return  # there is nothing to note it beside
        noted = cataloguing.as_keys({name: getattr(entry, name) for name in Verification.__dataclass_fields__})
        read = {name: asdict(one) for name, one in entry.copies_read.items()}
        known = {"copies": list(entry.copies), "copies_read": read, "digest": entry.digest}
        self.repository.stand(entry.folder, {**noted, **known})

    def verification(self, folder: Path, manifest: BackupManifest) -> Verification | None:
        """What was noted beside a backup, for a catalog that is made again; None where that cannot be read.

        What was noted of another manifest is worth nothing: the backup has to be looked at again.
        """
        noted = self.repository.standing(folder)
        if noted is None:
            return None
        if (
            noted.get("digest") != manifest.digest
            or noted.get(cataloguing.LEVEL_KEY) not in cataloguing.VERIFICATION_LEVELS
        ):
            return Verification(WRITTEN, pinned=bool(noted.get("pinned")))
        known = {name: noted.get(name) for name in (cataloguing.LEVEL_AT_KEY, "compared_at", "problem", "differs")}
        texts = {name: value if isinstance(value, str) else None for name, value in known.items()}
        copies = noted.get("copies")
        places = tuple(map(str, copies)) if isinstance(copies, list) else ()
        pinned, read = bool(noted.get("pinned")), _copies_read(noted.get("copies_read"))
        return Verification(
            str(noted[cataloguing.LEVEL_KEY]),
            **cataloguing.as_fields(texts),
            pinned=pinned,
            copies=places,
            copies_read=read,
        )

    def newest(self, target: str, identity: str, *, kind: str | None = None) -> CatalogEntry | None:
        """The newest verified backup of this very database."""
        found = [e for e in self.entries(target) if e.identity == identity and e.verified and kind in (None, e.kind)]
        return found[-1] if found else None

    def latest(self, identity: str, target: str, databases: Collection[str]) -> CatalogEntry | None:
        """The newest verified backup of this very server, by the target's name or, whatever it is called, of the database.

        One of what a restore in place was about to replace is none.
        """
        found = [one for one in self.entries() if one.identity == identity and one.verified and not one.replaced]
        fits = [one for one in found if one.target == target or one.database in databases]
        return fits[-1] if identity and fits else None


def _copies_read(noted: object) -> dict[str, CopyRead]:
    """What was noted of the copies; one of which it cannot be told is read again."""
    read = {}
    for name, one in noted.items() if isinstance(noted, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("at"), str):
            problem = one.get("problem")
            read[str(name)] = CopyRead(one["at"], problem if isinstance(problem, str) else None)
    return read


def store_of(context: Context) -> BackupStore:
    """The backup store a run was given. Raises StepError where there is none, as in a tool that is tried by itself."""
    if not isinstance(context.backups, BackupStore):
        raise StepError("there is no place for backups", hint="set `backups:` in config/aishell.yaml")
    return context.backups


@dataclass
class Rebuilt:
    """What was found. `damaged`: folder and what is wrong with it; `gone`: in the catalog, and not in the folder.

    `unnoted`: the note beside it cannot be read, so that nothing is proven of it, and whether it was pinned is not known: it is.
    """

    added: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    unnoted: list[str] = field(default_factory=list)


def rebuild(backup_store: BackupStore, *, all_gone: bool = False) -> Rebuilt:
    """Enter every backup of the folder as its manifest and the note beside it say. Nothing is forgotten: see `gone`.

    A manifest that differs from the one that the catalog knows is believed by nobody: the backup stays in the catalog as damaged.
    Raises BackupError where there is no such folder, or nothing in it of all that is known, as when its disk is not mounted;
    `all_gone`: a person says that it is.
    """
    root = backup_store.repository.root
    if not root.is_dir():
        raise BackupError(f"{root} is not there", hint="is its disk mounted? see `backups:` in config/aishell.yaml")
    before = {entry.backup_id: entry for entry in backup_store.catalog.all()}
    found = list(backup_store.repository.all())
    if before and not all_gone and not before.keys() & {folder.name for folder, _ in found}:
        forget = command("backups", "rebuild-catalog", "--all-gone", "--yes")
        why = f"none of the {len(before)} backup(s) in the catalog is in {root}: nothing was changed"
        raise BackupError(why, hint=f"is its disk mounted? if they are gone for good: {forget}")
    rebuilt, seen = Rebuilt(), dict[str, Path]()
    for folder, manifest in found:
        known = None if isinstance(manifest, BackupError) else before.get(manifest.backup_id)
        wrong = _wrong(backup_store, folder, manifest, known, seen)
        if isinstance(manifest, BackupError) or wrong is not None:
            rebuilt.damaged.append((folder, str(wrong)))
            continue
        noted = backup_store.verification(folder, manifest)
        backup_store.catalog.add(manifest, folder, noted or Verification(WRITTEN, pinned=True))
        if noted is None and known is None:
            rebuilt.unnoted.append(manifest.backup_id)
        (rebuilt.added if known is None else rebuilt.known).append(manifest.backup_id)
    rebuilt.gone = [entry.backup_id for entry in backup_store.entries() if not entry.folder.is_dir()]
    return rebuilt


def _wrong(
    backup_store: BackupStore,
    folder: Path,
    manifest: BackupManifest | BackupError,
    known: CatalogEntry | None,
    seen: dict[str, Path],
) -> str | None:
    """Why a folder cannot be entered as the backup that its manifest names; `seen`: those that were looked at before it."""
    if isinstance(manifest, BackupError):
        return manifest.message
    name = manifest.backup_id
    if folder.name != name:
        return f"its manifest is that of {name}"
    other = seen.get(name) or (known.folder if known is not None and known.folder.is_dir() else folder)
    if other.resolve() != folder.resolve():
        return f"{other} is the same backup"
    seen[name] = folder
    if known is not None and known.digest != manifest.digest:
        backup_store.catalog.failed(name, OTHER_MANIFEST)
        return OTHER_MANIFEST
    return None


def identity_of(context: Context) -> str:
    """The identity of the target's server as it was seen last; empty where it was not."""
    server = context.facts.get("server")
    return server.identity if isinstance(server, Server) else ""
