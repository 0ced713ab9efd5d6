"""How alike two mails are: finds the draft a rep sent among the mails in Sent.

Ids alone fail (classic Outlook gives a sent draft a new Message-ID), so the draft is recognised by its words.
"""

from __future__ import annotations

import re
from collections import Counter

_WORD = re.compile(r"\w{3,}")


def likeness(draft: str, sent: str) -> float:
    """The share of the draft's words that stand in the sent text too, 0.0 to 1.0; order does not matter.

    Measured against the draft, so that a rep may add as much as they like.
    """
    wanted = Counter(_WORD.findall(draft.casefold()))
    if not wanted:
        return 0.0
    found = Counter(_WORD.findall(sent.casefold()))
    return sum((wanted & found).values()) / wanted.total()
