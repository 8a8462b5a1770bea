"""Words of requests for a backup, its test or its restore, in English, German and Spanish."""

from __future__ import annotations

from aishell.agents.vocabulary import Reads, Vocabulary

_INCREMENTAL = (
    "incremental|incrementally|increment|inkrementell*|inkrement|incremental*|incrementales|"
    "differential|differentiell*|diferencial"
)
_FULL = "{full}"
_RESTORE = (
    "restore|restores|restoring|restored|recover|recovery|bring_back|put_back|roll_back_to|wiederherstell*|"
    "wiederherzustell*|zuruckspiel*|ruckspiel*"
    "|wiederhergestellt|restaur*|recuper*|restablec*|restorable|restoreable"
)
_TEST = (
    "test|tests|testing|try|try_out|prove|proof|verify|check|drill|rehearse|rehearsal|sure|whether|actually"
    "|teste|testen|prufe|pruefe|prufen|pruefen|probe|probier*|beweis*|prueba|probar|comprueba|comprobar|"
    "verifica*|ensay*|works|can"
)
_COMPOUND = (
    "restore-test|restore_test|restoretest|wiederherstellungstest|rucksicherungstest|restore_drill|"
    "prueba_restauracion|test_restore"
)
_OLD = (
    "old|older|expired|outdated|stale|past|alte|alten|alter|abgelaufen*|veraltet*|viejas|viejos|antiguas|"
    "antiguos|caducad*|vencid*|ones|unneeded|surplus|obsolete*"
)
_FIRST = "first|before|beforehand|upfront|vorher|zuvor|davor|vorab|antes|previamente"
_LAST = "last|latest|newest|recent|most_recent|letzten|letzte|neuesten|jungsten|ultimas|ultimos|recientes"
_COPIES = "backup|backups|copies|copy|sicherungen|dumps|copias|respaldos|ones|versions|fulls"

WORDS = Vocabulary(
    asks=(
        (0.95, "{backup}"),
        (0.98, "{backup} .. with|including|incl|mit|con|plus|inklusive|and|und|y .. " + _COMPOUND),
        (
            0.98,
            "{backup} .. with|including|incl|mit|con|plus|inklusive .. restore|wiederherstellung|"
            "restauracion test|prueba",
        ),
        (0.6, "pg_dump|mysqldump|mariadb-dump"),
    ),
    never=(
        "{delete} .. all|every|alle|samtliche|todas|todos {backup}",
        "{backup} of what|policy|check",
    ),
    inputs={
        "backup_type": Reads(
            "choice",
            {
                "full": (
                    f"{_FULL} .. {{backup}}",
                    "{backup} .. full|complete|complet*|total|entera|vollstandig|voll|komplett",
                    "vollbackup*|vollsicherung*",
                    "full one",
                ),
                "incremental": (_INCREMENTAL,),
            },
        ),
        "destination": Reads(
            "name",
            {
                True: (
                    "folder|subfolder|directory|subdirectory|ordner|unterordner|verzeichnis|carpeta|"
                    "subcarpeta|directorio (called|named|:|=|namens|llamada|llamado) @",
                    "into|to|under|nach|in|en|a @ folder|subfolder|directory|ordner|verzeichnis|carpeta",
                    "into @",
                    "put|store|save|keep|write|place it|them under|into|to @",
                    "under @",
                    "nach @",
                )
            },
        ),
        "parent": Reads(
            "name",
            {
                True: (
                    "auf @ aufbaut|basiert|aufbauend",
                    "parent|basis|base|padre (is|=|:|backup|es|ist) @",
                    "based|builds|building|build|basierend|aufbauend|basada|top on|upon|auf|en|of (backup|"
                    "sicherung|copia|respaldo) @",
                )
            },
            "digits",
        ),
        "physical": Reads(
            "flag",
            {
                True: (
                    "physical|physically|physisch*|fisica|fisico",
                    "files .. whole|entire|complete|full server|cluster|instance",
                    "base_backup|basebackup|whole_cluster|entire_cluster",
                    "dateien .. server*",
                    "archivos|ficheros .. servidor",
                )
            },
        ),
        "compare": Reads(
            "flag",
            {
                True: (
                    "fingerprint*|fingerabdr*|huella*|checksum_of_every_table",
                    "record|comparable|vergleichbar",
                ),
                False: (
                    "not|no|don't|dont|without|skip|ohne|kein*|nicht|sin .. compar*|vergleich*|fingerprint*|"
                    "fingerabdr*|huella*",
                ),
            },
        ),
        "restore_test": Reads(
            "flag",
            {
                True: (
                    _COMPOUND,
                    f"{_TEST} .. {_RESTORE}",
                    f"{_RESTORE} .. {_TEST}",
                    f"{_RESTORE} .. scratch|compare|vergleich*|compar*|temporar*",
                    f"{_TEST} + {_RESTORE}",
                )
            },
        ),
        "cleanup_old": Reads(
            "flag",
            {
                True: (
                    f"{{delete}} .. {_OLD}",
                    "{delete} .. {backup}",
                    f"{_OLD} .. {{delete}}",
                    "past|beyond|over .. retention|aufbewahrung*|retencion",
                    "clean-up-old|cleanup_old|cleanup-old",
                )
            },
            removes=True,
        ),
        "retention": Reads(
            "rules",
            {
                "count": (
                    f"{{keep}} .. {_LAST} # ({_COPIES})",
                    f"{_LAST} # {{keep}}",
                    f"{_LAST} # {_COPIES} .. {{keep}}",
                    f"{{keep}} (only|nur|solo|just|the) # (of|{_LAST}) {_COPIES}",
                    f"{{keep}} # {_LAST}",
                    f"# {_COPIES} {{keep}}",
                    "retention (rule) count (=|of|:) #",
                    "count = #",
                    f"{{delete}} .. but|except|ausser|bis_auf|menos|excepto .. {_LAST} #",
                ),
                "daily": ("# daily|tagliche|taegliche|diarias|diarios|dailies", "daily (=) #"),
                "weekly": ("# weekly|wochentliche|woechentliche|semanales|weeklies", "weekly = #"),
                "monthly": ("# monthly|monatliche|mensuales|monthlies", "monthly = #"),
                "yearly": ("# yearly|annual|jahrliche|jaehrliche|anuales", "yearly = #"),
                "days": ("days = #",),
            },
        ),
    },
    part_of={
        "maintenance": (f"{{backup}} .. {_FIRST}", f"make|take|create|with|haz|mach|nimm .. {{backup}} .. {_FIRST}")
    },
)

