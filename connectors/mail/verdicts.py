"""What servers on the way found out about a mail's sender (Authentication-Results, RFC 8601). Pure.

The header proves nothing by itself: anybody can write one. Who reads the answer has to know the name of the server that
took the mail in, and trust only the topmost field of that name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["read_verdicts"]

MOST_FIELDS: Final = 5
LONGEST: Final = 4000
_SERVER: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,252}")
_DMARC: Final = re.compile(r"dmarc\s*(?:/\s*\d+\s*)?=\s*([a-z]{1,20})")


def read_verdicts(values: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
    """(name of the server in lower case, its DMARC result or "") of the topmost fields; of each server its first."""
    found: dict[str, str] = {}
    for value in values[:MOST_FIELDS]:
        first, *results = _bare(value[:LONGEST].decode("ascii", "replace").lower()).split(";")
        server = next(iter(first.split()), "")
        if _SERVER.fullmatch(server) and server not in found:
            matches = (_DMARC.match(result.strip()) for result in results)
            found[server] = next((match[1] for match in matches if match), "")
    return tuple(found.items())


def _bare(text: str) -> str:
    """Without comments and quoted strings: the sender can have whatever he likes put into those."""
    out: list[str] = []
    depth, quoted, escaped = 0, False, False
    for sign in text:
        if escaped:
            escaped = False
        elif sign == "\\" and (depth or quoted):
            escaped = True
        elif sign == '"' and not depth:
            quoted = not quoted
        elif sign == "(" and not quoted:
            depth += 1
        elif sign == ")" and not quoted:
            depth = max(depth - 1, 0)
        elif not depth and not quoted:
            out.append(sign)
    return "".join(out)
