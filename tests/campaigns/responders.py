"""Machines that answer every mail, against an office that acknowledges every mail: `python -m campaigns.responders`.

Each of the styles below answers whatever it gets, for 20 rounds with eight hours between: what quietcrm sent by
itself, and what the rep wrote by hand. Each lives twice: once a person writes from there too, once only the machine
does. Beside them a ring of internal forwards, and a hundred mails marked as spam. At most one automatic mail may reach
each in these days, none the ring's own addresses, none the spam.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from email.utils import format_datetime
from pathlib import Path
from random import Random

from campaigns.house import House, Maildirs, World, scratch
from servers.smtp_sink import Envelope, SmtpSink

from store import outbox
from store.tables import OutboxState

ROUNDS = 20
BETWEEN = timedelta(hours=8)
SPAM = 100
RULES = """\
rules:
  - name: recibo
    when: mail arrives
    if: {any: [{is: [automated, bounce, out_of_office, newsletter]}, {known: yes}]}
    then:
      send: {template: recibo, reply: yes}
"""
TEMPLATE = """\
---
name: recibo
subject: "Re: {{ mail.subject }}"
---
{{ greeting }}, recebemos a sua mensagem e respondemos em breve.
"""
THANKS = "Thank you for your message. We will get back to you soon."


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The mail a machine answers, and how many it answered before."""

    id: str
    subject: str
    text: str
    raw: bytes
    count: int
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a machine answers. `raw` writes all of it by itself; braces are filled from Heard."""

    name: str
    headers: dict[str, str] = field(default_factory=dict)
    sender: str = "contato@{host}"
    subject: str = "Re: {subject}"
    text: str = THANKS
    threads: bool = True
    id: str = "<answer.{count}.{host}>"
    raw: Callable[[Heard], bytes] | None = None


def _report(kind: str, part: str, fields: str) -> Callable[[Heard], bytes]:
    """A multipart/report (RFC 6522)."""

    def write(heard: Heard) -> bytes:
        lines = [
            f"Return-Path: <>\nFrom: contato@{heard.host}\nTo: ana@vendas.example\nSubject: {kind}: {heard.subject}",
            f"Message-ID: <report.{heard.count}.{heard.host}>\nIn-Reply-To: {heard.id}\nMIME-Version: 1.0",
            f'Content-Type: multipart/report; report-type={kind}; boundary="b"\n\n--b\nContent-Type: text/plain\n',
            f"{kind}\n--b\nContent-Type: message/{part}\n\n{fields.format(host=heard.host, id=heard.id)}\n--b--\n",
        ]
        return "\n".join(lines).encode()

    return write


def _echo(heard: Heard) -> bytes:
    """A redirect: our own mail comes back as it is."""
    return heard.raw or _plain(heard)


def _plain(heard: Heard) -> bytes:
    return f"From: contato@{heard.host}\nTo: ana@vendas.example\nSubject: {heard.subject}\n\n{THANKS}\n".encode()


_AWAY = {
    "en": ("Out of office: {subject}", "I am out of the office until 23 December 2026 with no access to my e-mail."),
    "pt": ("Fora do escritório: {subject}", "Estou fora do escritório, de férias. Estarei de volta em 23/12/2026."),
    "ru": ("Автоответ: {subject}", "Я в отпуске, вернусь 23.12.2026. Это автоматическое сообщение."),
    "es": ("Fuera de la oficina: {subject}", "Estoy fuera de la oficina, de vacaciones. Vuelvo el 23/12/2026."),
    "de": ("Abwesenheitsnotiz: {subject}", "Ich bin im Urlaub und ab 23.12.2026 wieder im Büro."),
    "fr": ("Absence du bureau : {subject}", "Je suis en congés, de retour le 23/12/2026. Message automatique."),
}
STYLES = (
    Style(name="Auto-Submitted: auto-replied", headers={"Auto-Submitted": "auto-replied"}),
    Style(name="Auto-Submitted: auto-generated", headers={"Auto-Submitted": "auto-generated"}),
    Style(name="Auto-Submitted, odd case and parameter", headers={"Auto-Submitted": "Auto-Replied; owner=x"}),
    Style(name="X-Autoreply", headers={"X-Autoreply": "yes"}),
    Style(name="X-Autorespond", headers={"X-Autorespond": "Re: your mail"}),
    Style(name="X-Auto-Response-Suppress", headers={"X-Auto-Response-Suppress": "All"}),
    Style(name="Precedence: bulk", headers={"Precedence": "bulk"}),
    Style(name="Precedence: auto_reply", headers={"Precedence": "auto_reply"}),
    Style(name="Precedence: junk", headers={"Precedence": "junk"}),
    Style(name="empty Return-Path alone", headers={"Return-Path": "<>"}),
    *(Style(name=f"away, {lang}, no header", subject=one[0], text=one[1]) for lang, one in _AWAY.items()),
    Style(name="no sign at all"),
    Style(name="no sign, a subject of its own", subject="Recebemos a sua mensagem", threads=False),
    Style(name="no sign, quotes us", text="Thank you.\n\nOn Monday Ana wrote:\n> {text}"),
    Style(name="no sign, a long letter", text="Prezados,\n\n" + "Agradecemos o contato e responderemos. " * 60),
    Style(name="a colleague's name in From", sender="Secretaria <secretaria@{host}>"),
    Style(name="a robot elsewhere, in the thread", sender="robot{count}@answers.example"),
    Style(name="another From each time", sender="r{count}@{host}", threads=False),
    Style(name="a plus-address each time", sender="contato+{count}@{host}"),
    Style(name="new subject, new Message-ID", subject="Assunto {count}", threads=False),
    Style(name="no Message-ID", id=""),
    Style(name="the same Message-ID for ever", id="<same@{host}>"),
    Style(name="our Message-ID for its own", id="{id}", threads=False),
    Style(name="a no-reply address", sender="no-reply@{host}"),
    Style(name="a ticket system", subject="[#47{count}] {subject}", text="Seu chamado 47{count} foi registrado."),
    Style(name="a read receipt", raw=_report(
        "disposition-notification", "disposition-notification",
        "Final-Recipient: rfc822; contato@{host}\nOriginal-Message-ID: {id}\n"
        "Disposition: automatic-action/MDN-sent-automatically; displayed",
    )),
    Style(name="a delivery receipt", raw=_report(
        "delivery-status", "delivery-status",
        "Reporting-MTA: dns; mx.{host}\n\nFinal-Recipient: rfc822; contato@{host}\nAction: delivered\nStatus: 2.0.0",
    )),
    Style(name="challenge and response", subject="Please confirm", text="To deliver your mail, click here: https://x.example/c"),
    Style(name="empty subject and text", subject="", text=""),
    Style(name="our own mail comes back", raw=_echo),
    Style(name="a bounce in plain words", sender="postmaster@{host}", subject="Undeliverable: {subject}"),
    Style(name="a list", headers={"List-Id": "<l.{host}>", "List-Unsubscribe": "<mailto:l@{host}>"}),
)  # fmt: skip


@dataclass
class Responder:
    """One machine. `writes`: a person writes from its address too."""

    number: int
    style: Style
    writes: bool
    answered: int = 0
    got: int = 0
    last: int = 0

    @property
    def host(self) -> str:
        """Its domain."""
        return f"maquina{self.number}.example"

    @property
    def address(self) -> str:
        """Whom the office knows."""
        return f"contato@{self.host}"

    def answer(self, mail: EmailMessage, raw: bytes, at: str) -> bytes:
        """What it answers to a mail. Headers are written by hand: machines keep to no grammar."""
        self.answered += 1
        text = mail.get_body(("plain",))
        heard = Heard(
            id=str(mail["Message-ID"]), subject=str(mail["Subject"]), raw=raw, count=self.answered, host=self.host,
            text=text.get_content().strip() if text is not None else "",
        )  # fmt: skip
        style = self.style
        if style.raw is not None:
            return style.raw(heard)
        filled = {name: getattr(heard, name) for name in Heard.__slots__}
        headers = {"From": style.sender, "To": "ana@vendas.example", "Subject": style.subject, "Message-ID": style.id}
        headers |= {"In-Reply-To": "{id}", "References": "{id}"} if style.threads else {}
        headers |= style.headers
        lines = [f"{name}: {value.format(**filled)}" for name, value in headers.items() if value]
        lines += [f"Date: {at}", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "", ""]
        return "\n".join(lines).encode() + style.text.format(**filled).encode()


@dataclass
class Score:
    """What was counted."""

    responders: list[Responder]
    mails: int = 0
    later: int = 0
    expected_later: int = 0
    ring_sent: int = 0
    ring_mails: int = 0
    spam_mails: int = 0
    spam_sent: int = 0
    strangers: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    badly_marked: int = 0

    @property
    def faults(self) -> list[str]:
        """What is wrong, a line each."""
        found = [f"{one.style.name}: {one.got} mails" for one in self.responders if one.got > 1]
        found += [f"{one.style.name}: a person wrote and got nothing" for one in self._unheard()]
        found += [f"{self.later} of {self.expected_later} got one after a week"] * (self.later != self.expected_later)
        found += [f"the ring: {self.ring_sent} mails"] * (self.ring_sent > 1)
        found += [f"spam: {self.spam_sent} mails"] * bool(self.spam_sent)
        found += [f"a mail went to {one}" for one in self.strangers]
        return found + [f"{self.badly_marked} mails without the signs of RFC 3834"] * bool(self.badly_marked)

    def _unheard(self) -> list[Responder]:
        return [one for one in self.responders if one.writes and not one.got]

    def text(self) -> str:
        """For people; the last line is the verdict."""
        machines = [one for one in self.responders if not one.writes]
        passed = [one.style.name for one in machines if one.got]
        lines = [f"machines without any sign of one, which got an acknowledgement once: {', '.join(passed) or 'none'}"]
        lines += [f"outbox: {dict(self.states)}", *self.faults]
        lines.append(
            f"responders: {len(machines)} styles, {self.mails} answers in {ROUNDS} rounds: "
            f"{sum(one.got for one in self.responders)} automatic mails to {len(self.responders)} machines, "
            f"at most {max(one.got for one in self.responders)} to one; {self.later} again after a week; "
            f"ring of {self.ring_mails} mails: {self.ring_sent}; spam {self.spam_mails}: {self.spam_sent}; "
            + ("clean" if not self.faults else f"{len(self.faults)} FAULTS")
        )
        return "\n".join(lines)


class Siege:
    """One office and all the machines around it."""

    def __init__(self, folder: Path, sink: SmtpSink, seed: int, rounds: int = ROUNDS) -> None:
        self.rng = Random(seed)
        self.rounds = rounds
        pairs = [(style, writes) for style in STYLES for writes in (True, False)]
        self.responders = [Responder(number, *pair) for number, pair in enumerate(pairs)]
        self.by_host = {one.host: one for one in self.responders}
        self.score = Score(self.responders)
        listed = [("Contato", one.address, f"Cliente {one.number}", one.host) for one in self.responders]
        listed += [
            ("Rita", "rita@anel.example", "Anel", "anel.example"),
            ("Vendas", "vendas@vendas.example", "Anel", ""),
        ]
        listed += [("Spam", f"a@spam{n}.example", f"Spam {n}", f"spam{n}.example") for n in range(SPAM)]
        self.house = House(
            folder / "office", Maildirs(folder / "mail"), sink, RULES, {"recibo": TEMPLATE}, listed, rng=self.rng,
            aliases={"bruno": "vendas@vendas.example"},
        )  # fmt: skip
        self.house.write()

    def run(self) -> Score:
        """Twenty rounds, then a week later once more."""
        with self.house.running() as world:
            world.on_mail = lambda envelope: self._arrived(world, envelope)
            for number in range(self.rounds):
                self._round(world, number)
                world.sleep(BETWEEN)
            world.run(300)
            self._a_week_later(world)
            with world.app.store.session() as session:
                self.score.states.update(row.state for row in outbox.in_states(session, list(OutboxState)))
        return self.score

    def _round(self, world: World, number: int) -> None:
        self._spam(world, number)
        self._ring(world, number)
        people = [one for one in self.responders if one.writes]
        for start in range(0, len(people), 12):
            for one in people[start : start + 12]:
                self._person_writes(world, one, number)
            world.run(150)
            if number == 0:  # not more than the office's own brake against loops lets through at once
                world.sleep(timedelta(minutes=130))
        for one in self.responders:
            self._rep_writes(world, one, number)
        world.run(400)

    def _person_writes(self, world: World, one: Responder, number: int) -> None:
        at = world.clock.true() + timedelta(seconds=self.rng.randrange(1, 40))
        world.place(
            at, "ana", self.house.letter(one.address, "ana@vendas.example", f"Pedido {number}", "Quanto custa?", at=at)
        )

    def _rep_writes(self, world: World, one: Responder, number: int) -> None:
        at = world.clock.true() + timedelta(seconds=self.rng.randrange(1, 100))
        mail = self.house.letter("ana@vendas.example", one.address, f"Assunto {number}", "Segue o combinado.", at=at)
        world.place(at, "ana", mail, "Sent")
        self._answers(world, one, mail, b"")

    def _answers(self, world: World, one: Responder, mail: EmailMessage, raw: bytes) -> None:
        at = world.clock.true() + timedelta(seconds=self.rng.randrange(100, 220))
        world.place(at, "ana", one.answer(mail, raw, format_datetime(at)))
        self.score.mails += 1

    def _arrived(self, world: World, envelope: Envelope) -> None:
        """Something reached a recipient: it is counted, and the machine there answers."""
        address = envelope.recipients[0]
        host = address.rpartition("@")[2]
        mail = message_from_bytes(envelope.data, policy=modern)
        assert isinstance(mail, EmailMessage)
        if envelope.sender or not str(mail["Auto-Submitted"]).startswith("auto-replied"):
            self.score.badly_marked += 1
        if one := self.by_host.get(host):
            one.got += 1
            self._answers(world, one, mail, envelope.data.replace(b"\r\n", b"\n"))
        elif host == "anel.example":
            self.score.ring_sent += 1
            self._passed_on(world, mail, envelope.data.replace(b"\r\n", b"\n"))
        elif host.startswith("spam"):
            self.score.spam_sent += 1
        else:
            self.score.strangers.append(address)

    # --- beside the machines -----------------------------------------------------------------------------------------

    def _ring(self, world: World, number: int) -> None:
        """A mail to the alias lies in every mailbox, each of which forwards it to the next one's."""
        at = world.clock.true() + timedelta(seconds=5)
        first = self.house.letter("rita@anel.example", "vendas@vendas.example", f"Anel {number}", "Bom dia.", at=at)
        for rep, following in (("ana", "bruno"), ("bruno", "carla"), ("carla", "ana")):
            world.place(at, rep, first)
            words = "Begin forwarded message:\n> Bom dia."
            for sender in (f"{rep}@vendas.example", "vendas@vendas.example"):
                again = self.house.letter(sender, f"{following}@vendas.example", f"Fwd: Anel {number}", words, at=at)
                world.place(at + timedelta(seconds=30), following, again)
            self.score.ring_mails += 3

    def _passed_on(self, world: World, mail: EmailMessage, raw: bytes) -> None:
        """Rita's mailbox sends all it gets to the alias: once as it is, once in her own name."""
        at = world.clock.true() + timedelta(seconds=60)
        again = self.house.letter(
            "rita@anel.example", "vendas@vendas.example", f"Fwd: {mail['Subject']}", "Bom dia.", at=at
        )
        for rep in ("ana", "bruno", "carla"):
            world.place(at, rep, raw)
            world.place(at, rep, again)
            self.score.ring_mails += 2

    def _spam(self, world: World, number: int) -> None:
        """What a filter marked, in the Inbox or in Junk."""
        at = world.clock.true() + timedelta(seconds=3)
        signs: tuple[dict[str, str], ...] = ({"X_Spam_Flag": "YES"}, {"X_Spam_Status": "Yes, score=9.1"}, {})
        for n in range(number, SPAM, self.rounds):
            sign = signs[n % 3]
            mail = self.house.letter(f"a@spam{n}.example", "ana@vendas.example", "Oferta", "Compre já.", at=at, **sign)
            world.place(at, "ana", mail, "INBOX" if sign else "Junk")
            self.score.spam_mails += 1

    def _a_week_later(self, world: World) -> None:
        """The brake lets go again: a person who writes after a week gets an answer."""
        world.sleep(timedelta(days=8))
        world.run(120)
        before = {one.number: one.got for one in self.responders}
        some = [one for one in self.responders if one.writes and one.style.name == "no sign at all"]
        for one in some:
            self._person_writes(world, one, 99)
        world.run(200)
        self.score.expected_later = len(some)
        for one in some:
            self.score.later += one.got - before[one.number]
            one.got = before[one.number]


def main(arguments: list[str] | None = None) -> int:
    """Print what the machines got; 1 if it was too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with scratch("responders") as folder, SmtpSink() as sink:
        score = Siege(folder, sink, options.seed, options.rounds).run()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    print(score.text())
    return bool(score.faults)


if __name__ == "__main__":
    sys.exit(main())
