"""`mail:` of a rule test: a mail made of what is written, everything else as it usually is."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from config.nodes import ListNode, MapNode, Node, Place, Scalar
from config.values import MAIL, ascii_domain
from connectors.model import Address, Attachment, Bounce, FolderRole, Kind, Message
from rules.decision import Direction
from rules.events import events_of
from rules.facts import Directory, Thread
from rules.ladder import direction_of, match
from rules.machine_conditions import AUTH
from rules.mail_conditions import FLAGS
from rules.moments import parse_size
from rules.office import office_of
from rules.reader import Reader, entries
from rules.subjects import subject_key
from rules.trial_clock import parse_time
from rules.trial_world import World
from rules.triggers import FAILED, MARKS, UNSUBSCRIBED
from rules.view import View

ReadMail = Callable[[Path], Message | str]
"""Reads a mail in a file; a text says why it cannot be read."""

KEYS = (
    *("from", "to", "cc", "bcc", "reply_to", "subject", "body", "is", "kind", "direction", "when", "time", "folder"),
    *("mailbox", "attachment", "header", "size", "thread", "bounced", "jsonld", "auth", "category"),
)
PARENT = "earlier@quietcrm.invalid"
"""Message-ID of the mail that a reply in a test answers."""
_KINDS: dict[str, Kind] = {
    "bounce": Kind.BOUNCE,
    "out_of_office": Kind.OUT_OF_OFFICE,
    "newsletter": Kind.BULK,
    "invite": Kind.INVITATION,
    "automated": Kind.NOTICE,
}
"""Words of `is` that say what sort of mail it is, the narrowest first."""
_REMEDY = {
    "reply": "write a subject that is no forward's",
    "forward": 'begin the subject with "Fwd: "',
    "internal": "name only addresses of the team",
    "from_rep": "write an address of the team in `from`",
    "to_many": "write more than ten addresses in `to`",
    "first_contact": "name the customer under `given`: a stranger's first mail is a first contact",
}
_WHEN: dict[str, Direction | None] = {
    "mail arrives": Direction.IN,
    "mail sent": Direction.OUT,
    FAILED: Direction.IN,
    UNSUBSCRIBED: Direction.IN,
    **dict.fromkeys(MARKS),
}


@dataclass(slots=True)
class TestedMail:
    """What was read: the mail, the look-ups it is judged by, and when it comes. `gesture`: what a person does to it."""

    __test__ = False

    message: Message
    directory: Directory
    unsubscribed: bool = False
    gesture: str = ""


@dataclass(slots=True)
class _Draft:
    """A mail in the making. `facts`: word of `is` -> whether it shall hold, with its place."""

    at: datetime
    parts: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, tuple[bool, Place]] = field(default_factory=dict)
    direction: Direction | None = None
    direction_at: Place | None = None
    kind: Kind | None = None
    thread: str = ""
    when: str = ""
    auth: str = ""


def read_mail(
    node: Node, at: datetime, world: World, reader: Reader, *, name: str, from_file: ReadMail
) -> TestedMail | None:
    """The mail of one test; faults go to the reader, None if there is no usable mail then."""
    if isinstance(node, Scalar):
        found = _file(node, reader, from_file)
        account = next(iter(reader.settings.accounts), "")
        return (
            TestedMail(replace(found, received_at=at, account=account, folder="INBOX"), world.directory())
            if found
            else None
        )
    mapping = reader.mapping(node, "`mail`", "{from: maria@acme.example, subject: Order}")
    if mapping is None:
        return None
    before = len(reader.problems)
    draft = _Draft(at)
    for key, value in entries(mapping, reader, KEYS, "part of a mail"):
        _PARTS[key.text](key, value, draft, reader)
    if len(reader.problems) == before:
        _complete(mapping, draft, reader)
    if len(reader.problems) > before:
        return None
    tested = _finish(draft, world, mapping, reader, name)
    return tested if tested and _facts_hold(tested, draft, reader) else None


def _file(node: Scalar, reader: Reader, from_file: ReadMail) -> Message | None:
    path = node.place.path.parent / node.text.strip()
    try:
        found = from_file(path) if path.is_file() else "there is no such file"
    except OSError as error:  # a name that is too long, for one
        found = error.strerror or "it cannot be read"
    if isinstance(found, Message):
        return found
    help = f"put the mail at {path.parent.name}/{path.name} beside this file, or write it out: mail: {{from: ...}}"
    reader.report("E423", f"{node.text}: {found}", node.place, help)
    return None


# --- single parts


def _people(key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    found = [_address(scalar, reader) for scalar in reader.scalars(node, f"`{key.text}`")]
    draft.parts[key.text] = tuple(one for one in found if one)


def _address(scalar: Scalar, reader: Reader) -> Address | None:
    name, email = parseaddr(scalar.text.strip())
    if not MAIL.fullmatch(email):
        help = "write for example maria@padariasol.example, or Maria Lima <maria@padariasol.example>"
        reader.report("E205", f'"{scalar.text}" is not a mail address', scalar.place, help)
        return None
    local, _, domain = email.rpartition("@")
    return Address(f"{local}@{ascii_domain(domain)}", name)


def _sender(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    scalar = reader.scalar(node, "`from`")
    found = _address(scalar, reader) if scalar else None
    if found:
        draft.parts["sender"] = found


def _text(key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    if not isinstance(node, Scalar):
        reader.scalar(node, f"`{key.text}`")
        return
    draft.parts["text" if key.text == "body" else key.text] = node.text


def _is(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    for item in reader.items(node, "`is`"):
        word = reader.item_choice(item, FLAGS, "`is`")
        if word:
            draft.facts[word] = (item.wanted, item.place)
    stated = [word for word in _KINDS if draft.facts.get(word, (False, None))[0]]
    if stated and draft.kind is None:
        draft.kind = _KINDS[stated[0]]


def _kind(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    scalar = reader.scalar(node, "`kind`")
    word = reader.choice(scalar, (one.value for one in Kind), "`kind`") if scalar else None
    if word:
        draft.kind = Kind(word)


def _direction(key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    scalar = reader.scalar(node, f"`{key.text}`")
    if scalar is None:
        return
    draft.direction_at = scalar.place
    if key.text == "when":
        words = Scalar(" ".join(scalar.text.lower().split()), scalar.place)
        found = reader.choice(words, _WHEN, "`when`")
        draft.direction, draft.when = (_WHEN[found], found) if found else (None, "")
        return
    word = reader.choice(scalar, (one.value for one in Direction), "`direction`")
    draft.direction = Direction(word) if word else None


def _time(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    scalar = reader.scalar(node, "`time`")
    hours = office_of(reader.settings).hours
    moment = reader.parsed(scalar, lambda text: parse_time(text, draft.at, hours), "E203") if scalar else None
    draft.at = moment or draft.at


def _mailbox(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    scalar = reader.scalar(node, "`mailbox`")
    found = reader.defined(scalar, reader.settings.accounts, "mailbox") if scalar else None
    if found:
        draft.parts["account"] = found


def _attachments(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    nodes = node.items if isinstance(node, ListNode) else (node,)
    found = [_attachment(item, reader) for item in nodes]
    draft.parts["attachments"] = tuple(one for one in found if one)


def _attachment(node: Node, reader: Reader) -> Attachment | None:
    if not isinstance(node, MapNode):
        scalar = reader.scalar(node, "`attachment`")
        return _named(scalar.text.strip(), "", -1) if scalar else None
    texts: dict[str, str] = {}
    size = -1
    for key, value in entries(node, reader, ("name", "type", "size"), "part of an attachment"):
        scalar = reader.scalar(value, f"`{key.text}`")
        if scalar and key.text == "size":
            size = reader.parsed(scalar, parse_size, "E201") or -1
        elif scalar:
            texts[key.text] = scalar.text.strip()
    return _named(texts.get("name", ""), texts.get("type", ""), size)


def _named(name: str, content_type: str, size: int) -> Attachment:
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Attachment(name=name, content_type=content_type or guessed, size=size)


def _header(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    mapping = reader.mapping(node, "`header`", "{X-Shop: acme}")
    pairs = (
        [(name.text.lower(), reader.scalar(value, f"`{name.text}`")) for name, value in mapping.entries]
        if mapping
        else []
    )
    draft.parts["headers"] = tuple((name, scalar.text) for name, scalar in pairs if scalar)


def _size(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    scalar = reader.scalar(node, "`size`")
    size = reader.parsed(scalar, parse_size, "E201") if scalar else None
    if size is not None:
        draft.parts["size"] = size


def _thread(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    scalar = reader.scalar(node, "`thread`")
    draft.thread = scalar.text.strip() if scalar else ""


def _bounced(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    found = [_address(scalar, reader) for scalar in reader.scalars(node, "`bounced`")]
    people = tuple(one.email for one in found if one)
    draft.kind = Kind.BOUNCE
    if people:
        draft.parts["bounce"] = Bounce(recipients=people, hard=True, reason="user_unknown", status="5.1.1")
        draft.parts.setdefault("sender", Address(f"mailer-daemon@{people[0].rpartition('@')[2]}"))


def _jsonld(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    """schema.org data, by dotted path; a bare type ("Order") says that it is there."""
    if not isinstance(node, MapNode):
        draft.parts["markup"] = tuple((scalar.text.strip(), "yes") for scalar in reader.scalars(node, "`jsonld`"))
        return
    pairs = [(path.text.strip(), reader.scalar(value, f"`{path.text}`")) for path, value in node.entries]
    draft.parts["markup"] = tuple((path, scalar.text) for path, scalar in pairs if scalar)


def _categories(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    draft.parts["categories"] = tuple(scalar.text.strip() for scalar in reader.scalars(node, "`category`"))


def _auth(_key: Scalar, node: Node, draft: _Draft, reader: Reader) -> None:
    scalar = reader.scalar(node, "`auth`")
    if scalar:
        draft.auth = reader.choice(scalar, AUTH, "`auth`") or ""


Part = Callable[[Scalar, Node, _Draft, Reader], None]
_PARTS: Mapping[str, Part] = {
    "from": _sender,
    **dict.fromkeys(("to", "cc", "bcc", "reply_to"), _people),
    **dict.fromkeys(("subject", "body", "folder"), _text),
    "is": _is,
    "kind": _kind,
    **dict.fromkeys(("direction", "when"), _direction),
    "time": _time,
    "mailbox": _mailbox,
    "attachment": _attachments,
    "header": _header,
    "size": _size,
    "thread": _thread,
    "bounced": _bounced,
    "jsonld": _jsonld,
    "auth": _auth,
    "category": _categories,
}


# --- the whole


def _complete(mapping: MapNode, draft: _Draft, reader: Reader) -> None:
    """What is not said: our own side is the admin, or whom the mailbox belongs to."""
    parts, settings = draft.parts, reader.settings
    account = parts.setdefault("account", next(iter(settings.accounts), ""))
    box = settings.accounts.get(account)
    if draft.auth:
        parts["verdicts"] = ((_trusted(mapping, box.authserv if box else None, reader), draft.auth),)
    ours = Address(settings.team[(box.rep if box else "") or settings.admin].mail)
    if draft.direction is Direction.OUT:
        parts.setdefault("sender", ours)
    if "sender" not in parts and mapping.get("from") is None:
        reader.report("E102", "the mail does not say who wrote it", mapping.place, "add: from: maria@acme.example")
        return
    out = office_of(settings).is_ours(parts.get("sender"))
    if not out:
        parts.setdefault("to", (ours,))
    elif not any(parts.get(key) for key in ("to", "cc", "bcc")):
        reader.report("E102", "the mail does not say to whom it goes", mapping.place, "add: to: maria@acme.example")
    parts.setdefault("folder", "Sent" if out else "INBOX")


def _trusted(mapping: MapNode, server: str | None, reader: Reader) -> str:
    """The server of the mailbox whose word on the sender counts."""
    key = mapping.key("auth")
    if not server and key:
        help = "add `authserv` to the account in quietcrm.yaml, or name another `mailbox`"
        reader.report("E419", "`auth` needs to know whose word counts", key.place, help)
    return (server or "").lower()


def _finish(draft: _Draft, world: World, mapping: MapNode, reader: Reader, name: str) -> TestedMail | None:
    parts, facts = draft.parts, draft.facts
    directory = world.directory(strangers=facts.get("first_contact", (False, None))[0])
    if draft.thread or facts.get("reply", (False, None))[0]:
        parts |= {"in_reply_to": PARENT, "references": (PARENT,)}
    if draft.thread:
        customer = world.named(draft.thread)
        if customer is None:
            key = mapping.get("thread")
            assert isinstance(key, Scalar)
            reader.unknown("customer", key, (one.name for one in world.customers), code="E206")
            return None
        thread = Thread(customers=(customer.id,), subject_key=subject_key(parts.get("subject", "")))
        directory = replace(directory, threads={PARENT: thread})
    if draft.kind is Kind.NOTICE and facts.get("reply", (False, None))[0]:
        draft.kind = Kind.AUTO_REPLY
    message = Message(
        **parts,
        folder_role=_role(parts["folder"]),
        ref="1",
        message_id=f"{hashlib.sha256(name.encode()).hexdigest()[:16]}@quietcrm.invalid",
        kind=draft.kind or Kind.HUMAN,
        sent_at=draft.at,
        received_at=draft.at,
    )
    return TestedMail(message, directory, draft.when == UNSUBSCRIBED, draft.when if draft.when in MARKS else "")


def _role(folder: str) -> FolderRole:
    words = set(re.findall(r"\w+", folder.lower()))
    if "inbox" in words:
        return FolderRole.INBOX
    return FolderRole.SENT if "sent" in words else FolderRole.OTHER


def _facts_hold(tested: TestedMail, draft: _Draft, reader: Reader) -> bool:
    """Whether the mail made is what `is` and `direction` say; a test that contradicts itself proves nothing."""
    message, office = tested.message, office_of(reader.settings)
    found = match(message, tested.directory, reader.settings)
    view = View(message, found, direction_of(message, office), tested.directory, office)
    sound = True
    for word, (wanted, place) in draft.facts.items():
        if (word in _KINDS and wanted) or FLAGS[word](view) is wanted:
            continue
        sound = False
        said = f'the mail is {"not " if wanted else ""}"{word}" by everything else that is said of it'
        reader.report("E421", said, place, _REMEDY.get(word, f'take "{word}" away'))
    if draft.when == FAILED and draft.direction_at and FAILED not in events_of(view, unsubscribed=False):
        sound = False
        help = "add: bounced: and the address that failed"
        reader.report("E421", "the mail tells of no failed delivery", draft.direction_at, help)
    if draft.direction and draft.direction_at and view.direction is not draft.direction:
        way = "came from outside" if view.direction is Direction.IN else "was sent by one of us"
        sound = False
        help = "change `from`, or take the direction away"
        reader.report("E421", f"the mail {way}, says its `from`", draft.direction_at, help)
    return sound
