"""Looks at everything that has to work, says what does not, and how to mend it. Stores nothing, sends nothing."""

from __future__ import annotations

import email.policy
import os
import platform
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from config.errors import QuietcrmError
from config.secrets import SecretRef, loose_mode, resolve
from connectors.factory import Surroundings
from connectors.notifying import check_channel
from connectors.parsing import ParserPool
from daemon.clock import Clock
from daemon.findings import Finding, failed, good, warn
from daemon.glance import Knowledge, existing_store, knowledge
from daemon.linting import unreadable_dates
from daemon.office import Office
from daemon.visits import Visit, sending_rules
from daemon.ways import DESKS, calendar_of
from store import schema
from store.engine import WAL_IS_SAFE

AT_ONCE = 8


def examine(office: Office, clock: Clock, done: Callable[[], None] = lambda: None) -> list[Finding]:
    """Every finding, in a fixed order; `done` is called after each account and sender."""
    now = clock.now()
    store = list(_store(office))
    findings = [*_machine(office), *_files(office), *store]
    findings += [one for look in (_people, _sends, _channels, _calendars) for one in look(office)]
    findings += _dates(office, store)
    around = Surroundings(base=office.directory, today=now.astimezone(office.settings.zone).date())
    parser = ParserPool()
    try:
        with _known(office, store) as known, ThreadPoolExecutor(AT_ONCE) as pool:
            visit = Visit(office, around, parser, known, now)

            def looked_at(look: Callable[[str], Iterator[Finding]], name: str) -> list[Finding]:
                found = list(look(name))
                done()
                return found

            answers = [pool.submit(looked_at, visit.account, name) for name in office.settings.accounts]
            answers += [pool.submit(looked_at, visit.calendar, name) for name in office.settings.calendars]
            answers += [pool.submit(looked_at, visit.sender, name) for name in office.settings.senders]
            findings += [finding for answer in answers for finding in answer.result()]
    finally:
        parser.close()
    return findings


def things_to_look_at(office: Office) -> int:
    """How often `examine` calls `done`."""
    return len(office.settings.accounts) + len(office.settings.calendars) + len(office.settings.senders)


@contextmanager
def _known(office: Office, store: Iterable[Finding]) -> Iterator[Knowledge]:
    if any(finding.error for finding in store):
        yield Knowledge.none(office)
        return
    with knowledge(office) as known:
        yield known


# --- this machine --------------------------------------------------------------------------------------------------


def _machine(office: Office) -> Iterator[Finding]:
    version = platform.python_version()
    if hasattr(email.policy.default, "verify_generated_headers"):
        yield good("python", version)
    else:
        message = f"{version} lacks a later check of mail headers; quietcrm checks every mail it writes by itself"
        yield warn("python", message, "install the newest patch release of this Python when your system offers it")
    if office.settings.store.startswith("sqlite"):
        journal = "write-ahead log" if WAL_IS_SAFE else "rollback journal: its write-ahead log is safe from 3.51.3 on"
        yield good("sqlite", f"{sqlite3.sqlite_version} ({journal})")


