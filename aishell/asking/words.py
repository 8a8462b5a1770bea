"""Words of a request outside the vocabularies of agents: previews, questions, and what is refused or never obeyed. Data."""

from __future__ import annotations

from collections.abc import Mapping

from aishell.agents.word_classes import CLASSES

#: Phrases that say to do nothing yet; their words request no work.
NOTHING_YET = (
    "don't|dont|do_not|without|not|never run|execute|start|do|touch|change|delete|remove|apply|perform|"
    "touching|changing"
    "|executing|doing|running|deleting|removing it|anything|nothing|yet|that|them (yet|now|really|so_far|for_now)",
    "don't|dont|do_not|not execute|run|apply|perform :|,|.|;|!",
    "without executing|execution|running|doing (anything|it|them)",
    "without changing|touching|deleting|applying|making anything|it|them|changes",
    "change|changing|touch|delete|remove|do|write nothing",
    "no changes|writes (yet|please|made)",
    "ohne .. auszufuhren|ausfuhrung|andern|loschen|aendern|ausfuhren|zu_andern|zu_loschen",
    "noch nichts|nicht (loschen|ausfuhren|andern|machen|loesche*|anfassen)",
    "nichts (wirklich|tatsachlich|noch) loschen|ausfuhren|andern|verandern|machen|anfassen|loesche*",
    "andere|andern|losch|losche|mach|fuhr (noch) nichts|nichts_aus",
    "nicht ausfuhren|wirklich",
    "sin ejecutar|borrar|cambiar|hacer|tocar|modificar|aplicar (nada|lo|todavia|aun)",
    "no borres|ejecutes|hagas|cambies|toques|elimines|modifiques|apliques|lo_ejecutes nada|todavia|aun|lo "
    "(todavia|aun|mas)",
)
#: Phrases that request only a preview.
DRY_RUN = (
    "dry run|dryrun|mode",
    "dry-run|dryrun|trockenlauf|probelauf|testlauf|simulacro",
    "only|just|first|merely|solely (to) simulate|preview|show|simulation|simulating|look|pretend|see|list|"
    "display (it|me|the) (plan|steps|first|what)",
    "show|tell|list|explain|print|see|know|display (to) (me|us) (first|just|only|exactly) what|which|"
    "how_many (rows|steps|exactly) .. would|will|gets|get|happens|is|goes",
    "show|give|print (me|us) (only|just) plan|preview|steps|simulation",
    "show (me|us|it) first|only|before",
    "see|show (only|just|first) steps|plan|preview",
    "what|which|how_many|how_much (rows|exactly|steps|data) would|will|happens|gets|are_going",
    "would|will .. do|happen|delete|remove|affect",
    "simulate|simulates|simulation|preview|what-if|hypothetically|pretend",
    "plan only|first",
    "was|welche|wie_viele .. machen|tun|geschehen|passieren|loschen|entfernen|geloscht|entfernt|gemacht "
    "(werden|worden) wurde|wurdest|wurden",
    "zeig|zeige|zeigt (mir|uns|mal) nur|erst|bloss",
    "nur|erst|bloss zeigen|zeig|zeige|anzeigen|simulieren|simulation|vorschau|ansehen|anschauen|probeweise|"
    "testweise|planen (was|mal)",
    "zeig|zeige|zeigen|sag (mir|uns|mal|nur|erst|bitte) .. was|welche|wie_viele|wieviele .. wurde|wurdest|"
    "wurden|wird|passier*|ware",
    "was|welche|wie_viele|wieviel|wieviele (zeilen) wurde|wurdest|wurden|passiert|geschieht",
    "wurde|wurdest|wurden .. tun|machen|loschen|passieren|geloscht|entfernt|entfernen",
    "simulier*|vorschau|probeweise|testweise|probehalber",
    "solo|solamente|primero|antes (una) simul*|muestra*|ensena*|ver|vista_previa|previsualiza*|prueba",
    "simula|simular|simulacion|simulando|vista_previa|previsualiza*|ensayo",
    "que pasaria|haria|harias|borraria|borrarias|pasa_si|ocurriria|se_borraria|eliminaria|eliminarias",
    "muestrame|ensename|dime que|lo_que|cuantas|cuanto .. haria|harias|borraria|borrarias|pasaria|eliminaria|"
    "se_borraria",
)
_LOG_TABLE = (
    "log_table|log_tables|log-table|log-tables|logtabelle|logtabellen|log-tabelle|log-tabellen|protokolltabelle|"
    "protokolltabellen|tabla_log|tablas_log|tabla_logs|tablas_logs|tabla_bitacora|tablas_bitacora"
)
#: Phrases that begin a search for tables, which is treated as a question.
FIND = (
    "find|search|discover|detect|identify|locate|look|spot|finde|such|suche|sucht|entdecke|ermittle|busca|buscar|"
    "encuentra|detecta|descubre|identifica .. " + _LOG_TABLE,
    "find|discover|detect|identify|finde|suche|busca|encuentra {table} .. like|nach|como|parecen|aussehen .. {logs}",
)
#: Beginnings of polite requests, which are not questions.
POLITE = (
    "can|could|would|will you|u|we",
    "kannst|konntest|koenntest|wurdest|wuerdest|konnen|konnten|magst du|sie|wir|ihr",
    "puedes|podrias|puede|podria|podemos|podeis|quieres|me_puedes",
    "would like|love|appreciate",
)
#: Words that a question begins with.
INTERROGATIVES = frozenset(
    """why what what's whats which who when where how how's is are was were does did has should shall am any whose
    warum wieso weshalb welche welcher welches was wann wie wo wer ist sind war waren hat haben gibt gab soll sollte
    sollten muss habe
    por que cual cuales como cuando cuanto cuanta cuantos cuantas donde quien esta estan hay hubo tengo debo deberia
    es son fue""".split()
)
#: Words that come before a question.
GREETINGS = frozenset("and so hi hey hello hola hallo please bitte sag mal oye".split())
#: Words that make a question about a table one about the past.
PAST = frozenset("last yesterday letzte letzten gestern ayer ultima ultimo did deleted geloscht".split())
#: Each kind of question with the words that identify it; the first kind found counts.
QUESTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "tonight",
        (
            "tonight|tonight's|heute_nacht|heute_abend|kommende_nacht|nachste_nacht|esta_noche|proxima_noche|"
            "heutige_nacht|diese_nacht|this_evening|coming_night",
            "next run|night|schedule|nachste|nachster|naechste|proxima|proximo (lauf|ejecucion)",
            "scheduled|geplant|programado|programada|planned|planificad*",
        ),
    ),
    (
        "backups",
        ("{backup}", "restore|restored|restorable|wiederherstell*|restaur*", "recovery point|point_in_time|rpo"),
    ),
    (
        "history",
        (
            "last|letzte|letzten|letzter|letzter|ultima|ultimo|previous|recent|ultimas|ultimos night|run|"
            "runs|lauf|laufe|nacht|noche|ejecucion|ejecuciones|week|woche|semana|time|mal|vez|maintenance|"
            "wartung|mantenimiento|cleanup",
            "yesterday|gestern|ayer|anoche|last_night's|overnight",
            "happened|passiert|geschehen|gelaufen|paso|ocurrio|sucedio|history|verlauf|historial|historia",
            "run|runs|lauf|laufe|ejecucion|ejecuciones|job|jobs",
            "failed|fail|fehlgeschlagen|gescheitert|fallo|fallaron|fallado|succeed|succeeded|finish|finished|"
            "wrong_last",
            "did|was|has|have|hat|wurde|wurden|se_hizo|hizo .. last|ran|run|delete|deleted|do|done|gemacht|"
            "geloscht|freed|removed|vacuumed|cleaned|borraron|borro|aishell",
            "how_many|how_much|wie_viele|wieviel|cuantas|cuantos .. deleted|removed|freed|geloscht|entfernt|"
            "borraron|borradas|archived",
        ),
    ),
    (
        "logs",
        (
            *FIND,
            "{table} .. look|looks|seem|seems|sehen|aussehen|parecen|parece|could|might|may|are|sind|son .. {logs}",
            "parecen|sehen|look|looks|seem .. like|nach|como|a {logs}",
            "parecen|parece (a|como) {logs}",
            "which|what|welche|cuales|que|any|show|list|zeig*|liste|nenne|muestra*|lista .. " + _LOG_TABLE,
        ),
    ),
    (
        "health",
        (
            "health|healthy|unhealthy|condition|shape|gesund|gesundheit|zustand|salud|saludable|estado|status|score",
            "how is|are|does|geht|doing|esta|steht|look",
            "problem|problems|issue|issues|wrong|trouble|probleme|stimmt|problemas|mal|worry|warnings|"
            "attention|aufmerksamkeit|sorgen|ok|okay|fine|ordnung|bien|alright",
            "wie geht|steht|gehts",
        ),
    ),
)
#: Words of a question about tables, named or not.
ABOUT_TABLE = (
    "{table}",
    "slow|big|large|size|grow*|bloated|bloat|huge|langsam|gross|grosse|wachst|lenta|lento|grande|tamano|"
    "crece|rows|zeilen|filas|space|platz|espacio|index|indexes",
)
#: Phrases that ask to show something, which needs no run.
SHOW = (
    "show|list|tell|display|zeig|zeige|liste|nenne|sag|muestra|muestrame|lista|dime|ensename|"
    "explain|erklare|erklar|explica (me|us|mir|uns|mal) (about)",
    "give|gib me|us|mir|uns",
)

