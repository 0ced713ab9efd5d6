"""The UID of an item as every other protocol has it."""

from __future__ import annotations

import base64
import binascii

from connectors.calendars import plain_uid
from connectors.exchange.words import Element, T, field, properties, text

__all__ = ["uid_of", "uid_paths"]

_CLEAN_GLOBAL_OBJECT_ID = "35"


def uid_paths() -> list[Element]:
    """What has to be asked for: calendar:UID and PidLidCleanGlobalObjectId (MS-OXOCAL 2.2.1.28)."""
    clean = T.ExtendedFieldURI(
        DistinguishedPropertySetId="Meeting", PropertyId=_CLEAN_GLOBAL_OBJECT_ID, PropertyType="Binary"
    )
    return [field("calendar:UID"), clean]


def uid_of(element: Element) -> str:
    """The UID of the meeting or the whole series; "" if the item has none."""
    if told := text(element, "UID").strip():
        return plain_uid(told)
    value = dict(properties(element)).get(_CLEAN_GLOBAL_OBJECT_ID, "")
    try:
        return plain_uid(base64.b64decode(value, validate=True).hex().upper())
    except (ValueError, binascii.Error):
        return ""
