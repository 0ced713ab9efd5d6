"""Looks back: what today's rules would have done with the mails of some time, beside what was done. Writes nothing.

Each mail is judged with its customers as they stood right before it. What is kept of a mail is enough for most rules;
where one asks for more (a header, the thread), and for mail of which nothing was stored, the mailbox is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlmodel import Session

from connectors.model import Kind, Message, Unreadable
from daemon.batch import is_own, is_unsent
from daemon.directory import contact_facts, customer_facts, directory_for
from daemon.foresight import Foresight
from daemon.office import Office
from daemon.remembered import NotKept, remembered
from daemon.replayed import Difference, Planned, Today, Watched, target, told
from daemon.replaying_occasions import OccasionReplay
from rules.decision import Action, Answer, Decision, Match, Outcome
from rules.engine import evaluate
from rules.facts import Directory, Moment
from rules.ladder import match, primary
from store import actions, customers, past, unmatched
from store.engine import Store
from store.hashing import HashKey
from store.past import PastMail

Place = tuple[str, str]
ReadAgain = Callable[[str, Sequence[Place]], Sequence[Message | Unreadable]]
"""(account, [(folder, ref)]) -> what still lies there. An account that cannot be asked gives nothing."""
Tell = Callable[[int, int], None]
"""Hears of the progress: mails done, mails in all."""
_REPORTS = (Kind.BOUNCE, Kind.FEEDBACK)
_LOGGED = (Outcome.LOG, Outcome.HEADERS)
_ACTED = ("fired",)


@dataclass(slots=True)
class Review:
    """What a look back found.

    planned    the mails that differ, in the order of their arrival
    occasions  what else happened and differs, in its order; `occasions_looked`: of how many, `left_out`: triggers that
               cannot be looked back at. Nothing of it is ever brought about
    looked     how many mails were judged
    untold     mails that cannot be told: (number or "", when, what is missing)
    waiting    mails that belong to somebody by now and are about to be read again anyway
    same       effects that would change nothing today: the tag is there already, and the like
    watched    what rules in mode watch would have done
    """

    planned: list[Planned] = field(default_factory=list)
    looked: int = 0
    untold: list[tuple[int | None, datetime, str]] = field(default_factory=list)
    waiting: int = 0
    same: int = 0
    watched: list[Watched] = field(default_factory=list)
    occasions: list[Difference] = field(default_factory=list)
    occasions_looked: int = 0
    left_out: list[str] = field(default_factory=list)

    @property
    def differences(self) -> list[Difference]:
        """The mails that differ."""
        return [one.difference for one in self.planned]

    @property
    def to_apply(self) -> int:
        """How many changes to records `--apply` would make."""
        return sum(one.size for one in self.planned)


@dataclass(slots=True)
class _Case:
    """A stored mail with what the rules may know of it."""

    mail: PastMail
    message: Message
    directory: Directory


@dataclass(slots=True, kw_only=True)
class Replay:
    """One look back over an office's mails."""

    store: Store
    office: Office
    key: HashKey
    read_again: ReadAgain
    now: datetime
    rule: str | None = None
    review: Review = field(default_factory=Review)
    _foresight: Foresight = field(default_factory=Foresight)

    def since(self, since: datetime, tell: Tell | None = None) -> Review:
        """Judge everything that arrived since."""
        with self.store.session() as session:
            ids = past.mails_since(session, since)
            strangers = unmatched.since(session, since)
            if any(rule.once for rule in self.office.rules.rules):
                self._foresight.turns = actions.turns_before(session, since)
        self._judge(ids, strangers, since, tell)
        with self.store.session() as session:
            beside = OccasionReplay(
                session=session, office=self.office, key=self.key, since=since, now=self.now, rule=self.rule
            )
            self.review.occasions = beside.differences()
        self.review.occasions_looked, self.review.left_out = beside.looked, beside.left_out
        return self.review

    def only(self, ids: Sequence[int], identities: Sequence[str]) -> Review:
        """Judge these mails only: numbers of the log, hashed identities of mail that belongs to nobody."""
        with self.store.session() as session:
            ids = past.numbers_of(session, ids)
            strangers = unmatched.copies_of(session, identities)
            first = min((mail.row["created_at"] for mail in past.load(session, ids)), default=self.now)
        return self._judge(ids, strangers, first, None)

    def _judge(
        self, ids: Sequence[int], rows: Sequence[unmatched.UnmatchedRow], since: datetime, tell: Tell | None
    ) -> Review:
        copies: dict[str, list[unmatched.UnmatchedRow]] = {}
        for row in rows:
            copies.setdefault(row.identity, []).append(row)
        total = len(ids) + len(copies)
        with self.store.session() as session:
            acted = past.acted_upon(session, since)
        for start in range(0, len(ids), past.AT_ONCE):
            self._stored(ids[start : start + past.AT_ONCE], acted)
            self._tell(tell, self.review.looked, total)
        several = list(copies.values())
        for start in range(0, len(several), 100):
            self._strangers(several[start : start + 100])
            self._tell(tell, self.review.looked, total)
        self.review.planned.sort(key=lambda one: (one.difference.at, one.difference.mail or 0))
        return self.review

    def _tell(self, tell: Tell | None, done: int, total: int) -> None:
        if tell is not None:
            tell(done, total)

    # --- mail of the history

    def _stored(self, ids: Sequence[int], acted: Sequence[PastMail]) -> None:
        with self.store.session() as session:
            mails = past.load(session, ids)
            cases = list(self._cases(session, mails, past.standing(session, mails, acted)))
        judged: list[tuple[_Case, Decision]] = []
        unsure: list[_Case] = []
        for case in cases:
            decision = self._try(case) if case.message.kind not in _REPORTS else None
            if decision is None:
                unsure.append(case)
            else:
                judged.append((case, decision))
        again = self._fetched([case.mail.places for case in unsure])
        for case, message in zip(unsure, again, strict=True):
            found = self._second_try(case, message)
            if found is not None:
                judged.append((case, found))
        judged.sort(key=lambda one: (one[0].mail.row["at"], one[0].mail.id))
        with self.store.session() as session:
            rows = customers.facts(session, {one for mail in mails for one in mail.customers})
            today = Today(session, self.office, rows)
            for case, decision in judged:
                self._compare(session, case, decision, today)
        self.review.looked += len(mails)

    def _cases(
        self, session: Session, mails: Sequence[PastMail], before: Mapping[int, Mapping[int, customers.CustomerRow]]
    ) -> Iterator[_Case]:
        messages = [remembered(mail) for mail in mails]
        keys = {person.key for message in messages for person in message.people()}
        contacts = customers.lookup_addresses(session, keys)
        for mail, message in zip(mails, messages, strict=True):
            then = before.get(mail.id, {})
            people = {
                person.key: tuple(
                    replace(contact_facts(one), last_in_at=None, last_out_at=None)
                    for one in contacts.get(person.key, ())
                    if one.customer_id in mail.known
                )
                for person in message.people()
            }
            directory = Directory(
                contacts={key: found for key, found in people.items() if found},
                customers={number: customer_facts(row) for number, row in then.items() if number in mail.known},
            )
            yield _Case(mail, message, directory)

    def _try(self, case: _Case) -> Decision | None:
        try:
            decision = self._decide(case.message, self._foresight.seen(case.directory), _about(case, self.office))
        except NotKept:
            return None
        self._foresight.learn(_main(case.mail, decision), self._added(case.mail, decision))
        return decision

    def _added(self, mail: PastMail, decision: Decision) -> list[Action]:
        """What the rules would do to a mail that was not done."""
        done = {(self._name_now(rule), slot) for rule, slot in mail.done}
        return [one for one in decision.actions if (one.rule, one.slot) not in done and self.rule in (None, one.rule)]

    def _second_try(self, case: _Case, again: Message | None) -> Decision | None:
        if again is None:
            what = "its report is" if case.message.kind in _REPORTS else "something a rule asks for is"
            why = f"{what} not stored, and the mail is no longer in its mailbox"
            self.review.untold.append((case.mail.id, case.mail.row["at"], why))
            return None
        was = case.message
        case.message = replace(
            again, account=was.account, folder=was.folder, ref=was.ref, received_at=was.received_at, kind=was.kind
        )
        return self._try(case)

    def _decide(self, message: Message, directory: Directory, about: Match | None) -> Decision:
        before = min(message.received_at, message.sent_at or message.received_at) - timedelta(days=1)
        loaded = {rule.name: before for rule in self.office.rules.rules}
        moment = Moment(now=self.now, baseline=before, loaded=loaded)
        decision = evaluate(self.office.rules, message, directory, self.office.settings, moment, about=about)
        main = primary(decision.match)
        facts = directory.customers.get(main) if main is not None else None
        self._foresight.take_turns(self.office.rules.rules, decision, message, facts)
        return decision

    # --- beside what happened

    def _compare(self, session: Session, case: _Case, decision: Decision, today: Today) -> None:
        mail = case.mail
        self.review.watched += self._watched(mail, decision)
        done = {(self._name_now(rule), slot) for rule, slot in mail.done}
        now = {(one.rule, one.slot): one for one in decision.actions}
        adds = self._added(mail, decision)
        main, person = _main(mail, decision), decision.match.contact is not None
        fresh = [one for one in adds if not today.has(one, main, mail, person=person)]
        self.review.same += len(adds) - len(fresh)
        drops = sorted(key for key in done - now.keys() if self.rule in (None, key[0]))
        filed = self._filed_anew(session, mail, now, done)
        difference = Difference(
            mail=mail.id,
            identity=mail.row["identity"],
            at=mail.row["at"],
            sender=mail.row["sender"],
            subject=mail.row["subject"],
            direction=mail.row["direction"],
            past=bool(mail.row["backfill"]),
            adds=tuple(told(one) for one in fresh),
            drops=tuple(drops),
            changed=tuple(self._worded_anew(mail, decision)),
            refiled=filed[1] if filed else None,
            history=self._fate(mail, decision),
            why=decision.reason,
        )
        if not difference.is_empty:
            to = filed[0] if filed else None
            self.review.planned.append(Planned(difference, case.message, decision, tuple(fresh), mail, to))

    def _watched(self, mail: PastMail, decision: Decision) -> Iterator[Watched]:
        for trace in decision.traces:
            if trace.result == "watched" and self.rule in (None, trace.rule):
                row = mail.row
                yield Watched(
                    rule=trace.rule,
                    mail=mail.id,
                    at=row["at"],
                    sender=row["sender"],
                    subject=row["subject"],
                    does=trace.done,
                )

    def _name_now(self, rule: str) -> str:
        """The name a rule has today."""
        return next((one.name for one in self.office.rules.rules if one.was == rule), rule)

    def _filed_anew(
        self,
        session: Session,
        mail: PastMail,
        now: Mapping[tuple[str, str], Action],
        done: set[tuple[str, str]],
    ) -> tuple[int, tuple[str, str]] | None:
        """The customer that a rule files the mail under today, where that is another one than it was; with names."""
        action = next((one for key, one in now.items() if one.verb == "file_under" and key in done), None)
        if action is None or self.rule not in (None, action.rule):
            return None
        number = target(session, action)
        if number is None or number in mail.customers:
            return None
        before = [one for one, rung in mail.customers.items() if rung == "file_under"]
        names = customers.facts(session, [number, *before])
        shown = ", ".join(names[one].name for one in before if one in names) or "nobody"
        return number, (shown, names[number].name)

    def _worded_anew(self, mail: PastMail, decision: Decision) -> Iterator[tuple[str, str, str]]:
        """(rule, what it did, what it would do) where it acts on the same things in another way."""
        then = {self._name_now(one["rule"]): one for one in (mail.trace or {}).get("rules", ())}
        for trace in decision.traces:
            before = then.get(trace.rule)
            if before is None or before.get("result") not in _ACTED or self.rule not in (None, trace.rule):
                continue
            was, would = before.get("done", []), list(trace.done)
            acted = {slot for rule, slot in mail.done if self._name_now(rule) == trace.rule}
            if acted == {one.slot for one in decision.actions if one.rule == trace.rule} and set(was) != set(would):
                old = [one for one in was if one not in would]
                yield trace.rule, "; ".join(old) or "nothing", "; ".join(one for one in would if one not in was)

    def _fate(self, mail: PastMail, decision: Decision) -> str:
        """Whether the mail would leave the history, or be kept otherwise."""
        if self.rule is not None and decision.logged_by != self.rule:
            return ""
        if decision.outcome not in _LOGGED:
            return "leaves"
        was = (mail.trace or {}).get("outcome", Outcome.LOG.value)
        if was == decision.outcome.value:
            return ""
        return "headers" if decision.outcome is Outcome.HEADERS else "whole"

    # --- mail of which nothing was stored

    def _strangers(self, several: Sequence[Sequence[unmatched.UnmatchedRow]]) -> None:
        places = [[(row.account, row.folder, row.ref) for row in rows] for rows in several]
        again = self._fetched(places)
        found: list[tuple[unmatched.UnmatchedRow, Message]] = []
        for rows, message in zip(several, again, strict=True):
            if message is not None:
                found.append((rows[0], replace(message, received_at=rows[0].at)))
            elif self.rule is None:
                why = "nothing of it is stored, and it is no longer in its mailbox"
                self.review.untold.append((None, rows[0].at, why))
        found.sort(key=lambda one: one[1].received_at)
        with self.store.session() as session:
            directory = directory_for(session, self.key, self.office.settings, [one for _, one in found])
            begun = past.baselines(session)
        for row, message in found:
            if not is_own(message, self.office) and not is_unsent(message):
                old = row.at < begun.get((row.account, row.folder), row.at)
                self._stranger(row.identity, message, directory, old=old)
        self.review.looked += len(several)

    def _stranger(self, hashed: str, message: Message, directory: Directory, *, old: bool) -> None:
        if match(message, directory, self.office.settings).customers:
            self.review.waiting += 1  # it is read again and logged by itself
            return
        decision = self._decide(message, self._foresight.among(directory, message), None)
        if decision.outcome not in _LOGGED:
            return
        maker = self._foresight.maker_of(decision)
        if self.rule is not None and self.rule not in (decision.logged_by, maker):
            return
        difference = Difference(
            mail=None,
            identity=hashed,
            at=message.received_at,
            sender=message.sender.key if message.sender else "",
            subject=message.subject,
            direction=decision.direction.value,
            past=old,
            adds=tuple(told(one) for one in decision.actions),
            history="enters",
            why=decision.reason,
        )
        self._foresight.meet(decision, message, self.office)
        planned = Planned(difference, message, decision, decision.actions, None, None, maker or decision.logged_by)
        self.review.planned.append(planned)

    # --- asking the mailbox again

    def _fetched(self, places: Sequence[Sequence[tuple[str, str, str]]]) -> list[Message | None]:
        """For each mail the first of its copies that can still be read."""
        found: list[Message | None] = [None] * len(places)
        for turn in range(max((len(copies) for copies in places), default=0)):
            wanted: dict[str, dict[Place, int]] = {}
            for index, copies in enumerate(places):
                if found[index] is None and turn < len(copies):
                    account, folder, ref = copies[turn]
                    wanted.setdefault(account, {})[folder, ref] = index
            for account, mails in wanted.items():
                for item in self.read_again(account, list(mails)):
                    index_of = mails.get((item.folder, item.ref))
                    if isinstance(item, Message) and index_of is not None:
                        found[index_of] = item
        return found


