"""Topics of questions about a running server: the words that they are recognised by, and the findings that belong to them.

To add a topic, add a row to `TOPICS`. Data, and one pure function.
"""

from __future__ import annotations

from dataclasses import dataclass

from aishell.agents.patterns import find, words_of


@dataclass(frozen=True)
class Topic:
    """A topic. `label`: reported as absent if nothing was found. `findings`: names of findings of `analyze_database_health`.

    `reads`: what else is read from the server, by the names that `live` has for it.
    """

    name: str
    label: str
    patterns: tuple[str, ...]
    findings: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


TOPICS = (
    Topic(
        "locks",
        "long-running or prepared transaction",
        (
            "block*|lock|locks|locked|locking|deadlock*|sperr*|gesperrt|blockier*|bloque*|cerrojo*",
            "waits|waiting|wartet|warten|espera|esperan for|on|auf|a|por",
            "queue|queues|queued|queueing|schlange|cola",
            "holds|holding|halt|haelt|retiene (the|a|die|den|el) {table}",
        ),
        ("long_transaction", "idle_in_transaction", "prepared_transaction"),
        ("oldest_transaction", "lock_holders"),
    ),
    Topic(
        "vacuum_held_back",
        "session, slot or prepared transaction that holds back VACUUM",
        (
            "hold|holds|holding|held|keeps|stops|prevents|halt|haelt|halten|hindert|retiene|frena|impide + "
            "vacuum|autovacuum|vacuuming|server|cleanup|xmin|horizon|purge|purging",
            "oldest|old|long|longest|idle|lang*|alteste|offene|larga|largas|abierta|antigua (running|open|laufende) "
            "transaction|transactions|transaktion|transaktionen|transaccion|transacciones|session|sessions",
            "idle_in_transaction|xmin",
        ),
        (
            "long_transaction",
            "idle_in_transaction",
            "prepared_transaction",
            "inactive_replication_slot",
            "standby_holds_back_vacuum",
            "purge_lagging",
        ),
        ("oldest_transaction",),
    ),
    Topic(
        "replication",
        "replication problem",
        (
            "replica|replicas|standby|standbys|replication|replikation|replikat|replicacion|secondary|follower",
            "slot|slots",
            "lag|lags|lagging|replay*",
        ),
        ("inactive_replication_slot", "backup_slot", "standby_holds_back_vacuum", "replication_slot"),
        ("replica_lag",),
    ),
    Topic(
        "wraparound",
        "table near wraparound",
        ("wraparound|freeze|frozen|xid|multixact", "transaction id|ids", "transaktions_id*|einfrier*|congela*"),
        ("wraparound_database", "wraparound_table"),
        ("freeze_age",),
    ),
    Topic(
        "disk",
        "growth that fills the disk",
        (
            "disk|disks|disc|platte|festplatte|disco|speicherplatz",
            "full|voll|lleno|llena + when|wann|cuando|soon|bald|pronto",
            "run|runs|running out + space|room",
        ),
        reads=("size", "growth"),
    ),
    Topic(
        "growth",
        "growth",
        ("grow|grows|growing|growth|wachst|wachsen|wachstum|crece|crecen|crecimiento",),
        reads=("growth",),
    ),
    Topic(
        "sequences",
        "sequence or AUTO_INCREMENT column near its end",
        (
            "sequence|sequences|sequenz*|secuencia*|serial|identity|auto_increment|autoincrement",
            "run out + ids|numbers|keys",
        ),
        ("sequence_near_end", "auto_increment_near_end"),
    ),
    Topic(
        "duplicate_indexes",
        "duplicate or redundant index",
        ("duplicat*|redundan*|doppelt*|duplicad*|same|gleiche* + {index}",),
        ("duplicate_index", "redundant_index"),
    ),
    Topic(
        "invalid_indexes",
        "invalid index",
        ("invalid|broken|failed|unfinished|ungultig*|kaputt*|invalido*|roto* + {index}",),
        ("invalid_index",),
    ),
    Topic(
        "unused_indexes",
        "unused index",
        (
            "unused|useless|never_used|needless|unbenutzt*|ungenutzt*|nutzlos*|inutil* + {index}",
            "not|nicht + used|benutzt|genutzt + {index}",
        ),
        ("unused_index", "redundant_index"),
    ),
    Topic(
        "primary_keys",
        "table without a primary key",
        ("primary_key|primary_keys|primarschlussel*|primaerschluessel*|clave_primaria|claves_primarias",),
        ("missing_primary_key",),
    ),
    Topic(
        "statistics",
        "table whose statistics are missing",
        ("statistics|stats|statistik*|estadistica*|analyzed|analysed|never_analyzed",),
        ("never_analyzed", "no_statistics", "hidden_statistics"),
    ),
    Topic(
        "autovacuum",
        "table that autovacuum neglects",
        ("autovacuum|auto_vacuum", "dead rows|tuples|zeilen|filas"),
        ("autovacuum_lagging", "autovacuum_disabled", "auto_vacuum_full"),
    ),
    Topic(
        "bloat",
        "bloated table or index",
        (
            "bloat|bloated|fragmented|fragmentation|fragmentier*|aufgeblaht*|fragmentad*|hinchad*",
            "free|wasted|frei*|libre|desperdiciad* + pages|space|seiten|platz|espacio",
        ),
        ("disk_bloat", "free_space", "free_space_in_file"),
        ("size",),
    ),
    Topic(
        "corruption",
        "sign of damage that the server knows of",
        ("corrupt*|damage|damaged|checksum*|beschadigt*|defekt*|schaden|corrupcion|danad*|pruefsumm*|prufsumm*",),
        (
            "corruption",
            "checksum_failures",
            "collation_version_changed",
            "corruption_not_visible",
            "reindex_concurrently_corrupts",
            "checksums_off",
        ),
    ),
    Topic(
        "settings",
        "dangerous setting",
        ("setting|settings|configuration|configured|einstellung*|konfiguration|ajuste*|parametro*",),
        ("setting", "small_pages", "not_crash_safe"),
    ),
    Topic(
        "size",
        "size",
        (
            "how|wie big|large|gross",
            "size|grosse|tamano .. database|datenbank|base",
            "database|datenbank size|grosse",
        ),
        reads=("size",),
    ),
)


def topics_of(text: str) -> tuple[Topic, ...]:
    """Return the topics of a question, in the order of `TOPICS`."""
    words = words_of(text)
    return tuple(
        topic for topic in TOPICS if any(next(find(pattern, words), None) is not None for pattern in topic.patterns)
    )
