"""What every mailer promises, on a scripted SMTP server and in memory: for each way to fail, whether it was sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from desk_contract import MAIL
from servers.certificates import Certificates, make_certificates
from servers.smtp_sink import Answer, SmtpSink

from connectors.errors import (
    AuthRejected,
    ConnectorError,
    Misconfigured,
    OutcomeUnknown,
    ProtocolViolation,
    SendRejected,
    Unavailable,
)
from connectors.memory import MemoryMailer, Turn
from connectors.model import Address, OutgoingMail
from connectors.outgoing import render
from connectors.protocols import Mailer
from connectors.smtp.mailer import SmtpMailer, SmtpSettings

TO = "ivan@acme.example"
FROM = "ana@vendas.example"


def settings_for(sink: SmtpSink, **changes: object) -> SmtpSettings:
    values: dict[str, object] = {
        "account": "out",
        "host": sink.host,
        "port": sink.port,
        "security": "none",
        "timeout": 5.0,
    }
    return SmtpSettings(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def mailer(smtp_sink: SmtpSink) -> Iterator[SmtpMailer]:
    made = SmtpMailer(settings_for(smtp_sink))
    yield made
    made.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


class Hook:
    """A `committing` that counts its calls, and raises if it is told to."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.calls = 0
        self.error = error

    def __call__(self) -> None:
        self.calls += 1
        if self.error:
            raise self.error


def send(
    mailer: Mailer, recipient: str = TO, *, mail: OutgoingMail = MAIL, sender: str = FROM, hook: Hook | None = None
) -> str:
    return mailer.send(mail, envelope_from=sender, recipient=recipient, committing=hook or Hook())


def script(sink: SmtpSink, stage: str, *answers: Answer, address: str = "") -> None:
    """The next answers at a stage, one each, then the usual."""
    sink.answers[stage, address] = list(answers)  # type: ignore[index]


def recipients(sink: SmtpSink) -> list[str]:
    return [one.recipients[0] for one in sink.mails]


