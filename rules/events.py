"""What a mail means beside having come: a delivery failed, a person wants no mail. Pure.

A rule with `when: delivery failed` is asked for such a mail whatever its kind, with the mail at hand: for a delivery
report, the contact is the one whose address failed.
"""

from __future__ import annotations

from rules.triggers import FAILED, UNSUBSCRIBED
from rules.view import View


def events_of(view: View, *, unsubscribed: bool) -> dict[str, str]:
    """Event -> what was seen of it. `unsubscribed`: the mail asks for no more mail, see daemon.marks.

    A failure counts if it is for good, and if nobody has written from that address since.
    """
    found = {}
    bounce = view.message.bounce
    if bounce and bounce.hard is True and not _wrote_since(view):
        found[FAILED] = f"{bounce.reason} {bounce.status}".strip()
    if unsubscribed:
        found[UNSUBSCRIBED] = "asks for no more mail"
    return found


def _wrote_since(view: View) -> bool:
    contact = view.contact
    return contact is not None and contact.last_in_at is not None and contact.last_in_at > view.at
