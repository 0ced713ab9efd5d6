"""Answers "why, and why not" for one mail: what was recorded when it came, and what the rules say of it today."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlmodel import Session

from connectors import factory
from connectors.errors import ConnectorError
from connectors.factory import Surroundings
from connectors.model import Message, Unreadable
from connectors.parsing import ParserPool
from connectors.protocols import Parser, Rereader
from daemon import explaining_meetings, explaining_occasions
from daemon.app import hash_key, looking
from daemon.calendar_items import reminder_line
from daemon.clock import SystemClock
from daemon.mailbox_marks import mark_line
from daemon.notifier import notification_line
from daemon.office import Office
from daemon.pipeline import Pipeline
from daemon.reading import one_mail
from rules.explain import as_dict, explain
from store import actions, customers, history, mailbox_marks, meetings, notifications, reminders, unmatched
from store.engine import Store
from store.errors import NotFound
from store.hashing import HashKey
from store.meetings import MeetingRow
from store.tables import MailboxMark


@dataclass(slots=True)
class Explained:
    """The answer as lines for people and as plain data."""

    lines: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


_TODAY = "If it came now, with today's rules and customers:"
_MEETING_TODAY = "What today's rules would do for it, at each moment that they wait for:"


def explain_file(directory: Path, path: Path, rule: str | None) -> Explained:
    """What the rules say of a mail in a file. Raises NotFound if it is no readable mail."""
    parser = ParserPool()
    try:
        item = one_mail(path, parser)
    finally:
        parser.close()
    if isinstance(item, Unreadable):
        raise NotFound(f"{path} cannot be read: {item.reason}", hint=f"look at it: quietcrm read {path}")
    with looking(directory) as (office, store), store.session() as session:
        return _today(session, _pipeline(office, store, directory), item, rule)


def explain_occasion(directory: Path, words: str, customer: str | None, rule: str | None) -> Explained:
    """What today's rules would do if a trigger came true now. Raises NotFound, Refused."""
    with looking(directory) as (office, store), store.session() as session:
        occasion = explaining_occasions.of_now(session, office, words, customer)
        lines, data = explaining_occasions.today(session, office, hash_key(directory), occasion, rule)
        return Explained(lines=lines, data=data)


def explain_logged(directory: Path, name: str, rule: str | None) -> Explained:
    """What was recorded of a mail named by number or Message-ID, and what today's rules say of it."""
    with looking(directory) as (office, store), store.session() as session:
        found = history.find(session, name)
        key = hash_key(directory)
        explained = _recorded(session, found[0].id, found[0].as_dict(), office) if found else Explained()
        if found and (row := meetings.by_numbers(session, [found[0].id]).get(found[0].id)):
            return _with_meeting(session, office, key, row, explained, rule)
        if kept := _occasion_of(explained):
            lines, data = explaining_occasions.today(session, office, key, explaining_occasions.again(kept), rule)
            explained.lines += ["", _TODAY, *lines]
            explained.data["today"] = data
            return explained
        places = _places(session, office, key, name, found)
        if not found and not places:
            raise NotFound(
                f'no mail "{name}" in the log', hint="take a number from: quietcrm log, or name an .eml file"
            )
        message = _read_again(office, directory, places)
        if message is not None:
            today = _today(session, _pipeline(office, store, directory), message, rule)
            head = ["", _TODAY] if explained.lines else []
            explained.lines += [*head, *today.lines]
            explained.data["today"] = today.data
        elif not explained.lines:
            raise NotFound("the mail is no longer in its mailbox", hint="nothing of it was stored")
        return explained


def _with_meeting(
    session: Session, office: Office, key: HashKey, row: MeetingRow, explained: Explained, rule: str | None
) -> Explained:
    """What was recorded of a meeting, what the calendars say of it, and what today's rules would do for it."""
    lines, known = explaining_meetings.known(session, office, key, row)
    told, today = explaining_meetings.of_rules(session, office, key, row, rule)
    explained.lines += [*lines, "", _MEETING_TODAY, *told]
    explained.data |= {"meeting": known, "today": today}
    return explained


def _occasion_of(explained: Explained) -> dict[str, Any]:
    """The kept trace of something else than a mail, {} if it was a mail."""
    data: dict[str, Any] = (explained.data.get("trace") or {}).get("data", {})
    return data if "occasion" in data else {}


def _pipeline(office: Office, store: Store, directory: Path) -> Pipeline:
    return Pipeline(store, hash_key(directory), office, SystemClock())


