"""Reads a BODYSTRUCTURE answer (RFC 3501 7.4.2): which sections hold text worth fetching, and what is attached.

Nothing here downloads: attachments are named from the structure alone. A structure that cannot be read raises
Garbled, and the reader falls back to the raw mail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from connectors.imap.wire import Garbled, Node
from connectors.mail.parameters import parse_parameters
from connectors.mail.structure import is_calendar
from connectors.model import Attachment

__all__ = ["Plan", "Section", "plan_mail"]

_DEPTH = 60
_MOST_PARTS = 500
_MOST_TEXTS = 6
_TINY = 12
"""A text/plain alternative of fewer bytes is a placeholder: the HTML is read with it."""

_MOST_CALENDARS = 5
_LARGEST_CALENDAR = 1_400_000
"""Of a calendar, as a file too, since it may be an invitation; in its transfer encoding."""

_REPORTS = frozenset({"message/delivery-status", "message/feedback-report", "text/rfc822-headers"})


@dataclass(frozen=True, slots=True)
class Section:
    """One thing to fetch: `name` as in BODY.PEEK[name]. `spare`: HTML beside a plain text, wanted for its markup."""

    name: str
    content_type: str
    parameters: tuple[tuple[str, str], ...]
    encoding: str
    size: int
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fetch of a mail, its top type, and its attachments by name. `notes` say what was left out."""

    content_type: str
    sections: tuple[Section, ...]
    attachments: tuple[Attachment, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Leaf:
    section: str
    content_type: str
    parameters: dict[str, str]
    encoding: str
    size: int
    attached: bool
    name: str
    alternative: str
    title: str = ""


def plan_mail(structure: Node, *, returned: Callable[[], bool] = lambda: False, markup: bool = False) -> Plan:
    """Choose from a BODYSTRUCTURE. `returned` tells, if it matters, whether the mail may be a bounce:
    then headers of enclosed mails are wanted too. With `markup`, HTML is wanted beside plain text too.

    Raises Garbled if the structure is none.
    """
    try:
        leaves = list(islice(_leaves(structure, "", "", 0), _MOST_PARTS + 1))
        top = _type_of(structure)
    except (IndexError, TypeError, AttributeError, ValueError) as error:
        raise Garbled(f"a BODYSTRUCTURE that is none: {error}") from error
    if not leaves:
        raise Garbled("a multipart without parts")
    notes = (f"more than {_MOST_PARTS} parts",) if len(leaves) > _MOST_PARTS else ()
    del leaves[_MOST_PARTS:]
    encloses = any(leaf.content_type == "message/rfc822" for leaf in leaves)
    bounce = encloses and (top == "multipart/report" or returned())
    texts = [leaf for leaf in leaves if leaf.content_type in ("text/plain", "text/html") and not leaf.attached]
    bodies = _bodies(texts)
    reports = [leaf for leaf in leaves if _is_report(leaf, bounce)]
    shown = {id(leaf) for leaf in (*texts, *reports)}
    calendars = [
        leaf for leaf in leaves if is_calendar(leaf.content_type, leaf.name) and leaf.size <= _LARGEST_CALENDAR
    ]
    wanted = {id(leaf) for leaf in (*bodies, *reports, *calendars[:_MOST_CALENDARS])}
    spare = _spare(texts, wanted) if markup else set()
    attached = tuple(_attachment(leaf) for leaf in leaves if leaf.attached or id(leaf) not in shown)
    sections = (replace(_section(leaf), spare=id(leaf) in spare) for leaf in leaves if id(leaf) in wanted | spare)
    return Plan(top, tuple(sections), attached, notes)


def _spare(texts: Sequence[_Leaf], wanted: set[int]) -> set[int]:
    """HTML that would not be read otherwise."""
    found = [id(leaf) for leaf in texts if leaf.content_type == "text/html" and id(leaf) not in wanted]
    return set(found[: max(_MOST_TEXTS - len(wanted), 1)])


def _bodies(texts: Sequence[_Leaf]) -> list[_Leaf]:
    """Plain text where there is some, HTML only where there is none (per multipart/alternative)."""
    plain = {leaf.alternative for leaf in texts if leaf.content_type == "text/plain" and leaf.size > _TINY}
    html = {leaf.alternative for leaf in texts if leaf.content_type == "text/html"}
    chosen = []
    for leaf in texts:
        spare = leaf.content_type == "text/html" and leaf.alternative and leaf.alternative in plain
        hollow = leaf.content_type == "text/plain" and leaf.size == 0 and leaf.alternative in html
        if not spare and not hollow:
            chosen.append(leaf)
    return chosen[:_MOST_TEXTS]


def _is_report(leaf: _Leaf, bounce: bool) -> bool:
    if leaf.content_type == "text/calendar" or leaf.content_type in _REPORTS:
        return True
    return bounce and leaf.content_type == "message/rfc822"


def _section(leaf: _Leaf) -> Section:
    name = f"{leaf.section}.HEADER" if leaf.content_type == "message/rfc822" else leaf.section
    encoding = "" if leaf.content_type == "message/rfc822" else leaf.encoding
    named = {"name": leaf.name} if is_calendar(leaf.content_type, leaf.name) else {}
    return Section(name, leaf.content_type, tuple((leaf.parameters | named).items()), encoding, leaf.size)


def _attachment(leaf: _Leaf) -> Attachment:
    return Attachment(name=leaf.name or leaf.title, content_type=leaf.content_type, size=leaf.size)


def _leaves(node: Node, prefix: str, alternative: str, depth: int) -> Iterator[_Leaf]:
    if depth > _DEPTH:
        raise Garbled("parts nested too deep")
    if not isinstance(node[0], list):
        yield _leaf(node, f"{prefix}1" if not prefix or prefix.endswith(".") else prefix, alternative)
        return
    dotted = f"{prefix}." if prefix and not prefix.endswith(".") else prefix
    kind = _type_of(node)
    inner = alternative or (f"a{dotted}" if kind == "multipart/alternative" else "")
    for number, child in enumerate((child for child in node if isinstance(child, list) and _is_body(child)), 1):
        yield from _leaves(child, f"{dotted}{number}", inner, depth + 1)


def _is_body(node: list[Node]) -> bool:
    """Tells a child of a multipart from the multipart's own parameter lists behind it."""
    if not node:
        return False
    return isinstance(node[0], list) or (len(node) >= 7 and isinstance(node[0], bytes) and isinstance(node[1], bytes))


def _type_of(node: Node) -> str:
    if not isinstance(node[0], list):
        return f"{_text(node[0])}/{_text(node[1])}".lower()
    subtype = next((child for child in node if not isinstance(child, list)), b"mixed")
    return f"multipart/{_text(subtype)}".lower()


def _leaf(node: list[Node], section: str, alternative: str) -> _Leaf:
    content_type = f"{_text(node[0])}/{_text(node[1])}".lower()
    parameters = _parameters(node[2])
    envelope = content_type == "message/rfc822" and len(node) > 7 and isinstance(node[7], list)
    at = 10 if envelope else 8 if content_type.startswith("text/") else 7
    disposition, its = "", {}
    if len(node) > at + 1 and isinstance(node[at + 1], list) and node[at + 1]:
        disposition = _text(node[at + 1][0]).lower()
        its = _parameters(node[at + 1][1]) if len(node[at + 1]) > 1 else {}
    name = its.get("filename") or parameters.get("name", "")
    title = _words(node[7][1]) if envelope and len(node[7]) > 1 else ""
    attached = disposition == "attachment" or (bool(name) and disposition != "inline" and not alternative)
    size = int(node[6]) if isinstance(node[6], bytes) and node[6].isdigit() else 0
    encoding = _text(node[5]).lower()
    return _Leaf(section, content_type, parameters, encoding, size, attached, name, alternative, title)


def _parameters(node: Node) -> dict[str, str]:
    """Parameters by lower-case name, RFC 2231 pieces joined and encoded words decoded."""
    if not isinstance(node, list) or not node:
        return {}
    pairs = list(zip(node[::2], node[1::2], strict=False))
    if len(pairs) == 1 and pairs[0][0] in (b"charset", b"CHARSET") and isinstance(pairs[0][1], bytes):
        return {"charset": _text(pairs[0][1])}
    fields = [
        b'%s="%s"' % (key, value.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
        if b"*" not in key
        else key + b"=" + value
        for key, value in pairs
        if isinstance(key, bytes) and isinstance(value, bytes)
    ]
    return dict(parse_parameters(b"x/x; " + b"; ".join(fields))[1])


def _words(value: Node) -> str:
    return parse_parameters(b'x/x; name="%s"' % value.replace(b'"', b"'"))[1].get("name", "") if value else ""


def _text(value: Node) -> str:
    return value.decode("latin-1").replace("\0", "") if isinstance(value, bytes) else ""
