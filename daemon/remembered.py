"""A mail of the history as rules see mails, made of what is kept of it. What was never kept cannot be asked for: then
NotKept is raised, and whoever evaluates has to read the mail again.
"""

from __future__ import annotations

from typing import Any, NoReturn

from connectors.model import Address, Attachment, Kind, Message
from store.past import PastMail


class NotKept(Exception):
    """A rule asks for something of a mail that the store does not keep; `what` names it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class _UnkeptItems(tuple[Any, ...]):
    """Stands for items that were not kept: any look at them is refused."""

    what: str

    @classmethod
    def of(cls, what: str) -> _UnkeptItems:
        """Stand for `what`."""
        made = cls()
        made.what = what
        return made

    def _refuse(self, *_: object) -> NoReturn:
        raise NotKept(self.what)

    __iter__ = __len__ = __bool__ = __getitem__ = __contains__ = __reversed__ = _refuse


class _UnkeptText(str):
    """Stands for a text that was not kept."""

    __slots__ = ()

    def _refuse(self, *_: object) -> NoReturn:
        raise NotKept("the text")

    __iter__ = __len__ = __bool__ = __getitem__ = __contains__ = __format__ = __str__ = _refuse


def remembered(mail: PastMail) -> Message:
    """The mail as far as it is kept; reading from it what is not kept raises NotKept."""
    row = mail.row
    account, folder, ref = mail.places[0] if mail.places else ("", "", "")
    by_role = {role: tuple(Address(email, name) for was, email, name in mail.people if was == role) for role in _ROLES}
    sender, sent_by = by_role["from"], by_role["sender"]
    return Message(
        account=account,
        folder=folder if mail.places else _UnkeptText(),
        ref=ref,
        message_id=row["message_id"],
        references=_UnkeptItems.of("the thread"),
        sent_at=row["sent_at"],
        received_at=row["at"],
        sender=sender[0] if sender else None,
        sent_by=sent_by[0] if sent_by else None,
        reply_to=by_role["reply_to"],
        to=by_role["to"],
        cc=by_role["cc"],
        bcc=by_role["bcc"],
        subject=row["subject"],
        text=_UnkeptText() if _text_was_left_out(mail) else row["text"],
        attachments=tuple(
            Attachment(name=name, content_type=kind, size=size) for name, kind, size in row["attachments"]
        ),
        headers=_UnkeptItems.of("the header"),
        markup=_UnkeptItems.of("its data for machines"),
        categories=_UnkeptItems.of("its categories"),
        kind=Kind(row["kind"]),
        size=row["size"],
        degraded=tuple(filter(None, row["degraded"].split("; "))),
    )


_ROLES = ("from", "sender", "reply_to", "to", "cc", "bcc")


def _text_was_left_out(mail: PastMail) -> bool:
    """Whether a rule had only the header kept (`log: headers`). A text that could not be read stays empty."""
    if mail.row["text"] or mail.row["degraded"]:
        return False
    return mail.trace.get("outcome") == "headers" if mail.trace else bool(mail.row["logged_by"])
