"""Synonyms in English, German and Spanish, for the patterns of every agent. Data."""

from __future__ import annotations

#: Words that are ignored between the terms of a pattern.
FILLERS = frozenset(
    """the a an of my our your his her its their this that these those all any some please pls just also really very own
    der die das den dem des ein eine einen einem einer eines mein meine unsere unser bitte alle allen alles noch mal
    doch auch von vom
    el la los las lo un una unos unas de del mi mis nuestra nuestro nuestras nuestros todas todos por favor tambien""".split()
)
#: Common words, which are never a typo of another word.
COMMON = FILLERS | frozenset(
    """there their where which while what when these those then than them other others about after again before being could
    would should first every never still under until since without within start starts state states stable rules store stored
    order ordered night light right month months today later large small place places please years weeks hours clear query
    too again if that who whom because so such each both either only even already still yet maybe perhaps ever since well better
    bit lot much enough together everywhere anyway carry step steps fails fail way work works thanks thank hello with
    zuerst zuletzt wieder jetzt gleich schon nur etwa dabei dazu damit dass wer wie beim ohne sofort
    ahora luego ya solo tan tanto muy porque aunque mientras algo alguien esto eso previsto
    todo todos toda lo que was das es alles everything anything nothing nada nichts ones it its them itself
    status class house board vacia vaciar vacio there's thing things tests texts text next went want only once make
    makes made take takes like need
    needs runs done does dont don't keep kept last
    alte alten altes nicht dann erst sind wird werden wurde haben hatte einmal immer unter ueber fuer nach oder aber weil wenn
    como cual cuales donde cuando para pero antes despues desde hasta sobre entre""".split()
)
#: Name -> synonyms in the three languages.
CLASSES: dict[str, str] = {
    "delete": "delete|deletes|deleting|remove|removes|removing|removal|purge|purging|clear|clear_out|"
    "clear_up|clean|cleans|cleaning"
    "|clean_up|clean_out|clean-up|cleanup|discard|erase|wipe|get_rid|getting_rid|throw|rm|prune|expire|drop|"
    "dump_the|trim|tidy"
    "|losch*|loesch*|geloscht|geloescht|entfern*|bereinig*|raum*|raeum*|aufraum*|aufraeum*|aufzuraumen|"
    "wegwerfen|weg|schmeiss*"
    "|putz*|ausmist*"
    "|borra*|elimin*|quita*|limpi*|purga*|depura*|suprim*|deshaz*|deshacerse|tira|tirar",
    "rows": "row|rows|record|records|entry|entries|line|lines|register|registers|data|logs|stuff|messages"
    "|zeile*|eintrag*|eintraeg*|datensatz*|datensaetz*|protokoll*|daten"
    "|fila|filas|registro|registros|entrada|entradas|linea|lineas|datos",
    "logs": "log|logs|logging|log_table*|logtable*|logtabelle*|log-tabelle*|protokolltabelle*|history_table*"
    "|tabla_log|tablas_log|bitacora*|protokolle|log-cleanup|log_cleanup",
    "backup": "*sicherung|*backup|*backups|backup|backups|back_up|backing_up|backed_up|back-up|dump|snapshot"
    "|sicher|sichere|sichern|sicherung|sicherungen|gesichert|datensicherung*|vollsicherung*|vollbackup*|"
    "sicherungskopie*"
    "|respald*|copia|copias|copia_seguridad|copias_seguridad",
    "index": "index|indexes|indices|indexe|indizes|indexen|indice",
    "statistics": "statistics|statistic|stats|statistik|statistiken|estadistica|estadisticas|planner_statistics",
    "rebuild": "rebuild|rebuilds|rebuilding|reindex|reindexing|recreate|recreating|rebuilt|renew"
    "|neu_aufbau*|neuaufbau*|neu_bau*|neu_erstell*|neu_anleg*|neu_aufgebaut|neu_gebaut|reindexier*"
    "|reconstru*|rehacer|rehaz|reindexa*|regenera*",
    "refresh": "refresh|refreshing|update|updating|renew|recompute|gather|collect|recalculate"
    "|aktualisier*|auffrisch*|erneuer*|actualiz*|refresca*|recalcula*",
    "table": "table|tables|tabelle|tabellen|tabla|tablas",
    "keep": "keep|keeps|keeping|retain|retaining|retention|preserve|need|needed|leave|save|hold"
    "|behalt*|behaelt*|aufbewahr*|aufheb*|behalte*|bleib*|brauch*"
    "|quedate|quedarse|conserv*|guarda*|manten|mantener|manteniendo|mantenga*|reten*|deja|dejar|dejando|necesit*",
    "full": "full|complete|fully|whole|voll|volle|vollen|voller|volles|vollstandig*|vollstaendig*|komplett*|"
    "complet*|total|entire",
    "not": "not|no|don't|dont|do_not|never|without|skip|skipping|excluding|doesn't|shouldn't|mustn't|w/o|"
    "leave_out|avoid"
    "|nicht|kein|keine|keinen|keiner|keinem|ohne|nie|niemals|sin|nunca|tampoco|ni|omit*|evita*",
    "except": "except|excluding|exclude|excludes|excepting|apart_from|other_than|but_not|save_for|besides|"
    "without|skip|skipping|omit"
    "|leave_out|leaving_out|not|never|everything_but|all_but|anything_but|don't_touch|dont_touch|"
    "do_not_touch|leave|spare|ignore"
    "|ausser|ausgenommen|ohne|bis_auf|nicht|ausnahme|lass|lasse|finger_weg"
    "|excepto|salvo|menos|sin|exceptuando|excluyendo|no|omite|omitiendo|deja|aparte",
}
