"""How a person is addressed: the first name inside a display name, and the greeting of the hour.

Pure. Where a display name gives no sure first name the answer is "", so a template's `or` speaks instead.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMPANY = _words(
    "ооо оао зао ао пао нко фгуп муп тоо чп ltda ltd llc inc corp gmbh ag bv nv sa s.a s/a srl sarl sas plc eireli "
    "padaria mercado oficina restaurante hotel clínica clinica escola farmácia farmacia construtora transportes "
    "comércio comercio indústria industria distribuidora supermercado магазин завод компания фирма gruppe "
    "me epp cia company companhia co grupo group group. holding loja store shop"
)
_OFFICE = _words(
    "vendas compras financeiro comercial contato suporte atendimento administração administracao equipe cobrança "
    "cobranca faturamento rh marketing info contact sales support team office billing accounts service services "
    "helpdesk noreply no-reply postmaster mailer-daemon admin отдел бухгалтерия продажи закупки поддержка команда "
    "офис ventas soporte equipo équipe service-client vertrieb einkauf buchhaltung newsletter"
)
_HONORIFIC = _words(
    "sr sra srta dr dra mr mrs ms miss prof profa eng engº dom dona herr frau monsieur madame mme m. г-н г-жа ип"
)
_SUFFIX = _words("jr jr. sr sr. phd ph.d mba md ii iii neto filho júnior junior")
_PATRONYMIC = re.compile(r".+(?:вич|вна|ична|инична|оглы|кызы)", re.IGNORECASE)
_RUSSIAN_SURNAME = re.compile(r".+(?:[оеё]ва?|[иы]на?|[сц]кий|[сц]кая|енко|чук|юк|ых|их|ян|дзе|швили)", re.IGNORECASE)
_GIVEN_LIKE_SURNAME = _words(
    "марина ирина екатерина полина карина кристина алина нина галина валентина валентин константин мартин лев "
    "ангелина регина арина эвелина дарина сабина антонина альбина мирослава евдокия ян севастьян касьян лина инна "
    "жанна анна янина августина каролина вениамин бенедикт яков"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_NO_SPACES = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\u3040-\u30ff]")

_GREETINGS = {
    "pt": ("Bom dia", "Boa tarde", "Boa noite"),
    "ru": ("Доброе утро", "Добрый день", "Добрый вечер"),
    "en": ("Good morning", "Good afternoon", "Good evening"),
    "es": ("Buenos días", "Buenas tardes", "Buenas noches"),
    "de": ("Guten Morgen", "Guten Tag", "Guten Abend"),
    "fr": ("Bonjour", "Bonjour", "Bonsoir"),
}


def greeting(language: str, hour: int) -> str:
    """The greeting of the hour (0 to 23, by the reader's clock) in a language; English where it is not known."""
    words = _GREETINGS.get(language.lower().partition("-")[0], _GREETINGS["en"])
    if 5 <= hour < 12:
        return words[0]
    return words[1] if 12 <= hour < 18 else words[2]


def first_name(name: str) -> str:
    """The first name of "Maria Silva", "Silva, Maria", "Иванов Иван Иванович"; "" for companies, offices, addresses."""
    plain = re.sub(r"\(.*?\)|\[.*?\]|[\"“”«»]", " ", name)
    plain = re.split(r"\s[|/–—-]\s|\s(?:via|da|from)\s(?=[A-Z]{2,})", plain, maxsplit=1)[0].strip(" '.,;")
    if "@" in plain or "&" in plain or re.search(r"\d", plain) or _NO_SPACES.search(plain):
        return ""
    words = _in_order(plain)
    if not words or any(word.lower().strip(".,") in _COMPANY | _OFFICE for word in words):
        return ""
    titled = words[0].lower().rstrip(".") in _HONORIFIC
    while words and words[0].lower().rstrip(".") in _HONORIFIC:
        words = words[1:]
    if not words or (titled and len(words) == 1):
        return ""  # "Dr. Silva": a surname alone
    return _spelt(_given(words))


def _in_order(name: str) -> list[str]:
    """The words of a name, first name first as far as a comma tells; degrees and "Jr" left out."""
    before, comma, behind = name.partition(",")
    rest = [word for word in behind.split() if word.lower() not in _SUFFIX]
    words = [*rest, *before.split()] if comma and rest else before.split()
    return [*words[:1], *(word for word in words[1:] if word.lower() not in _SUFFIX)]


def _given(words: list[str]) -> str:
    """Which of the words is the first name, for Russian and French orders too."""
    if len(words) == 1:
        return words[0]
    if len(words) >= 3 and _PATRONYMIC.fullmatch(words[2]) and not _PATRONYMIC.fullmatch(words[1]):
        return words[1]
    if _PATRONYMIC.fullmatch(words[1]):
        return words[0]
    if words[0].isupper() and len(words[0].strip(".")) > 1 and not words[1].isupper():
        return words[1]  # SILVA Maria
    if _is_given(words[0]):
        return words[0]
    if _is_given(words[1]) or (_is_russian_surname(words[0]) and not _is_russian_surname(words[1])):
        return words[1]
    return words[0]


def _is_russian_surname(word: str) -> bool:
    return bool(_RUSSIAN_SURNAME.fullmatch(word)) and "а" <= word[0].lower() <= "ё" and not _is_given(word)


def _is_given(word: str) -> bool:
    return word.lower() in _GIVEN_LIKE_SURNAME


def _spelt(word: str) -> str:
    """The word with a capital, "" if it is an initial or no word at all."""
    word = word.strip("'’.,;")
    if not 2 <= len(word) <= 30 or not word[0].isalpha() or not _WORD.fullmatch(word) or word.lower() in _SUFFIX:
        return ""
    if word.isupper() or word.islower():
        return "-".join(part[:1].upper() + part[1:].lower() for part in word.split("-"))
    return word