def _files(office: Office) -> Iterator[Finding]:
    folder = office.state
    if not folder.exists():
        parent = next(one for one in folder.absolute().parents if one.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield good("state", f"{folder} is made at the first run")
        else:
            error = QuietcrmError(f"{folder} cannot be made", hint=f"run as a user who may write to {parent}")
            yield failed("state", error)
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        error = QuietcrmError(f"{folder} cannot be written", hint=f"let quietcrm's user own it: chown USER {folder}")
        yield failed("state", error)
    elif (mode := loose_mode(folder)) is not None:
        yield warn("state", f"{folder} is open to others ({mode:04o})", f"run: chmod 700 {folder}")
    else:
        yield good("state", f"{folder}, closed to others")
    yield from _secrets(office)


def _secrets(office: Office) -> Iterator[Finding]:
    """Secret files that others may read. Whether a secret is there at all shows when it is used."""
    settings = office.settings
    logins = (*settings.accounts.values(), *settings.calendars.values(), *settings.senders.values())
    signing = [found for one in logins if (found := getattr(one, "sign_in", None)) is not None]
    refs = [office.settings.store_password, *(getattr(one, "password", None) for one in logins)]
    refs += [ref for one in signing for ref in (one.client_secret, one.key)]
    refs += office.settings.channels.values()
    for ref in dict.fromkeys(one for one in refs if isinstance(one, SecretRef) and one.kind == "file"):
        path = office.directory / ref.name
        if (mode := loose_mode(path)) is not None:
            yield warn("secrets", f"{path} is open to others ({mode:04o})", f"run: chmod 600 {path}")


def _store(office: Office) -> Iterator[Finding]:
    try:
        store = existing_store(office)
        if store is None:
            yield good("store", "none yet, it is made at the first run")
            return
        try:
            problems = schema.check(store)
            schema.ensure_current(store)
        finally:
            store.close()
    except QuietcrmError as error:
        yield failed("store", error)
        return
    for problem in problems:
        yield failed("store", QuietcrmError(problem, hint="restore a backup: quietcrm db restore FILE"))
    if not problems:
        yield good("store", f"{store.dialect}, schema {schema.HEAD}, no damage")


def _people(office: Office) -> Iterator[Finding]:
    settings = office.settings
    served = {one.rep for one in settings.accounts.values() if one.type in DESKS}
    for rep in settings.team:
        if rep not in served and settings.sender_for(rep) is None:
            remedy = f"add an account or a sender with rep: {rep} to quietcrm.yaml"
            yield warn(f"person {rep}", "no draft, reminder or notice can reach this person", remedy)


def _channels(office: Office) -> Iterator[Finding]:
    """Whether the address of each channel is there and understood. Nothing is sent."""
    for name, ref in office.settings.channels.items():
        try:
            kind = check_channel(name, resolve(ref, base=office.directory).reveal())
        except QuietcrmError as error:
            yield failed(f"channel {name}", error)
        else:
            yield good(f"channel {name}", f"{kind}; doctor sends nothing there")


def _calendars(office: Office) -> Iterator[Finding]:
    """Rules whose reminders want a calendar or a list of tasks, where somebody has none."""
    without = [rep for rep in office.settings.team if not calendar_of(office.settings, rep)]
    for rule in office.rules.rules:
        for way in ("calendar", "task") if rule.mode != "off" and without else ():
            if any(one.verb == "remind" and one.shown.endswith(f" as {way}") for one in rule.effects):
                message = f"a reminder `as: {way}` comes as a mail to {', '.join(without)}: they have no calendars"
                yield good(f"rule {rule.name}", message)


def _dates(office: Office, store: Iterable[Finding]) -> Iterator[Finding]:
    """Dates that rules wait for and nobody can read."""
    if any(finding.error for finding in store):
        return
    for name, customers in sorted(unreadable_dates(office).items()):
        remedy = "see which: quietcrm rules lint; write dates as 2026-12-31, those of every year as --12-31"
        yield warn(f"field {name}", f"{len(customers)} records hold no date there, so their rules never run", remedy)


def _sends(office: Office) -> Iterator[Finding]:
    """Who may write to customers without a person's eye on it, where a rule says `send`. The rule's mail may fall to
    anybody of the team. Whether sender and mailbox work shows when they are looked at below."""
    rules, settings = sending_rules(office), office.settings
    if not rules:
        return
    for rep in settings.team:
        about, sender = f"sends of {rep}", settings.sender_for(rep)
        mailboxes = [name for name, one in settings.accounts.items() if one.rep == rep]
        if sender is None:
            message = f"no sender: mail that a rule sends for {rep} is held"
            yield warn(about, message, f"add a sender with rep: {rep} to quietcrm.yaml")
        elif not mailboxes:
            message = f"no mailbox of {rep} is read: an answer to {rep} would not stop a mail"
            yield warn(about, message, f"add an account with rep: {rep} to quietcrm.yaml")
        else:
            yield good(
                about, f"leave by {sender}, after a look into {', '.join(mailboxes)} (rules: {', '.join(rules)})"
            )
