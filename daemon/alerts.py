"""Mail to the admin, and to the rep whom it concerns, when something needs a person now and cannot wait for the daily
notice.

One mail for everything that is new, at most one an hour for each cause, and once a day while it lasts; refused files
once, and again when something else is wrong with them. It goes by another account than the one in trouble where there
is one. What was told lies in a file of the state folder, not in the database, which may be the very thing that is
broken; a restart therefore repeats nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import structlog

from config.errors import QuietcrmError
from connectors.model import Address, OutgoingMail
from connectors.outgoing import make_message_id
from daemon.alert_causes import Cause
from daemon.clock import Clock
from daemon.letters import own_headers
from daemon.office import Office
from daemon.page import Block, Line, as_html, as_text
from daemon.phrases import phrase
from daemon.ways import DESKS, Ways

log = structlog.get_logger()

QUIET = timedelta(hours=1)
AGAIN = timedelta(days=1)
RETRY = timedelta(minutes=5)
"""After no way out was found."""
CHANGED = timedelta(minutes=5)
"""Between two mails about a cause that turned into another one: somebody is at work on it."""
LONGEST_LISTING = 120
"""Lines of a listing in one mail; the command below it shows all."""


@dataclass(slots=True)
class _Told:
    """What is known of a cause: when it began (None = it is over), when it was last tried to tell, when told; the mark
    of its listing now and of the one that was told."""

    since: datetime | None = None
    tried_at: datetime | None = None
    told_at: datetime | None = None
    mark: str = ""
    told_mark: str = ""


@dataclass(frozen=True, slots=True)
class _Route:
    """A way out: the desk of an account or a sender, to a person."""

    kind: str
    name: str
    rep: str


class Alerts:
    """Tells the admin of causes. Blocking; one thread, and ways of its own: the others may hang."""

    def __init__(self, office: Office, ways: Ways, clock: Clock, path: Path) -> None:
        self._office = office
        self._ways = ways
        self._clock = clock
        self._path = path
        self._told: dict[str, _Told] | None = None
        self._rests_until: dict[str, datetime] = {}

    def tell(self, causes: Sequence[Cause]) -> int:
        """Note which causes there are now, and tell those whose time has come; how many were told."""
        now = self._clock.now()
        known = self._known()
        before = json.dumps(_as_data(known))
        self._note(known, causes, now)
        due = [cause for cause in causes if _is_due(known[cause.key], cause, now) and self._is_awake(cause, now)]
        for cause in due:
            known[cause.key].tried_at = now
        if json.dumps(_as_data(known)) != before:
            self._save(known)
        if not due:
            return 0
        told = [
            cause for person in dict.fromkeys(cause.person for cause in due) for cause in self._tell(person, due, now)
        ]
        for cause in due:
            entry = known[cause.key]
            if cause in told:
                entry.told_at, entry.told_mark = now, entry.mark
            else:
                entry.tried_at = None  # the hour counts from when somebody was told
        self._save(known)
        return len(told)

    def _is_awake(self, cause: Cause, now: datetime) -> bool:
        until = self._rests_until.get(cause.person)
        return until is None or now >= until

    def _tell(self, person: str, due: Sequence[Cause], now: datetime) -> list[Cause]:
        """One mail with everything for one person; what was told."""
        mine = [cause for cause in due if cause.person == person]
        if self._deliver(mine, person, now):
            self._rests_until.pop(person, None)
            return mine
        self._rests_until[person] = now + RETRY
        return []

    @staticmethod
    def _note(known: dict[str, _Told], causes: Sequence[Cause], now: datetime) -> None:
        for cause in causes:
            entry = known.setdefault(cause.key, _Told())
            if entry.mark != cause.mark:
                entry.since, entry.mark = now, cause.mark
            entry.since = entry.since or now
        keys = {cause.key for cause in causes}
        for key in known.keys() - keys:
            entry = known[key]
            entry.since = None
            last = max(filter(None, (entry.tried_at, entry.told_at)), default=None)
            if last is None or not timedelta(0) <= now - last < QUIET:
                del known[key]

    # --- the file ----------------------------------------------------------------------------------------------------

    def _known(self) -> dict[str, _Told]:
        if self._told is None:
            self._told = {}
            with suppress(OSError, ValueError, TypeError, AttributeError):  # an unreadable file costs one mail too many
                data = json.loads(self._path.read_text(encoding="utf-8"))
                self._told = {key: _from_data(one) for key, one in data.items()}
        return self._told

    def _save(self, known: dict[str, _Told]) -> None:
        draft = self._path.with_name(f".{self._path.name}.new")
        with suppress(OSError):  # a full disk: then it is known until the next restart only
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(_as_data(known), file)
            draft.replace(self._path)

    # --- the mail ----------------------------------------------------------------------------------------------------

    def _deliver(self, causes: Sequence[Cause], person: str, now: datetime) -> bool:
        reasons: list[str] = []
        to = person or self._office.settings.admin
        try:
            for route in self._routes(set().union(*(cause.ways for cause in causes)), to):
                try:
                    self._go(route, self._mail(causes, route, to, now))
                except QuietcrmError as error:
                    reasons.append(f"{route.name}: {error.message}")
                    continue
                log.info("alert.sent", causes=[cause.key for cause in causes], by=route.kind, through=route.name)
                return True
        finally:
            self._ways.close()
        if person not in self._rests_until:  # once, not at every try
            log.error("alert.undelivered", causes=[cause.key for cause in causes], reasons=reasons)
        return False

    def _go(self, route: _Route, mail: OutgoingMail) -> None:
        if route.kind == "sender":
            self._ways.send_by(route.name, route.rep, mail)
        else:
            self._ways.desk(route.name).place_mail(mail)

    def _routes(self, failing: Collection[str], person: str) -> Iterator[_Route]:
        """Ways to a person, the best first: own mailboxes and senders that work, other senders, then (to the admin) a
        colleague's mailbox, at last what is failing: it may take mail all the same."""
        settings = self._office.settings
        desks = [
            _Route("desk", name, one.rep) for name, one in settings.accounts.items() if one.type in DESKS and one.rep
        ]
        mine = [route for route in desks if route.rep == person]
        own = settings.sender_for(person)
        senders = [_Route("sender", name, person) for name in sorted(settings.senders, key=lambda name: name != own)]
        near = [*senders, *mine] if settings.reminders.via == "smtp" else [*mine, *senders]
        colleagues = [route for route in desks if route.rep != person] if person == settings.admin else []
        every = [*near, *colleagues]
        return iter(sorted(every, key=lambda route: route.name in failing))

    def _mail(self, causes: Sequence[Cause], route: _Route, person: str, now: datetime) -> OutgoingMail:
        settings = self._office.settings
        member = settings.team[route.rep]
        language = settings.language_for(route.rep)
        title = phrase("alert", language)
        blocks = list(_blocks(causes, language))
        if route.rep != person:
            admin = settings.team[person]
            note = phrase("alert_pass_on", language).format(admin.name or admin.mail)
            blocks.insert(0, Block(title="", lines=[Line(text=note)], tone="act"))
        foot = phrase("alert_footer", language)
        subject = f"{title}: {', '.join(dict.fromkeys(phrase(cause.kind, language) for cause in causes))}"
        sender = self._from(route)
        return OutgoingMail(
            message_id=make_message_id(Address(sender).domain, "alert"),
            sender=Address(sender, "quietcrm"),
            to=(Address(member.mail, member.name),),
            subject=subject,
            text=as_text(title, blocks, foot),
            html=as_html(title, blocks, foot),
            date=now,
            headers=own_headers("alert"),
        )

    def _from(self, route: _Route) -> str:
        """The From address: a server takes mail from the address its login belongs to."""
        settings = self._office.settings
        if route.kind != "sender":
            return settings.team[route.rep].mail
        sender = settings.senders[route.name]
        owner = sender.rep or route.name
        return sender.address or settings.team[owner if owner in settings.team else route.rep].mail


