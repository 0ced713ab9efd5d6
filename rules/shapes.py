"""What may stand in the files of rules, as tables of JSON shapes: the counterpart of the tables that read them.

Each name of `rules.conditions.CONDITIONS`, `rules.actions.ACTIONS` and `rules.reference.WHENS` has its line here; a
test compares them, and another asks that whatever a test of the rules loads without a fault fits the schema too.
What the office itself names (stages, lists, templates ...) stands in `definitions`, to which the lines refer.
"""

from __future__ import annotations

from collections.abc import Iterable

from config.settings_shape import ADDRESS, CLOCK, DAY, WEEKDAY
from config.shapes import (
    NOTHING,
    TEXT,
    YES_NO,
    Names,
    Shape,
    any_of,
    clock,
    like,
    many,
    mapping,
    named,
    not_both,
    one_of,
    some,
    suggested,
    whole_number,
)
from connectors.model import Kind
from rules.actions import _OWN_ACTIONS, LOG_WAYS
from rules.clock import _LONG_WEEKDAYS
from rules.creations import FIELDS
from rules.customer_conditions import OPEN
from rules.decision import Direction
from rules.extract import KINDS, WAYS
from rules.machine_conditions import AUTH
from rules.mail_conditions import FLAGS, TYPES
from rules.moments import _LENGTH, _SIZE
from rules.once import SCOPES
from rules.pacing import HOURS
from rules.planned import UNLESS, WHO
from rules.sequence import MODES as SEQUENCE_MODES
from rules.sequence import NEXT, SIGNS, STOP
from rules.sequences import BASES, PACE
from rules.text_conditions import OPERATORS
from rules.trial_world import CONTACT_KEYS, CUSTOMER_KEYS

_LIST = r"(not\s+)?\$\S+"


def ref(name: str) -> Shape:
    """A shape of `definitions`."""
    return {"$ref": f"#/definitions/{name}"}


def _items(words: Iterable[str]) -> Shape:
    """Some words, each also with `not` before it, or a word list."""
    known = list(words)
    return many(any_of(one_of((*known, *(f"not {word}" for word in known))), ref("list")))


def _own_items(names: Iterable[str], *more: Shape) -> Shape:
    """The same for names of the office; * and ? may stand for a part of them."""
    known = list(names)
    return many(named((*known, *(f"not {name}" for name in known)), like(r".*[*?].*"), ref("list"), *more))


TEXTS, ADDRESSES, CONDITIONS_OF = ref("texts"), ref("addresses"), ref("conditions")
LENGTH = like(_LENGTH.pattern)
SIZE = like(_SIZE.pattern)
AT = clock(rf"((next business day|today|tomorrow|{WEEKDAY}|{'|'.join(_LONG_WEEKDAYS)}|{DAY})(\s+{CLOCK})?|{CLOCK})")
TEXT_TEST = any_of(TEXTS, some(mapping({name: many(TEXT) if name == "regex" else TEXTS for name in OPERATORS})))
_AGE = mapping({"older": LENGTH, "newer": LENGTH})
_LIMITS = {"larger": SIZE, "smaller": SIZE}
_GROUP = any_of(CONDITIONS_OF, {"type": "array", "items": CONDITIONS_OF, "minItems": 1})
_WEEKDAYS = rf"({WEEKDAY}|{'|'.join(_LONG_WEEKDAYS)})"
_TIME = rf"(not\s+)?(business_hours|outside_hours|{CLOCK}\s*-\s*{CLOCK})"

CONDITIONS: dict[str, Shape] = {
    **dict.fromkeys(("from", "to", "cc", "anyone"), ADDRESSES),
    **dict.fromkeys(("subject", "body", "text"), TEXT_TEST),
    "header": mapping({}, others=TEXT_TEST),
    "language": many(any_of(like(r"(not\s+)?[A-Za-z]{2,3}(-[A-Za-z]{2,4})?"), {"type": "boolean"}, ref("list"))),
    "jsonld": TEXTS,
    "auth": one_of(AUTH),
    "attachment": any_of(TEXTS, mapping({"name": TEXTS, "type": _items(TYPES), **_LIMITS})),
    "direction": one_of(one.value for one in Direction),
    "is": _items(FLAGS),
    **dict.fromkeys(("token", "plus", "folder", "category"), TEXTS),
    "mailbox": ref("mailboxes"),
    "size": mapping(_LIMITS),
    "known": YES_NO,
    **dict.fromkeys(("customer", "country"), TEXTS),
    "stage": ref("stages"),
    "segment": ref("segments"),
    "tag": ref("tags"),
    "owner": ref("owners"),
    "field": mapping({}, others=TEXTS),
    **dict.fromkeys(("last_in", "last_out", "last_contact"), _AGE),
    "open": _items(OPEN),
    "in_sequence": ref("in_sequence"),
    "time": many(any_of(like(_TIME), ref("list"))),
    "day": many(any_of(like(rf"(not\s+)?{_WEEKDAYS}(\s*[,-]\s*{_WEEKDAYS})*"), ref("list"))),
    "date": many(any_of(like(rf"(not\s+)?{DAY}(\.\.{DAY})?"), ref("list"))),
    "holiday": YES_NO,
    "title": TEXT_TEST,
    "place": TEXT_TEST,
    "attendee": ADDRESSES,
    "answered": TEXTS,
    "length": mapping({"min": LENGTH, "max": LENGTH}),
    **dict.fromkeys(("all", "any", "none"), _GROUP),
}