def test_the_mail_arrives_byte_for_byte_for_one_recipient(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    send(mailer)
    (envelope,) = smtp_sink.await_mails(1)
    assert envelope.data == render(MAIL)
    assert (envelope.sender, envelope.recipients) == (FROM, (TO,))


def test_memory_keeps_the_same_bytes() -> None:
    mailer = MemoryMailer("out")
    send(mailer)
    assert mailer.sent == [(FROM, TO, render(MAIL))]
    assert mailer.check()


def test_one_connection_serves_many_mails(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    for number in range(5):
        send(mailer, f"r{number}@acme.example")
    assert [one.recipients for one in smtp_sink.await_mails(5)] == [(f"r{n}@acme.example",) for n in range(5)]


@pytest.mark.parametrize(("code", "permanent"), [(550, True), (553, True), (450, False), (451, False)])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
def test_a_refusal_names_its_code_and_the_next_mail_goes(
    smtp_sink: SmtpSink, mailer: SmtpMailer, stage: str, code: int, permanent: bool
) -> None:
    smtp_sink.answers[stage, FROM if stage == "mail" else TO] = Answer(code=code, text="no")  # type: ignore[index]
    with pytest.raises(SendRejected) as caught:
        send(mailer)
    assert (caught.value.code, caught.value.permanent) == (code, permanent)
    assert caught.value.stage == {"mail": "sender", "rcpt": "recipient"}.get(stage, "mail")
    assert caught.value.hint
    smtp_sink.answers.clear()
    send(mailer, "olga@acme.example")
    assert [one.recipients for one in smtp_sink.await_mails(1)] == [("olga@acme.example",)]


def test_the_last_answer_comes_back(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    script(smtp_sink, "dot", Answer(text="2.0.0 Ok: queued\nas 4F2K"))
    assert send(mailer) == "250 2.0.0 Ok: queued as 4F2K"
    assert send(mailer) == "250 2.0.0 kept"


# -- before the commitment: nothing can have been sent, and the hook was not called


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(("stage", "refused"), [("mail", "sender"), ("rcpt", "recipient")])
def test_a_refusal_before_data_comes_before_the_hook(stage: str, refused: str, pipelining: bool) -> None:
    with SmtpSink(offers=("PIPELINING",) if pipelining else ()) as sink:
        mailer, hook = SmtpMailer(settings_for(sink)), Hook()
        script(sink, stage, Answer(code=550, text="5.7.1 not from here"))
        with pytest.raises(SendRejected) as caught:
            send(mailer, hook=hook)
        assert (caught.value.stage, caught.value.code, caught.value.status) == (refused, 550, "5.7.1")
        assert hook.calls == 0
        send(mailer, hook=hook)
        assert (hook.calls, recipients(sink)) == (1, [TO])
        mailer.close()


def test_too_big_is_about_the_mail_and_not_about_the_sender() -> None:
    with SmtpSink(size=100) as sink:
        mailer = SmtpMailer(settings_for(sink))
        with pytest.raises(SendRejected) as caught:
            send(mailer)
        assert (caught.value.stage, caught.value.permanent) == ("mail", True)
        mailer.close()


@pytest.mark.parametrize("stage", ["connect", "mail", "rcpt"])
@pytest.mark.parametrize("answer", [Answer(cut=True), Answer(code=421, text="4.3.2 closing")], ids=["cut", "421"])
def test_a_break_before_data_is_unavailable_and_comes_before_the_hook(
    smtp_sink: SmtpSink, mailer: SmtpMailer, stage: str, answer: Answer
) -> None:
    script(smtp_sink, stage, answer)
    hook = Hook()
    with pytest.raises(Unavailable):
        send(mailer, hook=hook)
    assert hook.calls == 0
    send(mailer)
    assert recipients(smtp_sink) == [TO]


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
@pytest.mark.parametrize("answer", [Answer(cut=True), Answer(code=421, text="4.3.2 closing")], ids=["cut", "421"])
def test_a_used_line_that_ends_is_replaced_without_a_word(
    smtp_sink: SmtpSink, mailer: SmtpMailer, stage: str, answer: Answer
) -> None:
    send(mailer)
    script(smtp_sink, stage, answer)
    hook = Hook()
    send(mailer, "olga@acme.example", hook=hook)
    assert (hook.calls, recipients(smtp_sink)) == (1, [TO, "olga@acme.example"])


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
def test_an_answer_that_is_not_smtp(smtp_sink: SmtpSink, mailer: SmtpMailer, stage: str) -> None:
    script(smtp_sink, stage, Answer(raw=b"HTTP/1.1 400 Bad Request\r\n"))
    with pytest.raises(ProtocolViolation):
        send(mailer)
    send(mailer)
    assert recipients(smtp_sink) == [TO]


def test_no_answer_in_time_before_data(smtp_sink: SmtpSink) -> None:
    mailer, hook = SmtpMailer(settings_for(smtp_sink, timeout=0.2)), Hook()
    script(smtp_sink, "rcpt", Answer(wait=threading.Event()))
    with pytest.raises(Unavailable, match="in time"):
        send(mailer, hook=hook)
    assert hook.calls == 0
    mailer.close()


# -- the commitment


def test_the_hook_is_called_once_between_rcpt_and_data(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    heard: list[list[str]] = []
    mailer.send(MAIL, envelope_from=FROM, recipient=TO, committing=lambda: heard.append(list(smtp_sink.commands)))
    assert heard == [["EHLO", "MAIL", "RCPT"]]
    assert smtp_sink.commands == ["EHLO", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("error", [RuntimeError("no fence"), OSError("disk full"), KeyboardInterrupt()])
def test_an_error_of_the_hook_comes_out_as_it_is_and_nothing_is_sent(
    smtp_sink: SmtpSink, mailer: SmtpMailer, error: BaseException
) -> None:
    hook = Hook(error)
    with pytest.raises(type(error)) as caught:
        send(mailer, hook=hook)
    assert caught.value is error
    assert hook.calls == 1
    send(mailer, "olga@acme.example")
    assert recipients(smtp_sink) == ["olga@acme.example"]
    assert smtp_sink.commands == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"]


def test_a_line_that_cannot_be_reset_is_dropped(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    script(smtp_sink, "rset", Answer(cut=True))
    with pytest.raises(RuntimeError):
        send(mailer, hook=Hook(RuntimeError("no fence")))
    send(mailer)
    assert smtp_sink.commands == ["EHLO", "MAIL", "RCPT", "RSET", "EHLO", "MAIL", "RCPT", "DATA"]


# -- from DATA to the last byte before the final dot: the hook was called, and still nothing was sent


@pytest.mark.parametrize("answer", [Answer(cut=True), Answer(code=421, text="4.3.2 closing")], ids=["cut", "421"])
def test_a_break_at_data_is_unavailable(smtp_sink: SmtpSink, mailer: SmtpMailer, answer: Answer) -> None:
    script(smtp_sink, "data", answer)
    hook = Hook()
    with pytest.raises(Unavailable):
        send(mailer, hook=hook)
    assert (hook.calls, smtp_sink.mails) == (1, [])


def test_a_yes_to_data_is_no_leave_to_send(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    script(smtp_sink, "data", Answer(raw=b"250 well, yes\r\n"))
    with pytest.raises(ProtocolViolation):
        send(mailer)
    send(mailer, "olga@acme.example")
    assert recipients(smtp_sink) == ["olga@acme.example"]


@pytest.mark.parametrize("count", [0, 1, 2_000_000])
def test_a_cut_within_the_mail_is_unavailable(smtp_sink: SmtpSink, mailer: SmtpMailer, count: int) -> None:
    """The mail is larger than what the kernels hold between us, so the cut is seen before its end."""
    large = replace(MAIL, text="All work and no play.\n" * 800_000, html="")
    script(smtp_sink, "body", Answer(cut_after=count))
    hook = Hook()
    with pytest.raises(Unavailable):
        send(mailer, mail=large, hook=hook)
    assert (hook.calls, smtp_sink.mails) == (1, [])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(code=552, text="5.3.4 too big"), SendRejected),
        (Answer(code=421, text="4.3.2 closing"), Unavailable),
        (Answer(raw=b"250 2.0.0 too early\r\n", code=0), ProtocolViolation),
    ],
    ids=["552", "421", "250"],
)
def test_an_answer_before_the_end_of_the_mail_says_that_it_was_not_sent(
    answer: Answer, error: type[ConnectorError]
) -> None:
    with SmtpSink() as sink:
        mailer = SmtpMailer(settings_for(sink))
        script(sink, "data", Answer(raw=b"354 go on\r\n" + (answer.raw or f"{answer.code} {answer.text}\r\n".encode()),
                                    code=354))  # fmt: skip
        with pytest.raises(error):
            send(mailer)
        assert sink.mails == []
        send(mailer)
        assert recipients(sink) == [TO]
        mailer.close()


# -- from the final dot to its answer


@pytest.mark.parametrize("kept", [True, False])
def test_a_cut_right_after_the_dot_leaves_it_open(smtp_sink: SmtpSink, mailer: SmtpMailer, kept: bool) -> None:
    script(smtp_sink, "dot", Answer(cut=True, keep=kept))
    hook = Hook()
    with pytest.raises(OutcomeUnknown) as caught:
        send(mailer, hook=hook)
    assert caught.value.hint
    assert (hook.calls, len(smtp_sink.mails)) == (1, int(kept))
    send(mailer, "olga@acme.example")
    assert recipients(smtp_sink)[-1] == "olga@acme.example"


ANSWER = b"250-2.0.0 Ok\r\n250 2.0.0 queued as 4F2K\r\n"


@pytest.mark.parametrize("count", range(len(ANSWER)))
def test_a_part_of_the_last_answer_is_no_answer(smtp_sink: SmtpSink, mailer: SmtpMailer, count: int) -> None:
    script(smtp_sink, "dot", Answer(raw=ANSWER, cut_after=count))
    with pytest.raises(OutcomeUnknown):
        send(mailer)
    assert len(smtp_sink.mails) == 1


def test_the_whole_last_answer_is_one_whatever_comes_then(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    script(smtp_sink, "dot", Answer(raw=ANSWER, cut_after=len(ANSWER)))
    assert send(mailer) == "250 2.0.0 Ok 2.0.0 queued as 4F2K"
    send(mailer)
    assert len(smtp_sink.mails) == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n", b"25\r\n", b"2500 ok\r\n", b"ok\r\n", b"250-ok\r\n550 no\r\n", b"354 more\r\n", b"199 hm\r\n",
        b"650 hm\r\n", b"\x00\xff\r\n", b"250ok\r\n", b"x" * 200_000,
    ],
)  # fmt: skip
def test_a_garbled_last_answer_leaves_it_open(smtp_sink: SmtpSink, mailer: SmtpMailer, raw: bytes) -> None:
    script(smtp_sink, "dot", Answer(raw=raw))
    with pytest.raises(OutcomeUnknown):
        send(mailer)
    send(mailer)


def test_no_last_answer_in_time_leaves_it_open(smtp_sink: SmtpSink) -> None:
    mailer = SmtpMailer(settings_for(smtp_sink, final_timeout=0.2))
    script(smtp_sink, "dot", Answer(wait=threading.Event()))
    with pytest.raises(OutcomeUnknown, match="timed out"):
        send(mailer)
    mailer.close()


def test_the_last_answer_has_a_time_of_its_own(smtp_sink: SmtpSink) -> None:
    """A server may think for ten minutes after the dot, and for a minute anywhere else."""
    mailer = SmtpMailer(settings_for(smtp_sink, timeout=0.3, final_timeout=20.0))
    late = threading.Event()
    script(smtp_sink, "dot", Answer(wait=late, text="2.0.0 at last"))
    timer = threading.Timer(0.9, late.set)
    timer.start()
    assert send(mailer) == "250 2.0.0 at last"
    timer.join()
    mailer.close()


@pytest.mark.parametrize(("code", "permanent"), [(421, False), (450, False), (452, False), (550, True), (554, True)])
def test_a_no_after_the_dot_is_a_no(smtp_sink: SmtpSink, mailer: SmtpMailer, code: int, permanent: bool) -> None:
    script(smtp_sink, "dot", Answer(code=code, text=f"{code // 100}.7.1 no"))
    with pytest.raises(SendRejected) as caught:
        send(mailer)
    assert (caught.value.stage, caught.value.permanent) == ("mail", permanent)
    assert (caught.value.code, caught.value.status) == (code, f"{code // 100}.7.1")
    assert smtp_sink.mails == []
    send(mailer)


# -- the same in memory


@pytest.mark.parametrize(
    ("turn", "error", "hooked", "kept"),
    [
        (Turn(), None, 1, 1),
        (Turn(broken="connect"), Unavailable, 0, 0),
        (Turn(code=550, text="5.1.1 unknown"), SendRejected, 0, 0),
        (Turn(code=450, stage="sender"), SendRejected, 0, 0),
        (Turn(broken="body"), Unavailable, 1, 0),
        (Turn(code=554, stage="mail"), SendRejected, 1, 0),
        (Turn(broken="dot"), OutcomeUnknown, 1, 1),
        (Turn(broken="dot", arrives=False), OutcomeUnknown, 1, 0),
    ],
)
def test_memory_fails_as_told(turn: Turn, error: type[ConnectorError] | None, hooked: int, kept: int) -> None:
    mailer, hook = MemoryMailer("out"), Hook()
    mailer.turns[TO] = [turn]
    if error:
        with pytest.raises(error) as caught:
            send(mailer, hook=hook)
        if isinstance(caught.value, SendRejected):
            assert (caught.value.code, caught.value.stage) == (turn.code, turn.stage)
            assert caught.value.permanent == (turn.code >= 500)
    else:
        assert send(mailer, hook=hook) == "250 2.0.0 kept"
    assert (hook.calls, len(mailer.sent)) == (hooked, kept)
    send(mailer)
    assert len(mailer.sent) == kept + 1


def test_an_error_of_the_hook_in_memory() -> None:
    mailer = MemoryMailer("out")
    with pytest.raises(RuntimeError):
        send(mailer, hook=Hook(RuntimeError("no fence")))
    assert mailer.sent == []


# -- the line


def test_a_rested_line_is_tried_first_and_a_busy_one_is_not(smtp_sink: SmtpSink) -> None:
    now = [100.0]
    mailer = SmtpMailer(settings_for(smtp_sink), monotonic=lambda: now[0])
    for pause in (0.0, 4.0, 6.0):
        now[0] += pause
        send(mailer)
    mail = ["MAIL", "RCPT", "DATA"]
    assert smtp_sink.commands == ["EHLO", *mail, *mail, "NOOP", *mail]
    mailer.close()


def test_a_rested_line_that_died_is_replaced(smtp_sink: SmtpSink) -> None:
    now = [100.0]
    mailer = SmtpMailer(settings_for(smtp_sink), monotonic=lambda: now[0])
    script(smtp_sink, "dot", Answer(raw=b"250 ok\r\n", cut_after=8))
    send(mailer)
    now[0] += 60.0
    send(mailer)
    assert len(smtp_sink.mails) == 2
    mailer.close()


@pytest.mark.parametrize("rest", [0.0, 60.0])
def test_a_refused_login_on_a_new_line_is_not_tried_twice(certificates: Certificates, rest: float) -> None:
    """Providers lock an account after a few of them."""
    now = [100.0]
    with SmtpSink(users={"ana": "secret"}, certificates=certificates) as sink:
        settings = settings_for(sink, security="starttls", ca=str(certificates.ca), login="ana", password="secret")
        mailer = SmtpMailer(settings, monotonic=lambda: now[0])
        script(sink, "dot", Answer(raw=b"250 ok\r\n", cut_after=8))
        send(mailer)
        sink.users["ana"] = "changed"
        before = sink.commands.count("AUTH")
        now[0] += rest
        with pytest.raises(AuthRejected):
            send(mailer)
        once = sink.commands.count("AUTH") - before
        before = sink.commands.count("AUTH")
        with pytest.raises(AuthRejected):
            SmtpMailer(settings).check()
        assert once == sink.commands.count("AUTH") - before
        mailer.close()


def test_dots_at_the_start_of_lines_arrive(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    mail = replace(MAIL, text=".\n..\n.hidden\nend.\n.\n", html="")
    send(mailer, mail=mail)
    assert smtp_sink.mails[0].data == render(mail)


# -- extensions


def test_dsn_is_asked_for_where_it_is_offered(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    mail = replace(MAIL, message_id="a+b=c@vendas.example")
    send(mailer, "ivan+x=1@acme.example", mail=mail)
    assert smtp_sink.mails[0].parameters == (
        f"SIZE={len(render(mail))}", "RET=HDRS", "ENVID=a+2Bb+3Dc@vendas.example",
        "NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;ivan+2Bx+3D1@acme.example",
    )  # fmt: skip


def test_a_long_envelope_id_is_left_out(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    send(mailer, mail=replace(MAIL, message_id="x" * 101 + "@vendas.example"))
    assert not any(word.startswith("ENVID") for word in smtp_sink.mails[0].parameters)


def test_the_null_sender_asks_for_no_report(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    send(mailer, sender="")
    assert smtp_sink.mails[0].sender == ""
    assert smtp_sink.mails[0].parameters == (f"SIZE={len(render(MAIL))}",)


def test_a_server_without_extensions() -> None:
    with SmtpSink(offers=()) as sink:
        mailer = SmtpMailer(settings_for(sink))
        send(mailer)
        assert sink.mails[0].parameters == (f"SIZE={len(render(MAIL))}",)
        mailer.close()


def test_an_address_with_other_letters_goes_where_it_is_offered(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    mail = replace(MAIL, to=(Address("иван@пример.example", "Иван"),))
    send(mailer, "иван@пример.example", mail=mail)
    (envelope,) = smtp_sink.mails
    assert envelope.recipients == ("иван@xn--e1afmkfd.example",)
    assert "SMTPUTF8" in envelope.parameters
    assert "<иван@xn--e1afmkfd.example>".encode() in envelope.data


@pytest.mark.parametrize(("sender", "stage"), [(FROM, "recipient"), ("аня@vendas.example", "sender")])
def test_an_address_with_other_letters_is_refused_where_it_is_not(sender: str, stage: str) -> None:
    with SmtpSink(offers=("8BITMIME",)) as sink:
        mailer, hook = SmtpMailer(settings_for(sink)), Hook()
        to = "иван@acme.example" if stage == "recipient" else TO
        mail = replace(MAIL, to=(Address(to, "Иван"),), sender=Address(sender))
        with pytest.raises(SendRejected, match="SMTPUTF8") as caught:
            send(mailer, to, mail=mail, sender=sender, hook=hook)
        assert (caught.value.stage, caught.value.permanent, hook.calls) == (stage, True, 0)
        assert caught.value.hint
        mailer.close()


def test_a_domain_with_other_letters_goes_anywhere() -> None:
    with SmtpSink(offers=()) as sink:
        mailer = SmtpMailer(settings_for(sink))
        send(mailer, "ivan@пример.example", mail=replace(MAIL, to=(Address("ivan@пример.example"),)))
        assert sink.mails[0].recipients == ("ivan@xn--e1afmkfd.example",)
        assert sink.mails[0].data.isascii()
        mailer.close()


@pytest.mark.parametrize(
    "address",
    ["", "ivan", "a@b\r\nRSET", "a b@acme.example", "a@acme.example> NOTIFY=NEVER", "<a@acme.example", "a\0@b.example",
     "\ud800@acme.example", "x" * 300 + "@acme.example", "a@b@c@", "a\u2028b@acme.example"],
)  # fmt: skip
def test_what_cannot_stand_in_an_envelope_is_never_said(smtp_sink: SmtpSink, mailer: SmtpMailer, address: str) -> None:
    with pytest.raises(SendRejected) as caught:
        send(mailer, address)
    assert (caught.value.stage, caught.value.permanent) == ("recipient", True)
    assert smtp_sink.commands == []


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    mailer = SmtpMailer(SmtpSettings(account="out", host="127.0.0.1", port=port, security="none", timeout=2.0))
    with pytest.raises(Unavailable):
        mailer.check()


def test_login_by_starttls(certificates: Certificates) -> None:
    with SmtpSink(users={"ana": "secret"}, certificates=certificates) as sink:
        changes = {"security": "starttls", "ca": str(certificates.ca), "login": "ana"}
        mailer = SmtpMailer(settings_for(sink, password="secret", **changes))
        send(mailer)
        mailer.close()
        (envelope,) = sink.await_mails(1)
        assert envelope.tls
        assert envelope.login == "ana"
        with pytest.raises(AuthRejected):
            SmtpMailer(settings_for(sink, password="wrong", **changes)).check()
        with pytest.raises(Misconfigured, match="certificate"):
            SmtpMailer(settings_for(sink, security="starttls")).check()


def test_starttls_that_is_not_there(smtp_sink: SmtpSink) -> None:
    with pytest.raises(Misconfigured):
        SmtpMailer(settings_for(smtp_sink, security="starttls")).check()


def test_mail_never_travels_in_the_clear() -> None:
    with pytest.raises(Misconfigured, match="unprotected"):
        SmtpMailer(SmtpSettings(account="out", host="mail.vendas.example", port=25, security="none")).check()


def test_a_missing_authority_file(smtp_sink: SmtpSink, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no file"):
        SmtpMailer(settings_for(smtp_sink, security="tls", ca=str(tmp_path / "none.pem"))).check()