TEST = Vocabulary(
    asks=(
        (0.96, _COMPOUND),
        (
            0.97,
            "test|testing|try|try_out|prove|rehearse|drill|teste|testen|prufe|pruefe|prueba|probar|comprueba|"
            "ensaya|probier* .. " + _RESTORE,
        ),
        (
            0.97,
            _RESTORE + " .. test|drill|rehearsal|testen|teste|prufen|probe|probeweise|testweise|prueba|scratch|"
            "probieren|ausprobieren",
        ),
        (0.97, "test|try_out|prove|rehearse|teste|probier*|prueba|probar {backup}"),
        (
            0.97,
            "check|verify|see|make_sure|sure|prufe|pruefe|prufen|schau|comprueba|verifica|asegura* + {backup} + "
            + _RESTORE,
        ),
        (0.97, "check|verify|see|make_sure|sure|prufe|pruefe|prufen|schau|comprueba|verifica|asegura* .. " + _RESTORE),
        (0.97, "test|try_out|prove|verify|check + {backup} + " + _RESTORE),
        (0.96, "{backup} .. testen|probieren|ausprobieren"),
    ),
    part_of={
        "backup": (
            "it|its|it's|itself|sie|ihn|es|dieses|diese|that|this|restaurarl*|recuperarl*|probarl*|"
            "comprobarl*|lo|the_copy|copy",
            f"{_TEST} .. {_RESTORE}",
            f"{_RESTORE} .. {_TEST}",
            _COMPOUND,
            "!a|another|any|oldest|older|eine|einer|eines|un|una|alte {backup}",
            "!of|von|de .. {backup}",
        )
    },
    inputs={
        "backup": Reads(
            "name", {True: ("{backup} (called|with|id|:|=|number|number|nummer|mit|con) (id) @", "id @")}, "digits"
        ),
    },
)

RESTORE = Vocabulary(
    asks=(
        (0.9, _RESTORE),
        (0.965, _RESTORE + " + {backup}"),
        (0.965, "stell|stelle|stellen|spiel|spiele|spielen + her|ein|zuruck|wiederher|wieder_her"),
        (0.965, "bring|put|get|roll + back + {backup}|yesterday"),
    ),
    part_of={
        "backup": (f"{_TEST} .. {_RESTORE}", f"{_RESTORE} .. {_TEST}"),
        "restore_test": ("can|could|be .. restored",),
    },
    instead=(
        "a restore names its backup: find it with `aishell backups list`, and see `aishell backups restore --help`"
    ),
)
