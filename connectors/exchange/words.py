"""EWS requests as XML and values out of its answers.

Written by hand where exchangelib's models would ask for more than we want, cannot say what we need (the kind of body,
its largest size, the flag) or lose what a server gives (a time with fractions of a second becomes None). Element order
follows types.xsd.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any

from lxml.builder import ElementMaker

__all__ = [
    "MNS", "TNS", "Element", "M", "T", "child", "extended", "field", "folder_ids", "item_id", "item_ids",
    "item_shape", "moment", "named", "noon", "number", "properties", "property_tag", "text", "utc",
]  # fmt: skip

MNS = "http://schemas.microsoft.com/exchange/services/2006/messages"
TNS = "http://schemas.microsoft.com/exchange/services/2006/types"
_NSMAP = {"m": MNS, "t": TNS}
M = ElementMaker(namespace=MNS, nsmap=_NSMAP)
T = ElementMaker(namespace=TNS, nsmap=_NSMAP)
Element = Any
"""An element of lxml, which has no types."""

OUR_SET = "6a3d1c52-0f0e-4d43-9a7b-71c0e6b2a5d8"
"""The property set of what we write on items; a random GUID of our own."""
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?\Z")


# -- writing


def field(uri: str) -> Element:
    """A path to a property: "item:Subject"."""
    return T.FieldURI(FieldURI=uri)


def property_tag(number: int, kind: str) -> Element:
    """A path to a MAPI property: 0x1090, "Integer"."""
    return T.ExtendedFieldURI(PropertyTag=f"0x{number:04X}", PropertyType=kind)


def named(name: str) -> Element:
    """A path to a text property of our own."""
    return T.ExtendedFieldURI(PropertySetId=OUR_SET, PropertyName=name, PropertyType="String")


def extended(path: Element, value: str) -> Element:
    """A MAPI property with its value."""
    return T.ExtendedProperty(path, T.Value(value))


def item_shape(*paths: Element, mime: bool = False, body_limit: int = 0, body_type: str = "Best") -> Element:
    """What of an item is asked for. `body_limit` > 0 asks for the body, cut at so many bytes, as it is kept or as
    "Text"."""
    shape = M.ItemShape(T.BaseShape("IdOnly"))
    if mime:
        shape.append(T.IncludeMimeContent("true"))
    if body_limit:
        shape.append(T.BodyType(body_type))
        shape.append(T.MaximumBodySize(str(body_limit)))
    if paths:
        shape.append(T.AdditionalProperties(*paths))
    return shape


def item_id(ref: str, change_key: str = "") -> Element:
    """An item by its id. Ids are case-sensitive."""
    return T.ItemId({"Id": ref, **({"ChangeKey": change_key} if change_key else {})})


def item_ids(refs: Iterable[str]) -> Element:
    """Items by their ids."""
    return M.ItemIds(*map(item_id, refs))


def folder_ids(tag: str, keys: Iterable[str]) -> Element:
    """m:FolderIds, m:ParentFolderIds, m:ToFolderId ... with folders by their ids."""
    return M(tag, *(T.FolderId(Id=key) for key in keys))


def utc(at: datetime) -> str:
    """A time as EWS wants it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def noon(day: date) -> str:
    """The middle of a day, UTC: a time that is on this day in every zone, for due dates."""
    return f"{day.isoformat()}T12:00:00Z"


# -- reading


def child(element: Element, *names: str) -> Element | None:
    """The first element on a path of names of the types namespace."""
    for name in names:
        if element is None:
            return None
        element = element.find(f"{{{TNS}}}{name}")
    return element


def text(element: Element, *names: str) -> str:
    """Its text, "" if it is not there."""
    found = child(element, *names)
    return (found.text or "") if found is not None else ""


def number(element: Element, *names: str) -> int:
    """Its number, -1 if it is none."""
    digits = text(element, *names)
    return int(digits) if digits.isdecimal() else -1


def moment(value: str) -> datetime | None:
    """A time of an answer; fractions of a second are dropped, no zone means UTC. None for what is no time."""
    found = _MOMENT.match(value.strip())
    if not found:
        return None
    try:
        at = datetime.fromisoformat(found[1] + (found[3] or "Z"))
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def properties(element: Element) -> Iterator[tuple[str, str]]:
    """(tag like "0x1090", the name of our own property, or a number in a set, value) of MAPI properties."""
    for one in element.findall(f"{{{TNS}}}ExtendedProperty"):
        path = child(one, "ExtendedFieldURI")
        if path is not None:
            name = path.get("PropertyTag") or path.get("PropertyName") or path.get("PropertyId") or ""
            yield name.lower(), text(one, "Value")
