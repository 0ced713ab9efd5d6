"""Conditions on the mail itself: who, words, header, attachments, sort of mail, place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

from config.nodes import MapNode, Node, Scalar
from connectors.model import Address, Attachment, Kind, Message
from rules.addresses import AddressSet, address_set
from rules.condition import HASHED, SLOW, Condition, clip, listed
from rules.decision import Direction
from rules.ladder import plus_tags, tokens_in
from rules.moments import parse_size
from rules.patterns import Searchable
from rules.reader import Item, Reader, entries
from rules.subjects import is_forward_subject, is_reply_subject
from rules.text_conditions import TextSource, text_condition, written
from rules.text_match import GlobSet, folded, glob_set
from rules.view import View

Build = Callable[[str, Node, Reader], Condition | None]
MANY = 10
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]{2,4})?", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[!-9;-~]{1,100}")


# --- people


def _addresses(people: Callable[[Message], Iterable[Address | None]]) -> Build:
    def build(name: str, node: Node, reader: Reader) -> Condition | None:
        items = reader.items(node, f"`{name}`")
        some = any(item.wanted for item in items)
        wanted = address_set(reader.patterns(item for item in items if item.wanted))
        unwanted = address_set(reader.patterns(item for item in items if not item.wanted))

        def holds(view: View) -> bool:
            keys = [person.email.lower() for person in people(view.message) if person]
            if some and not any(wanted.covers(key) for key in keys):
                return False
            return not (unwanted and any(unwanted.covers(key) for key in keys))

        return Condition(
            name=name,
            wanted=written(node),
            holds=holds,
            seen=lambda view: clip(", ".join(one.email for one in people(view.message) if one)) or "nobody",
            keys=_address_keys(wanted) if some else None,
            cost=HASHED,
        )

    return build


def _address_keys(addresses: AddressSet) -> frozenset[str] | None:
    if addresses.below or addresses.globs:
        return None
    return frozenset({f"a:{key}" for key in addresses.exact} | {f"d:{domain}" for domain in addresses.domains})


# --- words

_SUBJECT = TextSource(lambda v: (v.subject,), lambda v: (v.subject_pattern,), lambda v: f'"{v.message.subject}"')
_BODY = TextSource(lambda v: (v.body,), lambda v: (v.body_pattern,), lambda v: f"{len(v.message.text)} characters")
_TEXT = TextSource(lambda v: (v.text,), lambda v: (v.text_pattern,), lambda v: f'"{v.message.subject}" and its text')


def _text(source: TextSource) -> Build:
    return lambda name, node, reader: text_condition(name, source, node, reader)


def _header(name: str, node: Node, reader: Reader) -> Condition | None:
    mapping = reader.mapping(node, "`header`", "{X-Shop: acme}")
    if mapping is None:
        return None
    members = [_one_header(key, value, reader) for key, value in mapping.entries]
    tests = [one for one in members if one]
    return plain(
        name,
        node,
        lambda view: all(one.holds(view) for one in tests),
        lambda view: clip("; ".join(f"{one.name}: {one.seen(view)}" for one in tests)),
    )


def _one_header(key: Scalar, value: Node, reader: Reader) -> Condition | None:
    if not _HEADER_NAME.fullmatch(key.text):
        reader.report("E205", f'"{key.text}" is not the name of a header', key.place, "write for example X-Shop")
        return None
    name = key.text.lower()
    if isinstance(value, Scalar) and value.text.lower() in ("yes", "no"):
        some = value.text.lower() == "yes"
        return plain(key.text, value, lambda view: bool(_values(view, name)) is some, partial(_shown_header, name=name))
    source = TextSource(
        lambda view: tuple(folded(one) for one in _values(view, name)),
        lambda view: tuple(Searchable(one) for one in _values(view, name)),
        partial(_shown_header, name=name),
        indexed=False,
    )
    return text_condition(key.text, source, value, reader)


def _values(view: View, name: str) -> list[str]:
    return [value for key, value in view.message.headers if key == name]


def _shown_header(view: View, name: str) -> str:
    values = _values(view, name)
    return (clip(" | ".join(values)) or "empty") if values else "not there"


def _language(name: str, node: Node, reader: Reader) -> Condition | None:
    wanted, unwanted = split(reader.items(node, "`language`"), lambda item: _code(item, reader))
    return listed(
        name,
        wanted,
        unwanted,
        lambda view, code: view.language.lower() == code or view.language.lower().startswith(f"{code}-"),
        lambda view: view.language or "unknown",
        written=written(node),
        cost=SLOW,
    )


def _code(item: Item, reader: Reader) -> str | None:
    if _LANGUAGE.fullmatch(item.text):
        return item.text.lower()
    reader.report("E213", f'"{item.text}" is not a language code', item.place, "write: pt")
    return None


# --- attachments and size


def _attachment(name: str, node: Node, reader: Reader) -> Condition | None:
    if isinstance(node, MapNode):
        return _attachment_tests(name, node, reader)
    if isinstance(node, Scalar) and node.text.lower() in ("yes", "no"):
        some = node.text.lower() == "yes"
        return plain(name, node, lambda view: bool(view.message.attachments) is some, _seen_attachments)
    wanted, unwanted = _globs(reader.items(node, "`attachment`"))
    return listed(
        name,
        [wanted] if wanted else [],
        [unwanted] if unwanted else [],
        lambda view, globs: any(globs.fits(one.name) for one in view.message.attachments),
        _seen_attachments,
        written=written(node),
    )


def _attachment_tests(name: str, node: MapNode, reader: Reader) -> Condition | None:
    tests: list[Callable[[Attachment], bool]] = []
    for key, value in entries(node, reader, ("name", "type", "larger", "smaller"), "test of `attachment`"):
        if key.text == "name":
            tests.append(_name_test(reader.items(value, "`name`")))
        elif key.text == "type":
            tests.append(_type_test(value, reader))
        else:
            tests.extend(_size_test(key.text, value, reader, lambda one: one.size))
    return plain(
        name,
        node,
        lambda view: any(all(test(one) for test in tests) for one in view.message.attachments),
        _seen_attachments,
    )


def _name_test(items: list[Item]) -> Callable[[Attachment], bool]:
    wanted, unwanted = _globs(items)
    return lambda one: (not wanted or wanted.fits(one.name)) and not unwanted.fits(one.name)


_OPEN_XML = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pdf": (("application/pdf",), (".pdf",)),
    "image": (("image/",), (".jpg", ".jpeg", ".png", ".gif", ".webp", ".heic", ".tif", ".tiff", ".bmp")),
    "sheet": (
        ("application/vnd.ms-excel", f"{_OPEN_XML}spreadsheet", f"{_OPEN_DOCUMENT}spreadsheet", "text/csv"),
        (".xls", ".xlsx", ".xlsm", ".ods", ".csv"),
    ),
    "document": (
        ("application/msword", f"{_OPEN_XML}wordprocessing", f"{_OPEN_DOCUMENT}text", "application/rtf"),
        (".doc", ".docx", ".odt", ".rtf"),
    ),
    "archive": (("application/zip", "application/x-rar", "application/x-7z"), (".zip", ".rar", ".7z", ".tar.gz")),
    "invite": (("text/calendar",), (".ics",)),
}
"""Sorts of attachments: beginnings of the content type, endings of the name."""


def _type_test(node: Node, reader: Reader) -> Callable[[Attachment], bool]:
    wanted, unwanted = split(reader.items(node, "`type`"), lambda item: reader.item_choice(item, TYPES, "`type`"))

    return lambda one: (not wanted or _is_of(one, wanted)) and not _is_of(one, unwanted)


def _is_of(one: Attachment, types: Iterable[str]) -> bool:
    kind, name = one.content_type.lower(), one.name.lower()
    return any(kind.startswith(TYPES[word][0]) or name.endswith(TYPES[word][1]) for word in types)


def _size_test(
    name: str, node: Node, reader: Reader, size: Callable[[Attachment], int]
) -> list[Callable[[Attachment], bool]]:
    scalar = reader.scalar(node, f"`{name}`")
    limit = reader.parsed(scalar, parse_size, "E201") if scalar else None
    if limit is None:
        return []
    return [(lambda one: size(one) > limit) if name == "larger" else (lambda one: 0 <= size(one) < limit)]


def _size(name: str, node: Node, reader: Reader) -> Condition | None:
    mapping = reader.mapping(node, "`size`", "{larger: 5 MB}")
    if mapping is None:
        return None
    limits: dict[str, int] = {}
    for key, value in entries(mapping, reader, ("larger", "smaller"), "test of `size`"):
        scalar = reader.scalar(value, f"`{key.text}`")
        limit = reader.parsed(scalar, parse_size, "E201") if scalar else None
        if limit is not None:
            limits[key.text] = limit
    low, high = limits.get("larger", -1), limits.get("smaller")
    return plain(
        name,
        node,
        lambda view: view.message.size > low and view.message.size >= 0 and (high is None or view.message.size < high),
        lambda view: f"{view.message.size} bytes" if view.message.size >= 0 else "unknown",
    )


def _seen_attachments(view: View) -> str:
    return clip(", ".join(one.name or one.content_type for one in view.message.attachments)) or "none"


# --- what sort of mail


def _is_first_contact(view: View) -> bool:
    """Neither that person nor that customer ever exchanged a mail with us."""
    known = (one for one in (view.contact, *view.customers) if one is not None)
    return not any(one.last_in_at or one.last_out_at for one in known)


def _is_reply(view: View) -> bool:
    message = view.message
    forward = is_forward_subject(message.subject)
    return not forward and (is_reply_subject(message.subject) or bool(message.in_reply_to or message.references))


def _is_kind(*kinds: Kind) -> Callable[[View], bool]:
    return lambda view: view.message.kind in kinds


FLAGS: dict[str, Callable[[View], bool]] = {
    "reply": _is_reply,
    "forward": lambda view: is_forward_subject(view.message.subject),
    "automated": _is_kind(Kind.AUTO_REPLY, Kind.NOTICE),
    "newsletter": _is_kind(Kind.BULK),
    "bounce": _is_kind(Kind.BOUNCE),
    "out_of_office": _is_kind(Kind.OUT_OF_OFFICE),
    "first_contact": _is_first_contact,
    "internal": lambda view: not view.match.outside,
    "invite": lambda view: (
        view.message.kind is Kind.INVITATION
        or any(one.content_type.lower().startswith("text/calendar") for one in view.message.attachments)
    ),
    "from_rep": lambda view: bool(view.office.rep_of(view.message.sender)),
    "to_many": lambda view: len(view.message.to) + len(view.message.cc) + len(view.message.bcc) > MANY,
}
"""What `is` may name. `to_many` = more than ten recipients."""

NAMED_KINDS: dict[str, frozenset[str]] = {
    "automated": frozenset((Kind.AUTO_REPLY, Kind.NOTICE)),
    "newsletter": frozenset((Kind.BULK,)),
    "bounce": frozenset((Kind.BOUNCE,)),
    "out_of_office": frozenset((Kind.OUT_OF_OFFICE,)),
}


def _is(name: str, node: Node, reader: Reader) -> Condition | None:
    wanted, unwanted = split(reader.items(node, "`is`"), lambda item: reader.item_choice(item, FLAGS, "`is`"))
    kinds = frozenset().union(*(NAMED_KINDS.get(word, frozenset()) for word in wanted))
    return listed(
        name,
        wanted,
        unwanted,
        lambda view, word: FLAGS[word](view),
        lambda view: ", ".join(word for word, flag in FLAGS.items() if flag(view)) or "none of these",
        written=written(node),
        kinds=kinds,
    )


def _direction(name: str, node: Node, reader: Reader) -> Condition | None:
    scalar = reader.scalar(node, "`direction`")
    word = reader.choice(scalar, (one.value for one in Direction), "`direction`") if scalar else None
    return plain(name, node, lambda view: view.direction == word, lambda view: view.direction.value)


# --- where it lies, what it carries


def _named_values(values: Callable[[View], Iterable[str]]) -> Build:
    """yes, no, or names that one of the values must fit."""

    def build(name: str, node: Node, reader: Reader) -> Condition | None:
        def seen(view: View) -> str:
            return clip(", ".join(values(view))) or "none"

        if isinstance(node, Scalar) and node.text.lower() in ("yes", "no"):
            some = node.text.lower() == "yes"
            return plain(name, node, lambda view: any(values(view)) is some, seen)
        wanted, unwanted = _globs(reader.items(node, f"`{name}`"))
        return listed(
            name,
            [wanted] if wanted else [],
            [unwanted] if unwanted else [],
            lambda view, globs: any(globs.fits(one) for one in values(view)),
            seen,
            written=written(node),
        )

    return build


def _folder_names(view: View) -> tuple[str, ...]:
    """The folder's whole name and its last part: `Private` also means INBOX.Private and CRM/Private."""
    name = view.message.folder
    last = re.split(r"[/\\]" if re.search(r"[/\\]", name) else r"\.", name)[-1]
    return (name, last) if last != name else (name,)


