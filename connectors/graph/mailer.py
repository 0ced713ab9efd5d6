"""Sends one mail from a mailbox in Microsoft 365 and knows at each moment whether it may have left.

make a draft          nothing can arrive yet; one that an earlier try left behind is taken away first
committing()          the caller writes down that from here on the mail may leave
send (202)            asked for once. A clear no (4xx) says that it was not sent. Anything else, a 504 or silence, says
                      nothing: the service may have done it (OutcomeUnknown), and our mark finds it in Sent
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from connectors.errors import ConnectorError, SendRejected, Unavailable
from connectors.graph.client import Garbled, GraphClient, Json, Lost, Refused
from connectors.graph.mails import mail_path
from connectors.graph.places import create_draft, is_edited, ours, remove
from connectors.graph.settings import GraphSettings
from connectors.graph.trouble import rejected, translated
from connectors.model import OutgoingMail
from connectors.outgoing import wire_address

__all__ = ["GraphMailer"]


class GraphMailer:
    """A `Mailer` by Graph. One thread at a time; `close` it after use, it connects again when asked."""

    def __init__(self, settings: GraphSettings) -> None:
        self._settings = settings
        self._client = GraphClient(settings)

    @property
    def account(self) -> str:
        """The sender's name in quietcrm.yaml."""
        return self._settings.account

    def check(self) -> tuple[str, ...]:
        """Sign in and look at Drafts, where every mail is made; says whose mailbox sends."""
        with translated(self.account, self._client.where):
            person = self._client.get("", {"$select": "mail,userPrincipalName"})
            self._client.get("/mailFolders/drafts", {"$select": "id"})
        who = person.get("mail") or person.get("userPrincipalName") or self._settings.login
        return (
            f"{self._client.where} sends as {who}",
            "Microsoft 365 takes 30 mails a minute and 10,000 recipients a day from a mailbox",
        )

    def send(
        self,
        mail: OutgoingMail,
        *,
        envelope_from: str,
        recipient: str,
        committing: Callable[[], None] = lambda: None,
    ) -> str:
        """Make a draft and send it; "202 ..." once the service took it. The service writes the envelope itself, so the
        mail goes to whom its header names: anybody else than `recipient` there is refused.

        Raises SendRejected, OutcomeUnknown after `committing`, HeaderMismatch, other ConnectorErrors where nothing was
        sent, and whatever `committing` raises.
        """
        self._require_one(mail, recipient)
        with self._before_sending():
            if self._went_before(mail):
                return "202 it had been sent before"
            row = create_draft(self._client, mail)
        try:
            committing()
        except BaseException:
            self._take_back(row)
            raise
        return self._submit(row)

    def take_back(self, message_id: str) -> bool:
        """Remove the draft that a try to send this mail left in Drafts, see `Drafting`."""
        with translated(self.account, self._client.where):
            drafts = [row for row in ours(self._client, message_id, "drafts") if row.get("isDraft")]
            left = [row for row in drafts if is_edited(row) or not remove(self._client, row)]
        return not left

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    @contextlib.contextmanager
    def _before_sending(self) -> Iterator[None]:
        """Whatever goes wrong here, the mail was not sent."""
        with translated(self.account, self._client.where, rejected):
            try:
                yield
            except Lost as error:
                raise Unavailable(
                    self.account,
                    f"{self._client.where} did not say whether it made the draft: {error}",
                    hint="nothing to do: it is looked up and tried again",
                ) from error

    def _went_before(self, mail: OutgoingMail) -> bool:
        """What an earlier try left behind: a mail that was sent after all, or drafts, which go. What lies in the Outbox
        is on its way, whether it is called a draft there or not."""
        rows = ours(self._client, mail.message_id)
        if rows and ours(self._client, mail.message_id, "outbox"):
            raise SendRejected(
                self.account,
                "an earlier try to send this mail lies in the Outbox and is on its way",
                permanent=False,
                stage="mail",
                hint="nothing to do: quietcrm looks again; if it lasts, look into the Outbox of the mailbox",
            )
        for row in rows:
            if row.get("isDraft"):
                self._client.delete(mail_path(str(row["id"])))
        return any(not row.get("isDraft") for row in rows)

    def _submit(self, row: Json) -> str:
        try:
            with translated(self.account, self._client.where, rejected):
                path = f"{mail_path(str(row['id']))}/send"
                try:
                    self._client.post(path, timeout=self._settings.final_timeout)
                except Garbled as error:  # a yes with a page of somebody else's in it
                    raise Lost(f"gave {error}") from error
        except ConnectorError as error:
            if not isinstance(error.__cause__, Lost):
                self._take_back(row)
            raise
        return "202 Accepted"

    def _take_back(self, row: Json) -> None:
        """A draft that will not be sent; if it stays now, the next try takes it away."""
        with contextlib.suppress(Refused, ConnectorError), translated(self.account, self._client.where):
            self._client.delete(mail_path(str(row["id"])))

    def _require_one(self, mail: OutgoingMail, recipient: str) -> None:
        named = {wire_address(one.email).lower() for one in (*mail.to, *mail.cc)}
        if named != {wire_address(recipient).lower()}:
            raise SendRejected(
                self.account,
                "by Microsoft 365 a mail goes to whom its header names, and that is not its one recipient",
                permanent=True,
                stage="recipient",
                hint="send it by SMTP, or write it to this person alone",
            )
