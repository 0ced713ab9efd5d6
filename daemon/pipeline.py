"""From a batch of read mail to rows: the one place that writes history.

One transaction a batch: known mail becomes a sighting, new mail is matched and run through the rules, decisions
become rows, and the cursor moves, all or nothing. No network inside. A mail that errs is rolled back to its
savepoint and put into quarantine; the others go on.

Mail without actions is collected and written in bulk. Before a mail with actions what was collected is flushed, so
that its rules and effects see the store as it is then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from connectors.model import Batch, Cursor, FolderRole, Kind, Message, Unreadable
from daemon import effects
from daemon.batch import Work, arrived, is_header_only, is_own, is_unsent, new_row, touch_facts
from daemon.breaker import paused_rules
from daemon.cause import Cause
from daemon.clock import Clock
from daemon.counts import Counts
from daemon.directory import contact_ids, directory_for
from daemon.gestures import Gestures
from daemon.marks import Ours, Scene, mark, note_copy, says_something
from daemon.meetings import Meetings
from daemon.office import Office
from daemon.quarantining import keep_unreadable, put_aside
from daemon.settling import customers_with_promises, settle
from daemon.strangers import stranger_mail
from daemon.wishes import is_wish
from rules.decision import Decision, Direction, Outcome
from rules.engine import evaluate, is_history
from rules.facts import Moment, Thread
from store import accounts, actions, customers, interactions, quarantine, sightings, unmatched
from store.engine import Store
from store.errors import StoreError
from store.hashing import HashKey
from store.identity import Identity, identity, subject_key
from store.interactions import NewInteraction, Touch
from store.sightings import Copy, sighted

log = structlog.get_logger()

_OF_THE_STORE = (StoreError, OperationalError, InterfaceError)
"""Errors that no single mail is to blame for: the whole batch waits."""


class Pipeline:
    """Handles batches of every account. Thread-safe as far as the store is: one batch at a time is written."""

    def __init__(self, store: Store, key: HashKey, office: Office, clock: Clock) -> None:
        self._store = store
        self._key = key
        self._clock = clock
        self.office = office
        self.meetings: Meetings | None = None

    def start(self, account: str, now: datetime) -> Cursor | None:
        """Begin a pass: the account's row exists afterwards (its baseline is `now` at first contact); its cursor."""
        with self._store.writing() as session:
            accounts.begin(session, account, now)
            return accounts.load_cursor(session, account)

    def handle(self, account: str, batch: Batch, *, since: datetime, made: Collection[str] = ()) -> Counts:
        """Write one batch. `since` = when this pass began: the baseline of folders that are new now. `made`: folders
        that appeared while the account was watched."""
        with self._turn(batch.items), self._store.writing() as session:
            baselines = accounts.folder_baselines(session, account, batch.folders, since)
            work = self._begin(session, account, batch.items, baselines, backfill=batch.backfill)
            work.made = made
            self._messages(work)
            self._gestures(work).of_remarks(batch.changed)
            for failed in batch.unreadable:
                keep_unreadable(work, self._key, failed)
            self._flush(work)
            accounts.save_cursor(session, account, batch.cursor)
            accounts.save_progress(session, account, batch.progress)
            if work.items:
                accounts.saw_mail(session, account, max(item.received_at for item in work.items))
        return work.counts

    def log_late(self, account: str, messages: Sequence[Message], gone: Collection[int]) -> Counts:
        """Log mails that matched nobody when they came (their customer is known now). Fires no actions."""
        with self._turn(messages), self._store.writing() as session:
            unmatched.forget(session, gone)
            work = self._begin(session, account, messages, {}, backfill=True)
            self._messages(work)
            self._flush(work)
        return work.counts

    def handle_again(self, account: str, items: Sequence[Message | Unreadable]) -> Counts:
        """Write mails whose first fetch failed. They are as new as they were then: rules see them, however late."""
        messages = [item for item in items if isinstance(item, Message)]
        with self._turn(messages), self._store.writing() as session:
            baselines = accounts.folder_baselines(session, account, (), self._clock.now())
            work = self._begin(session, account, messages, baselines, backfill=False)
            self._messages(work)
            for item in items:
                if isinstance(item, Unreadable):
                    keep_unreadable(work, self._key, item)
                else:
                    quarantine.settle(session, account, item.folder, [item.ref], work.now)
            self._flush(work)
        return work.counts

    def explain(self, session: Session, message: Message) -> Decision:
        """What the rules say of one mail now, every rule traced. Writes nothing."""
        directory = directory_for(session, self._key, self.office.settings, (message,), self.office.rules)
        before = min(message.received_at, message.sent_at or message.received_at) - timedelta(days=1)
        loaded = {rule.name: before for rule in self.office.rules.rules}
        moment = Moment(now=self._clock.now(), baseline=before, loaded=loaded)
        wish = is_wish(session, self.office.rules, self.office.settings, directory, message)
        return evaluate(
            self.office.rules, message, directory, self.office.settings, moment, explain=True, unsubscribed=wish
        )

    def _turn(self, items: Sequence[Message]) -> AbstractContextManager[object]:
        """Mail with invitations is written in turn with calendars and the look for occasions."""
        busy = self.meetings is not None and any(item.invitations for item in items)
        return self.meetings.turn if self.meetings is not None and busy else nullcontext()

    # --- one batch -------------------------------------------------------------------------------------------------

    def _begin(
        self,
        session: Session,
        account: str,
        items: Sequence[Message],
        baselines: Mapping[str, datetime],
        *,
        backfill: bool,
    ) -> Work:
        now = self._clock.now()
        items = [arrived(message, now) for message in items]
        setting = self.office.settings.accounts.get(account)
        loaded = actions.loaded_rules(session)
        paused = paused_rules(session, self.office)
        return Work(
            session=session,
            account=account,
            office=self.office,
            now=now,
            backfill=backfill,
            rep=(setting.rep or "") if setting else "",
            moments={
                folder: Moment(now=now, baseline=at, loaded=loaded, paused=paused) for folder, at in baselines.items()
            },
            directory=directory_for(session, self._key, self.office.settings, items, self.office.rules),
            items=items,
            promised=customers_with_promises(session),
            ours=Ours.among(session, self.office, items),
        )

    def _messages(self, work: Work) -> None:
        work.counts.seen += len(work.items)
        ordered = sorted(work.items, key=lambda message: message.received_at)
        identities = [identity(message) for message in ordered]
        known = interactions.find_known(work.session, identities)
        fresh = {one.message_id for one, who in zip(ordered, identities, strict=True) if who.key not in known}
        work.ids = interactions.repeated_ids(work.session, fresh)
        strangers = unmatched.known(work.session, {self._key.identity(who.key) for who in identities})
        copies: list[tuple[Copy, FolderRole]] = []
        for message, who in zip(ordered, identities, strict=True):
            if (number := known.get(who.key)) is not None:
                copies.append((sighted(number, message), message.folder_role))
                work.counts.duplicate += 1
                self._settle_copy(work, message)
                self._invited(work, message)
            elif is_own(message, work.office):
                work.counts.skipped["own"] += 1
            elif is_unsent(message):
                work.counts.skipped["draft"] += 1
            else:
                self._new(work, message, who, seen_before=self._key.identity(who.key) in strangers)
        self._gestures(work).of_copies(copies, backfill=work.backfill)
        sightings.add_sightings(work.session, [copy for copy, _ in copies])
        hashed = {self._key.identity(key): number for key, number in known.items()}
        self._adopt(work, {one: number for one, number in hashed.items() if one in strangers})
        self._mark(work)
        self._meet(work)

    def _gestures(self, work: Work) -> Gestures:
        return Gestures(session=work.session, office=work.office, account=work.account, now=work.now, made=work.made)

    def _invited(self, work: Work, message: Message) -> None:
        """Put a mail of the history aside that brings a calendar."""
        if message.invitations and self.meetings is not None:
            work.invitations.append(message)

    def _meet(self, work: Work) -> None:
        """Let the meetings hear what mails say of them, behind the rows of the mails."""
        messages, work.invitations = work.invitations, []
        if messages:
            self._flush(work)
        for message in messages:
            moment = work.moments.get(message.folder)
            past = work.backfill or moment is None or is_history(message, moment)
            try:
                assert self.meetings is not None
                with work.session.begin_nested():
                    self.meetings.take_mail(work.session, message, past=past)
            except _OF_THE_STORE:
                raise
            except Exception as error:
                log.error("invitation.failed", account=work.account, ref=message.ref, exc_info=error)

    def _settle_copy(self, work: Work, message: Message) -> None:
        """The copy in Sent of a mail that a colleague's Inbox showed first: only it proves that we wrote."""
        if note_copy(work.session, work.ours, message):
            return
        if message.folder_role is FolderRole.SENT and work.promised:
            history = Moment(now=work.now, baseline=None)
            decision = evaluate(work.office.rules, message, work.directory, work.office.settings, history)
            settle(work.session, work.office.settings, message, decision, work.now)

    def _new(self, work: Work, message: Message, who: Identity, *, seen_before: bool) -> None:
        history = Moment(now=work.now, baseline=None)
        # What we sent by ourselves is nobody's letter: it belongs into the history and sets nothing off.
        own = note_copy(work.session, work.ours, message)
        moment = history if seen_before or own else work.moments.get(message.folder, history)
        try:
            rules, settings = work.office.rules, work.office.settings
            wish = is_wish(work.session, rules, settings, work.directory, message)
            decision = evaluate(rules, message, work.directory, settings, moment, unsubscribed=wish)
            work.hits += [one.rule for one in decision.traces if one.result in ("fired", "watched", "paused")]
            if decision.outcome in (Outcome.LOG, Outcome.HEADERS):
                self._log(work, message, who, decision)
                self._invited(work, message)
            elif decision.outcome is Outcome.UNMATCHED:
                work.strangers.append(stranger_mail(self._key, work.office.settings, message, who, decision))
                work.counts.unmatched += 1
            else:
                work.counts.skipped[decision.outcome.value] += 1
            self._listen(work, message, decision)
        except _OF_THE_STORE:
            raise
        except Exception as error:
            put_aside(work, message, error)

    def _log(self, work: Work, message: Message, who: Identity, decision: Decision) -> None:
        repeated = bool({who.key, who.content} & work.seen)
        work.seen |= {who.key, who.content} - {""}
        if repeated and self._is_copy(work, message, who):
            work.counts.duplicate += 1
            return
        if message.message_id in work.ids:
            # Another From or Date under an id that we know: two mails, one of them forged or a program's mistake.
            log.warning("message.id_repeated", account=work.account, folder=message.folder, ref=message.ref)
        work.ids |= {message.message_id} - {""}
        if decision.actions:
            self._act(work, message, who, decision)
        else:
            numbers = decision.match.customers
            work.rows.append(new_row(work, message, who, decision, numbers, contact_ids(work.directory, message)))
            self._remember(work, message, decision, numbers)
            if work.promised.intersection(numbers):
                self._settle(work, message, decision)
        if is_header_only(message):
            work.counts.degraded += 1
        else:
            work.counts.logged += 1

    def _is_copy(self, work: Work, message: Message, who: Identity) -> bool:
        """The same mail twice in one batch (two folders), maybe under a rewritten id: one row, two sightings."""
        self._flush(work)
        number = interactions.find_known(work.session, [who]).get(who.key)
        if number is None:  # the first one could not be written
            return False
        sightings.add_sightings(work.session, [sighted(number, message)])
        return True

    def _act(self, work: Work, message: Message, who: Identity, decision: Decision) -> None:
        self._flush(work)
        with work.session.begin_nested():
            cause = self._cause(work, message, who, decision)
            effects.file_under(cause)
            row = new_row(work, message, who, decision, tuple(cause.customers), cause.contacts, cause.customers)
            (number,) = interactions.record(work.session, [row])
            self._adopt(work, {self._key.identity(who.key): number})
            effects.perform(cause, number)
            self._settle(work, message, decision)
        self._remember(work, message, decision, tuple(cause.customers))
        self._flush(work)
        work.promised = customers_with_promises(work.session)
        office = work.office
        work.directory = directory_for(work.session, self._key, office.settings, work.items, office.rules)

    def _settle(self, work: Work, message: Message, decision: Decision) -> None:
        """Our own follow-up in Sent is no word of the team: it ends neither itself nor anybody's reminder."""
        if message.message_id not in work.ours.copies:
            settle(work.session, work.office.settings, message, decision, work.now)

    def _listen(self, work: Work, message: Message, decision: Decision) -> None:
        """Put a mail aside that says something about people; `_mark` writes it down behind the batch's own rows."""
        scene = Scene(
            session=work.session,
            office=work.office,
            key=self._key,
            message=message,
            decision=decision,
            directory=work.directory,
            ours=work.ours,
            now=work.now,
        )
        if says_something(scene):
            work.scenes.append(scene)

    def _mark(self, work: Work) -> None:
        """Write down what the mails say about people. In any order it comes to the same, see daemon.marks."""
        scenes, work.scenes = work.scenes, []
        if not scenes:
            return
        self._flush(work)
        for scene in scenes:
            try:
                with work.session.begin_nested():
                    mark(scene)
            except _OF_THE_STORE:
                raise
            except Exception as error:
                log.error("mark.failed", account=work.account, ref=scene.message.ref, exc_info=error)

    def _cause(self, work: Work, message: Message, who: Identity, decision: Decision) -> Cause:
        match = decision.match
        return Cause(
            session=work.session,
            office=work.office,
            key=self._key,
            message=message,
            decision=decision,
            event=who.key,
            account=work.account,
            now=work.now,
            customers={number: match.rungs.get(number, "") for number in match.customers},
            contacts=contact_ids(work.directory, message),
            contact_id=match.contact.id if match.contact else None,
        )

    def _remember(self, work: Work, message: Message, decision: Decision, numbers: tuple[int, ...]) -> None:
        """Let later mails of the batch see this one: as part of their thread, and as the customer's last mail."""
        letter = message.kind is Kind.HUMAN and message.message_id not in work.ours.copies
        if letter:
            contact = decision.match.contact
            people = (contact.id,) if contact else ()
            direction = decision.direction.value
            work.touches.append(
                Touch(at=message.received_at, direction=direction, customer_ids=numbers, contact_ids=people)
            )
            if decision.direction is Direction.OUT and work.rep:
                known = work.directory.customers
                work.unowned |= {one for one in numbers if one not in known or not known[one].owner}
        if message.message_id and isinstance(work.directory.threads, dict):
            thread = Thread(customers=numbers, subject_key=subject_key(message.subject))
            work.directory.threads.setdefault(message.message_id, thread)
        if letter and isinstance(work.directory.customers, dict):
            for number in numbers:
                touch_facts(work.directory.customers, number, message.received_at, decision.direction)

    def _flush(self, work: Work) -> None:
        rows, work.rows = self._record(work, work.rows), []
        recorded = {self._key.identity(row.identity.key): number for number, row in rows}
        interactions.touch(work.session, work.touches)
        work.touches = []
        for number in work.unowned:
            customers.owner_if_none(work.session, number, work.rep)
        work.unowned = set()
        actions.hit(work.session, work.hits, work.now)
        work.hits = []
        unmatched.remember(work.session, work.strangers)
        work.strangers = []
        if rows:
            self._adopt(work, recorded)
            answered = [self._key.message(row.message.message_id) for _, row in rows if row.message.message_id]
            unmatched.make_due(work.session, answered)

    def _adopt(self, work: Work, recorded: dict[str, int]) -> None:
        """Copies of a mail that matched nobody when they were read are sightings of its row now."""
        copies = unmatched.copies_of(work.session, recorded)
        seen = [Copy(recorded[one.identity], one.account, one.folder, one.ref, one.at) for one in copies]
        sightings.add_sightings(work.session, seen)
        unmatched.forget(work.session, [one.id for one in copies])

    def _record(self, work: Work, rows: list[NewInteraction]) -> list[tuple[int, NewInteraction]]:
        """Write rows in bulk; if one errs, one by one, and that one goes aside. (id, row) of those written."""
        if not rows:
            return []
        try:
            with work.session.begin_nested():
                return list(zip(interactions.record(work.session, rows), rows, strict=True))
        except _OF_THE_STORE:
            raise
        except Exception as error:
            if len(rows) > 1:
                return [one for row in rows for one in self._record(work, [row])]
            counted = "degraded" if is_header_only(rows[0].message) else "logged"
            setattr(work.counts, counted, getattr(work.counts, counted) - 1)
            put_aside(work, rows[0].message, error)
            return []
