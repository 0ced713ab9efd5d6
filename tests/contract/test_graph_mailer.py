"""Sending by Microsoft 365: what every mailer promises, and for each way to fail whether the mail was sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from desk_contract import MAIL
from graph_world import ANA, Clock, FixedTokens, graph_server, settings_for
from servers.graph import Fault
from servers.graph_mailbox import GraphMailbox
from source_contract import mail
from test_mailers import FROM, TO, Hook, send

from connectors.errors import (
    AuthRejected,
    ConnectorError,
    Misconfigured,
    OutcomeUnknown,
    SendRejected,
    Throttled,
    Unavailable,
)
from connectors.graph.client import Garbled, GraphClient
from connectors.graph.desk import GraphDesk
from connectors.graph.mailer import GraphMailer
from connectors.graph.outgoing import MARK
from connectors.model import Address, Enclosure
from connectors.outgoing import HeaderMismatch
from connectors.protocols import Mailer

UNKNOWN = [
    Fault(status=504),
    Fault(status=504, after=True),
    Fault(status=500),
    Fault(status=502, after=True),
    Fault(status=503, retry_after=5, after=True),
    Fault(status=503),
    Fault(drop=True),
    Fault(drop=True, after=True),
]


class TestGraphMailer:
    @pytest.fixture(autouse=True)
    def place(self) -> Iterator[None]:
        self.clock = Clock()
        self.mailers: list[GraphMailer] = []
        with graph_server(self.clock) as server:
            self.server = server
            self.box: GraphMailbox = server.mailboxes[ANA]
            yield
            for mailer in self.mailers:
                mailer.close()

    def make_mailer(self, **changes: object) -> GraphMailer:
        self.mailers.append(GraphMailer(settings_for(self.server, self.clock, **changes)))
        return self.mailers[-1]

    def find_sent(self, message_id: str = MAIL.message_id) -> int:
        desk = GraphDesk(settings_for(self.server, self.clock))
        try:
            return len(desk.find_sent(message_id))
        finally:
            desk.close()

    @property
    def drafts(self) -> int:
        return len(self.box.in_folder("drafts"))

    def test_it_is_a_mailer(self) -> None:
        mailer = self.make_mailer()
        assert isinstance(mailer, Mailer)
        assert mailer.account == "ana"
        assert any(ANA in finding for finding in mailer.check())

    def test_a_mail_leaves_once_for_one_recipient_and_lies_in_sent(self) -> None:
        hook = Hook()
        assert send(self.make_mailer(), hook=hook) == "202 Accepted"
        ((owner, recipients, raw),) = self.server.sent
        assert (owner, recipients, hook.calls) == (ANA, (TO,), 1)
        assert b"Message-ID: <q.1@vendas.example>" in raw
        assert b"In-Reply-To: <x@acme.example>" in raw
        assert (self.find_sent(), self.drafts) == (1, 0)

    def test_an_answer_leaves_within_its_conversation(self) -> None:
        question = self.box.deliver(mail(1).replace(b"m1@", b"x@"))
        send(self.make_mailer())
        (copy,) = self.box.in_folder("sentitems")
        assert copy.fields["conversationId"] == question.fields["conversationId"]
        assert self.server.counts["POST /messages/{id}/createReply"] == 1

    def test_the_hook_is_called_when_the_draft_is_there_and_nothing_has_left(self) -> None:
        heard: list[tuple[int, int]] = []
        mailer = self.make_mailer()
        mailer.send(
            MAIL,
            envelope_from=FROM,
            recipient=TO,
            committing=lambda: heard.append((self.drafts, len(self.server.sent))),
        )
        assert heard == [(1, 0)]

    @pytest.mark.parametrize("error", [RuntimeError("no fence"), OSError("disk full"), KeyboardInterrupt()])
    def test_an_error_of_the_hook_comes_out_and_leaves_nothing_behind(self, error: BaseException) -> None:
        with pytest.raises(type(error)) as caught:
            send(self.make_mailer(), hook=Hook(error))
        assert caught.value is error
        assert (self.server.sent, self.drafts) == ([], 0)

    @pytest.mark.parametrize("fault", UNKNOWN, ids=str)
    def test_anything_but_a_clear_answer_leaves_it_open_and_sent_tells(self, fault: Fault) -> None:
        self.server.script = [("POST", "/send", fault)]
        hook = Hook()
        with pytest.raises(OutcomeUnknown) as caught:
            send(self.make_mailer(), hook=hook)
        assert caught.value.hint
        assert hook.calls == 1
        assert self.server.counts["POST /messages/{id}/send"] == 1
        assert self.find_sent() == len(self.server.sent) == int(fault.after)

    def test_a_yes_with_an_odd_body_takes_nothing_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy that writes a page of its own into the 202 has passed the mail on."""
        post = GraphClient.post

        def garble(client: GraphClient, path: str, *args: Any, **named: Any) -> Any:
            done = post(client, path, *args, **named)
            if path.endswith("/send"):
                raise Garbled("an answer that is not JSON")
            return done

        monkeypatch.setattr(GraphClient, "post", garble)
        with pytest.raises(OutcomeUnknown):
            send(self.make_mailer())
        assert self.find_sent() == len(self.server.sent) == 1

    def test_a_copy_that_comes_late_and_under_another_id_is_found(self) -> None:
        self.box.rewrites_ids = True
        self.server.send_delay = 3
        self.server.script = [("POST", "/send", Fault(status=504, after=True))]
        with pytest.raises(OutcomeUnknown):
            send(self.make_mailer())
        looks = [self.find_sent() for _ in range(4)]
        assert (looks[0], looks[-1]) == (0, 1)
        (copy,) = self.box.in_folder("sentitems")
        assert copy.properties[MARK] == MAIL.message_id
        assert copy.fields["internetMessageId"] != f"<{MAIL.message_id}>"

    def test_what_was_sent_after_all_is_not_sent_again(self) -> None:
        """A person released a doubtful mail that had left."""
        self.server.script = [("POST", "/send", Fault(status=504, after=True))]
        mailer, hook = self.make_mailer(), Hook()
        with pytest.raises(OutcomeUnknown):
            send(mailer)
        assert send(mailer, hook=hook).startswith("202")
        assert (len(self.server.sent), hook.calls) == (1, 0)

    @pytest.mark.parametrize(
        "fault", [Fault(status=504, after=True), Fault(drop=True, after=True), Fault(status=503)], ids=str
    )
    def test_trouble_with_the_draft_sends_nothing_and_leaves_no_second_one(self, fault: Fault) -> None:
        self.server.script = [("POST", "/messages$", fault)]
        mailer = self.make_mailer()
        if not fault.after:
            with pytest.raises(Unavailable):
                send(mailer, hook=Hook(AssertionError("not yet")))
            assert self.server.sent == []
        send(mailer)
        assert (len(self.server.sent), self.drafts, self.find_sent()) == (1, 0, 1)

    def test_a_draft_of_an_earlier_try_is_taken_away(self) -> None:
        self.server.script = [("POST", "/send", Fault(status=504))]
        mailer = self.make_mailer()
        with pytest.raises(OutcomeUnknown):
            send(mailer)
        assert self.drafts == 1
        send(mailer)
        assert (len(self.server.sent), self.drafts) == (1, 0)

    def test_a_pause_sends_nothing(self) -> None:
        self.server.script = [("POST", "/send", Fault(status=429, code="ApplicationThrottled", retry_after=120))]
        with pytest.raises(Throttled) as caught:
            send(self.make_mailer())
        assert caught.value.retry_after == pytest.approx(120)
        assert self.server.sent == []
        self.clock.now += 121
        send(self.make_mailer())
        assert (len(self.server.sent), self.drafts) == (1, 0)

    def test_nobody_there_sends_nothing(self) -> None:
        mailer = self.make_mailer()
        self.server.refuse()
        with pytest.raises(Unavailable):
            send(mailer, hook=Hook(AssertionError("not yet")))
        self.server.listen()

    def test_nobody_there_any_more_at_the_last_step_sends_nothing(self) -> None:
        mailer = self.make_mailer()
        with pytest.raises(Unavailable) as caught:
            mailer.send(MAIL, envelope_from=FROM, recipient=TO, committing=self.server.refuse)
        assert not isinstance(caught.value, OutcomeUnknown)
        self.server.listen()
        assert self.server.sent == []

    @pytest.mark.parametrize(
        ("status", "code", "stage", "permanent"),
        [
            (403, "ErrorSendAsDenied", "sender", True),
            (403, "ErrorAccessDenied", "sender", True),
            (400, "ErrorInvalidRecipients", "recipient", True),
            (400, "ErrorMessageSizeExceeded", "mail", True),
            (413, "", "mail", True),
            (400, "InvalidInternetMessageHeader", "mail", True),
            (403, "ErrorExceededMessageLimit", "sender", False),
            (507, "ErrorQuotaExceeded", "sender", False),
            (400, "ErrorInvalidRequest", "mail", True),
        ],
    )
    def test_a_clear_no_says_what_was_refused(self, status: int, code: str, stage: str, permanent: bool) -> None:
        self.server.script = [("POST", "/send", Fault(status=status, code=code))]
        mailer = self.make_mailer()
        with pytest.raises(SendRejected) as caught:
            send(mailer)
        assert (caught.value.stage, caught.value.permanent, caught.value.code) == (stage, permanent, status)
        assert caught.value.hint
        assert (self.server.sent, self.drafts) == ([], 0)
        send(mailer)
        assert len(self.server.sent) == 1

    def test_the_service_refuses_a_foreign_sender(self) -> None:
        stranger = replace(MAIL, sender=Address("boss@vendas.example"))
        with pytest.raises(SendRejected, match="ErrorSendAsDenied") as caught:
            send(self.make_mailer(), mail=stranger)
        assert caught.value.stage == "sender"

    def test_a_sign_in_that_has_ended(self) -> None:
        with pytest.raises(AuthRejected):
            send(self.make_mailer(tokens=FixedTokens("token-old")), hook=Hook(AssertionError("not yet")))

    def test_a_mailbox_that_is_none(self) -> None:
        self.server.tokens["token-app"] = "*"
        with pytest.raises(Misconfigured, match="no such user"):
            self.make_mailer(tokens=FixedTokens("token-app"), login="nobody@vendas.example", by_address=True).check()

    def test_nobody_but_the_recipient_gets_it(self) -> None:
        with pytest.raises(SendRejected) as caught:
            send(self.make_mailer(), mail=replace(MAIL, cc=(Address("all@vendas.example"),)))
        assert (caught.value.stage, self.server.calls) == ("recipient", [])

    def test_what_cannot_stand_in_a_mail_is_not_sent(self) -> None:
        with pytest.raises(HeaderMismatch):
            send(self.make_mailer(), mail=replace(MAIL, headers=(("Bcc", "all@vendas.example"),)))
        assert self.server.sent == []

    def test_that_no_machine_shall_answer_is_said_in_a_way_the_service_keeps(self) -> None:
        headers = (("Auto-Submitted", "auto-replied"), ("X-Quietcrm", "send"))
        send(self.make_mailer(), mail=replace(MAIL, headers=headers), sender="")
        ((_, _, raw),) = self.server.sent
        assert b"Auto-Submitted" not in raw
        assert b"X-Auto-Response-Suppress: AutoReply" in raw
        assert b"X-Quietcrm: send" in raw

    def test_files_go_with_it(self) -> None:
        files = (Enclosure(name="Oferta.pdf", content_type="application/pdf", content=b"%PDF" * 1000),)
        send(self.make_mailer(), mail=replace(MAIL, files=files))
        ((_, _, raw),) = self.server.sent
        assert b'filename="Oferta.pdf"' in raw

    def test_many_mails_one_after_the_other(self) -> None:
        mailer = self.make_mailer()
        for number in range(5):
            send(mailer, mail=replace(MAIL, message_id=f"n{number}@vendas.example"))
        assert len(self.server.sent) == 5

    def test_no_error_is_other_than_a_connector_error(self) -> None:
        self.server.script = [("POST", "/send", Fault(status=418, code="ITeapot"))]
        with pytest.raises(ConnectorError):
            send(self.make_mailer())
