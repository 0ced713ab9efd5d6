"""A small real parser for the contract suites: header fields and text, by the standard library, in this process."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Sequence
from concurrent.futures import Future

from connectors.model import Message, RawMail, Unreadable


class PlainParser:
    """A `Parser`. Keeps what it was given in `seen`."""

    def __init__(self) -> None:
        self.seen: list[RawMail] = []

    def parse(self, mails: Sequence[RawMail]) -> list[Message | Unreadable]:
        self.seen += mails
        return [read(mail) for mail in mails]

    def submit(self, mails: Sequence[RawMail]) -> Future[list[Message | Unreadable]]:
        done: Future[list[Message | Unreadable]] = Future()
        done.set_result(self.parse(mails))
        return done

    def close(self) -> None:
        """Nothing to end."""


def read(raw: RawMail) -> Message:
    header = email.message_from_bytes(raw.whole or raw.header, policy=email.policy.compat32)
    text = header.get_payload() if raw.whole else "".join(part.body.decode("utf-8", "replace") for part in raw.parts)
    return Message(
        account=raw.account,
        folder=raw.folder,
        folder_role=raw.folder_role,
        ref=raw.ref,
        message_id=str(header.get("Message-ID", "")).strip().strip("<>"),
        sent_at=None,
        received_at=raw.received_at,
        sender=None,
        subject=str(header.get("Subject", "")),
        text=text if isinstance(text, str) else "",
        attachments=raw.attachments,
        flags=raw.flags,
        size=raw.size,
        degraded=raw.notes,
    )
