"""The return date that an out-of-office reply states, in en, pt, ru, es, de and fr.

The answer is the date as written: of "back on 7 December" the 7th, of "until 15/12" and "from 10 to 20 November" the
last day named, also where the text calls that day the last one away. Where a date could be read two ways (05/06 in an
English text), where two different dates compete, or where only a day without a clear week is named, there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from connectors.mail.dates import MONTHS, find_month

__all__ = ["find_return_date"]

TEXT_LIMIT = 3000
_WEEKDAYS = {
    name: number
    for number, line in enumerate(
        (
            "monday mon segunda segunda-feira понедельник понедельника lunes montag lundi",
            "tuesday tue tues terça terça-feira вторник вторника martes dienstag mardi",
            "wednesday wed quarta quarta-feira среда среду среды miércoles miercoles mittwoch mercredi",
            "thursday thu thur thurs quinta quinta-feira четверг четверга jueves donnerstag jeudi",
            "friday fri sexta sexta-feira пятница пятницу пятницы viernes freitag vendredi",
            "saturday sat sábado sabado суббота субботу субботы samstag sonnabend samedi",
            "sunday sun domingo воскресенье воскресенья sonntag dimanche",
        )
    )
    for name in line.split()
}
_WEEKDAY = "|".join(sorted(map(re.escape, _WEEKDAYS), key=len, reverse=True))
_MONTH = "|".join(sorted(map(re.escape, MONTHS), key=len, reverse=True))
_DATE = re.compile(
    rf"""(?<![\w/.-])(?:
      (?P<iy>20\d\d)-(?P<im>\d{{1,2}})-(?P<id>\d{{1,2}})(?![\d-])
    | (?P<nd>\d{{1,2}})(?P<sep>[./-])(?P<nm>\d{{1,2}})(?:(?P=sep)(?P<ny>20\d\d|\d\d))?(?![\d/-]|[.:]\d)
    | (?P<td>\d{{1,2}})(?:st|nd|rd|th|er|º|ª|°|\.|-го|-е)?\s{{0,2}}(?:(?:of|de|do)\s)?(?P<tm>{_MONTH})(?!\w)\.?
        (?:\s?,?\s?(?:(?:de|do|of)\s)?(?P<ty>20\d\d))?
    | (?=[^\W\d_]+\.?\s(?:the\s)?\d)  # a word and a number; only then is it worth trying the months
        (?P<um>{_MONTH})\.?\s(?:the\s)?(?P<ud>\d{{1,2}})(?:st|nd|rd|th)?(?!\d|[:.]\d)(?:,?\s(?P<uy>20\d\d))?
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_FILL = (
    rf"(?:(?:on|the|at|dia|día|o|no|a|em|el|le|den|dem|zum|am|and|up|to|including|inclusive|incl\.?|"
    rf"einschließlich|einschl\.?|inkl\.?|inclus\w*|und\smit|"
    rf"mit|de|do|da|du|next|próxim[ao]|proxim[ao]|в|во|с|со|на|по|включительно|{_WEEKDAY})[\s,.(]{{1,3}}){{0,6}}"
)
_UNTIL = re.compile(
    rf"(?:(?P<en>\b(?:until|till|til|through|thru|to)\b)|\b(?:até|ate|hasta|bis|jusqu['’]?\s?au|jusqu['’]?\s?à|"
    rf"au|al|ao|до|по)\b|"
    rf"\d{{1,2}}\.?\s(?:a|à|e|y|et|und|bis|and|-|–)|\d\s?[-–])\s{{0,2}}{_FILL}\Z",
    re.IGNORECASE,
)
_BACK_EN = r"\b(?:back|return|returning|returns|resume|resuming)\b"
_BACK = (
    r"\b(?:de volta|volto|voltarei|retorno|retornarei|regresso|regressarei|estarei de volta|vuelvo|retornaré|volveré|"
    r"regreso|regresaré|de vuelta|reincorporo|reincorporaré|incorporo|"
    r"zurück|zurueck|wieder|de retour|reviens|reviendrai|retour|вернусь|вернёмся|вернемся|возвращаюсь|"
    r"возвращение|выйду|выхожу|буду (?:на месте|на работе|в офисе|доступ\w+|снова)|снова буду|на связи)\b"
)
_BACK_BEFORE = re.compile(rf"(?:(?P<en>{_BACK_EN})|{_BACK})[^.!?\n\d]{{0,45}}\Z", re.IGNORECASE)
_FROM = re.compile(
    rf"(?:(?P<en>\b(?:from|on|as of|starting)\b)|\b(?:ab|vom|von|am|a partir d[eo]|desde|à partir du|dès le|с|"
    rf"со|em|el|le|no dia)\b)\s{{0,2}}{_FILL}\Z",
    re.IGNORECASE,
)
_BACK_AFTER = re.compile(
    rf"\A\.?[^.!?\n\d]{{0,40}}?(?:{_BACK_EN}|{_BACK}|erreichbar|available|disponível|disponible|доступ)", re.IGNORECASE
)
_DAY_ONLY = re.compile(
    rf"(?:{_BACK_EN}|{_BACK}|\b(?:until|till|até|hasta|bis|jusqu['’]?\s?[aà]u?|до)\b)(?:\s(?:to|in|im|ao|à|al|"
    rf"no|na|the|office|work|büro|escritório|trabalho|oficina|bureau|am|on|el|em|a|в|во)){{0,4}}"
    rf"\s(?P<day>{_WEEKDAY})(?![\w-])(?![^.!?\n]{{0,12}}\d)",
    re.IGNORECASE,
)
_RETURN, _UNTIL_RANK = 2, 1


@dataclass(frozen=True, slots=True)
class _Mention:
    rank: int
    day: date | None


def find_return_date(text: str, received: date) -> date | None:
    """The stated return date, None if there is none or it is ambiguous. `received` settles the year."""
    text = re.sub(r"[ \t\xa0\n]+", " ", text[:TEXT_LIMIT])
    mentions = _collect(text, received)
    for rank in (_RETURN, _UNTIL_RANK):
        days = {mention.day for mention in mentions if mention.rank == rank}
        if days:
            return days.pop() if len(days) == 1 else None
    return _find_weekday(text, received) if not _DATE.search(text) else None


def _collect(text: str, received: date) -> list[_Mention]:
    mentions = []
    last = 0
    for match in _DATE.finditer(text):
        before = text[max(last, match.start() - 90) : match.start()]
        after = text[match.end() : match.end() + 60]
        range_start = text[max(0, match.start() - 90) : match.start()] if last else before
        rank, english = _rank(before, after, range_start)
        last = match.end()
        if rank:
            mentions.append(_Mention(rank, _read(match, before, received, english=english)))
    return mentions


def _rank(before: str, after: str, wide: str) -> tuple[int, bool]:
    """(what this date is, whether the words around it are English)."""
    found = _BACK_BEFORE.search(before)
    until = _UNTIL.search(before) or (_UNTIL.search(wide) if len(before.strip()) < 12 else None)
    if found and not (
        until and until.start() > found.start() and found.group("en") is not None and until.group("en") != "to"
    ):
        return _RETURN, found.group("en") is not None
    if until:
        return _UNTIL_RANK, until.group("en") is not None
    found = _FROM.search(before)
    if found and _BACK_AFTER.search(after) and not _DATE.search(after[:40]):
        return _RETURN, found.group("en") is not None
    return 0, False


def _read(match: re.Match[str], before: str, received: date, *, english: bool) -> date | None:
    part = match.group
    if part("iy"):
        return _build(int(part("iy")), int(part("im")), int(part("id")))
    year = part("ny") or part("ty") or part("uy") or ""
    if part("nd"):
        day, month = int(part("nd")), int(part("nm"))
        if english and part("sep") != ".":
            if day <= 12 and month <= 12 and day != month:
                return None
            day, month = (month, day) if month > 12 else (day, month)
    else:
        day, month = int(part("td") or part("ud")), find_month(part("tm") or part("um")) or 0
    if year:
        stated = _build(int(year) if len(year) == 4 else 2000 + int(year), month, day)
        return stated if stated and -400 < (stated - received).days < 1100 else None
    weekday = re.search(rf"({_WEEKDAY})[\s,.]{{0,3}}(?:the |dia |día |el |le |den |dem )?\Z", before, re.IGNORECASE)
    return _settle_year(month, day, received, _WEEKDAYS[weekday.group(1).lower()] if weekday else None)


def _settle_year(month: int, day: int, received: date, weekday: int | None) -> date | None:
    """The next such day. One that has just passed is an old text, not next year."""
    this, later = _build(received.year, month, day), _build(received.year + 1, month, day)
    chosen = this if this and this >= received else None
    if chosen is None and (this is None or (received - this).days > 90):
        chosen = later
    if chosen and weekday is not None and chosen.weekday() != weekday:
        return None
    return chosen


def _build(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _find_weekday(text: str, received: date) -> date | None:
    """ "back on Monday": the next one, unless it is that day today."""
    days = {_WEEKDAYS[match.group("day").lower()] for match in _DAY_ONLY.finditer(text)}
    if len(days) != 1:
        return None
    ahead = (days.pop() - received.weekday()) % 7
    return received + timedelta(days=ahead) if ahead else None
