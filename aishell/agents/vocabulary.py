"""The words by which people ask for an agent's work, and the patterns that find them in a text. Pure.

A pattern is a line of terms that follow each other: `word`, `word|other`, `prefix*`, `*suffix`, `two_words` for an alternative
of two, `~` for a quoted name (routing quotes the names of tables), `#` for a number, `@` for any word, `..` for up to five words
that do not matter. Articles between terms need not be written. `a + b` is two patterns in any order, as word order differs
between languages. `{name}` stands for the words of `CLASSES`. Text and patterns are compared without case and accents, and
words of five letters and more also with a slip of the pen in them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

#: Letters of a text that are read; a request is a few sentences.
LONGEST = 2000
#: A quoted name, a number with separators of thousands, a decimal, a word or name, or one other sign. No two alternatives begin
#: alike and go on without a bound, so that the time is linear.
_TOKEN = re.compile(
    r"""["“„«][^"“”„«»\n]{1,128}["”“»]|`[^`\n]{1,128}`|(?<!\w)'[^'\n]{1,128}'(?!\w)
    |\d{1,3}(?:[.,]\d{3})+(?![\w.,]*\d)|\d+[.,]\d{1,2}(?![\w]|[.,/-]\d)
    |[\w*$](?:[\w*$]|[./@’'-](?=[\w*]))*|\n|[^\s\w]""",
    re.VERBOSE,
)
_QUOTES = "\"“”„«»`'"
#: Words between the terms of a pattern that do not matter.
FILLERS = frozenset(
    """the a an of my our your his her its their this that these those all any some please pls just also really very own
    der die das den dem des ein eine einen einem einer eines mein meine unsere unser bitte alle allen alles noch mal
    doch auch von vom
    el la los las lo un una unos unas de del mi mis nuestra nuestro nuestras nuestros todas todos por favor tambien""".split()
)
#: Words of every text, which are never a slip of the pen for another one.
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
    nicht dann erst sind wird werden wurde haben hatte einmal immer unter ueber fuer nach oder aber weil wenn
    como cual cuales donde cuando para pero antes despues desde hasta sobre entre""".split()
)
#: Words of one meaning in the three languages.
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
_Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Word:
    """A word, number, quoted name or sign of a text. `form`: what is compared; `quoted`: it is a name and nothing else."""

    text: str
    form: str
    start: int
    end: int
    quoted: bool = False

    @property
    def sign(self) -> bool:
        return not self.quoted and not (self.form[:1].isalnum() or self.form[:1] in "*$_")

    @property
    def number(self) -> float | None:
        """The value of a number, with separators of thousands in English or German."""
        if self.quoted or not self.form[:1].isdigit():
            return None
        if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", self.form):
            return float(re.sub(r"[.,]", "", self.form))
        return float(self.form.replace(",", ".")) if re.fullmatch(r"\d{1,15}(?:[.,]\d{1,2})?", self.form) else None


def folded(text: str) -> str:
    """Without case and accents."""
    kept = unicodedata.normalize("NFKD", text.casefold().replace("’", "'"))
    return "".join(letter for letter in kept if not unicodedata.combining(letter))


def words_of(text: str) -> tuple[Word, ...]:
    """The words of a text, in its order."""
    found = []
    for match in _TOKEN.finditer(text):
        raw = match[0]
        quoted = len(raw) > 2 and raw[0] in _QUOTES
        form = raw[1:-1] if quoted else folded(raw)
        found.append(Word(raw, form, match.start(), match.end(), quoted))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Match:
    """Where a pattern is: its words `first` up to `last` (not itself), and what `#` and `@` stood for."""

    first: int
    last: int
    values: tuple[Any, ...] = ()
    parts: tuple[_Span, ...] = ()


@dataclass(frozen=True, slots=True)
class _Term:
    kind: str  # words | number | name | any | gap
    words: tuple[tuple[str, ...], ...] = ()
    optional: bool = False


@lru_cache(maxsize=4096)
def _terms(pattern: str) -> tuple[_Term, ...]:
    for name, words in CLASSES.items():
        pattern = pattern.replace("{" + name + "}", words)
    found = []
    for text in pattern.split():
        optional = text.startswith("(") and text.endswith(")")
        word = text.strip("()") if optional else text
        kind = {"#": "number", "@": "any", "~": "name", "..": "gap"}.get(word, "words")
        several = tuple(tuple(folded(one).split("_")) for one in word.split("|")) if kind == "words" else ()
        found.append(_Term(kind, several, optional))
    return tuple(found)


def literals(patterns: Iterable[str]) -> frozenset[str]:
    """Every word that patterns name; prefixes with their `*`."""
    return frozenset(
        word
        for pattern in patterns
        for part in pattern.split(" + ")
        for term in _terms(part.strip())
        for several in term.words
        for word in several
    )


def find(pattern: str, words: Sequence[Word]) -> Iterator[Match]:
    """Where a pattern is in a text, not overlapping. All parts of an `a + b` have to be there; it is one match."""
    parts = [_terms(part.strip()) for part in pattern.split(" + ")]
    if len(parts) == 1:
        yield from _all(parts[0], words)
        return
    found = [next(_all(part, words), None) for part in parts]
    if all(found):
        several = [one for one in found if one]
        spans = tuple((one.first, one.last) for one in several)
        yield Match(
            min(one.first for one in several),
            max(one.last for one in several),
            tuple(value for one in several for value in one.values),
            spans,
        )


def _all(terms: Sequence[_Term], words: Sequence[Word]) -> Iterator[Match]:
    at = 0
    while at < len(words):
        match = _at(terms, words, at, ())
        if match is None or match[0] == at:
            at += 1
            continue
        yield Match(at, match[0], match[1], ((at, match[0]),))
        at = match[0]


def _at(
    terms: Sequence[_Term], words: Sequence[Word], at: int, values: tuple[Any, ...], begun: bool = False
) -> tuple[int, tuple[Any, ...]] | None:
    """The end of the terms when they begin at a word; None when they do not. Each step looks at most five words ahead."""
    if not terms:
        return at, values
    term, rest = terms[0], terms[1:]
    if term.kind == "gap":
        for skipped in range(6):
            if at + skipped >= len(words) or words[at + skipped].form in (".", "!", "?", ";", "\n"):
                return None
            if (match := _at(rest, words, at + skipped, values, True)) is not None:
                return match
        return None
    place = at
    for _ in range(4):
        if place >= len(words):
            break
        taken = _taken(term, words, place)
        if taken is not None:
            match = _at(rest, words, taken[0], values + taken[1], True)
            if match is not None:
                return match
        if not begun or words[place].form not in FILLERS:
            break
        place += 1
    return _at(rest, words, at, values, begun) if term.optional else None


def _taken(term: _Term, words: Sequence[Word], at: int) -> tuple[int, tuple[Any, ...]] | None:
    word = words[at]
    if term.kind == "name":
        return (at + 1, (word.form,)) if word.quoted and word.form else None
    if term.kind == "any":
        return (at + 1, (word,)) if not word.sign else None
    if term.kind == "number":
        return (at + 1, (word.number,)) if word.number is not None else None
    for several in term.words:
        if len(several) > 1 and word.form == "_".join(several):
            return at + 1, ()
        end = at
        for one in several:
            while at < end < len(words) and words[end].form in ("the", "de", "-") and words[end].form != one:
                end += 1
            if end >= len(words) or not fits(words[end], one):
                break
            end += 1
        else:
            return end, ()
    return None


def fits(word: Word, literal: str) -> bool:
    """Whether a word of a text is a word of a pattern, or that with a slip of the pen."""
    return not word.quoted and _fits(word.form, literal)


@lru_cache(maxsize=65536)
def _fits(form: str, literal: str) -> bool:
    if literal.startswith("*"):
        return form.endswith(literal[1:])
    if literal.endswith("*"):
        stem = literal[:-1]
        if form.startswith(stem):
            return True
        if len(stem) < 5 or form in COMMON:
            return False
        return any(near(form[:size], stem) for size in (len(stem) - 1, len(stem), len(stem) + 1) if size <= len(form))
    return form == literal or (form not in COMMON and near(form, literal))


def near(form: str, literal: str) -> bool:
    """Whether a word is another one but for a slip: a letter twice, missing, too many, wrong, or two that changed places.

    From eight letters on two slips; in less than five only a letter twice. What has figures has to be exact.
    """
    if literal[:1] not in (form[:1], form[1:2]) or abs(len(form) - len(literal)) > 2:
        return False
    if len(literal) > 3 and _squeezed(form) == _squeezed(literal):
        return True
    allowed = 2 if len(literal) >= 8 else 1 if len(literal) >= 5 else 0
    if not allowed or abs(len(form) - len(literal)) > allowed or len(form) < 5:
        return False
    if any(letter.isdigit() for letter in form) or {form[0], form[1]} & {literal[0]} == set():
        return False
    return _distance(form, literal, allowed) <= allowed


def _squeezed(form: str) -> str:
    return re.sub(r"(.)\1+", r"\1", form)


def _distance(one: str, other: str, most: int) -> int:
    """Optimal string alignment distance (Damerau-Levenshtein without moving a letter twice); more than `most`: some
    number above."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, second in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != second))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == second:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return last[-1]


@dataclass(frozen=True, slots=True)
class Reads:
    """How an input is read in a text. `kind`:

    - `choice`: `words` has the patterns of each value;
    - `flag`: `words` has those of True, negated those of False, and those that always mean False;
    - `tables`, `exclude`: names of tables that are to be worked on, and to be left alone;
    - `age`: days that rows are kept;
    - `number`: what `#` stands for in one of the patterns of `words[True]`, in `unit` (bytes, ms, seconds, percent,
    days or "");
    - `name`: what `@` stands for in one of them;
    - `filters`: conditions on columns;
    - `rules`: a mapping, `words` has the patterns with `#` of each key.

    `implies`: inputs that go along. `removes`: a flag that removes something: it is never True from a clause with a negation
    in it, wherever the negation stands.
    """

    kind: str
    words: Mapping[Any, Sequence[str]] = field(default_factory=dict)
    unit: str = ""
    implies: Mapping[str, Any] = field(default_factory=dict)
    removes: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that ask for an agent's work: patterns, each with how sure it makes (0 to 1), and how its inputs are read.

    `never`: patterns of which any means that a clause is not for this agent. `part_of`: of other agents, the
    patterns of which any
    makes a clause that follows their work an input of it, unless one that is behind a `!` is there as well.
    `instead`: what to do instead, for work that is not planned from a text.
    """

    asks: tuple[tuple[float, str], ...] = ()
    never: tuple[str, ...] = ()
    inputs: Mapping[str, Reads] = field(default_factory=dict)
    part_of: Mapping[str, Sequence[str]] = field(default_factory=dict)
    instead: str = ""

    def patterns(self) -> Iterator[str]:
        yield from (pattern for _, pattern in self.asks)
        yield from self.never
        for reads in self.inputs.values():
            for several in reads.words.values():
                yield from several

    def bid(self, text: str) -> float:
        """How sure a text is for this agent, 0 to 1."""
        words = words_of(text[:LONGEST])
        if any(next(find(pattern, words), None) for pattern in self.never):
            return 0.0
        found = (
            weight
            for weight, pattern in self.asks
            for match in find(pattern, words)
            if not any(negated(words, *part) for part in match.parts)
        )
        return max(found, default=0.0)


#: How the inputs are read that every agent takes.
COMMON_READS: Mapping[str, Reads] = {
    "on_error": Reads(
        "choice",
        {
            "fail": (
                "stop|halt|abort|stopp|stoppe|halte|brich|para|detente|deten|aborta .. error|errors|failure|"
                "fails|fail|fehler*|error"
                "|errores|falla|fallo|goes_wrong",
                "error|errors|failure|fails|fehler*|falla|fallo .. stop|halt|abort|stoppen|anhalten|abbrechen|parar",
            ),
            "continue": (
                "continue|carry_on|go_on|keep_going|proceed|weitermachen|mach_weiter|weiter|continua|sigue|"
                "seguir .. error|errors"
                "|failure|fails|fail|failing|fehler*|fehlschlag*|errores|falla|fallo|goes_wrong",
                "error|errors|failure|fails|fehler*|fehlschlag*|falla|fallo .. continue|carry_on|go_on|"
                "keep_going|weitermachen|weiter"
                "|continua|sigue|seguir",
                "even if|when .. fails|fail|failed|goes_wrong",
            ),
            "rollback": (
                "roll_back|rollback|undo|revert|ruckgangig|zuruckrollen|deshaz|revierte .. error|errors|"
                "failure|fails|fail|fehler*"
                "|errores|falla|fallo|goes_wrong",
                "error|errors|failure|fails|fail|fehler*|falla|fallo .. roll_back|rollback|undo|revert|"
                "ruckgangig|deshaz|revierte",
            ),
        },
    )
}

#: What ends the reach of a negation.
_STOPS = frozenset(". ; ! ? : , ( ) but aber sondern pero and und y then dann".split()) | {"\n"}


def negated(words: Sequence[Word], first: int, last: int) -> bool:
    """Whether a word up to four words before a place negates it, or in German one up to two behind it."""
    before = words[max(0, first - 4) : first]
    for word in reversed(before):
        if word.form in _STOPS:
            break
        if _negates(word):
            return True
    for word in words[last : last + 3]:
        if word.form in _STOPS:
            break
        if word.form in ("nicht", "nie", "weglassen", "auslassen", "unnotig", "alone"):
            return True
    return False


_NOT = frozenset(word for word in CLASSES["not"].split("|") if "_" not in word)
#: More words that turn a clause into its opposite, where the reach of a negation is not measured.
_DENIALS = frozenset(
    """isn't aren't won't wouldn't can't cannot couldn't needn't didn't wont cant donot dnt nothing none neither nor nobody
    refrain refuse forbid forbidden stop instead rather unless hardly
    nich nix nichts niemand keins keines weder noch statt anstatt verzichte verzichten unterlasse unterlassen unterlass
    vermeide vermeiden verboten untersagt
    nada nadie ninguna ningun ninguno ningunas ningunos jamas vez lugar abstente prohibido salvo""".split()
)
#: The form of a negation that is read already: no pattern finds it, and its clause is still a negated one.
DENIED = "·not"
#: What parts the clauses of a sentence; `and` does not, as a negation before it may be meant for both sides.
_PARTS = frozenset(": , ( ) - – — but aber sondern pero sino then dann luego despues danach afterwards".split())
_SENTENCES = frozenset((".", ";", "!", "?", "\n"))


def _negates(word: Word) -> bool:
    return not word.quoted and (word.form in _NOT or word.form.startswith(("omit", "evita")))


def denied(words: Sequence[Word], first: int, last: int) -> bool:
    """Whether a clause that a span is in has a negation anywhere, or one beside it is a negation and hardly more.

    Stricter than `negated`: for what must not be done by mistake.
    """
    start, end = _clause(words, first, last)
    if _has_denial(words[start:end]):
        return True
    behind = _clause(words, end + 1, end + 1) if end < len(words) and words[end].form not in _SENTENCES else (end, end)
    if _is_denial(words[slice(*behind)]):
        return True
    while start > 0 and words[start - 1].form not in _SENTENCES:
        before = words[slice(*_clause(words, start - 1, start - 1))]
        if _is_denial(before) or (before and denies(before[-1])):
            return True  # `do not, under any circumstances, …`
        if not _is_short(before):
            break
        start -= len(before) + 1
    return False


def _clause(words: Sequence[Word], first: int, last: int) -> _Span:
    """The clause around a span."""
    ends = _PARTS | _SENTENCES
    while first > 0 and (words[first - 1].quoted or words[first - 1].form not in ends):
        first -= 1
    while last < len(words) and (words[last].quoted or words[last].form not in ends):
        last += 1
    return first, last


def denies(word: Word) -> bool:
    """Whether a word turns its clause into the opposite."""
    return not word.quoted and (word.form == DENIED or _negates(word) or word.form in _DENIALS)


def _has_denial(words: Sequence[Word]) -> bool:
    return any(map(denies, words))


def _is_denial(words: Sequence[Word]) -> bool:
    """Whether a clause is a negation and at most two words more: `please do not`, `no, never`."""
    return _has_denial(words) and _is_short(words)


def _is_short(words: Sequence[Word]) -> bool:
    return sum(word.form not in FILLERS for word in words) <= 3


def derived(type_: str, inputs: Mapping[str, Mapping[str, Any]], help_: str) -> Vocabulary:
    """The vocabulary of an agent that declares none: its type's name, and the names, descriptions and choices of its
    inputs."""
    name = type_.replace("_", " ").replace("-", " ")
    asks = [(0.85, name), (0.7, " + ".join(name.split()))] if name.strip() else []
    own = [
        word for word in words_of(help_[:500]) if len(word.form) > 4 and word.form.isalpha() and word.form not in COMMON
    ]
    asks += [(0.4, word.form) for word in own[:20]]
    reads: dict[str, Reads] = {}
    for key, schema in inputs.items():
        spoken = key.replace("_", " ")
        kind, choices = schema.get("type"), schema.get("enum")
        if choices:
            reads[key] = Reads("choice", {c: (str(c).replace("_", " "),) for c in choices if str(c).strip()})
        elif kind == "boolean":
            reads[key] = Reads("flag", {True: (spoken,)})
        elif kind in ("integer", "number"):
            reads[key] = Reads("number", {True: (f"{spoken} (=|of|is|:) #", f"# {spoken}")})
        elif kind == "array" and key in ("tables", "exclude"):
            reads[key] = Reads(key)
    return Vocabulary(tuple(asks), inputs=reads)
