"""schema.org data that shops and airlines put into the HTML of their mails (JSON-LD): read, never executed.

What comes out are plain pairs such as ("Order.orderNumber", "88123"): bounded in number and length, all of them text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import islice
from typing import Any, Final

from connectors.mail.charsets import clean, clean_line
from connectors.mail.structure import Part, decode_body
from connectors.mail.texts import read_part

__all__ = ["read_markup"]

MOST_PAIRS: Final = 200
MOST_SCRIPTS: Final = 10
MOST_NODES: Final = 2000
DEEPEST: Final = 12
LONGEST_SCRIPT: Final = 65_536
LONGEST_VALUE: Final = 500
LONGEST_PATH: Final = 120
_SIGN: Final = b"ld+json"
_OPEN: Final = re.compile(r"<script\b([^>]{0,500})>", re.IGNORECASE)
_CLOSE: Final = re.compile(r"</script", re.IGNORECASE)
_TYPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,59}")

Pairs = tuple[tuple[str, str], ...]


def read_markup(parts: Sequence[Part]) -> Pairs:
    """(dotted path, value) of every value below an object with a type, in the order of the mail; () for most mails.

    "Order.customer.name" is found under "Person.name" too if the customer has the type Person. Items of a list share
    their path. Numbers stay as written, yes and no are "true" and "false". What is no JSON is passed over.
    """
    found: dict[tuple[str, str], None] = {}
    for part in parts:
        if part.content_type == "text/html" and (part.is_text or part.spare) and _SIGN in decode_body(part):
            for script in islice(_scripts(read_part(part, [])), MOST_SCRIPTS):
                _collect(_parse(script), found)
    return tuple(found)[:MOST_PAIRS]


def _scripts(html: str) -> Iterator[str]:
    """The JSON-LD scripts of a page; each character is looked at once."""
    at = 0
    while opening := _OPEN.search(html, at):
        closing = _CLOSE.search(html, opening.end())
        if closing is None:
            return
        at = closing.end()
        if "ld+json" in opening[1].lower() and closing.start() - opening.end() <= LONGEST_SCRIPT:
            yield html[opening.end() : closing.start()]


def _parse(script: str) -> Any:
    """The data of a script, None for what is no JSON. Numbers are left as text."""
    text = script.strip()
    for opening, closing in (("<!--", "-->"), ("<![CDATA[", "]]>")):
        text = text.removeprefix(opening).removesuffix(closing)
    for mended in (str, unescape):
        try:
            return json.loads(mended(text), parse_float=str, parse_int=str, parse_constant=str, strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _collect(data: Any, found: dict[tuple[str, str], None]) -> None:
    """Walk breadth first without recursion: a typed object begins a path of its own, also inside another."""
    waiting: list[tuple[Any, tuple[str, ...], int]] = [(data, (), 0)]
    for seen, (node, paths, depth) in enumerate(_walked(waiting)):
        if seen >= MOST_NODES or len(found) >= MOST_PAIRS:
            return
        if isinstance(node, dict) and depth < DEEPEST:
            roots = (*paths, *(one for one in _types(node.get("@type")) if one not in paths))
            for key, value in node.items():
                if key == "@graph" or not key.startswith("@"):
                    below = () if key == "@graph" else tuple(f"{path}.{key}" for path in roots)
                    waiting.append((value, tuple(one for one in below if len(one) <= LONGEST_PATH), depth + 1))
        elif isinstance(node, list) and depth < DEEPEST:
            waiting.extend((item, paths, depth + 1) for item in node[:MOST_PAIRS])
        elif (text := _text(node)) and paths:
            found.update(dict.fromkeys((clean_line(clean(path)), text) for path in paths))


def _walked(waiting: list[tuple[Any, tuple[str, ...], int]]) -> Iterator[tuple[Any, tuple[str, ...], int]]:
    """The list while it grows."""
    yield from waiting


def _types(named: Any) -> list[str]:
    """The names of a @type: "Order", ["Order", "Thing"], "http://schema.org/Order"."""
    names = named if isinstance(named, list) else [named]
    last = [one.rpartition("/")[2].rpartition("#")[2] for one in names[:5] if isinstance(one, str)]
    return [one for one in last if _TYPE.fullmatch(one)]


def _text(node: Any) -> str:
    if isinstance(node, bool):
        return "true" if node else "false"
    return " ".join(clean_line(clean(unescape(node[:2000]))).split())[:LONGEST_VALUE] if isinstance(node, str) else ""
