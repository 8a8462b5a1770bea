"""The words that ask for maintenance, in English, German and Spanish."""

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
_CORRUPT = "corrupt*|damaged|beschadigt*|beschaedigt*|korrupt*|danad*|integrity"
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
        (0.8, _BLOAT),
        (0.8, f"check|checks|prufe|pruefe|prufen|pruefen|revisa|comprueba|repair|reparier*|repara* + {_CORRUPT}"),
        (0.8, f"repair|repairs|reparier*|repara* + ~|{_CORRUPT}|{{table}}|{{index}}"),
        (0.65, "tidy up|speed up|tidy|tune"),
    ),
    never=("{table} of maintenance",),
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
                ),
                "full": (
                    f"{{full}}|thorough|deep|grundlich*|gruendlich*|profund*|a_fondo .. {_MAINTAIN}",
                    f"{_MAINTAIN} .. {{full}}|thorough|deep|grundlich*|gruendlich*|profund*|a_fondo",
                    "full one|run|round|program|programme",
                    f"check|prufe|pruefe|prufen|pruefen|revisa|comprueba + {_CORRUPT}",
                    "vollwartung|komplettwartung|gesamtwartung",
                ),
                "emergency": (
                    "emergency|urgent_repair|notfall|notfallwartung|emergencia|urgencia",
                    f"repair|repairs|reparier*|repara* + ~|{_CORRUPT}|{{table}}",
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
                    f"{_REWRITE} .. {{table}}",
                    "{table} .. " + _REWRITE,
                    "vacuum full",
                    f"{_REWRITE} ~",
                    f"~ {_REWRITE}",
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