_WHEN_DUE = {"in": LENGTH, "at": AT, "unless": one_of(UNLESS), "late_after": LENGTH}


def _mail(template: Shape) -> Shape:
    parts = {"template": template, "reply": YES_NO, "to": TEXT, "attach": many(TEXT), **_WHEN_DUE}
    return any_of(template, not_both(mapping(parts, needs=["template"]), "in", "at"))


_REMIND = not_both(
    mapping({"who": ref("who"), "as": one_of(("mail", "calendar", "task")), "text": TEXT, **_WHEN_DUE}), "in", "at"
)
_THINGS: dict[str, Shape] = {
    what: any_of(
        mapping({name: LENGTH if name == "due" else TEXT for name in fields}, others=TEXT), YES_NO, {"type": "null"}
    )
    for what, fields in FIELDS.items()
}
ACTIONS: dict[str, Shape] = {
    "log": one_of(LOG_WAYS),
    "ignore": TEXT,
    "file_under": TEXT,
    "create": any_of(many(one_of(FIELDS)), mapping(_THINGS)),
    "set": {**mapping({}, others=TEXT), "propertyNames": {"not": {"enum": list(_OWN_ACTIONS)}}},
    "tag": ref("tag"),
    "untag": ref("tag"),
    "segment": ref("segment"),
    "stage": any_of(ref("stage"), mapping({"to": ref("stage"), "back": YES_NO}, needs=["to"])),
    "owner": any_of(ref("person"), mapping({"round_robin": many(ref("person"))}, needs=["round_robin"])),
    "remind": any_of(_REMIND, {"type": "array", "items": _REMIND, "minItems": 1}),
    "draft": _mail(ref("template")),
    "send": _mail(ref("auto_template")),
    "category": many(TEXT),
    "uncategory": many(TEXT),
    "flag": TEXT,
    "move": TEXT,
    "start": ref("starts"),
    "stop": ref("stops"),
    "notify": mapping({"channel": ref("channel"), "text": TEXT}, needs=["channel"]),
}

_AGE_OF = _LENGTH.pattern.replace(r"(business\s+)?", "")
_DAYS = rf"{_WEEKDAYS}(\s*[,-]\s*{_WEEKDAYS})*"
WHENS: dict[str, Shape] = {
    "meeting soon": like(rf"{_LENGTH.pattern}\s+before"),
    "meeting held": like(rf"{_LENGTH.pattern}\s+after"),
    "customer silent": like(_AGE_OF),
    "date comes": like(rf"(on|({_LENGTH.pattern}|0\s+days?)\s+(before|after))\s+\S+(\s+every\s+year)?"),
    "clock": clock(rf"({_DAYS}\s+)?{CLOCK}"),
    "record changed": like(r"\S+"),
}
"""Of each `when` that says more than its name, what it says."""

_PATH = like(r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9_:-]*)+")
_VALUE = mapping(
    {
        "jsonld": many(_PATH),
        "regex": many(TEXT),
        "attachment_name": any_of(TEXTS, mapping({"regex": many(TEXT)}, needs=["regex"])),
        "as": one_of(KINDS),
        "required": YES_NO,
    }
)
VALUE: Shape = {**_VALUE, "anyOf": [{"required": [way]} for way in WAYS]}
ONCE = like("per mail", rf"per\s+({'|'.join(SCOPES[1:])})(\s+every\s+{_LENGTH.pattern})?")

# --- rule tests

