"""Find where the new text of a mail ends and the sender's signature begins.

Only the tail of the text is looked at, with bounded lines, so the work does not grow with the body.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from connectors.mail.phrases import CLOSINGS, THANKS
from connectors.mail.quote_headers import is_rule_line

_TAIL: Final = 60
_ROUNDS: Final = 8
_WIDE: Final = 100

_SENT_FROM: Final = re.compile(
    r"[\s*_\[(>-]{0,4}(?:sent (?:from|with|via|by|using)|enviad[oa] (?:do|da|de|desde|pelo|pela|a partir d|via|com|por|"
    r"usando|através)|enviei (?:do|d)|envoyé (?:de|depuis|à partir|avec|via)|gesendet (?:von|mit|über)|von mein|"
    r"inviato (?:da|dal|con|tramite)|verzonden (?:vanaf|met|via|vanuit)|verstuurd vanaf|skickat från|sendt fra|"
    r"lähetetty|odesláno z|elküldve|trimis de|αποστολή από|发自我的|從我的|wysłan[eoy] z|"
    r"отправлено (?:с|со|из|через|от)|написано (?:с|из)|"
    r"надіслано (?:з|із)|get outlook for|get the outlook|obter o outlook|obter outlook|obtenha o outlook|"
    r"obtener outlook|baixe o outlook|baixar o outlook|télécharge[rz]? outlook|obtenir outlook|"
    r"скачать outlook|скачайте outlook|получить outlook|получите outlook|загрузить outlook|holen sie sich outlook|"
    r"outlook für|outlook per|scarica outlook|download outlook|diese nachricht wurde von|"
    r"this (?:message|e-?mail) was sent from|mensagem enviada (?:do|d)|via (?:mobile|celular|iphone|android)$)",
    re.IGNORECASE,
)
_DEVICE: Final = re.compile(
    r"(?<!\w)(?:my|meu|minha|mi|mon|mein|meinem|mio|mia|mijn|min|mitt|mojego|моего|моей|мобильного|мобильной|мобильным|"
    r"iphone?\w*|ipad\w*|ios|android|samsung|galaxy|outlook|yahoo|gmail|huawei|xiaomi|redmi|poco|honor|motorola|nokia|"
    r"blackberry|windows|mail|mail\.ru|celular|móvil|telefone|telemóvel|smartphone|mobile|handy|thunderbird|spark|"
    r"proton|protonmail|bol|uol|zoho|sparrow|mailspring|k-9|почты|яндекс|яндекс\.почты|смартфона|телефона|устройства|"
    r"планшета|айфона|hey|superhuman|webmail|airmail|bluemail|roundcube|zimbra)(?!\w)",
    re.IGNORECASE,
)
_CONTACT: Final = re.compile(
    r"@|https?://|www\.|\+?\d[\d\s().\xa0-]{6,}\d|^(?:tel|fone|cel|phone|mob|fax|тел|моб|skype|whatsapp)\b",
    re.IGNORECASE,
)
_NOTICE_WORDS: Final = (
    "confidencia",
    "confidentia",
    "конфиденциал",
    "vertraulich",
    "privileged",
    "antes de imprimir",
    "before printing",
    "uso exclusivo",
    "intended solely",
    "intended only",
    "intended recipient",
    "исключительно для",
    "проверено на вирусы",
    "virus-free",
    "livre de vírus",
    "sem vírus",
    "www.avast",
)
_NOTICE_SUBJECTS: Final = (
    "mensagem",
    "message",
    "mail",
    "сообщени",
    "письм",
    "nachricht",
    "mensaje",
    "correo",
    "avast",
)
_NAME_WORD: Final = re.compile(r"[\"'«(]?[^\W\d_a-zа-яß-öø-ÿ].{0,29}|d[aeio]s?|e|van|von|der|du|la|и|y", re.DOTALL)
_SLASH_NAME: Final = re.compile(r"/\s?[^\W\d_]{1,20}")
_EDGES: Final = " ,.!;:-–—*_\xa0"
_INITIAL: Final = re.compile(r"(?<!\w)[^\W\d_]\.$")
_RULES: Final = frozenset("-_=*#~+—–─ᐧ")
_BLOCK: Final = 10
"""Lines of contact data below a drawn line."""
_DELIMITERS: Final = frozenset({"--", "—", "–", "__", "-- -"})


def signature_start(lines: Sequence[str]) -> int:
    """Return the index of the first signature line of stripped ``lines``; ``len(lines)`` when there is none."""
    floor = max(0, len(lines) - _TAIL)
    end = _strip_end(lines, len(lines), floor)
    for _ in range(_ROUNDS):
        found = _one_signature(lines, end, floor)
        if found == end:
            break
        end = _strip_end(lines, found, floor)
    return end if any(lines[end:]) else len(lines)


def _content_end(lines: Sequence[str], end: int) -> int:
    while end and not lines[end - 1]:
        end -= 1
    return end


def _strip_end(lines: Sequence[str], end: int, floor: int) -> int:
    """Step over blank and drawn lines at the end."""
    while end > floor and (not lines[end - 1] or is_rule_line(lines[end - 1])):
        end -= 1
    return end


def _one_signature(lines: Sequence[str], end: int, floor: int) -> int:
    for find in (_notice, _sent_from, _delimited, _closed_block, _contact_paragraph):
        found = find(lines, end, floor)
        if found < end:
            return found
    return end


def _sent_from(lines: Sequence[str], end: int, floor: int) -> int:
    """``Sent from my iPhone`` (or ``/John``) with at most three lines behind it."""
    seen = 0
    for index in range(end - 1, floor - 1, -1):
        line = lines[index]
        if not line:
            continue
        if len(line) <= 160 and _SENT_FROM.match(line) and _DEVICE.search(line):
            return index
        if not seen and _SLASH_NAME.fullmatch(line) and index:
            return index  # "/John", the short Scandinavian way to sign
        seen += 1
        if seen > 3:
            break
    return end


def _delimited(lines: Sequence[str], end: int, floor: int) -> int:
    """``-- `` (RFC 3676 section 4.3) or a drawn line with a short block of contact data or a list footer behind it."""
    if not any(line and line[0] in _RULES and is_rule_line(line) for line in lines[floor:end]):
        return end
    found, filled, contact, narrow = end, 0, False, True
    for index in range(end - 1, floor - 1, -1):
        line = lines[index]
        if not line:
            continue
        if filled > _BLOCK:  # too far up for a drawn line: only a delimiter counts
            found = index if line in _DELIMITERS else found
            continue
        if (is_rule_line(line) and contact and narrow) or (filled and line in _DELIMITERS):
            found = index
        filled += 1
        narrow = narrow and len(line) <= _WIDE and not (line.endswith((".", "?")) and line.count(" ") > 7)
        contact = contact or _CONTACT.search(line[:200]) is not None
    return found


def _closed_block(lines: Sequence[str], end: int, floor: int) -> int:
    """``Regards,`` with a name and at least one more line behind it. A closing with a name alone is text."""
    block: list[str] = []
    for index in range(end - 1, floor - 1, -1):
        line = lines[index]
        if not line:
            continue
        if len(line) > _WIDE or len(block) > 10:
            break
        name = _closing_name(line) if len(line) <= 60 else None
        if name is not None:
            start = _first_closing(lines, index, floor)
            formal = line.strip(_EDGES).casefold() not in THANKS
            lead = [name] if name else []
            return start if _is_block(lead + block[::-1], formal=formal) and any(lines[:start]) else end
        block.append(line)
    return end


def _closing_name(line: str) -> str | None:
    """Return what follows the closing formula on its own line ("" for nothing), None if the line is not a closing."""
    if line.strip(_EDGES).casefold() in CLOSINGS:
        return ""
    head, comma, name = line.partition(",")
    phrase = head.strip(" *_").casefold()
    if comma and phrase in CLOSINGS and phrase not in THANKS and 0 < len(name.split()) <= 6:
        return name.strip(" *_.")
    return None


def _first_closing(lines: Sequence[str], index: int, floor: int) -> int:
    while index > floor and lines[index - 1] and _closing_name(lines[index - 1]) == "":
        index -= 1
    return index


def _is_block(block: Sequence[str], *, formal: bool) -> bool:
    """A name, or below a formal closing a short line and contact data; then no sentence."""
    if len(block) < 2 or any(_is_sentence(line) for line in block[1:]):
        return False
    if _is_name(block[0]):
        return True
    return formal and len(block[0].split()) <= 6 and any(_CONTACT.search(line) for line in block)


def _is_sentence(line: str) -> bool:
    if _CONTACT.search(line) is not None:
        return False
    return line.endswith(("?", ":")) or line.count(" ") > 9


def _is_name(line: str) -> bool:
    words = line.strip("*_ ,").split()
    ended = line.endswith(("?", ":", ";")) or (line.endswith(".") and _INITIAL.search(line) is None)
    if not 0 < len(words) <= 6 or ended:
        return False
    return all(_NAME_WORD.fullmatch(word) for word in words[:4] if len(word) > 1 or word.isalpha())


def _contact_paragraph(lines: Sequence[str], end: int, floor: int) -> int:
    """A last paragraph of a name and at least two lines of phone, address or web."""
    start = end
    while start > floor and lines[start - 1]:
        start -= 1
    paragraph = lines[start:end]
    if not 3 <= len(paragraph) <= 10 or start == floor or max(map(len, paragraph)) > _WIDE:
        return end
    before = lines[_content_end(lines, start) - 1]
    if before.endswith(":") or not _is_name(paragraph[0]):
        return end
    contacts = sum(1 for line in paragraph[1:] if _CONTACT.search(line))
    return start if contacts >= 2 else end


def _notice(lines: Sequence[str], end: int, floor: int) -> int:
    """A last paragraph of legal notice, or a virus scanner's greeting."""
    start = end
    while start > floor and lines[start - 1]:
        start -= 1
    if start == floor or end - start > 15 or not _content_end(lines, start):
        return end
    paragraph = " ".join(line[:600] for line in lines[start:end])[:1500].casefold()
    if len(paragraph) < 90 and "avast" not in paragraph:
        return end
    is_notice = any(word in paragraph for word in _NOTICE_WORDS) and any(word in paragraph for word in _NOTICE_SUBJECTS)
    return start if is_notice else end