def _main(mail: PastMail, decision: Decision) -> int | None:
    """The customer that effects go to: one that a rule gave it first, as when it came."""
    given = (one for one, rung in mail.customers.items() if rung in past.BY_RULES)
    return next(iter((*given, *decision.match.customers, *mail.customers)), None)


def _about(case: _Case, office: Office) -> Match:
    """Whose mail it was, as it was found when it came."""
    known = case.mail.known
    found = match(case.message, replace(case.directory, threads={}, tokens={}), office.settings)
    if set(found.customers) == set(known):
        return found
    order = (*(one for one in found.customers if one in known), *(one for one in known if one not in found.customers))
    rungs = {one: case.mail.customers[one] for one in order}
    answers = tuple(Answer(rung=rung, seen="", customers=(one,), used=True) for one, rung in rungs.items())
    contact = found.contact if found.contact is not None and found.contact.customer_id in rungs else None
    return replace(found, answers=answers, customers=order, rungs=rungs, contact=contact, ambiguous=False)


def by_rule(differences: Iterable[Difference]) -> dict[str, dict[str, int]]:
    """Rule -> how many effects it would add, drop, change, and mails it would file anew."""
    counts: dict[str, dict[str, int]] = {}
    for one in differences:
        found: list[tuple[str, str]] = [(add["rule"], "add") for add in one.adds]
        found += [(rule, "drop") for rule, _ in one.drops]
        found += [(rule, "change") for rule, _, _ in one.changed]
        for rule, what in found:
            into = counts.setdefault(rule, {"add": 0, "drop": 0, "change": 0})
            into[what] += 1
    return dict(sorted(counts.items()))
