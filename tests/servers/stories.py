"""What happens in the office: short stories of one to six mails, each with its truth.

In a conversation the same customers take part from the first mail to the last, so that thread and participants
never disagree about whom a mail concerns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Literal

from servers.letters import BREAKS, STRUCTURES, TOPICS, Letter, encode_letter, write_body
from servers.people import (
    COLLEAGUES,
    OFFICE_DOMAIN,
    REPS,
    Customer,
    Person,
    Rep,
    invent_customers,
    invent_look_alike,
    invent_person,
)

_AWAY = {
    "pt": ("Ausência temporária: ", "Estou de férias até 20/01 e respondo na volta.\n"),
    "ru": ("Автоответ: ", "Я в отпуске до 20 января, отвечу после возвращения.\n"),
    "en": ("Out of office: ", "I am out of the office until 20 January and will answer when I am back.\n"),
    "zh": ("自动回复: ", "我正在休假,1月20日回来。I am out of the office.\n"),
}
_ROBOT = {
    "pt": "Recebemos a sua mensagem. Esta é uma resposta automática.\n",
    "ru": "Мы получили ваше письмо. Это автоматический ответ.\n",
    "en": "We have received your message. This is an automatic answer.\n",
    "zh": "我们已收到您的邮件。\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail with its bytes and its truth, not yet laid into mailboxes."""

    letter: Letter
    raw: bytes
    receivers: tuple[Rep, ...]
    customers: frozenset[str]
    kind: str
    traits: frozenset[str]

    @property
    def internal(self) -> bool:
        """Nobody from outside takes part."""
        people = (self.letter.sender, *self.letter.to, *self.letter.cc)
        return all(each.email.endswith(f"@{OFFICE_DOMAIN}") for each in people)

    @property
    def outcome(self) -> Literal["logged", "unmatched", "internal"]:
        """Internal mail leaves nothing, mail of no customer is unmatched, the rest is logged."""
        if self.internal:
            return "internal"
        return "logged" if self.customers else "unmatched"

    @property
    def direction(self) -> Literal["in", "out", "internal"]:
        """Seen from the office."""
        if self.internal:
            return "internal"
        return "out" if self.letter.sender.email.endswith(f"@{OFFICE_DOMAIN}") else "in"

    @property
    def envelope_sender(self) -> str:
        """What stands in Return-Path: nobody for what machines answer."""
        return self.letter.sender.email if self.kind in {"human", "bulk", "invitation"} else ""


