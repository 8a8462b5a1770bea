"""Words of requests to remove what runs left behind, in English, German and Spanish."""

from __future__ import annotations

from aishell.agents.vocabulary import Vocabulary

_LEFT = (
    "residue|residues|leftover|leftovers|left-over|left_over|left-overs|remnant|remnants|remains|debris|"
    "garbage|junk|orphan*|half-written|half-finished|unfinished"
    "|scratch|abandoned|left_behind|reste|resten|uberreste|uberbleibsel|ueberbleibsel|ruckstand*|"
    "rueckstaend*|hinterlassen*|verwaist*|liegengeblieben*|halbfertig*|unfertig*"
    "|residuo|residuos|restos|sobras|sobrante*|huerfan*|inacabad*|incomplet*"
)
_DEAD = (
    "killed|dead|crashed|aborted|abandoned|interrupted|died|failed|cancelled|canceled|broken|old|stuck"
    "|abgebrochen*|abgesturzt*|abgestuerzt*|getotet*|tot|tote|toten|gescheitert*|gestorben*|abgebroch*"
    "|muert*|abortad*|interrumpid*|cancelad*|matad*|caid*|fallid*|abandonad*"
)
_RUN = "run|runs|lauf|laufe|laufen|laeufe|laufs|ejecucion|ejecuciones|job|jobs|process|processes|prozess*|proceso*"

WORDS = Vocabulary(
    asks=(
        (0.97, f"{{delete}} + {_LEFT}"),
        (0.97, f"{_LEFT} .. {_RUN}"),
        (0.97, f"{_RUN} .. {_LEFT}"),
        (0.97, "{delete} + " + f"{_DEAD} .. {_RUN}"),
        (0.8, f"{_DEAD} {_RUN}"),
        (0.7, f"{_RUN} .. killed|crashed|aborted|abgebrochen|abgesturzt|died"),
        (0.9, "residue|residues|residuos"),
        (
            0.97,
            "{delete} + scratch|temporary|temporare|temporales databases|database|files|datenbank*|datei*|"
            "archivos|bases",
        ),
        (0.97, "{delete} + replication_slot*|replikationsslot*|slots_de_replicacion|slots"),
        (0.97, "{delete} + what_is_left|left_by|left_over|left_behind"),
    ),
)