def _is_due(told: _Told, cause: Cause, now: datetime) -> bool:
    since = told.since or now
    if now - since < cause.patience:
        return False
    last = max(filter(None, (told.tried_at, told.told_at)), default=None)
    if last is None or now < last:  # a clock that was set back must not silence us
        return True
    if told.told_at is not None and told.told_mark != told.mark:
        return now - last >= CHANGED
    if told.told_at is None or told.told_at < since:
        return now - last >= QUIET
    return not (cause.listing or cause.once) and now - last >= AGAIN


def _blocks(causes: Sequence[Cause], language: str) -> Iterator[Block]:
    for kind, several in groupby(sorted(causes, key=lambda cause: cause.kind), key=lambda cause: cause.kind):
        lines = [_line(cause, language) for cause in several]
        yield Block(title=phrase(kind, language), lines=lines, tone="trouble")


def _line(cause: Cause, language: str) -> Line:
    rows = cause.listing.splitlines()
    more = [f"... (+{len(rows) - LONGEST_LISTING})"] if len(rows) > LONGEST_LISTING else []
    listing = "\n".join(rows[:LONGEST_LISTING] + more)
    text = phrase("alert_config", language) if listing else cause.text
    return Line(text=text, reason=cause.hint, command=cause.command, listing=listing)


def _as_data(known: dict[str, _Told]) -> dict[str, Any]:
    return {
        key: {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(one).items()}
        for key, one in known.items()
    }


def _from_data(one: dict[str, str | None]) -> _Told:
    """Raises ValueError, TypeError, AttributeError for what was not written by us."""
    times = {name: _time(one.get(name)) for name in ("since", "tried_at", "told_at")}
    return _Told(**times, mark=str(one.get("mark") or ""), told_mark=str(one.get("told_mark") or ""))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
