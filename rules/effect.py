"""What a rule's `then` does, ready to be planned for one mail: people resolved, times counted, texts filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.model import Address
from rules.decision import Direction
from rules.facts import CustomerFacts, Moment
from rules.ladder import domain_customers
from rules.lazy import Lazy
from rules.moments import At, Delay
from rules.names import first_name
from rules.view import View

MAIL_LATE = Delay(1, "day", business=True)
REMINDER_LATE = timedelta(days=5)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Effect:
    """One effect. `build` gives the final values, None if there is nothing to do after all.

    slot    what it claims; several rules may share one only if `verb` is the same and `additive` is True
    apart   the slot is the rule's own (reminders): nobody shadows it
    history takes effect on old mail too
    """

    slot: str
    verb: str
    shown: str
    build: Callable[[Plan], Mapping[str, Any] | None]
    additive: bool = False
    apart: bool = False
    history: bool = False


class Plan:
    """One mail or occasion whose rules have had their say. `owner`: who an `owner` effect of it names, "" if none did.

    given   what the rule whose effect is built took out of the mail, by name
    """

    def __init__(self, view: View, moment: Moment, owner: str = "") -> None:
        self.view = view
        self.moment = moment
        self.new_owner = owner
        self.given: Mapping[str, str] = {}

    @property
    def start(self) -> datetime:
        """Delays count from the mail's arrival or the moment of the occasion, however late it is found."""
        return self.view.at

    def due(self, when: Delay | At | None) -> datetime:
        """When something is due; without a moment, at once."""
        return self.start if when is None else when.after(self.start, self.view.office.hours)

    def late(self, due: datetime, length: Delay | timedelta) -> datetime:
        """When something due is late."""
        return length.after(due, self.view.office.hours) if isinstance(length, Delay) else due + length

    def mail_late(self, due: datetime, length: Delay | None) -> datetime:
        """When a mail to the customer is late; a greeting at the end of its day."""
        occasion = self.view.occasion
        if occasion and occasion.expires:
            return occasion.expires
        return self.late(due, length or MAIL_LATE)

    @property
    def ends_by_itself(self) -> str:
        """What ends a reminder that does not say it: a mail is answered, a silence broken."""
        occasion = self.view.occasion
        return "replied" if occasion is None or occasion.ends_with_contact else ""

    @property
    def title(self) -> str:
        """What it is about, in one line: the subject, the title of the meeting, the words of the trigger."""
        occasion = self.view.occasion
        return occasion.title if occasion else self.line("{{ mail.subject }}")

    @property
    def of_the_occasion(self) -> dict[str, Any]:
        """What texts may name of the meeting or the change at hand."""
        return dict(self.view.occasion.values()) if self.view.occasion else {}

    def person(self, who: str) -> str:
        """The short name behind "owner", "sender", "admin" or a name of the team."""
        if who == "owner":
            return self.new_owner or self.owner
        if who == "sender":
            return self.rep
        return self.view.office.settings.admin if who == "admin" else who

    @Lazy
    def owner(self) -> str:
        """The customer's owner, else who wrote or got the mail (decision 13)."""
        owner = self.view.customer.owner if self.view.customer else ""
        return owner if owner in self.view.office.settings.team else self.rep

    @Lazy
    def rep(self) -> str:
        """Who of us wrote the mail or, for one that came in, got it; at last the admin."""
        message, office = self.view.message, self.view.office
        if self.view.direction is Direction.OUT:
            found = office.rep_of(message.sender) or office.rep_of(message.sent_by)
        else:
            found = next((rep for one in (*message.to, *message.cc) if (rep := office.rep_of(one))), "")
        account = office.settings.accounts.get(message.account)
        return found or (account.rep if account else "") or office.settings.admin

    @Lazy
    def values(self) -> dict[str, Any]:
        """What {{ ... }} may name, see rules.templates.STANDARD_NAMES."""
        view, settings = self.view, self.view.office.settings
        return {
            **self.of_the_occasion,
            "mail": {
                "subject": view.message.subject,
                "date": None if view.is_blank else view.message.sent_at or view.at,
                "from": view.message.sender.email if view.message.sender else "",
                "text": view.message.text,
            },
            "contact": self._contact(),
            "customer": _customer_values(view.customer),
            "owner": self._person_values(self.person("owner")),
            "rep": self._person_values(self.rep),
            "company": {"name": settings.company.name, "address": settings.company.address},
        }

    def line(self, source: str) -> str:
        """A text of a rule with its {{ ... }} filled in; what has no value is left out."""
        if "{" not in source:
            return source
        from rules.rendering import render_line  # loads Jinja: only for rules that need it

        settings = self.view.office.settings
        language = self.view.language or settings.company.language
        values = {**self.values, **self.given}
        return render_line(source, values, language=language, now=self.moment.now, zone=self.view.office.zone, blank="")

    def recipient(self) -> str:
        """Where an answer to this mail goes: Reply-To if it is at the same customer, else the other end. Of an
        occasion: to whom rules.occasion.whose would write.

        Anybody can write a Reply-To, also beside a forged From: it alone never takes a customer's mail elsewhere.
        """
        view = self.view
        end = view.match.other_end
        if view.direction is Direction.IN and view.message.bounce is None:
            wanted = next((one for one in view.message.reply_to if self._may_answer(one, end)), None)
            if wanted:
                return wanted.email
        return end.email if end else ""

    def _may_answer(self, person: Address, end: Address | None) -> bool:
        """Whether a Reply-To outside leads to the customer that the mail is about, or to the sender's own company."""
        view = self.view
        if person.key not in {one.email.lower() for one in view.match.outside}:
            return False
        if any(view.message.header(name) for name in ("list-id", "list-post")):
            return False  # a mailing list wants answers for everybody on it
        if end is not None and person.domain == end.domain and not view.office.is_public(person.domain):
            return True
        theirs = {one.customer_id for one in view.directory.contacts.get(person.key, ())}
        theirs.update(domain_customers(person.domain, view.directory, view.office))
        return not theirs.isdisjoint(view.match.customers[:1])

    def _contact(self) -> dict[str, Any]:
        contact, end = self.view.contact, self.view.match.other_end or Address("")
        name = (contact.name if contact else "") or end.name
        known: dict[str, Any] = {"name": name or end.email, "first_name": first_name(name), "email": end.email}
        if contact:
            known |= {"phone": contact.phone, "title": contact.title, "fields": dict(contact.fields)}
        return known | {"language": (contact.language if contact else "") or self.view.language}

    def _person_values(self, rep: str) -> dict[str, Any]:
        person = self.view.office.settings.team.get(rep)
        if person is None:
            return {}
        return {"name": person.name or rep, "first_name": first_name(person.name) or rep, "mail": person.mail}


def _customer_values(customer: CustomerFacts | None) -> dict[str, Any]:
    if customer is None:
        return {}
    last = max((one for one in (customer.last_in_at, customer.last_out_at) if one), default=None)
    return {
        "name": customer.name,
        "stage": customer.stage,
        "segment": customer.segment,
        "owner": customer.owner,
        "last_contact": last,
        "fields": dict(customer.fields),
    }
