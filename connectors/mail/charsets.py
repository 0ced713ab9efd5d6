"""Bytes of any charset to clean text. Never raises: declared charset, then UTF-8, then a guess, then cp1252.

The gate of failures M01 and M05: what leaves here holds no NUL, no other C0 control but tab and line feed, and no lone
surrogate. Declared names are looked up in our own table, so a mail cannot name a codec such as "hex" or "idna".
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["clean", "decode", "decode_line", "find_codec"]

_CODECS = {
    # single byte
    "ascii": "ascii us_ascii ansi_x3_4_1968 ansi_x3_110 ansi_x3_110_1983 ansi_x3_4_1986 iso646_us "
    "iso_646 646 us 7bit default none",
    "utf_8": "utf_8 utf8 utf8mb4 utf8mb3 unicode_1_1_utf_8 unicode utf cp65001 utf_8_mac unicode_2_0_utf_8 "
    "3dutf_8 8bit",
    "cp1252": "iso_8859_1 iso8859_1 88591 8859_1 latin1 latin_1 latin l1 cp819 ibm819 iso_ir_100 windows_1252 cp1252 "
    "1252 x_ansi ansi x_cp1252 iso88591 win_1252 win1252 windows1252 cp_1252 x_user_defined",
    "iso8859_2": "iso_8859_2 iso8859_2 latin2 latin_2 l2 iso88592",
    "iso8859_3": "iso_8859_3 iso8859_3 latin3 l3",
    "iso8859_4": "iso_8859_4 iso8859_4 latin4 l4",
    "iso8859_5": "iso_8859_5 iso8859_5 cyrillic iso88595 csisolatincyrillic",
    "iso8859_6": "iso_8859_6 iso8859_6 arabic iso_8859_6_e iso_8859_6_i asmo_708 ecma_114",
    "iso8859_7": "iso_8859_7 iso8859_7 greek greek8 elot_928 ecma_118",
    "iso8859_8": "iso_8859_8 iso8859_8 hebrew iso_8859_8_i iso_8859_8_e logical visual",
    "cp1254": "iso_8859_9 iso8859_9 latin5 l5 windows_1254 cp1254 1254 win_1254",
    "iso8859_10": "iso_8859_10 iso8859_10 latin6 l6",
    "iso8859_13": "iso_8859_13 iso8859_13 latin7 l7",
    "iso8859_14": "iso_8859_14 iso8859_14 latin8 l8",
    "iso8859_15": "iso_8859_15 iso8859_15 latin9 latin_9 l9 iso885915",
    "iso8859_16": "iso_8859_16 iso8859_16 latin10 l10",
    "cp1250": "windows_1250 cp1250 1250 win_1250 x_cp1250",
    "cp1251": "windows_1251 cp1251 1251 win_1251 x_cp1251 windows1251 win1251 cp_1251 ansi_cyrillic",
    "cp1253": "windows_1253 cp1253 1253 win_1253",
    "cp1255": "windows_1255 cp1255 1255 win_1255",
    "cp1256": "windows_1256 cp1256 1256 win_1256",
    "cp1257": "windows_1257 cp1257 1257 win_1257",
    "cp1258": "windows_1258 cp1258 1258 win_1258",
    "cp874": "windows_874 cp874 tis_620 tis620 iso_8859_11 iso8859_11 dos_874 x_windows_874",
    "koi8_r": "koi8_r koi8r koi8 koi cskoi8r koi_8_r",
    "koi8_u": "koi8_u koi8u koi8_ru koi8_r_u",
    "cp437": "cp437 ibm437 437 cp_437",
    "cp737": "cp737 ibm737",
    "cp775": "cp775 ibm775",
    "cp850": "cp850 ibm850 850 cp_850 pc850",
    "cp852": "cp852 ibm852 852 cp_852",
    "cp855": "cp855 ibm855 855",
    "cp857": "cp857 ibm857 857",
    "cp858": "cp858 ibm858 858 cp_858 ccsid00858 ibm00858",
    "cp860": "cp860 ibm860 860",
    "cp861": "cp861 ibm861",
    "cp862": "cp862 ibm862 862",
    "cp863": "cp863 ibm863",
    "cp865": "cp865 ibm865",
    "cp866": "cp866 ibm866 866 cp_866 dos_866",
    "cp869": "cp869 ibm869",
    "mac_roman": "macintosh mac macroman mac_roman x_mac_roman x_macroman",
    "mac_cyrillic": "mac_cyrillic maccyrillic x_mac_cyrillic x_mac_ukrainian",
    "mac_greek": "mac_greek macgreek x_mac_greek",
    "mac_turkish": "mac_turkish macturkish x_mac_turkish",
    "mac_latin2": "mac_latin2 maccentraleurope x_mac_ce x_mac_centraleurroman",
    "cp037": "cp037 ibm037",
    "cp500": "cp500 ibm500",
    "hp_roman8": "hp_roman8 roman8 r8",
    # multi-byte
    "gb18030": "gb18030 gb2312 gbk gb_2312 gb_2312_80 euc_cn cp936 936 windows_936 x_gbk ms936 x_euc_cn chinese "
    "csgb2312 gb2312_80 gb18030_2000 gb_18030",
    "hz": "hz hz_gb hz_gb_2312",
    "big5hkscs": "big5 big5_hkscs big5hkscs cn_big5 csbig5 x_x_big5 big5_tw",
    "cp950": "cp950 950 windows_950 ms950",
    "cp932": "shift_jis shiftjis sjis x_sjis s_jis cp932 ms932 ms_kanji windows_31j windows_932 csshiftjis 932 mskanji",
    "euc_jp": "euc_jp eucjp ujis x_euc_jp x_eucjp cseucpkdfmtjapanese",
    "iso2022_jp_ext": "iso_2022_jp iso2022_jp csiso2022jp jis iso_2022_jp_1 iso_2022_jp_ext iso2022jp",
    "iso2022_jp_2": "iso_2022_jp_2 iso2022_jp_2",
    "iso2022_jp_2004": "iso_2022_jp_2004 iso_2022_jp_3 iso2022_jp_3",
    "cp949": "euc_kr euckr ks_c_5601 ks_c_5601_1987 ks_c_5601_1989 ksc5601 ksc_5601 cp949 949 uhc windows_949 korean "
    "cseuckr ms949 x_windows_949 ks_c_5601_1992",
    "johab": "johab cp1361 ms1361",
    "iso2022_kr": "iso_2022_kr iso2022_kr csiso2022kr",
    "utf_7": "utf_7 utf7 unicode_1_1_utf_7 unicode_2_0_utf_7 x_unicode_2_0_utf_7 csunicode11utf7",
    "utf_16": "utf_16 utf16 ucs_2 iso_10646_ucs_2 u16 csunicode",
    "utf_16_le": "utf_16le utf16le utf_16_le unicodelittleunmarked",
    "utf_16_be": "utf_16be utf16be utf_16_be unicodebigunmarked",
    "utf_32": "utf_32 utf32 ucs_4 u32",
    "utf_32_le": "utf_32le utf_32_le",
    "utf_32_be": "utf_32be utf_32_be",
}
_BY_ALIAS = {alias: codec for codec, aliases in _CODECS.items() for alias in aliases.split()}
_STATEFUL = frozenset({"utf_7", "hz", "iso2022_jp_ext", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_kr"})
_WIDE = frozenset({"utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be", "cp037", "cp500"})
_MULTIBYTE = frozenset({"gb18030", "big5hkscs", "cp950", "cp932", "euc_jp", "cp949", "johab"})
_CYRILLIC = ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic")
_CYRILLIC_DECLARED = frozenset((*_CYRILLIC, "koi8_u"))

_UNCLEAN = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_LINE_UNCLEAN = re.compile("[\x00-\x1f\x7f\ud800-\udfff\u2028\u2029\x85]+")
_HIGH = re.compile(rb"[\x80-\xff]+")
_REPLACED = dict.fromkeys((*range(32), 127, *range(55296, 57344)), "�") | {
    9: "\t", 10: "\n", 11: "\n", 12: "\n", 13: "\n", 8: "", 27: ""
}  # fmt: skip


def clean(text: str) -> str:
    """Line ends as LF, NUL and other controls and lone surrogates as U+FFFD."""
    if _UNCLEAN.search(text) is None:
        return text
    text = text.replace("\r\n", "\n")  # nearly always all there is: `translate` takes its time for each character
    return text if _UNCLEAN.search(text) is None else text.translate(_REPLACED)


def clean_line(text: str) -> str:
    """One line: each run of controls becomes one space."""
    return _LINE_UNCLEAN.sub(" ", text)


@lru_cache(maxsize=512)
def find_codec(name: str) -> str:
    """The Python codec for a charset name as mail declares it, "" if we know none."""
    key = re.sub(r"[^a-z0-9]+", "_", name[:60].strip().strip("\"'").lower().partition("*")[0]).strip("_")
    found = _BY_ALIAS.get(key) or _BY_ALIAS.get(key.removeprefix("cs")) or _BY_ALIAS.get(key.removeprefix("3d_"))
    if found:
        return found
    # "text/plain; charset=iso-8859-1format=flowed", "charset_iso-8859-1", "windows-1251.": the name is in there
    short = re.search(r"(utf_?8|iso_?8859_\d{1,2}|windows_125\d|koi8_[ru]|gb\d{4,5})", key)
    return _BY_ALIAS.get(short.group(1), "") if short else ""


def decode(data: bytes, charset: str = "") -> tuple[str, str]:
    """Text of `data` and a note ("" or how the charset was guessed). LF line ends, clean."""
    text, note = _decode(data, charset)
    return clean(text), note


def decode_line(data: bytes, charset: str = "") -> str:
    """Text of a header value or name, on one line."""
    return clean_line(_decode(data, charset)[0])


def _decode(data: bytes, charset: str) -> tuple[str, str]:
    codec = find_codec(charset) if charset else ""
    if codec in _STATEFUL or codec in _WIDE:
        return _decode_special(data, charset, codec)
    if data.isascii():
        if b"\x1b$" in data:
            return _decode_special(data, charset or "iso-2022-jp", "iso2022_jp_ext")
        return data.decode("ascii"), ""
    unknown = f"unknown charset {charset[:40]!r}; " if charset and not codec else ""
    if codec in _MULTIBYTE:
        return _decode_multibyte(data, charset, codec)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_8bit(data, codec, unknown)
    if text[:1] == "\ufeff":
        text = text[1:]
    wrong = bool(codec) and codec not in ("utf_8", "ascii")
    return text, f"{unknown}charset guessed: utf-8" if wrong or unknown else ""


def _decode_special(data: bytes, charset: str, codec: str) -> tuple[str, str]:
    if codec.startswith(("utf_16", "utf_32")) and data.isascii() and b"\0" not in data:
        return _decode(data, "")[0], f"declared {charset[:40]}, charset guessed"
    if codec == "utf_7" and not data.isascii():
        return _decode(data, "")[0], f"declared {charset[:40]}, charset guessed"
    try:
        return data.decode(codec), ""
    except (UnicodeError, ValueError):
        pass
    if codec in _WIDE or (not data.isascii() and b"\x1b" not in data):
        return _decode(data.replace(b"\0", b""), "")[0], f"declared {charset[:40]}, charset guessed"
    return data.decode(codec, "replace"), f"bytes that are not {charset[:40]}"


def _decode_multibyte(data: bytes, charset: str, codec: str) -> tuple[str, str]:
    try:
        return data.decode(codec), ""
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("utf-8"), "charset guessed: utf-8"
    except UnicodeDecodeError:
        return data.decode(codec, "replace"), f"bytes that are not {charset[:40]}"


def _decode_8bit(data: bytes, codec: str, unknown: str) -> tuple[str, str]:
    """Not UTF-8. A declared 8-bit charset is believed unless Cyrillic statistics say otherwise."""
    declared = codec if codec not in ("", "utf_8", "ascii") else ""
    if codec == "utf_8" and _nearly_utf8(data):
        return data.decode("utf-8", "replace"), "bytes that are not utf-8"
    if not declared or declared == "cp1252" or declared in _CYRILLIC_DECLARED:
        guess = _guess_cyrillic(data, declared)
        if guess:
            return data.decode(guess, "replace"), f"{unknown}charset guessed: {guess.replace('_', '-')}"
    if not declared:
        guess = _guess_asian(data)
        if guess:
            return data.decode(guess, "replace"), f"{unknown}charset guessed: {guess}"
    if declared and declared != "cp1252":
        return data.decode(declared, "replace"), ""
    return _decode_cp1252(data), "" if declared else f"{unknown}charset guessed: cp1252"


def _decode_cp1252(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _nearly_utf8(data: bytes) -> bool:
    """UTF-8 with a flaw (cut in the middle, a stray byte): fewer replacements than sound characters."""
    text = data[:4096].decode("utf-8", "replace")
    broken = text.count("\ufffd")
    sound = sum(1 for char in text if char > "\x7f") - broken
    return sound >= 4 * broken


_FREQUENT = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"  # Russian letters by frequency


def _weigh(codec: str) -> list[float]:
    """For each byte 128-255 how Russian it looks in this codec: frequent letters high, symbols negative."""
    weights = []
    for byte in range(128, 256):
        char = bytes((byte,)).decode(codec, "replace")
        rank = _FREQUENT.find(char.lower())
        if rank < 0:
            weights.append(0.0 if char in "«»—–№“”„… " else -3.0)
        else:
            weight = 2.2 - 2.0 * rank / len(_FREQUENT)
            weights.append(weight if char == char.lower() else weight * 0.72)
    return weights


@lru_cache(maxsize=1)
def _cyrillic_weights() -> dict[str, list[float]]:
    return {codec: _weigh(codec) for codec in _CYRILLIC}


_ODD_CASE = re.compile("[а-яё][А-ЯЁ]")


def _score(words: bytes, codec: str) -> float:
    """How Russian the words look in this codec: letters, and no capital after a small letter."""
    weights = _cyrillic_weights()[codec]
    total = sum([weights[byte - 128] for byte in words if byte > 127])
    odd = len(_ODD_CASE.findall(words.decode(codec, "replace")))
    return (total - 2.0 * odd) / max(len(words) - words.count(b" "), 1)


def _guess_cyrillic(data: bytes, declared: str) -> str:
    """The Cyrillic codec this looks like, "" if none, or if the declared one is good enough.

    Latin text has single high bytes between letters; Cyrillic words are runs of them.
    """
    runs = _HIGH.findall(data[:4000])
    words = b" ".join(runs)[:400]
    letters = sum(map(len, runs))
    if declared in _CYRILLIC_DECLARED:
        own = _score(words, declared if declared in _CYRILLIC else "koi8_r")
        if letters < 30 or own > 1.4:
            return ""
    elif letters < 4 or letters < 2.5 * len(runs):
        return ""
    scores = {codec: _score(words, codec) for codec in _CYRILLIC}
    best = max(scores, key=scores.__getitem__)
    if scores[best] < 0.6 or (declared in _CYRILLIC_DECLARED and scores[best] - own < 0.35):
        return ""
    return best


def _guess_asian(data: bytes) -> str:
    """Undeclared Japanese or Chinese: strict decoding and characters of everyday use."""
    runs = _HIGH.findall(data[:3000])
    if sum(map(len, runs)) < 8 or sum(map(len, runs)) < 3 * len(runs):
        return ""
    for codec, low, high, share in _ASIAN:
        try:
            text = data[:200_000].decode(codec)
        except UnicodeDecodeError:
            continue
        if _share([char for char in text[:2000] if char > "\x7f"], low, high) >= share:
            return codec
    return ""


_ASIAN = (
    ("euc_jp", "\u3040", "\u30ff", 0.4),
    ("cp932", "\u3040", "\u30ff", 0.4),
    ("gb18030", "\u4e00", "\u9fff", 0.75),
)


def _share(chars: list[str], low: str, high: str) -> float:
    return sum(low <= char <= high for char in chars) / len(chars) if chars else 0.0
