"""The words for times in English, German and Spanish: data, and functions that look words up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aishell.agents.patterns import Word, near

NUMBERS: Mapping[str, float] = {
    word: number
    for number, words in (
        (1, "a an one ein eine einen einem einer eines un una uno"),
        (2, "two zwei dos couple"),
        (3, "three drei tres"),
        (4, "four vier cuatro"),
        (5, "five funf fuenf cinco"),
        (6, "six sechs seis"),
        (7, "seven sieben siete"),
        (8, "eight acht ocho"),
        (9, "nine neun nueve"),
        (10, "ten zehn diez"),
        (11, "eleven elf once"),
        (12, "twelve zwolf zwoelf doce dozen"),
        (14, "fourteen vierzehn catorce"),
        (15, "fifteen funfzehn quince"),
        (18, "eighteen achtzehn dieciocho"),
        (20, "twenty zwanzig veinte"),
        (21, "twenty-one einundzwanzig veintiuno"),
        (24, "twenty-four vierundzwanzig veinticuatro"),
        (30, "thirty dreissig treinta"),
        (36, "thirty-six sechsunddreissig"),
        (40, "forty vierzig cuarenta"),
        (45, "forty-five funfundvierzig fuenfundvierzig"),
        (50, "fifty funfzig fuenfzig cincuenta"),
        (60, "sixty sechzig sesenta"),
        (80, "eighty achtzig ochenta"),
        (90, "ninety neunzig noventa"),
        (100, "hundred hundert cien"),
        (120, "hundertzwanzig"),
        (180, "hundertachtzig"),
        (365, "dreihundertfunfundsechzig"),
        (0.5, "half halbes halben halbe halber medio media"),
        (1.5, "anderthalb eineinhalb"),
    )
    for word in words.split()
}
UNITS: Mapping[str, str] = {
    word: unit
    for unit, words in {
        "second": "second seconds sec secs sekunde sekunden segundo segundos",
        "minute": "minute minutes mins minuten minuto minutos",
        "hour": "hour hours hr hrs h stunde stunden std hora horas",
        "day": "day days d tag tage tagen tags dia dias",
        "week": "week weeks wk wks w woche wochen semana semanas",
        "fortnight": "fortnight fortnights quincena",
        "month": "month months mo mos monat monate monaten monats mes meses",
        "quarter": "quarter quarters quartal quartale quartalen trimestre trimestres",
        "year": "year years yr yrs y jahr jahre jahren jahrs jahres ano anos",
    }.items()
    for word in words.split()
}
MONTHS: Mapping[str, int] = {
    word: number
    for number, words in enumerate(
        (
            "january januar janner jaenner enero jan",
            "february februar febrero feb",
            "march marz maerz marzo mar",
            "april abril apr",
            "may mai mayo",
            "june juni junio jun",
            "july juli julio jul",
            "august agosto aug",
            "september septiembre setiembre sept sep",
            "october oktober octubre oct okt",
            "november noviembre nov",
            "december dezember diciembre dec dez",
        ),
        1,
    )
    for word in words.split()
}
WEEKDAYS: Mapping[str, int] = {
    word: number
    for number, words in enumerate(
        (
            "monday montag lunes",
            "tuesday dienstag martes",
            "wednesday mittwoch miercoles",
            "thursday donnerstag jueves",
            "friday freitag viernes",
            "saturday samstag sonnabend sabado",
            "sunday sonntag domingo",
        )
    )
    for word in words.split()
}
VAGUE = frozenset(
    "few several many couple paar einige mehrere pocos pocas unos unas varios varias algunos algunas".split()
)
#: Sequences of words before a time, with their meaning; of two meanings, the first counts.
CUES: Mapping[tuple[str, ...], str] = {
    tuple(cue.split()): meaning
    for meaning, cues in reversed(
        {
            "older": "older than|older then|old than|more than|over|beyond|exceeding|before|prior to|"
            "earlier than|greater than|above"
            "|aged|past|longer than|later than before|>|>=|up to|till|until|through|predating|preceding"
            "|alter als|aelter als|mehr als|uber|ueber|alter|vor|vor dem|vor mehr als|langer als|laenger "
            "als|seit mehr als|bis|bis zum|fruher als"
            "|mas de|mas antiguos de|mas antiguos que|mas antiguas de|mas antiguas que|mas antiguo de|"
            "mas antiguo que"
            "|mas antigua de|mas antigua que|mas viejo de|mas viejo que|mas vieja que|mas viejos de|mas "
            "viejos que|mas viejas de|mas viejas que"
            "|mayor de|mayor que|mayor a|mayores de|mayores que|mayores a|anterior a|anteriores a|antes "
            "de|previo a|previos a"
            "|hace mas de|superior a|superiores a|hasta|antes",
            "newer": "newer than|younger than|less than|more recent than|under|fresher than|no older "
            "than|not older than|<|<=|after|later than"
            "|junger als|juenger als|neuer als|weniger als|nach|nach dem|nicht alter als|nicht aelter "
            "als|hochstens"
            "|menos de|mas recientes que|mas recientes de|mas nuevos que|mas nuevas que|mas reciente que|"
            "posterior a|posteriores a|despues de",
            "since": "since|from|as of|starting|starting from|starting in|beginning|seit|ab|seit dem|ab "
            "dem|desde|a partir de|desde el",
            "last": "last|latest|newest|recent|most recent|past|previous|letzten|letzte|letzter|letztes|"
            "vergangenen|jungsten|neuesten"
            "|ultimos|ultimas|ultimo|ultima|pasados|pasadas|recientes",
            "in": "in|during|of|within|im|aus|in den|innerhalb|en|durante",
            "every": "every|each|per|jede|jeden|alle|cada|todos|todas",
        }.items()
    )
    for cue in cues.split("|")
}
LONGEST_CUE = max(map(len, CUES))
EDGES = frozenset("start beginning begin anfang beginn principio principios inicio comienzo".split())
_SLIPS = {"dyas": "day", "dasy": "day", "dats": "day", "weks": "week", "yeras": "year"}
_TIME_WORDS = frozenset((*UNITS, *MONTHS, *WEEKDAYS, *NUMBERS, *VAGUE, *EDGES, *(word for cue in CUES for word in cue)))


def is_time_word(form: str) -> bool:
    """Return whether a word is one of those for times."""
    return form in _TIME_WORDS


def unit_of(form: str) -> str | None:
    """Return the unit of time that a word stands for, or None. It may be misspelt or possessive: `this month's`."""
    form = form.removesuffix("'s")
    if form in UNITS:
        return UNITS[form]
    if len(form) >= 5:
        return next((UNITS[word] for word in UNITS if len(word) >= 5 and near(form, word)), None)
    return _SLIPS.get(form)


def form_at(words: Sequence[Word], at: int) -> str:
    """Return the normalised word at a place; empty after the end, and for a quoted word."""
    return words[at].form if at < len(words) and not words[at].quoted else ""
