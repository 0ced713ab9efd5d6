"""What the Exchange mailer promises: for each way to fail, whether it was sent, and never two."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from desk_contract import MAIL
from exchange_settings import settings_for
from servers.ews import EwsServer
from servers.ews_faults import soap_fault
from servers.ews_items import Element
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
from connectors.exchange.desk import ExchangeDesk
from connectors.exchange.link import Operation
from connectors.exchange.mailer import ExchangeMailer
from connectors.model import Address, Enclosure
from connectors.outgoing import HeaderMismatch, content_hash, render


@pytest.fixture
def server() -> Iterator[EwsServer]:
    with EwsServer() as running:
        yield running
        assert not running.violations


@pytest.fixture
def mailer(server: EwsServer) -> Iterator[ExchangeMailer]:
    made = ExchangeMailer(settings_for(server))
    yield made
    made.close()


def left(server: EwsServer) -> tuple[int, int, int]:
    """(mails that left, copies in Sent, drafts that lie about)."""
    box = server.box
    return len(server.sent), len(box.folder("sentitems").items), len(box.folder("drafts").items)


def test_the_mail_leaves_as_planned_with_one_copy_in_sent(server: EwsServer, mailer: ExchangeMailer) -> None:
    hook = Hook()
    assert send(mailer, hook=hook).startswith("NoError")
    assert hook.calls == 1
    assert left(server) == (1, 1, 0)
    (copy,) = server.box.folder("sentitems").items.values()
    assert content_hash(copy.raw) == content_hash(render(MAIL))
    assert copy.read
    assert not copy.draft


def test_files_leave_with_it_once(server: EwsServer, mailer: ExchangeMailer) -> None:
    file = Enclosure(name="tabela.csv", content_type="text/csv", content=b"a;b")
    send(mailer, mail=replace(MAIL, files=(file,)))
    assert server.sent[0][1].count(b"tabela.csv") >= 1
    (copy,) = server.box.folder("sentitems").items.values()
    assert [part.get_filename() for part in copy.mail.iter_attachments()] == ["tabela.csv"]


def test_nothing_of_the_mail_is_with_the_server_for_sending_when_the_hook_is_called(server: EwsServer) -> None:
    mailer, seen = ExchangeMailer(settings_for(server)), []
    mailer.send(MAIL, envelope_from=FROM, recipient=TO, committing=lambda: seen.append(dict(server.requests)))
    assert "SendItem" not in seen[0]
    mailer.close()


@pytest.mark.parametrize("error", [RuntimeError("no fence"), OSError("disk full"), KeyboardInterrupt()])
def test_an_error_of_the_hook_comes_out_as_it_is_and_nothing_is_sent(
    server: EwsServer, mailer: ExchangeMailer, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        send(mailer, hook=Hook(error))
    assert caught.value is error
    assert left(server) == (0, 0, 0)
    send(mailer)
    assert left(server) == (1, 1, 0)


# -- before the commitment: nothing can have been sent, and the hook was not called


@pytest.mark.parametrize("operation", ["GetFolder", "FindItem", "CreateItem"])
@pytest.mark.parametrize("fault", ["503", "429", "busy500", "busy200", "504", "cut", "html", "504-done", "cut-done"])
def test_trouble_before_the_commitment(server: EwsServer, mailer: ExchangeMailer, operation: str, fault: str) -> None:
    server.back_off = 30.0
    now = [0.0]
    server.clock = lambda: now[0]
    asked_again = operation == "FindItem" and fault.startswith("cut")  # the connection might just have gone stale
    server.faults.script(operation, *([fault] * (2 if asked_again else 1)))
    hook = Hook()
    with pytest.raises(Unavailable) as caught:
        send(mailer, hook=hook)
    assert isinstance(caught.value, Throttled) == (fault in ("429", "busy500", "busy200"))
    assert (hook.calls, len(server.sent)) == (0, 0)
    now[0] += 60.0
    send(mailer, hook=hook)
    assert (hook.calls, left(server), server.early) == (1, (1, 1, 0), 0)


def test_the_pause_is_the_server_s(server: EwsServer, mailer: ExchangeMailer) -> None:
    server.back_off = 297.5
    server.faults.script("CreateItem", "busy500")
    with pytest.raises(Throttled) as caught:
        send(mailer)
    assert caught.value.retry_after == 297.5


# -- after it: only a clear word says what became of it


@pytest.mark.parametrize(
    ("fault", "kept"),
    [("504-done", 1), ("cut-done", 1), ("half-done", 1), ("504", 0), ("503", 0), ("cut", 0), ("html", 0)],
)
def test_no_clear_answer_leaves_it_open(server: EwsServer, mailer: ExchangeMailer, fault: str, kept: int) -> None:
    server.faults.script("SendItem", fault)
    hook = Hook()
    with pytest.raises(OutcomeUnknown) as caught:
        send(mailer, hook=hook)
    assert caught.value.hint
    assert (hook.calls, len(server.sent), server.requests["SendItem"]) == (1, kept, 1)
    desk = ExchangeDesk(settings_for(server))
    assert len(desk.find_sent(MAIL.message_id)) == kept
    desk.close()


@pytest.mark.parametrize("fault", ["busy500", "busy200", "429"])
def test_a_server_that_is_busy_has_not_sent(server: EwsServer, mailer: ExchangeMailer, fault: str) -> None:
    now = [0.0]
    server.clock = lambda: now[0]
    server.faults.script("SendItem", fault)
    with pytest.raises(Throttled):
        send(mailer)
    now[0] += 60.0
    send(mailer)
    assert left(server) == (1, 1, 0)


@pytest.mark.parametrize(
    ("code", "error", "stage"),
    [
        ("ErrorSendAsDenied", SendRejected, "sender"),
        ("ErrorMessageSizeExceeded", SendRejected, "mail"),
        ("ErrorInvalidRecipients", SendRejected, "recipient"),
        ("ErrorQuotaExceeded", SendRejected, "sender"),
        ("ErrorIrresolvableConflict", Unavailable, ""),
        ("ErrorInternalServerError", OutcomeUnknown, ""),
        ("ErrorItemNotFound", OutcomeUnknown, ""),
    ],
)
def test_what_the_server_says_to_sending(
    server: EwsServer, mailer: ExchangeMailer, code: str, error: type[ConnectorError], stage: str
) -> None:
    server.send_refusal = code
    with pytest.raises(error) as caught:
        send(mailer)
    assert caught.value.hint
    if isinstance(caught.value, SendRejected):
        assert caught.value.stage == stage
    assert len(server.sent) == 0
    server.send_refusal = ""
    send(mailer, mail=replace(MAIL, message_id="q.2@vendas.example"))
    assert len(server.sent) == 1


@pytest.mark.parametrize(
    "code", ["ErrorInternalServerError", "ErrorInternalServerTransientError", "ErrorTimeoutExpired"]
)
def test_a_fault_of_the_server_does_not_say_that_nothing_left(
    server: EwsServer, mailer: ExchangeMailer, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    carry_out = server._carry_out

    def break_down_afterwards(login: str, request: Element, body: Element) -> tuple[int, dict[str, str], bytes]:
        done = carry_out(login, request, body)
        return (
            (500, {}, soap_fault(code, "An internal server error occurred.")) if "SendItem" in str(body.tag) else done
        )

    monkeypatch.setattr(server, "_carry_out", break_down_afterwards)
    with pytest.raises(OutcomeUnknown):
        send(mailer)
    assert left(server)[:2] == (1, 1)


def test_an_answer_that_says_it_may_pass_does_not_say_that_nothing_left(
    server: EwsServer, mailer: ExchangeMailer
) -> None:
    server.send_refusal = "ErrorInternalServerTransientError"
    with pytest.raises(OutcomeUnknown):
        send(mailer)


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.SSLError(ssl.SSLError("[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] bad record mac")),
        requests.exceptions.ContentDecodingError("the answer is no gzip"),
    ],
)
def test_a_line_that_broke_behind_the_request_leaves_it_open(
    server: EwsServer, mailer: ExchangeMailer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    ask = Operation.ask

    def break_off(self: Operation, request: Element) -> list[Element]:
        answers = ask(self, request)
        if "SendItem" in str(request.tag):
            raise error
        return answers

    monkeypatch.setattr(Operation, "ask", break_off)
    with pytest.raises(OutcomeUnknown):
        send(mailer)
    assert left(server)[:2] == (1, 1)


def test_a_refusal_of_sending_leaves_no_draft_about(server: EwsServer, mailer: ExchangeMailer) -> None:
    server.send_refusal = "ErrorSendAsDenied"
    with pytest.raises(SendRejected) as caught:
        send(mailer)
    assert caught.value.permanent
    assert "Send-As" in caught.value.hint
    assert left(server) == (0, 0, 0)


def test_a_mail_that_names_others_too_is_not_sent(server: EwsServer, mailer: ExchangeMailer) -> None:
    mail = replace(MAIL, cc=(Address("chefe@acme.example"),))
    hook = Hook()
    with pytest.raises(SendRejected) as caught:
        send(mailer, mail=mail, hook=hook)
    assert (caught.value.stage, hook.calls, server.requests.total()) == ("recipient", 0, 0)


def test_a_mail_that_cannot_be_written_is_not_sent(server: EwsServer, mailer: ExchangeMailer) -> None:
    with pytest.raises(HeaderMismatch):
        send(mailer, mail=replace(MAIL, headers=(("Subject", "other"),)))
    assert server.requests.total() == 0


def test_check_says_by_what_it_sends(server: EwsServer, mailer: ExchangeMailer) -> None:
    findings = mailer.check()
    assert "ana@vendas.example" in findings[0]
    assert server.sent == []


def test_a_wrong_password(server: EwsServer) -> None:
    mailer = ExchangeMailer(settings_for(server, password="wrong"))
    with pytest.raises(AuthRejected):
        send(mailer)
    mailer.close()


def test_microsoft_s_cloud_is_refused_with_the_way_to_graph() -> None:
    url = "https://outlook.office365.com/EWS/Exchange.asmx"
    with EwsServer() as server, pytest.raises(Misconfigured) as caught:
        ExchangeMailer(settings_for(server, endpoint=url)).check()
    assert "EWS is shut" in caught.value.message
    assert "type: graph" in caught.value.hint


def test_a_connection_that_had_gone_stale_is_no_trouble(server: EwsServer, mailer: ExchangeMailer) -> None:
    send(mailer)
    server.drop_connections()
    send(mailer, mail=replace(MAIL, message_id="q.2@vendas.example"))
    assert left(server) == (2, 2, 0)


def test_nobody_there(server: EwsServer, mailer: ExchangeMailer) -> None:
    server.stop()
    hook = Hook()
    with pytest.raises(Unavailable, match="reached"):
        send(mailer, hook=hook)
    server.start(server.port)
    send(mailer, hook=hook)
    assert (hook.calls, left(server)) == (1, (1, 1, 0))
