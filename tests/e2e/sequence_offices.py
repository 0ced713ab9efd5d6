"""An office with a sequence, on Maildirs: its mail leaves by an SMTP sink, or lies in Drafts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime

from maildir_offices import SETTINGS, MaildirOffice
from offices import work
from servers.smtp_sink import SmtpSink

from daemon.app import App
from store import enrolments, outbox, reminders
from store.tables import Enrolment, EnrolmentState, OutboxMail, OutboxState, Reminder, ReminderState

MARIA = "maria@padariasol.example"
OFFER = "<proposta1@vendas.example>"
RULES = """\
rules:
  - name: proposta-enviada
    when: mail sent
    if: {known: yes, subject: proposta}
    then: {start: apos-proposta, stage: proposta}
  - name: chega
    when: mail arrives
    if: {subject: chega}
    then: {stop: all}
"""
SEQUENCE = """\
name: apos-proposta
mode: draft
enter: {once_per: deal, exclusive: yes}
steps:
  - {wait: 3 business days, template: proposta, reply: yes}
  - {wait: 7 business days, remind: {who: owner, text: "Ligar ou desistir? {{ customer.name }}"}}
stop_when: [replied, meeting booked, bounced, unsubscribed, stage changed, colleague replied]
out_of_office: {pause_until: their_return, else: 5 business days}
send: {hours: customer, days: mon-fri, holidays: [BR-SP], per_day: 40, gap: 2-6 minutes}
done: {stage: perdida}
"""
MORE = """\
stages: {{open: [lead, proposta], won: cliente, lost: perdida}}
send: {{auto_templates: [proposta], hold: 10 minutes}}
senders:
  ana: {{type: smtp, host: 127.0.0.1, port: 1, security: none}}
  bruno: {{type: smtp, host: 127.0.0.1, port: 1, security: none}}
"""


@dataclass(slots=True)
class SequenceOffice(MaildirOffice):
    """`sequence`: the text of its one file."""

    sequence: str = SEQUENCE
    sink: SmtpSink | None = None

    def write(self) -> None:
        """Write everything; senders lead to the sink."""
        port = f"port: {self.sink.port if self.sink else 1}"
        self.settings = SETTINGS + MORE.replace("port: 1,", f"{port},")
        self.rules = self.rules if "start" in self.rules else RULES
        MaildirOffice.write(self)
        (self.directory / "sequences").mkdir(exist_ok=True)
        self.say(self.sequence)

    def say(self, sequence: str) -> None:
        """Write the file of the sequence anew."""
        (self.directory / "sequences" / "apos-proposta.yaml").write_text(sequence, encoding="utf-8")

    @contextmanager
    def going(self) -> Iterator[App]:
        """An App that may send, past its baseline."""
        with self.running() as app:
            app.sends.begin()
            yield app

    def offer(self, app: App, to: str = MARIA, message_id: str = OFFER, subject: str = "Proposta 17") -> None:
        """Ana sends a proposal; the sequence is entered."""
        mail = self.letter(
            From="Ana <ana@vendas.example>", To=to, Subject=subject, Message_ID=message_id, text="Segue a proposta."
        )
        self.deliver(mail, "ana", ".Sent")
        work(app)

    def answer(self, app: App, *headers: str, text: str = "Aceito!", **named: str) -> None:
        """A mail of Maria's arrives in Ana's Inbox, a minute later."""
        self.clock.move(timedelta(minutes=1))
        self.deliver(self.letter(*headers, text=text, **{"Subject": "Re: Proposta 17", **named}))
        work(app)

    def pass_time(self, app: App, span: timedelta, step: timedelta = timedelta(hours=1)) -> None:
        """Let time go by, with everything that ticks ticking now and then."""
        end = self.clock.now() + span
        while self.clock.now() < end:
            self.clock.move(min(step, end - self.clock.now()))
            turn(app)

    def send_draft(self, app: App, *, edited: str = "") -> None:
        """Ana sends the draft that lies in her Drafts."""
        from email import message_from_bytes, policy

        (path,) = (self.directory / "ana" / ".Drafts" / "cur").iterdir()
        draft = message_from_bytes(path.read_bytes(), policy=policy.default)
        path.unlink()
        draft["X-Sent-By"] = "Outlook"
        del draft["Date"]
        draft["Date"] = format_datetime(self.clock.now())
        self.deliver(draft.as_bytes(), "ana", ".Sent")
        work(app)


def turn(app: App, rounds: int = 3) -> None:
    """Every tick comes round: mailboxes, sequences, senders, desks."""
    for _ in range(rounds):
        work(app)
        app.sequences.tick()
        app.sends.sweep()
        for name in app.office.settings.senders:
            app.sends.send_due(name)
        app.desks.tidy()
        app.clock.move(timedelta(seconds=3))  # type: ignore[attr-defined]


def inside(app: App) -> list[Enrolment]:
    """Everybody who ever entered."""
    with app.store.session() as session:
        found = enrolments.of_sequence(session, "apos-proposta", active=False)
    return sorted(found, key=lambda one: one.id or 0)


def only(app: App) -> Enrolment:
    """The one enrolment there is."""
    (found,) = inside(app)
    return found


def state(app: App) -> tuple[str, str]:
    """Of the one enrolment: its state and why it ended."""
    found = only(app)
    return EnrolmentState(found.state).value, found.reason


def mails(app: App) -> list[OutboxMail]:
    """Every mail of the outbox."""
    with app.store.session() as session:
        return outbox.in_states(session, list(OutboxState))


def reminded(app: App) -> list[Reminder]:
    """Every reminder."""
    with app.store.session() as session:
        return reminders.in_states(session, list(ReminderState))
