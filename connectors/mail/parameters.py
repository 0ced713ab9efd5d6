"""Values with parameters, such as Content-Type (RFC 2045, 5.1) and Content-Disposition, with RFC 2231 continuations."""

from __future__ import annotations

import re
from functools import lru_cache

from connectors.mail.charsets import decode_line
from connectors.mail.words import decode_value, decode_words, unfold

__all__ = ["parse_parameters"]

_PARAMETER = re.compile(rb"""[;\s]*([^\s=;"]{1,100})\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;\s"][^;"]*)|)""", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_CONTINUED = re.compile(r"(.+?)\*(\d{1,4})?(\*)?\Z")
PARAMETERS_LIMIT = 200


@lru_cache(maxsize=256)
def parse_parameters(value: bytes) -> tuple[str, dict[str, str]]:
    """(main value in lower case, parameters by lower-case name). Damaged ones are left out. Do not change the dict."""
    value = unfold(value[:20_000])
    main, _, rest = value.partition(b";")
    if b"=" in main and not rest and b"/" not in main.partition(b"=")[0]:
        main, rest = b"", value
    name = re.split(r"[\s(,]", decode_value(main).strip().lower(), maxsplit=1)[0].strip("\"'")
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for count, match in enumerate(_PARAMETER.finditer(rest)):
        if count >= PARAMETERS_LIMIT:
            break
        key = match.group(1).decode("ascii", "replace").lower()
        quoted, bare = match.group(2), match.group(3)
        raw = _ESCAPED.sub(rb"\1", quoted) if quoted is not None else (bare or b"").strip()
        continued = _CONTINUED.match(key)
        if continued:
            number = int(continued.group(2) or 0)
            extended = continued.group(3) is not None or continued.group(2) is None
            pieces.setdefault(continued.group(1), {})[number] = (raw, extended)
        elif key not in plain:
            plain[key] = decode_words(decode_line(raw))
    for key, parts in pieces.items():
        plain[key] = _join(parts)
    return name, plain


def _join(parts: dict[int, tuple[bytes, bool]]) -> str:
    """RFC 2231, 3 and 4: numbered pieces, each percent-encoded or not, the charset before the first piece."""
    charset = ""
    data = b""
    for position, number in enumerate(sorted(parts)):
        raw, extended = parts[number]
        if extended:
            if position == 0 and raw.count(b"'") >= 2:
                name, _, raw = raw.split(b"'", 2)
                charset = name.decode("ascii", "replace")
            raw = _PERCENT.sub(lambda found: bytes((int(found.group(1), 16),)), raw)
        data += raw
    text = decode_line(data, charset)
    return decode_words(text)
