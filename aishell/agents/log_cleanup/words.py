"""Words of requests to delete old rows or to load archives, in English, German and Spanish."""

from __future__ import annotations

from aishell.agents.vocabulary import Reads, Vocabulary

_OLDER = (
    "older|old|before|prior|ago|since|retention|stale|outdated|expired|age"
    "|alter|aelter|alte|alten|altes|vor|seit|bis|aufbewahrung*"
    "|antiguo|antiguos|antigua|antiguas|anterior|anteriores|viejo|viejos|vieja|viejas|antes|desde|hace"
)
_ARCHIVE = (
    "archive|archives|archiving|archived|archival|archivier*|archiv|archiva|archivar|archivo|"
    "archivalo|archivalos|archivala|archivalas|archivando|archivados|archivado|archivelo|archiven"
)
_ROWS = "row|rows|record|records|entries|zeile|zeilen|datensatz*|eintrag*|fila|filas|registros"
_BATCH = "batch|batches|batchs|chunk|chunks|stapel|lote|lotes|bloque|bloques|portion*"

WORDS = Vocabulary(
    asks=(
        (0.95, "{delete} + {logs}"),
        (0.9, "{delete} + {rows}"),
        (0.9, "{delete} + ~"),
        (0.85, f"{{delete}} + {_OLDER}"),
        (
            0.85,
            "{delete} + day|days|week|weeks|month|months|year|years|tag*|woche*|monat*|jahr*|dia|dias|"
            "semana*|mes|meses|ano|anos",
        ),
        (0.9, "{keep} + rows|entries|records|zeilen|eintrage|filas|registros"),
        (0.8, f"~ .. {_OLDER}|more_than|than .. go|gone|weg|expire"),
        (0.8, f"~ .. {_OLDER} + go|gone|weg"),
        (0.8, f"~ {_OLDER} .. out|raus|fuera"),
        (0.9, "~ down to .. #"),
        (0.75, "{keep} from|since|seit|ab|desde"),
        (0.85, f"{_ARCHIVE} + {{rows}}"),
        (0.85, f"{_ARCHIVE} + ~"),
        (0.85, f"{_ARCHIVE} + {_OLDER}"),
        (0.75, "{keep} + ~"),
        (0.75, "retention|aufbewahrung*|retencion + ~"),
        (0.9, "log cleanup|clean-up|rotation|retention|purge|pruning"),
        (0.9, "log-cleanup|logcleanup|log-bereinigung|logbereinigung|log_rotation|limpieza_de_logs|limpieza + {logs}"),
        (0.8, "limpieza|bereinigung|aufraumen|saubern|clean-up|cleanup|clean_up"),
        (0.5, "{delete}"),
    ),
    never=(
        "{delete} .. {backup}",
        "{backup} .. {delete}",
        "{delete} .. {index}",
    ),
    part_of={
        "backup": (
            "{delete}",
            "!~",
            "!{rows}",
            "!{logs}",
            "!day|days|week|weeks|month|months|year|years|tag*|woche*|monat*|jahr*|dia|dias|semana*|mes|meses",
        )
    },
    inputs={
        "tables": Reads("tables"),
        "exclude": Reads("exclude"),
        "retention_days": Reads("age"),
        "date_column": Reads(
            "name",
            {
                True: (
                    "column|columna|spalte|datumsspalte|zeitspalte|field|feld|campo (is|called|named|=|:|for|"
                    "llamada|es|namens|ist|heisst) @",
                    "date-column|date_column|timestamp|datecolumn (is|column|=|:|in|est|ist|steht|stehen|"
                    "esta|es) (in|en) @",
                    "by|per|nach|por|segun|via|laut|anhand|gemass|based_on @",
                    "using|use|with|nimm|verwende|benutze|usa|usando|mit|con @ as|als|como (date|time|datum|"
                    "datums*|fecha|timestamp|zeitspalte) (column)",
                    "using|use|with|nimm|verwende|benutze|usa|usando @ column",
                    "@ column|spalte|columna .. date|time|datum|fecha|age|timestamp",
                    "date|dates|timestamp|timestamps|datum|fecha|age|zeitstempel is|are|ist|steht|es|esta (in) @",
                    "use|usa|nimm|verwende|using|usando @ for|fur|para the|die|das|la|el date|dates|age|datum|fecha",
                )
            },
            "column",
        ),
        "filters": Reads("filters"),
        "archive": Reads(
            "flag",
            {
                True: (_ARCHIVE,),
                False: (
                    f"not|no|don't|dont|without|skip|needn't|ohne|kein*|nicht|sin .. {_ARCHIVE}",
                    f"{_ARCHIVE} .. nicht|unnecessary|unnotig|innecesari*|needed|no",
                ),
            },
        ),
        "archive_to": Reads(
            "name",
            {
                True: (
                    f"{_ARCHIVE} .. folder|subfolder|directory|subdirectory|ordner|unterordner|verzeichnis|"
                    "carpeta|subcarpeta|directorio (called|named|:|=|namens|llamada) @",
                    "folder|subfolder|ordner|unterordner|carpeta|subcarpeta (called|named|:|=|namens|llamada) @",
                    f"{_ARCHIVE} (them|it|these|the|sie|es|rows) into|to|under|nach @",
                )
            },
            implies={"archive": True},
        ),
        "archive_format": Reads(
            "choice",
            {"csv": ("csv",), "parquet": ("parquet",), "jsonl": ("jsonl|json_lines|json-lines|json",)},
            implies={"archive": True},
        ),
        "max_rows": Reads(
            "number",
            {
                True: (
                    "at_most|no_more_than|not_more_than|maximum|max|up_to|maximal|hochstens|hoechstens|nicht_mehr_als"
                    f"|limit|limit_to|como_maximo|maximo|no_mas_de (of|to|de|is|:|=) # ({_ROWS})",
                    f"# ({_ROWS}) .. at_most|max|maximum|maximal|hochstens|maximo|limit",
                )
            },
            "rows",
        ),
        "batch_target_ms": Reads(
            "number",
            {
                True: (
                    f"# ms|milliseconds|millisecond|millisekunden|milisegundos|s|seconds .. {_BATCH}",
                    f"{_BATCH} .. # ms|milliseconds|millisecond|millisekunden|milisegundos",
                    f"{_BATCH} .. #ms",
                )
            },
            "ms",
        ),
        "sleep": Reads(
            "number",
            {
                True: (
                    "pause|pauses|sleep|wait|waiting|pausing|rest|warte|warten|pausa|pausar|espera|esperando|"
                    "schlaf .. # (seconds|second|s|sec|sekunde|sekunden|segundo|segundos|ms|milliseconds)",
                    "# seconds|second|s|sec|sekunde|sekunden|segundo|segundos .. pause|sleep|wait|pausa|"
                    "warten|espera|between|zwischen|entre",
                )
            },
            "seconds",
        ),
        "shrink": Reads(
            "flag",
            {
                True: (
                    "shrink|shrinks|shrinking|schrumpf*|verkleiner*|encoge*|reduce*|compact|compacta*",
                    "give|return|free|release|reclaim .. space|disk",
                    "platz|speicherplatz .. freigeb*|zuruckgeb*",
                    "libera* .. espacio",
                    "rewrite|optimize .. afterwards|after|then",
                )
            },
        ),
    },
)

LOAD = Vocabulary(
    asks=(
        (
            0.96,
            "load|restore|put_back|bring_back|reload|import|unarchive|undelete|lade|laden|hol*|zuruckhol*|"
            "einspiel*|carga*|recuper*|restaur* + archive|archives|archived|archiv|archivs|archivierte*|"
            "archivo|archivad*|deleted_rows",
        ),
    ),
    instead=(
        "rows come back by the archive that has them: find it with `aishell archives list`, and see "
        "`aishell archives load --help`"
    ),
)
