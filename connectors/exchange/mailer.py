"""Sends by an Exchange mailbox: a draft with our stamp first, then SendItem, which lays the copy into Sent by itself.

Up to SendItem nothing can have arrived. If its answer does not come, nobody knows; the stamp is on the copy in Sent,
and by it the desk finds whether the mail left (`ExchangeDesk.find_sent`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from connectors.errors import ConnectorError, OutcomeUnknown, ProtocolViolation, SendRejected, Unavailable
from connectors.exchange import writing
from connectors.exchange.folders import distinguished
from connectors.exchange.link import Answer, Link
from connectors.exchange.settings import ExchangeSettings
from connectors.exchange.traces import traces
from connectors.exchange.trouble import LATER, TABLE, Unclear, refusal
from connectors.exchange.words import M, T, child, item_id
from connectors.model import OutgoingMail
from connectors.outgoing import render

__all__ = ["ExchangeMailer"]

_NOT_SENT: dict[str, tuple[str, bool]] = {
    "ErrorSendAsDenied": ("sender", True),
    "ErrorAccessDenied": ("sender", True),
    "ErrorCannotSendOnBehalf": ("sender", True),
    "ErrorMessageSizeExceeded": ("mail", True),
    "ErrorAttachmentSizeLimitExceeded": ("mail", True),
    "ErrorInvalidRecipients": ("recipient", True),
    "ErrorMissingRecipients": ("recipient", True),
    "ErrorMailRecipientNotFound": ("recipient", True),
    "ErrorQuotaExceeded": ("sender", False),
    "ErrorSubmissionQuotaExceeded": ("sender", False),
    "ErrorExceededSubmissionQuota": ("sender", False),
}
"""Codes by which SendItem says that it did not send: (what is refused, for good)."""
_WHERE = ("drafts", "sentitems", "outbox")
_DRAFT_CHANGED = frozenset({"ErrorStaleObject", "ErrorChangeKeyRequired", "ErrorIrresolvableConflict"})


class ExchangeMailer:
    """A `Mailer` on an Exchange mailbox. One thread at a time."""

    def __init__(self, settings: ExchangeSettings) -> None:
        self._settings = settings
        self._link = Link(settings)
        self._folders: dict[str, str] = {}

    @property
    def account(self) -> str:
        """The sender's name in quietcrm.yaml."""
        return self._settings.account

    def check(self) -> tuple[str, ...]:
        """Log in and look for Drafts and Sent; says by what the server sends."""
        self._find_folders()
        return (
            f"{self._settings.host} (Exchange build {self._link.build}) sends for {self._settings.mailbox}",
            "it keeps the copy in Sent Items by itself",
        )

    def send(
        self,
        mail: OutgoingMail,
        *,
        envelope_from: str,
        recipient: str,
        committing: Callable[[], None] = lambda: None,
    ) -> str:
        """Draft, then SendItem; what the server said. Raises SendRejected for its refusals, Unavailable for what was
        certainly not sent, OutcomeUnknown where its answer to SendItem did not come, and whatever `committing` raises.
        """
        self._require_only(mail, recipient)
        raw = render(mail, utf8=True)
        with self._tidying():
            drafts, sent = self._find_folders()
            if self._went_before(mail.message_id):
                return f"NoError: sent by {self._settings.host} before"
            ref = writing.create(self._link, drafts, raw, mail.message_id)
        try:
            committing()
        except BaseException:
            self._clear_quietly(drafts, mail.message_id)
            raise
        try:
            answer = self._submit(ref, sent)
        except (Unclear, ProtocolViolation) as error:
            raise self._unknown(error.message) from error
        except ConnectorError:
            self._clear_quietly(drafts, mail.message_id)
            raise
        self._judge(answer, drafts, mail.message_id)
        return f"NoError: sent by {self._settings.host}"

    def take_back(self, message_id: str) -> bool:
        """Remove the draft that a try to send this mail left in Drafts, see `Drafting`."""
        with self._tidying():
            drafts, _ = self._find_folders()
            (found,) = traces(self._link, [drafts], message_id)
            unused = [one.ref for one in found if not (one.is_edited or one.is_leaving)]
            if unused:
                writing.remove(self._link, unused)
            return len(unused) == len(found)

    def close(self) -> None:
        """Let go of the connection."""
        self._link.drop()
        self._folders.clear()

    # -- steps

    def _submit(self, ref: tuple[str, str], sent: str) -> Answer:
        request = M.SendItem(
            M.ItemIds(item_id(*ref)), M.SavedItemFolderId(T.FolderId(Id=sent)), SaveItemToFolder="true"
        )
        (answer,) = self._link.ask(request, repeatable=False)
        return answer

    def _judge(self, answer: Answer, drafts: str, message_id: str) -> None:
        """Only a clear word says what became of it."""
        if answer.is_good:
            return
        if answer.code in _NOT_SENT:
            self._clear_quietly(drafts, message_id)
            raise self._rejected(answer)
        if answer.code in _DRAFT_CHANGED:
            raise Unavailable(self.account, "somebody changed the mail in Drafts before it was sent", hint=LATER)
        raise self._unknown(f"{self._settings.host} answered {answer.code}: {answer.words[:200]}")

    def _rejected(self, answer: Answer) -> SendRejected:
        stage, permanent = _NOT_SENT[answer.code]
        known = refusal(self._settings, answer.code, answer.words)
        hint = known.hint if answer.code in TABLE else "read the server's answer; it says why"
        return SendRejected(self.account, known.message, permanent=permanent, stage=stage, hint=hint)

    def _unknown(self, why: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            self.account,
            f"the mail was handed to {self._settings.host}, and it is not known whether it left: {why}",
            hint="it is looked for in Sent Items; it is not sent again by itself",
        )

    def _require_only(self, mail: OutgoingMail, recipient: str) -> None:
        """Exchange sends to whom the mail names, and to nobody else."""
        named = {person.email.lower() for person in (*mail.to, *mail.cc)}
        if named != {recipient.lower()}:
            raise SendRejected(
                self.account,
                f"the mail names others than {recipient[:80]}, and Exchange would send it to all of them",
                permanent=True,
                stage="recipient",
                hint="send it by a sender of type smtp, or to one person",
            )

    def _find_folders(self) -> tuple[str, str]:
        """The ids of Drafts and Sent Items. Raises ConnectorError."""
        if not self._folders:
            ids = M.FolderIds(*(distinguished(self._link, name) for name in _WHERE))
            answers = self._link.ask(M.GetFolder(M.FolderShape(T.BaseShape("IdOnly")), ids))
            folders = dict.fromkeys(_WHERE, "")
            for name, answer in zip(_WHERE, answers, strict=False):
                if answer.is_good:
                    found = child(next(iter(answer.within("Folders"))), "FolderId")
                    folders[name] = str(found.get("Id")) if found is not None else ""
                elif name != "outbox":
                    raise refusal(self._settings, answer.code, answer.words)
            self._folders = folders
        return self._folders["drafts"], self._folders["sentitems"]

    def _went_before(self, message_id: str) -> bool:
        """What an earlier try left behind: a mail that was sent after all, or drafts, which go. One that is on its way
        is waited for."""
        names = [name for name in _WHERE if self._folders[name]]
        found = dict(zip(names, traces(self._link, [self._folders[name] for name in names], message_id), strict=True))
        if found.get("outbox") or any(one.is_leaving for one in found["drafts"]):
            raise SendRejected(
                self.account,
                "an earlier try to send this mail is on its way (it lies in the Outbox, or is marked as submitted)",
                permanent=False,
                stage="mail",
                hint="nothing to do: quietcrm looks again; if it lasts, look into the Outbox of the mailbox",
            )
        if found["drafts"]:
            writing.remove(self._link, [one.ref for one in found["drafts"]])
        return bool(found["sentitems"])

    def _clear(self, drafts: str, message_id: str) -> None:
        """Take away the draft of a mail that was not sent."""
        (found,) = traces(self._link, [drafts], message_id)
        if left := [one.ref for one in found if not one.is_leaving]:
            writing.remove(self._link, left)

    def _clear_quietly(self, drafts: str, message_id: str) -> None:
        with contextlib.suppress(ConnectorError):
            self._clear(drafts, message_id)

    @contextlib.contextmanager
    def _tidying(self) -> Iterator[None]:
        """After trouble the folders are looked for again."""
        try:
            yield
        except BaseException:
            self._folders.clear()
            raise
