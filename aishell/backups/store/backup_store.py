"""The backup store of a site: the folder of backups, their catalog and the settings for making them."""

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
    """The backups of a site. `store` opens the state store, which a dry run does not; `programs`: folder of client programs."""

    repository: Repository
    store: Callable[[], Store] = field(repr=False)
    programs: Path | None = None
    recipients: tuple[str, ...] = ()  # age keys that backups are encrypted to
    identity: Path | None = None  # the file of the key that decrypts them, if there is one here
    copies: tuple[str, ...] = ()  # second places: absolute paths of folders, URLs of object stores
    recorded: Callable[[], bool] = field(default=lambda: True, repr=False)  # whether there is a state store

    @classmethod
    def of(
        cls, settings: Settings, base: Path, store: Callable[[], Store], recorded: Callable[[], bool]
    ) -> BackupStore:
        """The configured store; folders are relative to `base`, the folder of the site or of its state."""
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
        """Every backup, the oldest first; empty where nothing was recorded yet. Backups in the trash are left out."""
        if not self.recorded():
            return []
        known = [(entry, entry.folder) for entry in self.catalog.all(target)]
        return [one for one, at in known if at.exists() or not at.with_name(TRASH + at.name).exists()]

    def chain(self, entry: CatalogEntry) -> list[tuple[Path, BackupManifest]]:
        """A backup and those it depends on, the full one first: folders with manifests as the catalog knows them.

        Raises BackupError naming a missing or changed one.
        """
        links: list[tuple[Path, BackupManifest]] = []
        known = {one.backup_id: one for one in self.catalog.all()}
        at: CatalogEntry | None = entry
        while at is not None:
            manifest = self.manifest(at)
            child = links[-1][1] if links else None
            if child is not None and child.details.get("parent_digest") != manifest.digest:
                raise BackupError(f"{manifest.backup_id} has changed since {child.backup_id} was made from it")
            if child is not None and child.identity != manifest.identity:
                raise BackupError(f"{child.backup_id} and {manifest.backup_id} were made from different servers")
            links.append((at.folder, manifest))
            if manifest.kind == FULL:
                return links[::-1]
            if manifest.parent not in known or len(links) > len(known):
                raise BackupError(f"{manifest.backup_id} depends on {manifest.parent}, which is missing")
            at = known[manifest.parent]
        raise BackupError(f"{entry.backup_id} does not depend on a full backup")

    def manifest(self, entry: CatalogEntry) -> BackupManifest:
        """The manifest of a backup. Raises BackupError, and records the backup as damaged, if it is damaged or was replaced."""
        try:
            manifest = self.repository.manifest(entry.folder)
            if manifest.digest != entry.digest or manifest.backup_id != entry.backup_id:
                raise BackupError(f"{entry.folder} differs from the backup {entry.backup_id} in the catalog")
        except NotAtHandError:
            raise
        except BackupError as error:
            self.catalog.failed(entry.backup_id, error.message)
            raise
        return manifest

    def _note(self, entry: CatalogEntry) -> None:
        """Write the catalog's knowledge of a backup into its folder."""
        if not entry.folder.is_dir():
            return
        noted = cataloguing.as_keys({name: getattr(entry, name) for name in Verification.__dataclass_fields__})
        read = {name: asdict(one) for name, one in entry.copies_read.items()}
        known = {"copies": list(entry.copies), "copies_read": read, "digest": entry.digest}
        self.repository.write_note(entry.folder, {**noted, **known})

    def verification(self, folder: Path, manifest: BackupManifest) -> Verification | None:
        """The note in a backup's folder, for rebuilding the catalog; None if it cannot be read.

        A note about another manifest is ignored, but for the pin: the backup has to be verified again.
        """
        noted = self.repository.read_note(folder)
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
        """The newest verified backup of this database."""
        found = [e for e in self.entries(target) if e.identity == identity and e.verified and kind in (None, e.kind)]
        return found[-1] if found else None

    def latest(self, identity: str, target: str, databases: Collection[str]) -> CatalogEntry | None:
        """The newest verified backup of this server, of the target or of one of its databases under another target.

        Safety backups, made before a restore in place, do not count.
        """
        found = [one for one in self.entries() if one.identity == identity and one.verified and not one.replaced]
        fits = [one for one in found if one.target == target or one.database in databases]
        return fits[-1] if identity and fits else None