#: Reasons to refuse a whole text: what is refused, what to do instead, patterns.
REFUSED: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "content": (
        "a table or its whole content is not removed from a text",
        "`log_cleanup` deletes rows older than an age: name the table and the age",
        (
            "truncate|truncating|truncar|trunca|truncat* (table|tabla|tabelle|~)",
            "drop|dropping table|tables|database|schema|column|index|view|everything|all",
            "drop|dropping ~",
            "{table} .. droppen|truncaten",
            "delete|erase|wipe|losche|borra|elimina everything|all|alles|todo on|in|from|auf|aus|en|de",
            "empty|vacia|vaciar|vacie|leere|leeren|entleer*|flush|nuke|zap|destroy|annihilate|destruye|"
            "destruir|zerstor* (out|whole|complete*|ganze) {table}|~|database|datenbank|base_de_datos|"
            "everything|alles|todo",
            "{table} ~ leeren|entleeren",
            "~ leeren|entleeren",
            "delete|remove|erase|wipe|kill|losche|losch|loesche|entferne|borra|elimina|quita|suprime|borrar|eliminar|"
            "entfernen {table} ~",
            "delete|remove|erase|wipe|kill|losche|losch|loesche|entferne|borra|elimina|quita|suprime|borrar|"
            "eliminar ~ ({table})",
            "{table} ~ .. loschen|entfernen|loesche*|weg",
            "{delete} .. all|every|everything|alle|alles|todo|todos|todas|whole|entire .. ~",
            "~ .. komplett|vollstandig|completely|entirely|por_completo {delete}",
            "delete|remove|erase|wipe|losche|entferne|borra|elimina|quita database|schema|databases|"
            "datenbank|base_de_datos|bases_de_datos",
            "delete|remove|erase|wipe|purge|losche|entferne|borra|elimina everything|alles|todo .|!",
            "delete|remove|erase|wipe|purge|losche|entferne|borra|elimina everything|all_data|alle_daten|"
            "todos_los_datos in|from|on|aus|auf|de|en database|target|datenbank",
        ),
    ),
    "backups": (
        "backups are not deleted from a text",
        "retention rules decide: `aishell backups prune --dry-run` shows what none of them keeps",
        (
            "{delete} all|every|each|alle|samtliche|todas|todos|my|our|these|those|old|older|alte|alten|"
            "viejas|viejos|antiguas|antiguos {backup}",
            "{delete} .. all|every|alle|samtliche|todas .. {backup}",
            "drop|delete|remove|losch*|loesch*|borra|elimina|wipe|erase|purge {backup}",
            "{backup} losch*|loesch*|entfern*",
        ),
    ),
    "guards": (
        "what guards a site is not changed from a text",
        "policy, approvals and the audit log are changed in config/ by who owns the site",
        (
            "disable|deactivate|turn_off|switch_off|shut_off|stop|remove|delete|desactiva*|deshabilita*|"
            "apaga|deaktivier*|abschalt*|ausschalt*|schalte|loosen|relax|lower|change|edit|set"
            " audit|auditing|auditoria|audit-log|auditlog|policy|policies|approval|approvals|genehmigung*|"
            "aprobacion*|politica*|richtlinie*|constraint|constraints|safety|guard|guards|gates",
            "audit|policy|richtlinie abschalten|ausschalten|deaktivieren|off",
            "delete|erase|clear|wipe|losche|borra audit log|trail|protokoll",
        ),
    ),
    "schema": (
        "a change of the schema is no work of an agent",
        "make it with your own migration tool",
        (
            "create|add|alter|rename|modify|erstell*|anleg*|lege|umbenenn*|crea|crear|anade|agrega|renombra*|"
            "modifica (new|another|unique|neue|neuen|nuevo|nueva|missing|partial)"
            " index|indexes|column|columns|table|user|users|role|view|trigger|constraint|database|schema|"
            "spalte|tabelle|benutzer|rolle|sicht|datenbank|columna|tabla|usuario|rol|vista|indice|"
            "foreign_key|primary_key|partition|partitions",
            "index .. anlegen|hinzufugen|erstellen",
            "{delete} .. index|indexes|indices|column|columns|spalte|spalten|columna|columnas|constraint|"
            "user|users|benutzer|usuario|role|rolle",
            "partition (~)",
            "migrate|migration|migriere*|migrar",
        ),
    ),
    "server": (
        "rights, sessions and the server's configuration are no work of an agent",
        "see `aishell --help` for what aishell does",
        (
            "grant|revoke|otorga*|gewahr* (all|select|superuser|rights|privileges|rechte|permisos|admin)",
            "kill|terminate|beende*|mata|cancel (all|idle|every|blocking|alle|long) session|sessions|"
            "connection|connections|query|queries|backend|sitzung*|verbindung*|abfrage*|sesion*|conexion*|"
            "consulta*|blocker*",
            "restart|reboot|shutdown|shut_down|upgrade|downgrade|install|uninstall|neustart*|starte_neu|"
            "reinicia*|apaga|actualiza server|database|postgres*|mysql|mariadb|servidor|datenbank|it|to|"
            "version|~",
            "change|set|increase|raise|lower|tune .. parameter|setting|configuration|shared_buffers|work_mem|"
            "max_connections|password|passwort|contrasena",
            "password|passwort|kennwort|contrasena|credentials|secret",
        ),
    ),
    "rows": (
        "rows of your own are not read or written from a text",
        "use your own client for SQL",
        (
            "emails|addresses|passwords|phone_numbers|salaries .. ~",
            "poem|song|story|joke|weather",
            "insert|fuge|inserta* (row|rows|zeile|zeilen|fila|filas|record|data|into) .. ~|{table}",
            "change|set|modify|update|andere|cambia|actualiza .. email|price|name|value|values|salary|preis|"
            "wert|precio|valor|column ~",
            "select|query|read|export|copy|download|exportier*|exporta .. rows|from|~|{table}|all|everything|"
            "emails|data",
        ),
    ),
    "undo": (
        "a run is not undone from a text",
        "`aishell runs list` has its id; then `aishell runs undo ID --dry-run`",
        (
            "undo|revert|rollback|roll_back|take_back|ruckgangig|rueckgaengig|deshaz|deshacer|revierte last|"
            "run|letzten|lauf|ultima|ejecucion|what|that|everything|changes|maintenance|cleanup|clean-up|lo|"
            "yesterday's",
        ),
    ),
    "schedules": (
        "a schedule is not made from a text",
        "write it into config/schedules.yaml; `aishell schedule list` shows what is there",
        (
            "every|each|jede|jeden|cada night|day|week|month|morning|evening|hour|sunday|monday|saturday|"
            "nacht|tag|woche|monat|stunde|sonntag|montag|samstag|noche|dia|semana|mes|hora|domingo|lunes|"
            "sabado",
            "schedule|programa|programar|plane ({full}|a|the|quick|standard|next|daily|nightly) {backup}|"
            "maintenance|wartung|mantenimiento|cleanup|copia",
            "daily|nightly|weekly|taglich|wochentlich|nachtlich|diariamente|semanalmente at|um|a_las|from_now|ab_jetzt",
        ),
    ),
}
#: Phrases that try to bypass a safeguard: they never have an effect, whatever else the text requests.
BYPASS = (
    "approve|approves|accept|confirm|genehmig*|bestatig*|aprueba|aprobar|acepta|confirma (it|automatically) "
    "everything|all|anything|every|alles|alle|todo|todos|yourself|steps|automatically|itself|it_all|whatever|"
    "selbst|automatisch|schritte|pasos",
    "everything|all|alles|todo .. approved|preapproved|genehmigt|aprobado|erlaubt",
    "auto-approve|autoapprove|auto_approve|yes_to_all|say_yes|--yes|--force|-y",
    "without|no|don't|dont|do_not|never|ohne|nicht|sin|no_hace_falta ask|asking|approval|approvals|"
    "confirmation|confirming|confirm|questions|prompt|prompting|nachfrag*|ruckfrage*|genehmigung|bestatigung|"
    "frag|preguntar|preguntes|aprobacion|confirmacion|pedir",
    "skip|skipping|bypass|ignore|ignoring|override|disregard|circumvent|forget|disable|omit|overlook|"
    "uberspring*|ignorier*|umgeh*"
    "|ubergeh*|salta*|salte|omite|ignora*|sin|without|no|ohne|lass (previous|safety|usual|stupid) (backup|"
    "sicherungs|safety)"
    " approval|approvals|policy|policies|checks|check|safety|gates|gate|constraints|constraint|confirmation|"
    "rules|rule|instructions"
    "|warnings|guard|guards|limits|review|richtlinie*|prufung*|regel*|genehmigung*|anweisung*|sicherheit*|"
    "warnung*|politica*"
    "|comprobacion*|regla*|aprobacion*|verificacion*|instruccion*|precaucion*|hold|sicherungsprufung (check|"
    "checks|weg)",
    "{backup} check|checks|requirement|constraint|prufung (off|not_needed|is_not_needed)",
    "policy|approvals|checks .. ignored|off|skipped|ignorieren|uberspringen",
    "force|forced|zwing*|erzwing*|fuerza it|them|the|run|es",
    "ignore|forget|disregard (all|everything|previous|prior|above|what|your) .. instructions|rules|said|told",
    "as superuser|root|admin|administrator",
    "i'm|i_am|my .. boss|dba|admin|owner|manager|ceo",
    "trust me|mir|confia",
    "it's|its|ist|is|esta|he|she ok|okay|fine|allowed|in_ordnung|authorized|erlaubt|permitido|bien",
)
#: Groups of words that may be in any request and request nothing.
IDLE = (
    "then|afterwards|after_that|finally|also|first|next|now|dann|danach|anschliessend|zuerst|erst|jetzt|"
    "luego|despues|primero|ahora|finalmente|beforehand|before|vorher|antes|there|dort|alli|alla",
    "i|we|you|u|me|us|ich|wir|du|sie|mir|yo|nosotros",
    "make|do|run|take|perform|start|execute|create|have|get|let|go|put|be|is|are|can|could|would|like|want|konnte*|"
    "need|mach|mache|machen|erstell|erstelle|fuhr|fuhre|durch|nimm|starte|haz|hacer|haga|ejecuta|realiza|"
    "crea|quiero|hazme|lanza|inicia",
    "rid|tenga|losch*|borrar|configured|rules|konfiguriert*|regeln|reglas|rest|goes|use|datos|daten|tables|tabellen|tablas|them|delete|entstanden|alone|timestamp*|retention|thx|file|stuff|rows|reach*|wraparound|give|gives|back|free|space|disk|its|their",
    "thanks|thank|danke|gracias|hi|hello|hey|hallo|hola|kindly|ok|okay",
)
#: Words that any sentence may have.
LITTLE = frozenset(
    """but pero sino
    to in on at by for from with as it is be if so or and me we i you he she they have has am us up out off into than too
    zu zum zur im am um auf aus bei mit fur und ist ich wir du sie es was man nur so da den
    a al con por y o e en es que lo se me te le su sus si para su thats that's""".split()
)


def spoken() -> tuple[str, ...]:
    """Return the patterns of words that are not names, even in the position of one."""
    asked = (pattern for _, patterns in QUESTIONS for pattern in patterns)
    return (*CLASSES.values(), *NOTHING_YET, *DRY_RUN, *BYPASS, *IDLE, *asked)