class Teller:
    """Tells one story after another. Its clock moves on about one `step` with each mail, never standing still."""

    def __init__(self, rng: Random, *, start: datetime, step: timedelta, customers: int) -> None:
        self._rng = rng
        self._now = start
        self._step = step.total_seconds()
        self._serial = 0
        self._threads: list[Mail] = []
        self.customers = invent_customers(rng, customers)
        self._domains = [each for each in self.customers if each.domain]
        self._stories: dict[Callable[[], Iterator[Mail]], int] = {
            self._conversation: 40, self._crossing: 22, self._newsletter: 9, self._customer_newsletter: 4,
            self._robot: 4, self._away: 4, self._bounce: 3, self._customer_bounce: 3, self._internal: 12,
            self._internal_forward: 3, self._outsider: 8, self._look_alike: 5, self._notice: 3,
            self._invitation: 2, self._tagged: 3, self._malformed: 7,
        }  # fmt: skip

    def story(self) -> list[Mail]:
        """The next story, its mails in the order of their dates."""
        return list(self._rng.choices(list(self._stories), list(self._stories.values()))[0]())

    def thread_only(self) -> Mail:
        """An unknown person answers in a customer's thread: nothing but the thread says whom it concerns."""
        parent = self._rng.choice(self._threads)
        rep = self._rng.choice(REPS)
        return self._write(
            self._stranger(), [rep.person], subject=f"Re: {parent.letter.subject} {self._serial}",
            references=[parent.letter.message_id], customers=parent.customers, traits={"thread_only"},
        )  # fmt: skip

    def _conversation(self) -> Iterator[Mail]:
        """A customer, sometimes two, and one rep."""
        return self._talk(self._guests(), [self._rng.choice(REPS)])

    def _crossing(self) -> Iterator[Mail]:
        """Two or three reps in one thread, answering in turn."""
        return self._talk(self._guests(), self._rng.sample(REPS, k=self._rng.choice((2, 2, 3))))

    def _outsider(self) -> Iterator[Mail]:
        return self._talk([(None, self._stranger())], self._rng.sample(REPS, k=self._rng.choice((1, 1, 2))))

    def _guests(self) -> list[tuple[Customer | None, Person]]:
        customers = self._rng.sample(self.customers, k=2 if self._rng.random() < 0.12 else 1)
        return [(customer, self._rng.choice(customer.people)) for customer in customers]

    def _talk(self, guests: list[tuple[Customer | None, Person]], reps: list[Rep]) -> Iterator[Mail]:
        """Mails to and fro, everybody answering to all; the first guest or the first rep begins."""
        outside = [person for _, person in guests]
        inside = [rep.person for rep in reps]
        customers = frozenset(customer.name for customer, _ in guests if customer)
        subject = self._subject(outside[0].language)
        references: list[str] = []
        last: tuple[Person, str] | None = None
        from_outside = self._rng.random() < 0.6
        for turn in range(self._rng.randint(1, 5)):
            sender = self._rng.choice(outside if from_outside else inside)
            everybody = outside + inside if from_outside is False else inside + outside
            others = [each for each in everybody if each != sender]
            mail = self._write(
                sender, others[:1], cc=others[1:], subject=subject if turn == 0 else f"Re: {subject}",
                references=references[-6:], customers=customers, quoted=last, structure=self._structure(),
            )  # fmt: skip
            references.append(mail.letter.message_id)
            last = (sender, mail.letter.body)
            if len(customers) == 1:
                self._threads = [*self._threads[-199:], mail]
            from_outside = not from_outside
            yield mail

    def _newsletter(self) -> Iterator[Mail]:
        """Bulk mail of an unknown sender, in one or more mailboxes."""
        number = self._rng.randrange(20)
        sender = Person(f"Shop {number} News", f"news@shop{number}.example", "en")
        yield self._write(
            sender, [Person("Readers", f"readers@shop{number}.example", "en")], headers=_bulk(sender),
            kind="bulk", structure="alternative", receivers=self._some_reps(),
        )  # fmt: skip

    def _customer_newsletter(self) -> Iterator[Mail]:
        customer = self._rng.choice(self._domains)
        sender = Person(f"{customer.name} News", f"news@{customer.domain}", customer.people[0].language)
        yield self._write(
            sender, [self._rng.choice(REPS).person], headers=_bulk(sender), customers=frozenset({customer.name}),
            kind="bulk", structure="html",
        )  # fmt: skip

    def _robot(self) -> Iterator[Mail]:
        """A rep writes and a machine of the customer acknowledges."""
        yield from self._answered("Auto: ", _ROBOT, "auto_reply")

    def _away(self) -> Iterator[Mail]:
        """A rep writes and the customer is away."""
        yield from self._answered("", _AWAY, "out_of_office")

    def _answered(self, prefix: str, wording: dict[str, str] | dict[str, tuple[str, str]], kind: str) -> Iterator[Mail]:
        customer = self._rng.choice(self.customers)
        contact, rep = self._rng.choice(customer.people), self._rng.choice(REPS)
        names = frozenset({customer.name})
        first = self._write(rep.person, [contact], subject=self._subject(contact.language), customers=names)
        yield first
        text = wording[contact.language]
        if isinstance(text, tuple):
            prefix, text = text
        yield self._write(
            contact, [rep.person], subject=prefix + first.letter.subject, body=text, customers=names, kind=kind,
            references=[first.letter.message_id], headers=[("Auto-Submitted", "auto-replied")],
        )  # fmt: skip

    def _bounce(self) -> Iterator[Mail]:
        """A stranger's address does not exist."""
        provider = Person("Mail Delivery System", f"MAILER-DAEMON@mx{self._rng.randrange(9)}.example", "en")
        yield self._returned(provider, self._stranger().email, frozenset())

    def _customer_bounce(self) -> Iterator[Mail]:
        """The customer's own server says that one of its addresses does not exist."""
        customer = self._rng.choice(self._domains)
        postmaster = Person("Mail Delivery Subsystem", f"postmaster@{customer.domain}", "en")
        yield self._returned(postmaster, f"gone@{customer.domain}", frozenset({customer.name}))

    def _returned(self, sender: Person, recipient: str, customers: frozenset[str]) -> Mail:
        return self._write(
            sender, [self._rng.choice(REPS).person], subject=f"Undelivered Mail Returned to Sender {self._serial}",
            body=f"Your message could not be delivered.\n\n<{recipient}>: 550 5.1.1 no such user\n",
            customers=customers, kind="bounce", structure="report", recipient=recipient,
            headers=[("Auto-Submitted", "auto-replied")],
        )  # fmt: skip

    def _internal(self) -> Iterator[Mail]:
        sender = self._rng.choice((*[rep.person for rep in REPS], *COLLEAGUES))
        receivers = [rep.person for rep in self._some_reps() if rep.person != sender] or [COLLEAGUES[0]]
        if sender in COLLEAGUES and receivers == [COLLEAGUES[0]]:
            receivers = [REPS[0].person]
        yield self._write(sender, receivers[:1], cc=receivers[1:], structure=self._structure())

    def _internal_forward(self) -> Iterator[Mail]:
        """A rep passes a customer's mail on to a colleague: internal, though it belongs to the thread."""
        if not self._threads:
            return
        parent = self._rng.choice(self._threads)
        sender, receiver = self._rng.sample(REPS, k=2)
        yield self._write(
            sender.person, [receiver.person], subject=f"Fwd: {parent.letter.subject} {self._serial}",
            references=[parent.letter.message_id], quoted=(parent.letter.sender, parent.letter.body),
            traits={"internal_forward"},
        )  # fmt: skip

    def _look_alike(self) -> Iterator[Mail]:
        stranger = invent_look_alike(self._rng, self._rng.choice(self.customers))
        receivers = [rep.person for rep in self._some_reps()]
        yield self._write(stranger, receivers[:1], cc=receivers[1:], traits={"look_alike"})

    def _notice(self) -> Iterator[Mail]:
        """A shop's system tells of an order; nobody we know."""
        sender = Person("Orders", f"no-reply@shop{self._rng.randrange(20)}.example", "en")
        yield self._write(
            sender, [self._rng.choice(REPS).person], subject=f"Order confirmation {self._serial}", kind="notice",
            headers=[("Auto-Submitted", "auto-generated")], structure="html",
        )  # fmt: skip

    def _invitation(self) -> Iterator[Mail]:
        customer = self._rng.choice(self.customers)
        contact, rep = self._rng.choice(customer.people), self._rng.choice(REPS)
        yield self._write(
            contact, [rep.person], customers=frozenset({customer.name}), kind="invitation", structure="calendar"
        )

    def _tagged(self) -> Iterator[Mail]:
        """One mail reaches several reps, one of them through a list that changes subject and body."""
        customer = self._rng.choice(self.customers)
        receivers = [rep.person for rep in self._rng.sample(REPS, k=2)]
        yield self._write(
            self._rng.choice(customer.people), receivers, customers=frozenset({customer.name}), traits={"tagged_copy"}
        )

    def _malformed(self) -> Iterator[Mail]:
        """A mail with one thing wrong, from a customer or a stranger, to one rep or more."""
        customer = self._rng.choice(self.customers)
        known = self._rng.random() < 0.75
        how = self._rng.choice(BREAKS)
        yield self._write(
            self._rng.choice(customer.people) if known else self._stranger(),
            [rep.person for rep in self._some_reps()],
            customers=frozenset({customer.name}) if known else frozenset(),
            structure="mixed" if how == "open_multipart" else "plain", breaks=how, traits={how},
        )  # fmt: skip

    def _write(
        self,
        sender: Person,
        to: list[Person],
        *,
        cc: list[Person] | None = None,
        subject: str = "",
        body: str = "",
        references: list[str] | None = None,
        quoted: tuple[Person, str] | None = None,
        headers: list[tuple[str, str]] | None = None,
        structure: str = "plain",
        breaks: str = "",
        recipient: str = "",
        kind: str = "human",
        customers: frozenset[str] = frozenset(),
        traits: set[str] | None = None,
        receivers: list[Rep] | None = None,
    ) -> Mail:
        """One mail at the next moment. Without `receivers` it reaches the reps among its recipients."""
        self._serial += 1
        self._now += timedelta(seconds=max(1, int(self._step * self._rng.uniform(0.3, 1.7))))
        local = f"{self._serial:06d}.{self._rng.getrandbits(48):012x}"
        domain = sender.email.partition("@")[2]
        letter = Letter(
            sender=sender, to=to, cc=cc or [], subject=subject or self._subject(sender.language),
            body=body or write_body(self._rng, sender, self._serial, quoted),
            at=self._now.astimezone(timezone(timedelta(hours=self._rng.choice((-3, 0, 3))))),
            message_id=f"<[{local}@{domain}]>" if breaks == "odd_message_id" else f"<{local}@{domain}>",
            references=references or [], language=sender.language, headers=headers or [],
            structure=structure, recipient=recipient, breaks=breaks,
        )  # fmt: skip
        reached = [rep for rep in REPS if rep.person in (*to, *letter.cc)] if receivers is None else receivers
        return Mail(
            letter=letter, raw=encode_letter(self._rng, letter), receivers=tuple(reached), customers=customers,
            kind=kind, traits=frozenset(traits or ()),
        )  # fmt: skip

    def _subject(self, language: str) -> str:
        """A subject of its own, so that a mail without an id can be told by it."""
        return f"{self._rng.choice(TOPICS[language])} {self._serial + 1:06d}"

    def _stranger(self) -> Person:
        language = self._rng.choice(("pt", "ru", "en"))
        domain = f"unknown{self._rng.randrange(500)}.example" if self._rng.random() < 0.6 else "freemail.example"
        return invent_person(self._rng, language, f"stranger{self._rng.randrange(9000)}", domain)

    def _some_reps(self) -> list[Rep]:
        return self._rng.sample(REPS, k=self._rng.choice((1, 2, 2, 3)))

    def _structure(self) -> str:
        return self._rng.choices(STRUCTURES, (45, 30, 13, 12))[0]


def _bulk(sender: Person) -> list[tuple[str, str]]:
    domain = sender.email.partition("@")[2]
    return [
        ("List-Id", f"<news.{domain}>"),
        ("List-Unsubscribe", f"<mailto:unsubscribe@{domain}>"),
        ("Precedence", "bulk"),
    ]