def _copies_read(noted: object) -> dict[str, CopyRead]:
    """The noted results of reading copies; one with an invalid note is left out, and so read again."""
    read = {}
    for name, one in noted.items() if isinstance(noted, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("at"), str):
            problem = one.get("problem")
            read[str(name)] = CopyRead(one["at"], problem if isinstance(problem, str) else None)
    return read


def store_of(context: Context) -> BackupStore:
    """The backup store of a run. Raises StepError if it has none, as for a tool that is run by itself."""
    if not isinstance(context.backups, BackupStore):
        raise StepError("no folder for backups is configured", hint="set `backups:` in config/aishell.yaml")
    return context.backups


@dataclass
class Rebuilt:
    """The result of rebuilding the catalog. `damaged`: folders and their problems; `gone`: in the catalog, but not in the folder.

    `unnoted`: the note beside it cannot be read, so it counts as unverified, and is pinned in case it was.
    """

    added: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    unnoted: list[str] = field(default_factory=list)


def rebuild(backup_store: BackupStore, *, all_gone: bool = False) -> Rebuilt:
    """Enter every backup of the folder into the catalog from its manifest and note. No entry is removed: see `gone`.

    A backup whose manifest differs from the catalog's is recorded as damaged. Raises BackupError if the folder does not exist,
    or has none of the known backups, as when its disk is not mounted; `all_gone`: they are really gone.
    """
    root = backup_store.repository.root
    if not root.is_dir():
        raise BackupError(f"{root} does not exist", hint="mount its disk, or correct `backups:` in config/aishell.yaml")
    before = {entry.backup_id: entry for entry in backup_store.catalog.all()}
    found = list(backup_store.repository.all())
    if before and not all_gone and not before.keys() & {folder.name for folder, _ in found}:
        forget = command("backups", "rebuild-catalog", "--all-gone", "--yes")
        why = f"none of the {len(before)} backup(s) in the catalog is in {root}: nothing was changed"
        raise BackupError(why, hint=f"mount its disk; if the backups are gone for good: {forget}")
    rebuilt, seen = Rebuilt(), dict[str, Path]()
    for folder, manifest in found:
        known = None if isinstance(manifest, BackupError) else before.get(manifest.backup_id)
        problem = _problem(backup_store, folder, manifest, known, seen)
        if isinstance(manifest, BackupError) or problem is not None:
            rebuilt.damaged.append((folder, str(problem)))
            continue
        noted = backup_store.verification(folder, manifest)
        backup_store.catalog.add(manifest, folder, noted or Verification(WRITTEN, pinned=True))
        if noted is None and known is None:
            rebuilt.unnoted.append(manifest.backup_id)
        (rebuilt.added if known is None else rebuilt.known).append(manifest.backup_id)
    rebuilt.gone = [entry.backup_id for entry in backup_store.entries() if not entry.folder.is_dir()]
    return rebuilt


def _problem(
    backup_store: BackupStore,
    folder: Path,
    manifest: BackupManifest | BackupError,
    known: CatalogEntry | None,
    seen: dict[str, Path],
) -> str | None:
    """Why a folder cannot be entered as the backup that its manifest names; `seen`: the folders before it."""
    if isinstance(manifest, BackupError):
        return manifest.message
    name = manifest.backup_id
    if folder.name != name:
        return f"its manifest belongs to {name}"
    other = seen.get(name) or (known.folder if known is not None and known.folder.is_dir() else folder)
    if other.resolve() != folder.resolve():
        return f"{other} is the same backup"
    seen[name] = folder
    if known is not None and known.digest != manifest.digest:
        backup_store.catalog.failed(name, OTHER_MANIFEST)
        return OTHER_MANIFEST
    return None


def identity_of(context: Context) -> str:
    """The identity of the target's server as last inspected; empty if it was not."""
    server = context.facts.get("server")
    return server.identity if isinstance(server, Server) else ""
