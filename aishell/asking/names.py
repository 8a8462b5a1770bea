"""Names in a text: targets, labels and tables, to work on or to leave alone. Pure.

A word is a name if it is known, quoted, written like an identifier, or in the position of a table's name.
A name that is close to a known one is never taken for it: the person is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aishell.agents.patterns import Word, find, fits, near
from aishell.agents.word_classes import CLASSES, COMMON, FILLERS
from aishell.asking.time_words import is_time_word

_TABLE = frozenset(CLASSES["table"].split("|"))
_ROWS = frozenset(one for one in CLASSES["rows"].split("|") if "*" not in one)
_BEFORE_TARGET = frozenset("database db target server instance datenbank ziel instanz servidor datos".split())
_BEHIND_TARGET = frozenset("database db server databases servers targets target instance".split())
#: Words for a kind of server or database, which are not names.
_KINDS = frozenset("test scratch production postgres postgresql mysql mariadb sqlite live main sample demo".split())
_ALL_DATABASES = (
    "all|every|each|alle|allen|aller|jede|jeder|jedem|todas|todos|cada|both|beide|beiden"
    " (two|three|four|five|six|zwei|drei|vier|funf|dos|tres|cuatro|cinco|#) (configured|my|our) databases|database"
    "|targets|target|servers|server|datenbanken|datenbank|ziele|zielen|servern|bases|servidores|base_de_datos|dbs|instances"
)
_LABEL = frozenset(
    """label labelled labeled labels tagged tag etikett gekennzeichnet markiert etiqueta etiquetado etiquetados etiquetada
    etiquetadas""".split()
)
_ALL_TABLES = frozenset("everything all alles alle todo todas every anything jede cada".split())
#: Words that exclude the names after them, and words that exclude the names before them.
_EXCEPT = tuple(CLASSES["except"].split("|"))
_ALONE = tuple(
    """alone untouched as_it_is as_they_are out in_peace in_ruhe nicht auslassen weglassen unangetastet unberuhrt aussen_vor
    stehen fuera en_paz intacta intacto intactas excluded ausgenommen aus stays stay off_limits tabu must_not should_not
    must_stay bleibt bleiben se_queda excluida excluido is_off are_off nicht_anfassen nicht_anruhren ni_tocarlo ni_tocarla
    ni_tocar ni_la_toques ni_lo_toques no_lo_toques no_la_toques no_tocar not_to_be_touched must_not_be_touched
    hands_off""".split()
)
#: The same for targets: words after one, and words right before one.
_SPARED = tuple(one for one in _ALONE if one not in ("out", "aus", "nicht", "stay", "stays", "fuera", "stehen"))
_SPARES = (*_EXCEPT, "touch", "touching", "toques", "tocar", "toque")
_BUT = frozenset("but ausser menos salvo excepto".split())
#: Words before the name of an unknown table: prepositions, and words that exclude it.
_OBJECT = frozenset("from of in on within aus von vom auf de del en for fur sobre".split())
_LEFT_OUT = frozenset(
    "leave lass except excluding without skip spare ausser ohne ausgenommen excepto salvo menos sin but".split()
)
#: Prepositions of possession, and words after a preposition that are not tables.
_OWNED = frozenset("of von vom de del".split())
_NO_TABLE = frozenset(
    """course today now it them these those this that night disk space everything heute nacht platz platte seguridad disco
    espacio datos noche semana mes hoy nuevo todo produccion mantenimiento anything etwas irgendetwas nada algo downtime
    locks interruption delay impact ausfall ausfallzeit unterbrechung interrupcion parada paradas comparison vergleich
    comparacion problem problems error errors fail doubt zweifel duda though please grow grows either anymore too again
    first afterwards""".split()
)
_GERUNDS = ("ing", "ando", "iendo")
_ASKED = frozenset("is are does was ist sind esta estan need needs wird did".split())
_AGED = frozenset("older alter aelter anteriores anterior".split())
_VERBS = tuple(
    """vacuum analyze analyse need keep brauch* necesit* reindex optimi* rewrite defragment* purge clean clear trim prune wipe
    delete limpia purga depura borra bereinige losche analiza repack shrink compact freeze repair schreib* reescrib*
    reparier* repara*""".split()
)
_ARTICLES = FILLERS - frozenset("of von vom de del".split())
_JOINS = frozenset("and or nor & , und oder y e o ni sowie plus as well".split())
_ENDS = frozenset(".;!?\n,:(") | frozenset("but aber sondern pero".split())
#: Endings of columns, which tables seldom have; identifiers; and words that could be names.
_COLUMN = re.compile(r".*_(?:at|on|date|time|ts|timestamp|datetime|datum|fecha)")
_IDENTIFIER = re.compile(r"[a-z_][\w$]*_[\w$]*(?:\.[\w$]+)?|[a-z_][\w$]*\.[a-z_][\w$*]*|(?=.*\w)[\w.]*\*[\w.*]*")
_PLAIN = re.compile(r"[a-z_][\w$]{1,62}")
_NAMED = re.compile(r"[a-z_][\w$.-]{1,62}")
#: Most words between a name and the words that exclude it.
_REACH = 5


@dataclass(slots=True)
class Names:
    """The names in a text, by the places of their words."""

    tables: dict[int, str] = field(default_factory=dict)
    excluded: set[int] = field(default_factory=set)
    targets: dict[int, str] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    everywhere: set[int] = field(default_factory=set)
    around: set[int] = field(default_factory=set)  # words that belong to a name: `the table …`, `leave … alone`
    doubts: dict[str, str] = field(default_factory=dict)  # by the name of a table
    spared: list[str] = field(default_factory=list)  # targets to leave alone
    unknown: list[str] = field(default_factory=list)
    together: list[tuple[int, int]] = field(default_factory=list)

    @property
    def places(self) -> set[int]:
        return {*self.tables, *self.targets, *self.labels, *self.everywhere}


def names_in(
    words: Sequence[Word],
    targets: Mapping[str, Collection[str]],
    tables: Collection[str] | None,
    spoken: Callable[[Word], bool],
    taken: Collection[int],
) -> Names:
    """Return the names in a text.

    `tables`: None if they are not known; `spoken`: whether a word belongs to a vocabulary; `taken`: places of words that were
    already read as folders.
    """
    return _Finder(words, targets, tables, spoken, taken).found()


class _Finder:
    """Finds names by looking at each word of a text and the words around it."""

    def __init__(
        self,
        words: Sequence[Word],
        targets: Mapping[str, Collection[str]],
        tables: Collection[str] | None,
        spoken: Callable[[Word], bool],
        taken: Collection[int],
    ) -> None:
        self.words, self.tables, self.spoken, self.taken = words, tables, spoken, taken
        self.targets = {name.casefold(): name for name in targets}
        self.labels = {label.casefold(): label for several in targets.values() for label in several}
        self.names = Names()

    def found(self) -> Names:
        names = self.names
        for match in find(_ALL_DATABASES, self.words):
            names.everywhere |= set(range(match.first, match.last))
        for place, word in enumerate(self.words):
            if not (word.sign or place in self.taken or place in names.everywhere or word.number is not None):
                self._name(place)
        self._groups()
        self._spare()
        for place in range(len(self.words)):
            if place not in names.places and place not in self.taken:
                self._unknown(place)
        return names

    def _spare(self) -> None:
        """Move targets to leave alone out of those to work on: `don't touch crm`, `crm stays untouched`."""
        for place, name in [*self.names.targets.items()]:
            at = place - 1
            while at > 0 and self.words[at].form in _ARTICLES | _BEFORE_TARGET:
                at -= 1
            before = at >= 0 and not self.words[at].quoted and any(fits(self.words[at], one) for one in _SPARES)
            if before or any(self._says(place + 1, one) for one in _SPARED):
                del self.names.targets[place]
                self.names.spared.append(name)
                self.names.around.add(place)

    def _form(self, place: int) -> str:
        """Return a word as names are compared: without a possessive `'s`."""
        word = self.words[place]
        return word.form.casefold() if word.quoted else word.form.removesuffix("'s")

    def _near(self, place: int, step: int) -> str:
        """Return the next word that matters: before a place if `step` is -1, after it if 1."""
        at = place + step
        while 0 <= at < len(self.words) and self.words[at].form in _ARTICLES and abs(at - place) < 4:
            at += step
        return self.words[at].form if 0 <= at < len(self.words) and not self.words[at].quoted else ""

    def _beside(self, place: int, kinds: Collection[str]) -> set[int]:
        return {at for at in (place - 1, place + 1) if 0 <= at < len(self.words) and self.words[at].form in kinds}

    def _after_verb(self, place: int) -> bool:
        """Return whether a word is in the position of a verb's object: `vacuum orders`, `limpia events`."""
        at = place - 1
        while at >= max(0, place - 4) and (
            self.words[at].form in FILLERS or self.words[at].form in ("up", "out", "old", "full")
        ):
            at -= 1
        return at >= 0 and not self.words[at].quoted and any(fits(self.words[at], one) for one in _VERBS)

    def _after_time(self, place: int) -> bool:
        """Return whether a word follows a time in the possessive: `this month's sessions`."""
        owner = self.words[place - 1].form if place else ""
        return owner.endswith("'s") and is_time_word(owner.removesuffix("'s"))

    def _name(self, place: int) -> None:
        form, before, behind = self._form(place), self._near(place, -1), self._near(place, 1)
        if form in self.targets and before not in _TABLE and behind not in _TABLE:
            self.names.targets[place] = self.targets[form]
            self.names.around |= self._beside(place, _BEFORE_TARGET | _BEHIND_TARGET)
        elif form in self.labels and (before in _LABEL or behind in _BEHIND_TARGET or behind in _LABEL):
            self.names.labels[place] = self.labels[form]
            self.names.around |= self._beside(place, _LABEL | _BEHIND_TARGET)
        elif form not in _TABLE and (form not in COMMON or self.words[place].quoted):
            name = self._unseen_table(place) if self.tables is None else self._known_table(place)
            if name is not None:
                self.names.tables[place] = name
                self.names.around |= self._beside(place, _TABLE)

    def _is_said(self, place: int) -> bool:
        """Return whether a word is quoted or beside a word for a table."""
        return self.words[place].quoted or self._near(place, -1) in _TABLE or self._near(place, 1) in _TABLE

    def _unseen_table(self, place: int) -> str | None:
        """Return the name of a table by its position and spelling, if the tables are not known."""
        word, form, before, behind = self.words[place], self._form(place), self._near(place, -1), self._near(place, 1)
        said = self._is_said(place)
        if _COLUMN.fullmatch(form) and not said:
            return None
        if (word.quoted and " " not in form) or _IDENTIFIER.fullmatch(form):
            return _written(word)
        if not _PLAIN.fullmatch(form) or self.spoken(word):
            return None
        if said:
            return _written(word)
        stands = (
            before in _OBJECT | _LEFT_OUT
            or behind in _AGED
            or behind == "neu"
            or self._after_verb(place)
            or self._after_time(place)
            or (before in _JOINS and any(at in self.names.tables for at in range(max(0, place - 3), place)))
            or (before in _ASKED and place <= 4 and behind not in ("between", "zwischen", "entre"))
            or (before in ("only", "nur", "solo") and (behind in _JOINS or behind in _ENDS))
        )
        if not stands or behind in _ROWS or form.endswith(_GERUNDS):
            return None
        return _written(word)

    def _known_table(self, place: int) -> str | None:
        word, form, before = self.words[place], self._form(place), self._near(place, -1)
        said = self._is_said(place)
        found = self._known(form)
        if not found and "*" in form and len(form) > 1:
            return _written(word)
        if not found and said and not self.spoken(word):
            found = self._known(f"{form}s") or self._known(form.removesuffix("s"))
        stands = said or before in _OBJECT or self._near(place, 1) in _AGED or self._after_verb(place)
        if not found or (self.spoken(word) and not stands):
            return None
        name = found[0] if len(found) == 1 and form not in (found[0].casefold(), _short(found[0])) else _written(word)
        if len(found) > 1:
            self.names.doubts[name] = f"{word.text!r} is the name of several tables: {', '.join(sorted(found))}"
        return name

    def _known(self, form: str) -> list[str]:
        """Return the tables that a name stands for: `orders` is also `public.orders`."""
        exact = [table for table in self.tables or () if table.casefold() == form]
        last = form.rpartition(".")[2]
        return exact or [
            table
            for table in self.tables or ()
            if _short(table) == form or ("." not in table and table.casefold() == last)
        ]

    def _groups(self) -> None:
        """Exclude names in a row together, by words before the first or after the last: `without the tables a, b and c`."""
        group: list[int] = []
        for place in [*sorted(self.names.tables), None]:
            if group and (place is None or not self._joined(group[-1], place)):
                self.names.together.append((group[0], group[-1] + 1))
                if self._left_out_before(group[0], group[-1]) or self._left_out_behind(group[-1]):
                    self.names.excluded |= set(group)
                group = []
            if place is not None:
                group.append(place)

    def _joined(self, first: int, second: int) -> bool:
        between = [word.form for word in self.words[first + 1 : second]]
        return 0 < len(between) <= 4 and all(one in _JOINS or one in FILLERS or one in _TABLE for one in between)

    def _left_out_before(self, first: int, last: int) -> bool:
        for at in range(first - 1, max(-1, first - 1 - _REACH), -1):
            everything = at > 0 and self.words[at - 1].form in _ALL_TABLES | _TABLE
            if everything and self.words[at].form in _BUT:  # elsewhere such a word begins a clause
                return self._leave(at - 1, first, last)
            if at in self.names.places or self.words[at].form in _ENDS:
                return False
            if any(self._says(at, cue) for cue in _EXCEPT):
                return self._leave(at - int(everything), first, last)
        return False

    def _leave(self, start: int, first: int, last: int) -> bool:
        self.names.around |= set(range(start, first))
        self.names.together.append((start, last + 1))
        return True

    def _left_out_behind(self, last: int) -> bool:
        for skipped in range(3):
            at = last + 1 + skipped
            cue = next((one for one in _ALONE if self._says(at, one)), None)
            if cue is not None:
                self.names.around |= set(range(last + 1, at + len(cue.split("_"))))
                return True
            if at >= len(self.words) or self.words[at].form not in FILLERS | {"is", "are", "should", "must", "table"}:
                return False
        return False

    def _says(self, at: int, cue: str) -> bool:
        parts = cue.split("_")
        span = self.words[at : at + len(parts)]
        return len(span) == len(parts) and all(fits(word, part) for word, part in zip(span, parts, strict=True))

    def _unknown(self, place: int) -> None:
        """Record a word that is meant as a name but is not a known one."""
        word, form, before, behind = self.words[place], self._form(place), self._near(place, -1), self._near(place, 1)
        if word.sign or word.number is not None or form in COMMON or form in _LABEL or self.spoken(word):
            return
        if not _NAMED.fullmatch(form) or form in self.targets:  # a target to leave alone
            return
        others = [(key, name) for key, name in self.targets.items() if key != form]
        close = [name for key, name in others if near(form, key) or sorted(form) == sorted(key)]
        called = (before in _BEFORE_TARGET or behind in ("database", "db", "datenbank")) and form not in _KINDS
        if close or called:
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(self.targets.values())[:12])}"
            self.names.unknown.append(f"unknown target {word.text!r}: {hint}")
        elif self.tables is not None:
            self._unknown_table(place, form)

    def _is_left_out(self, place: int) -> bool:
        """Return whether a word directly follows one that excludes it: `except film`. If overlooked, more would be worked on."""
        at = place - 1
        while at > 0 and self.words[at].form in (_ARTICLES | _TABLE) - _BUT:
            at -= 1
        form = self._form(place)
        if at < 0 or self.words[at].quoted or form in _NO_TABLE or form.endswith(_GERUNDS):
            return False
        everything = at > 0 and self.words[at - 1].form in _ALL_TABLES | _TABLE
        return (everything and self.words[at].form in _BUT) or any(
            fits(self.words[at], cue) for cue in _LEFT_OUT - {"but", "leave", "lass"}
        )

    def _unknown_table(self, place: int, form: str) -> None:
        word, before, behind = self.words[place], self._near(place, -1), self._near(place, 1)
        if form in _NO_TABLE:
            return
        close = sorted(name for name in self.tables or () if near(form, _short(name)))
        stands = before in _OBJECT | _TABLE or behind in _TABLE or self._after_verb(place) or "_" in form
        ends = place + 1 >= len(self.words) or self.words[place + 1].sign or self.words[place + 1].form in _JOINS
        if close and stands:
            self.names.unknown.append(f"unknown table {word.text!r}: did you mean {close[0]!r}?")
        elif (
            before in _TABLE
            or self._is_left_out(place)
            or (_IDENTIFIER.fullmatch(form) and not _COLUMN.fullmatch(form))
        ):
            self.names.unknown.append(f"unknown table {word.text!r}")
        elif (
            place
            and not _COLUMN.fullmatch(form)
            and (
                (ends and self.words[place - 1].form in ("on", "auf", "in", "en", "at"))
                or (self.words[place - 1].form in _OWNED and form not in _NO_TABLE)
            )
        ):
            self.names.unknown.append(f"{word.text!r} is neither a known target nor a known table")


def _written(word: Word) -> str:
    return re.sub(r"['’]s$", "", word.form if word.quoted else word.text)


def _short(table: str) -> str:
    return table.casefold().rpartition(".")[2]


def quoted(words: Sequence[Word], names: Names) -> tuple[Word, ...]:
    """Return the words with names quoted, so that they match no vocabulary. Targets become signs."""
    return tuple(
        replace(word, quoted=True, form=names.tables.get(place, "")) if place in names.places else word
        for place, word in enumerate(words)
    )
