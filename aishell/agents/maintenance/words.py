"""Words of requests for maintenance, in English, German and Spanish."""

from __future__ import annotations

from aishell.agents.vocabulary import Reads, Vocabulary

_MAINTAIN = (
    "*wartung|maintenance|maint|maintain|maintaining|upkeep|housekeeping|tune-up|overhaul|wartung|warten|warte|"
    "gewartet|instandhaltung|pflege|mantenimiento|manten"
)
_VACUUM = (
    "vacuum|vacuums|vacuuming|vaccum|autovacuum|vakuum|vacuumen|dead_rows|dead_tuples|tote_zeilen|"
    "toten_zeilen|filas_muertas|aspira|aspirar|vacua"
)
_BLOAT = (
    "bloat|bloated|fragmentation|fragmented|defragment*|defrag*|fragmentiert*|fragmentierung|"
    "fragmentad*|fragmentacion|desfragment*|dead_space|optimi*"
)
_REWRITE = (
    "rewrite|rewrites|rewriting|rewritten|vacuum_full|neu_schreib*|neu_geschrieben|umschreib*|"
    "reescrib*|repack|shrink|compact|kompaktier*|compacta*"
)
_OPTIMIZE = "optimi*|defrag*|desfragment*|reorgani*"
_MEND = "fix|reduce|remove|cure|rid|behebe|beheben|beseitig*|reduzier*|arregla*|reduce|elimina*"
_SPACE = (
    "free_pages|free_space|unused_space|unused_pages|empty_pages|empty_space|wasted_space|dead_space|disk_space|space|"
    "freie_seiten|freien_seiten|leere_seiten|leeren_seiten|freier_platz|freien_platz|freien_speicher*|speicherplatz|platz|"
    "paginas_libres|paginas_vacias|espacio_libre|espacio"
)
_BACK = "back|return|release|reclaim|zuruck|zuruckgeb*|freigeb*|freizugeben|devuelv*|devolver|libera*"
_FILE = "file|files|database|datei|dateien|datenbank*|datenbankdatei*|archivo|archivos|fichero|base_de_datos"
_REWRITES = (f"{_REWRITE} .. {{table}}", "{table} .. " + _REWRITE, "vacuum full", f"{_REWRITE} ~", f"~ {_REWRITE}")
_GIVEN_BACK = (
    f"{_BACK} .. {_SPACE}",
    f"{_SPACE} .. {_BACK}",
    f"give|hand|gib|gebe|geben .. {_SPACE} .. back|zuruck .. disk|disc|server|platte|festplatte|system",
    f"shrink|compact|verkleiner*|schrumpf*|kompaktier*|compacta*|encoge|reduce .. {_FILE} (file|files)",
    f"{_FILE} .. shrink|verkleinern|schrumpfen|kompaktieren",
)
_FREEZE = "freeze|freezes|freezing|friere|einfrieren|congela|congelar"
_WRAPAROUND = "wraparound|wrap-around|transaction_id*|transaktions-id*|id_transaccion|ids_transaccion"
_CORRUPT = "corrupt*|damage|damages|damaged|schaden|schaeden|danos|beschadigt*|beschaedigt*|korrupt*|danad*|integrity"
_FIRST = "first|before|beforehand|upfront|prior|vorher|zuvor|davor|zuerst|vorab|antes|primero|previo|previa"