def _mailbox(name: str, node: Node, reader: Reader) -> Condition | None:
    accounts = reader.settings.accounts
    wanted, unwanted = split(
        reader.items(node, "`mailbox`"), lambda item: reader.defined(Scalar(item.text, item.place), accounts, "mailbox")
    )
    return listed(
        name,
        wanted,
        unwanted,
        lambda view, account: view.message.account == account,
        lambda view: view.message.account,
        written=written(node),
    )


def plain(name: str, node: Node, holds: Callable[[View], bool], seen: Callable[[View], str]) -> Condition:
    """A condition of one answer."""
    return Condition(name=name, wanted=written(node), holds=holds, seen=seen)


def _globs(items: Iterable[Item]) -> tuple[GlobSet, GlobSet]:
    entries = list(items)
    return glob_set(one.text for one in entries if one.wanted), glob_set(one.text for one in entries if not one.wanted)


def split(items: Iterable[Item], read: Callable[[Item], str | None]) -> tuple[list[str], list[str]]:
    """Plain and `not` entries, each read; what cannot be read is left out (and is a problem by then)."""
    wanted: list[str] = []
    unwanted: list[str] = []
    for item in items:
        value = read(item)
        if value is not None:
            (wanted if item.wanted else unwanted).append(value)
    return wanted, unwanted


MAIL: dict[str, Build] = {
    "from": _addresses(lambda message: (message.sender,)),
    "to": _addresses(lambda message: message.to),
    "cc": _addresses(lambda message: message.cc),
    "anyone": _addresses(lambda message: message.people()),
    "subject": _text(_SUBJECT),
    "body": _text(_BODY),
    "text": _text(_TEXT),
    "header": _header,
    "language": _language,
    "attachment": _attachment,
    "direction": _direction,
    "is": _is,
    "token": _named_values(lambda view: tokens_in(view.message.subject)),
    "plus": _named_values(lambda view: plus_tags(view.message, view.office.settings)),
    "folder": _named_values(_folder_names),
    "category": _named_values(lambda view: view.message.categories),
    "mailbox": _mailbox,
    "size": _size,
}
"""Conditions on the mail by name."""