def _today(session: Session, pipeline: Pipeline, message: Message, rule: str | None) -> Explained:
    decision = pipeline.explain(session, message)
    names = {number: row.name for number, row in customers.facts(session, decision.match.customers).items()}
    if rule is not None:
        decision = replace(decision, traces=tuple(one for one in decision.traces if one.rule == rule))
    office = pipeline.office
    lines = explain(decision, message, office.rules, names, zone=office.settings.zone, now=SystemClock().now())
    return Explained(lines=lines, data=as_dict(decision, message, office.rules, names))


def _recorded(session: Session, number: int, entry: dict[str, Any], office: Office) -> Explained:
    zone = office.settings.zone
    trace = history.trace_of(session, number)
    done = actions.done_for(session, history.identity_of(session, number))
    who = ", ".join(f"{name} (by {rung})" for name, rung in history.rungs_of(session, number))
    lines = [
        f"{entry['subject'] or '(no subject)'}  (number {number}, {entry['kind']}, {entry['direction']})",
        f"filed under: {who or 'nobody'}",
        f"logged by: {entry['rule'] or f'default (a {_sort(entry)} with a known customer)'}",
    ]
    lines += [f"done: {slot} by rule {name}" + (f" -> {detail}" if detail else "") for name, slot, detail in done]
    marks = mailbox_marks.of_mails(session, [number])
    lines += [f"mailbox: {line}" for line in map(mark_line, marks)]
    said = notifications.of_events(session, [history.identity_of(session, number)])
    lines += [f"notified: {line}" for line in map(notification_line, said)]
    reminded = reminders.of_events(session, [history.identity_of(session, number)])
    lines += [f"reminder: {reminder_line(one, office)}" for one in reminded]
    if trace and "occasion" in trace["data"]:
        lines += explaining_occasions.recorded_lines(trace["data"])
    if trace:
        at = trace["at"].astimezone(zone)
        lines.append(f"recorded {at:%Y-%m-%d %H:%M} with configuration {trace['config_hash']}")
    data = {
        **entry,
        "done": [{"rule": name, "slot": slot, "detail": detail} for name, slot, detail in done],
        "marks": [_mark_data(one) for one in marks],
        "notifications": [
            {"rule": one.rule, "channel": one.channel, "text": one.text, "state": str(one.state), "reason": one.reason}
            for one in said
        ],
        "reminders": [
            {"rule": one.rule, "rep": one.rep, "text": one.text, "due_at": one.due_at, "wanted_as": one.wanted_as}
            | {"laid_as": one.laid_as, "calendar": one.calendar, "state": str(one.state), "reason": one.reason}
            for one in reminded
        ],
        "trace": trace,
    }
    return Explained(lines=lines, data=data)


def _sort(entry: dict[str, Any]) -> str:
    return "meeting" if entry["kind"] == meetings.CHANNEL else "mail"


def _mark_data(mark: MailboxMark) -> dict[str, Any]:
    """One mark as plain data."""
    asked = {"rule": mark.rule, "account": mark.account, "folder": mark.folder, "marks": mark.marks}
    return asked | {"state": str(mark.state), "reason": mark.reason, "done_at": mark.done_at}


def _places(session: Session, office: Office, key: HashKey, name: str, found: list[Any]) -> list[tuple[str, str, str]]:
    """(account, folder, ref) of copies: of a logged mail by its sightings, else by the hash of its Message-ID."""
    if found:
        every = history.places_of(session, found[0].id)
    else:
        rows = unmatched.find_for(session, [key.own_message(name.strip().strip("<>"))])
        every = [(row.account, row.folder, row.ref) for row in rows]
    return [place for place in every if place[0] in office.settings.accounts]


def _read_again(office: Office, directory: Path, places: list[tuple[str, str, str]]) -> Message | None:
    parser = ParserPool()
    try:
        for place in places:
            message = _read_copy(office, directory, place, parser)
            if message is not None:
                return message
    finally:
        parser.close()
    return None


def _read_copy(office: Office, directory: Path, place: tuple[str, str, str], parser: Parser) -> Message | None:
    account, folder, ref = place
    today = SystemClock().now().astimezone(office.settings.zone).date()
    around = Surroundings(base=directory, today=today, markup=office.rules.reads_markup)
    source = factory.build_source(account, office.settings.accounts[account], parser, around)
    if not isinstance(source, Rereader):
        return None
    try:
        found = source.reread([(folder, ref)])
    except ConnectorError:
        return None
    finally:
        source.close()
    return next((item for item in found if isinstance(item, Message)), None)
