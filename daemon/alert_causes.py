"""What needs a person now and cannot wait for the daily notice; `alerts` tells of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from daemon.disk import REMEDY
from daemon.meeting_times import box_of
from daemon.office import Office
from daemon.phrases import phrase
from daemon.sign_ins import LostSignIn
from daemon.watchdog import Hang, hang_words
from store import accounts, pauses
from store.engine import Store
from store.errors import StoreDamaged, StoreError
from store.tables import Account

PATIENCE = timedelta(minutes=15)
"""How long a mailbox may fail before a person hears of it at once: servers restart."""
CONFIG_PATIENCE = timedelta(seconds=15)
"""How long a fault in the files must stay the same before it is told: a file may be half written, a folder half
copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Something that needs the admin.

    key       the same for the same trouble
    kind      what it is about: name of the phrase that is its heading
    account   the mailbox it came from, which is a bad way to tell of it
    involved  further accounts and senders that are as bad
    person    who is told; "" = the admin
    once      told once, not every day
    listing   lines to be shown as they are. A cause with a listing is told once for each listing, not every day
    """

    key: str
    kind: str
    text: str = ""
    hint: str = ""
    command: str = ""
    account: str = ""
    listing: str = ""
    patience: timedelta = timedelta(0)
    involved: tuple[str, ...] = ()
    person: str = ""
    once: bool = False

    @property
    def ways(self) -> set[str]:
        """Accounts and senders by which it had better not be told."""
        return {self.account, *self.involved}

    @property
    def mark(self) -> str:
        """The same for the same listing."""
        return hashlib.sha256(self.listing.encode("utf-8", "replace")).hexdigest()[:16] if self.listing else ""


def find_causes(
    store: Store,
    office: Office,
    *,
    config_trouble: str,
    disk_trouble: str,
    hangs: Sequence[Hang],
    clock_trouble: str = "",
    senders: Mapping[str, str] | None = None,
    sign_ins: Sequence[LostSignIn] = (),
) -> list[Cause]:
    """What needs the admin now; `senders` = those that do not work -> why, `sign_ins` = those that ended. Never raises
    for trouble of the store: that is one of the causes."""
    found = [_hanging(hang) for hang in hangs]
    found += [cause for lost in sign_ins for cause in _ended_sign_in(lost, office)]
    explained = {name for lost in sign_ins for name in lost.names}
    found += [_silent_sender(name, reason) for name, reason in (senders or {}).items() if name not in explained]
    if clock_trouble:
        found.append(Cause(key="clock", kind="alert_clock", text=clock_trouble, command="timedatectl"))
    if config_trouble:
        found.append(_refused_config(config_trouble))
    if disk_trouble:
        found.append(Cause(key="disk", kind="alert_disk", text=disk_trouble, hint=REMEDY, command="df -h"))
    try:
        found += _tripped(store)
        return found + [cause for cause in _failing_accounts(store, office) if cause.account not in explained]
    except StoreError as error:
        command = "quietcrm db check" if isinstance(error, StoreDamaged) else "quietcrm status"
        found.append(Cause(key="store", kind="alert_store", text=error.message, hint=error.hint, command=command))
        return found


def _tripped(store: Store) -> list[Cause]:
    """The breaker holds everything, and only a person frees it."""
    with store.session() as session:
        breaker = pauses.everything(session).get(pauses.BREAKER)
    if breaker is None:
        return []
    return [Cause(key="breaker", kind="alert_breaker", text=breaker.reason, command="quietcrm release")]


def _ended_sign_in(lost: LostSignIn, office: Office) -> Iterator[Cause]:
    """For the admin, who can mend it, and for each rep whose mailbox is not read any more."""
    names, admin = ", ".join(lost.names), office.settings.admin
    yield Cause(
        key=f"sign-in {lost.key}",
        kind="alert_sign_in",
        text=f"{names}: {lost.reason}",
        hint=lost.hint,
        command=lost.command,
        involved=lost.names,
        once=True,
    )
    who = office.settings.team[admin].name or admin
    for rep in lost.reps:
        if rep != admin:
            text = phrase("alert_sign_in_rep", office.settings.language_for(rep)).format(names, who)
            key, kind = f"sign-in {lost.key} {rep}", "alert_sign_in"
            yield Cause(key=key, kind=kind, text=text, involved=lost.names, person=rep, once=True)


def _refused_config(trouble: str) -> Cause:
    return Cause(key="config", kind="config", listing=trouble, command="quietcrm check", patience=CONFIG_PATIENCE)


def _hanging(hang: Hang) -> Cause:
    return Cause(
        key=f"worker {hang.worker}",
        kind="alert_worker",
        text=hang_words([hang]),
        command="quietcrm status",
        account=hang.worker.rpartition(" ")[2],
    )


def _silent_sender(name: str, reason: str) -> Cause:
    return Cause(
        key=f"sender {name}",
        kind="alert_sender",
        text=f"{name}: {reason}",
        command="quietcrm doctor",
        patience=PATIENCE,
    )


def _failing_accounts(store: Store, office: Office) -> list[Cause]:
    with store.session() as session:
        rows = [row for row in accounts.everything(session) if row.state in ("failing", "parked")]
    wanted = {*office.settings.accounts, *map(box_of, office.settings.calendars)}
    return [_failing(row) for row in rows if row.name in wanted]


def _failing(row: Account) -> Cause:
    return Cause(
        key=f"account {row.name}",
        kind="accounts",
        text=f"{row.name}: {row.reason}",
        hint=row.hint,
        command="quietcrm doctor",
        account=row.name,
        patience=PATIENCE,
    )