WORDS = Vocabulary(
    asks=(
        (0.95, _MAINTAIN),
        (0.9, _VACUUM),
        (0.9, "analyze|analyse|reindex|reindexing|reindexier*|reindexa*"),
        (0.9, "{rebuild} + {index}"),
        (0.9, "bau|baue|bauen|erstell|erstelle|leg|lege + {index} + neu"),
        (0.9, "{refresh} + {statistics}"),
        (0.9, "{refresh} + table_statistics|planner"),
        (0.7, "{statistics}"),
        (0.9, f"{_REWRITE} + {{table}}"),
        (0.9, f"{_REWRITE} + ~"),
        (0.9, "vacuum full"),
        (0.9, "schreib|schreibe|schreiben + ~|{table} + neu"),
        (0.9, f"{_REWRITE} .. everything|all|alles|todo"),
        *((0.9, pattern) for pattern in _GIVEN_BACK),
        (0.9, f"{_FREEZE} .. ~|{{table}}|{{rows}}"),
        (0.9, f"~|{{table}} .. einfrieren|{_FREEZE}"),
        (0.8, _WRAPAROUND),
        (0.8, _BLOAT),
        (0.8, f"check|checks|prufe|pruefe|prufen|pruefen|revisa|comprueba|repair|reparier*|repara* + {_CORRUPT}"),
        (0.8, f"repair|repairs|reparier*|repara* + ~|{_CORRUPT}|{{table}}|{{index}}"),
        (0.65, "tidy up|speed up|tidy|tune"),
    ),
    never=("{table} of maintenance",),
    part_of={"log_cleanup": (*_GIVEN_BACK, f"{_REWRITE} .. it|them|{_FILE}", "!~")},
    inputs={
        "maintenance_type": Reads(
            "choice",
            {
                "quick": (
                    "quick|fast|short|brief|light|lightweight|schnell|schnelle|schnellen|schneller|kurze|"
                    f"kurz|rapido|rapida|breve|kurzen .. {_MAINTAIN}",
                    f"{_MAINTAIN} .. quick|fast|short|brief|light|schnell|schnelle|kurze|kurz|rapido|rapida|breve",
                    "quick|fast|schnelle|rapido one",
                    "quick|schnellwartung|kurzwartung",
                    "{refresh} + {statistics}",
                    "analyze|analyse",
                    "statistics only|alone",
                    "only|nur|solo|just .. {statistics}",
                ),
                "standard": (
                    "standardwartung|standard|normal|regular|usual|ordinary|default|estandar|habitual|"
                    "normale|normalen|"
                    "ubliche|regulare",
                    _VACUUM,
                    _FREEZE,
                    _WRAPAROUND,
                ),
                "emergency": (
                    "emergency|urgent_repair|notfall|notfallwartung|emergencia|urgencia",
                    f"repair|repairs|reparier*|repara* + ~|{_CORRUPT}|{{table}}",
                ),
                "full": (
                    f"{{full}}|thorough|deep|grundlich*|gruendlich*|profund*|a_fondo .. {_MAINTAIN}",
                    f"{_MAINTAIN} .. {{full}}|thorough|deep|grundlich*|gruendlich*|profund*|a_fondo",
                    "full one|run|round|program|programme",
                    f"check|prufe|pruefe|prufen|pruefen|revisa|comprueba + {_CORRUPT}",
                    "vollwartung|komplettwartung|gesamtwartung",
                    *_REWRITES,
                    *_GIVEN_BACK,
                    f"{_REWRITE} .. everything|all|alles|todo",
                    "schreib|schreibe|schreiben .. ~|{table} .. neu",
                    f"{_OPTIMIZE} .. ~|{{table}}|{_FILE}",
                    f"~|{{table}} .. {_OPTIMIZE}",
                    f"{_MEND} .. {_BLOAT}",
                ),
            },
        ),
        "tables": Reads("tables"),
        "exclude": Reads("exclude"),
        "all_tables": Reads(
            "flag",
            {
                True: (
                    "{statistics} .. all|every|each|aller|jeder|allen|todas|cada|samtlicher .. {table}",
                    "all|every|alle|todas .. {table} .. {statistics}",
                    "every|each|jede|jeder|cada {table}",
                    "all|alle|aller|allen|todas|samtliche|samtlicher {table} + {statistics}",
                    "not only|just stale|outdated",
                )
            },
        ),
        "create_backup": Reads(
            "flag",
            {
                True: (
                    "with|including|incl|mit|inklusive|con|incluyendo {full}|verified|fresh|vorheriger|"
                    "previa|safety {backup}",
                    "with|including|incl|mit|inklusive|con {backup}",
                    f"{{backup}} .. {_FIRST}",
                    "first|zuerst|vorher|primero .. {backup}",
                ),
                False: (
                    "no|not|don't|without|skip|kein*|ohne|nicht|sin .. {backup}",
                    "{backup} .. unnecessary|not_needed|isn't|unnotig|nicht|innecesari*",
                ),
            },
        ),
        "rebuild_indexes": Reads(
            "flag",
            {
                True: (
                    "{rebuild} + {index}",
                    "bau|baue|bauen|erstell|erstelle|leg|lege + {index} + neu",
                    "reindex|reindexing|reindexier*|reindexa*",
                    "indexneuaufbau|index_rebuild*",
                ),
                False: (
                    "not|don't|dont|without|leave|no|skip|ohne|keine|nicht|sin|never|lass .. {index}",
                    "{index} .. alone|untouched|nicht|unberuhrt|unangetastet|ruhe|as_they_are|out|weglassen|"
                    "en_paz|intactos|aus",
                    "sin|no .. {rebuild}|toca*|toques|tocar .. {index}",
                ),
            },
        ),
        "update_stats": Reads(
            "flag",
            {
                True: (),
                False: (
                    "not|don't|dont|without|leave|no|skip|ohne|keine|nicht|sin|never|lass .. {statistics}",
                    "{statistics} .. alone|nicht|ruhe|as_they_are|out|weglassen|en_paz|aus",
                ),
            },
        ),
        "rebuild_tables": Reads(
            "flag",
            {
                True: (
                    *_REWRITES,
                    "schreib|schreibe|schreiben .. ~|{table} .. neu",
                    "{rebuild} {table}",
                    "{table} {rebuild}",
                ),
                False: (
                    f"not|don't|dont|without|no|skip|ohne|keine|nicht|sin|never .. {_REWRITE}|locking",
                    "not|don't|without|no|ohne|keine|sin .. {table} .. " + _REWRITE,
                    "not|don't|dont|without|no|ohne|keine|nicht|sin .. {rebuild} {table}",
                    "{table} .. nicht neu_schreib*",
                ),
            },
        ),
        "fragmentation_threshold": Reads(
            "number",
            {
                True: (
                    "fragment*|defragment*|zersplitter* .. over|above|from|than|threshold|at|of|least|uber|"
                    "ueber|ab|mehr_als|mas_de|de|desde|mindestens|um|exceed*|> (=|:) #",
                    "# %|percent|prozent|por_ciento (or) (more) fragment*|defragment*",
                    "# %|percent|prozent|por_ciento .. fragment*",
                    "{index} .. over|above|than|from|uber|ueber|ab|als|de # %|percent|prozent|por_ciento",
                )
            },
            "percent",
        ),
        "optimize_threshold": Reads(
            "number",
            {
                True: (
                    "optimi*|vacuum* .. over|above|from|than|threshold|at|least|uber|ueber|ab|mas_de|desde|"
                    "mindestens|> (=|:) # %|percent|prozent|por_ciento",
                    "# %|percent|prozent|por_ciento .. free|dead|unused|frei*|tot*|libre|muert* (or) (dead) "
                    "(space|rows|tuples)",
                    "dead|free|unused|freier|toter space|rows|tuples|platz|zeilen .. over|above|from|than|"
                    "uber|ueber|ab|> # %|percent|prozent",
                )
            },
            "percent",
        ),
        "min_index_size": Reads(
            "number",
            {
                True: (
                    "{index} .. smaller|below|under|less|kleiner|unter|menores|menos|pequenos|minimum|least|"
                    "bigger|larger|over|above|grosser|ab|mayores|mas (than|als|de|que|a) #",
                    "small* {index} .. (under|below|unter) #",
                )
            },
            "bytes",
        ),
        "binlog": Reads(
            "choice",
            {
                "LOCAL": (
                    "not|don't|without|out|no|off|ohne|keep|nicht|sin|fuera|avoid|skip .. binlog|binary_log|"
                    "binlogs|replicat*|binarlog|log_binario",
                    "local|lokal .. binlog|binary_log",
                    "binlog .. local|off|nicht",
                )
            },
        ),
    },
)
