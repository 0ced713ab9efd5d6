"""Names and subjects as an attacker, a broken program or a poet would write them; the same 2,000 each time."""

from __future__ import annotations

import base64
import random

INJECTION = "x\r\nBcc: evil@elsewhere.example\r\n\r\n<p>body</p>"


def word(text: str, charset: str = "utf-8", encoding: str = "B") -> str:
    """An encoded word (RFC 2047), whatever is in it."""
    data = text.encode("utf-8", "surrogatepass")
    if encoding == "B":
        return f"=?{charset}?B?{base64.b64encode(data).decode()}?="
    return f"=?{charset}?Q?{''.join(f'={byte:02X}' for byte in data)}?="


_PIECES = (
    "Ana", "Ivan Petrov", "Иван Петров", "João", "名前", "👩‍💻", "e\u0301", "ß", "\u200b", "\ufeff", "\U0010ffff",
    "\r", "\n", "\r\n", "\0", "\t", "\v", "\f", "\x1b[31m", "\x7f", "\x85", "\xa0", "\xad", "\u2028", "\u2029",
    "\u3000", "\ud800", "\udfff", "\udc80", "\ud83d", "\u202e", "\u2066", "\u200f", "\u061c",
    "=?", "?=", "=?=", "=?utf-8", "=?utf-8?", "=?utf-8?B?", "=?utf-8?Q?=", "=?utf-8?B?====?=", "=?x?B?AAAA?=",
    "=?utf-8*en?Q?a?=", "=?us-ascii?Q??=", "=?utf-7?Q?+AA0ACg-Bcc?=", "=?utf-16?B?DQAKAA==?=",
    ",", ";", ":", "<", ">", "<>", '"', '\\"', "\\", "(", ")", "((", "@", "'", "[", "]", ".", "..", " ", "  ", "=", "_",
    "a@elsewhere.example", "<evil@elsewhere.example>", '" <evil@elsewhere.example>, "', "evil@elsewhere.example>,",
    "group: a@elsewhere.example;", "(comment", "Bcc: evil@elsewhere.example", "\r\n.\r\n", "\r\n\r\nbody",
    "\n\tBcc: evil@elsewhere.example", INJECTION, "\rBcc: evil@elsewhere.example", "\u2028Bcc: evil@elsewhere.example",
    word(INJECTION), word(INJECTION, encoding="Q"), word(INJECTION, "iso-8859-1"), word(INJECTION, "utf-16"),
    word(word(INJECTION)), word(word(INJECTION, encoding="Q"), encoding="Q"), word(word(word("Ana"))),
    word("Ana, <evil@elsewhere.example>"), word('"'), word("\0"), word("\n"), word("a") + " " + word("b"),
    word("a") + word("b"), word("Ana")[:-1], word("Ana")[1:], word("É")[:-4] + "?=",
    "{{ name }}", "%0d%0aBcc: evil@elsewhere.example", "\\r\\nBcc: x", "&#13;&#10;", "None", "-", "--", "From ",
)  # fmt: skip


def hostile_texts(count: int = 2000, seed: int = 1) -> list[tuple[str, str]]:
    """(name, subject), `count` times."""
    dice = random.Random(seed)
    return [(_text(dice), _text(dice)) for _ in range(count)]


def _text(dice: random.Random) -> str:
    shape = dice.random()
    pieces = [dice.choice(_PIECES) for _ in range(dice.randint(1, 6))]
    text = dice.choice(("", " ", "")).join(pieces)
    if shape < 0.08:  # without any place to fold
        return (dice.choice(("a", "ы", "👩", '"', "\\", "=?", ",", "\u202e", "a b")) * 1000)[:1000]
    if shape < 0.16:
        return (text * 1000)[:1000]
    if shape < 0.24:
        return word(text, dice.choice(("utf-8", "iso-8859-1", "x-unknown")), dice.choice("BQ"))
    if shape < 0.30:
        return word(word(text, encoding=dice.choice("BQ")), encoding=dice.choice("BQ"))
    if shape < 0.40:
        return "".join(chr(dice.choice((dice.randrange(256), dice.randrange(0x110000)))) for _ in range(20))
    return text
