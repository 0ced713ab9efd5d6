"""What a request asks for: $select, $expand, $filter as far as the service combines them, and links to further pages.

A query that the service would refuse is refused here too: `BadQuery` carries its code.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from servers.graph_mailbox import FakeMail, Json

_CLAUSE = re.compile(
    r"(receivedDateTime) (ge|gt|le|lt) (\S+)|(internetMessageId) eq '((?:[^']|'')*)'|"
    + (r"singleValueExtendedProperties/[Aa]ny\(ep: ?ep/id eq '([^']+)' and ep/value eq '((?:[^']|'')*)'\)")
)
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "le": lambda a, b: a <= b,
    "lt": lambda a, b: a < b,
}


class BadQuery(ValueError):
    """The service refuses this query; the text is its code."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Which properties an answer carries."""

    select: tuple[str, ...]
    properties: tuple[str, ...] = ()
    attachments: tuple[str, ...] | None = None

    def show(self, mail: FakeMail, *, only: frozenset[str] = frozenset()) -> Json:
        """A mail in this shape; `only` these properties of it, beside its id."""
        row: Json = {"@odata.etag": mail.etag, "id": mail.id}
        if "@odata.type" in mail.fields:
            row["@odata.type"] = mail.fields["@odata.type"]
        names = self.select or tuple(name for name in mail.fields if name != "internetMessageHeaders")
        for name in names:
            if name in mail.fields and (not only or name in only):
                if name == "internetMessageHeaders" and not mail.received:
                    continue
                row[name] = mail.fields[name]
        if self.properties and (found := [key for key in self.properties if key in mail.properties]):
            row["singleValueExtendedProperties"] = [{"id": key, "value": mail.properties[key]} for key in found]
        if self.attachments is not None:
            keep = self.attachments or tuple(mail.attachments[0] if mail.attachments else ())
            row["attachments"] = [
                {key: one[key] for key in ("@odata.type", *keep) if key in one} for one in mail.attachments
            ]
        return row


def shape_of(query: Mapping[str, str]) -> Shape:
    """From $select and $expand."""
    select = tuple(filter(None, query.get("$select", "").split(",")))
    expand = query.get("$expand", "")
    properties = tuple(re.findall(r"id eq '([^']+)'", expand))
    match = re.search(r"attachments(?:\(\$select=([^)]*)\))?", expand)
    return Shape(select, properties, tuple((match[1] or "").split(",")) if match else None)


def filter_of(text: str) -> Callable[[FakeMail], bool]:
    """A test for mails. Raises BadQuery for what Outlook's $filter does not know."""
    if not text:
        return lambda mail: True
    clauses = [_clause(one) for one in _split(text)]
    return lambda mail: all(holds(mail) for holds in clauses)


def _split(text: str) -> list[str]:
    if text.startswith("singleValueExtendedProperties"):
        return [text]
    return text.split(" and ")


def _clause(text: str) -> Callable[[FakeMail], bool]:
    match = _CLAUSE.fullmatch(text.strip())
    if match is None:
        raise BadQuery("ErrorInvalidUrlQueryFilter")
    if match[1]:
        bound, holds = datetime.fromisoformat(match[3]), _OPERATORS[match[2]]
        return lambda mail: holds(datetime.fromisoformat(mail.fields["receivedDateTime"]), bound)
    if match[4]:
        wanted = match[5].replace("''", "'")
        return lambda mail: bool(mail.fields["internetMessageId"] == wanted)
    key, value = match[6], match[7].replace("''", "'")
    return lambda mail: mail.properties.get(key) == value


def pack(**state: Any) -> str:
    """A token: opaque to the client, everything that the next answer needs for the server."""
    return base64.urlsafe_b64encode(json.dumps(state, separators=(",", ":")).encode()).decode().rstrip("=")


def unpack(token: str) -> Json:
    """The state again. Raises BadQuery."""
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError:
        raise BadQuery("ErrorInvalidUrlQuery") from None
    if not isinstance(found, dict):
        raise BadQuery("ErrorInvalidUrlQuery")
    return found


def page_size(prefer: str, default: int) -> int:
    """odata.maxpagesize of the Prefer header."""
    match = re.search(r"odata\.maxpagesize=(\d+)", prefer)
    return int(match[1]) if match else default