_PEOPLE = many(like(rf"(.*<)?{ADDRESS}>?"))
NOW = like(rf"{DAY}[ tT]+{CLOCK}(\s+\S+)?")
MOMENT = any_of(AT, NOW)
_PAST = like("never", rf"{_LENGTH.pattern}(\s+ago)?", rf"{DAY}([ tT]+{CLOCK}(\s+\S+)?)?")
MAIL: dict[str, Shape] = {
    "from": like(rf"(.*<)?{ADDRESS}>?"),
    **dict.fromkeys(("to", "cc", "bcc", "reply_to", "bounced"), _PEOPLE),
    **dict.fromkeys(("subject", "folder", "category", "thread"), TEXT),
    "body": any_of(TEXT, {"type": "null"}),
    "is": _items(FLAGS),
    "kind": one_of(one.value for one in Kind),
    "direction": one_of(one.value for one in Direction),
    "when": ref("when_word"),
    "time": clock("business_hours", "outside_hours", CLOCK),
    "mailbox": ref("mailbox"),
    "attachment": any_of(many(TEXT), many(mapping({"name": TEXT, "type": TEXT, "size": SIZE}))),
    "header": mapping({}, others=TEXT),
    "size": SIZE,
    "jsonld": any_of(many(TEXT), mapping({}, others=TEXT)),
    "auth": one_of(AUTH),
}
_SOMEBODY: dict[str, Shape] = {
    **dict.fromkeys(("name", "title", "phone", "country", "source", "zone"), TEXT),
    "language": TEXT,
    "field": mapping({}, others=TEXT),
    "mail": _PEOPLE,
    "alias": _PEOPLE,
}
CONTACT = mapping({name: _SOMEBODY.get(name, TEXT) for name in CONTACT_KEYS})
_CUSTOMER: dict[str, Shape] = {
    **_SOMEBODY,
    "domain": many(TEXT),
    "token": many(TEXT),
    "contacts": any_of(CONTACT, {"type": "array", "items": CONTACT}),
    "stage": ref("stage"),
    "segment": ref("segment"),
    "owner": ref("person"),
    "tag": many(TEXT),
    "open": many(one_of(OPEN)),
    "in_sequence": ref("starts"),
    **dict.fromkeys(("last_in", "last_out", "last_contact"), _PAST),
}
CUSTOMER = mapping({name: _CUSTOMER.get(name, {}) for name in CUSTOMER_KEYS}, needs=["name"])


def _sequences(names: Names, *more: str) -> Shape:
    """Some of the office's sequences; where it has none, nothing can be started."""
    if not names.people:
        return many(TEXT)
    known = (*names.sequences, *more)
    return many(named(known)) if known else NOTHING


# --- sequences

_SIGN = any_of(one_of(SIGNS), some(mapping({"tag": many(TEXT), "stage": many(ref("stage"))})))
_PACE: dict[str, Shape] = {
    "hours": one_of(HOURS),
    "days": many(like(_DAYS)),
    "holidays": any_of(many(any_of(like(r"none|no|[A-Za-z]{2,3}(-.+)?"), {"type": "boolean"})), {"maxItems": 0}),
    "per_day": whole_number(0),
    "gap": like(r"[0-9]{1,4}(\s*-\s*[0-9]{1,4})?\s+(second|minute|hour)s?"),
}
_ENDS = one_of((STOP, NEXT))
SEQUENCE: dict[str, Shape] = {
    "basis": one_of(BASES),
    "mode": one_of(SEQUENCE_MODES),
    "enter": mapping({"once_per": like(rf"({'|'.join(SCOPES[2:])})(\s+every\s+{_AGE_OF})?"), "exclusive": YES_NO}),
    "stop_when": any_of(_SIGN, {"type": "array", "items": _SIGN}),
    "out_of_office": mapping({"pause_until": one_of(("their_return",)), "else": LENGTH}),
    "send": mapping({name: _PACE.get(name, {}) for name in PACE}),
    "drafts": mapping({"declined": _ENDS, "expired": _ENDS}),
}


def definitions(names: Names) -> dict[str, Shape]:
    """What the lines of the tables refer to: the office's own names, each with what else may stand in its place."""
    lists = [*(f"${name}" for name in names.lists), *(f"not ${name}" for name in names.lists)]
    word: Shape = {"type": "string", "not": {"pattern": rf"^\s*{_LIST}"}}
    anonymous = not names.people  # no office at hand: any name may be one
    word_list: Shape = like(_LIST) if anonymous else {"enum": lists} if lists else NOTHING
    plain: Shape = any_of(word_list, {"type": ["number", "boolean"]}, word)
    return {
        "list": word_list,
        "word": any_of({"type": ["number", "boolean"]}, word),
        "texts": many(plain),
        "addresses": many(any_of(word_list, like(r"(not\s+)?\S*@\S+"))),
        "stage": named(names.stages),
        "stages": TEXTS if anonymous else _own_items(names.stages),
        "segment": suggested(names.segments),
        "segments": many(suggested(names.segments, plain)),
        "tag": many(suggested(names.tags)),
        "tags": many(suggested(names.tags, plain)),
        "person": named(names.people),
        "owners": TEXTS if anonymous else _own_items(names.people),
        "who": TEXT if anonymous else named((*WHO, *names.people)),
        "mailbox": named(names.mailboxes) if names.mailboxes else TEXT,
        "mailboxes": _own_items(names.mailboxes) if names.mailboxes else TEXTS,
        "template": named(names.templates) if names.templates or anonymous else NOTHING,
        "auto_template": named(names.auto_templates) if names.auto_templates or anonymous else NOTHING,
        "channel": named(names.channels) if names.channels else TEXT,
        "starts": _sequences(names),
        "stops": _sequences(names, "all"),
        "in_sequence": TEXTS if anonymous else _own_items((*names.sequences, "any")),
    }
