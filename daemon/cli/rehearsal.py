"""sync --once --dry-run: what would be done with the newest mails. Writes nothing anywhere; needs no store."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import typer

from config.errors import QuietcrmError
from connectors import factory
from connectors.factory import Surroundings
from connectors.model import Message, Unreadable
from connectors.parsing import ParserPool
from daemon.cli.options import Invocation
from daemon.cli.screen import Exit, emit, local, progress, remark, say
from daemon.clock import SystemClock
from daemon.glance import Knowledge, knowledge, newest
from daemon.office import Office, load_office
from rules.decision import Decision, Outcome
from rules.explain import as_dict
from store.errors import NotFound
from store.identity import identity

MAILS = 20
"""How many of the newest mails of each account are shown."""

AT_ONCE = 8
_OUTCOMES = {
    Outcome.LOG: "would be logged",
    Outcome.HEADERS: "would be logged, header only",
    Outcome.UNMATCHED: "left out: nobody known; importing or adding the customer brings it in",
    Outcome.INTERNAL: "left out: internal",
    Outcome.NEVER_LOG: "left out: never logged",
    Outcome.IGNORED: "left out",
}
_ACTING = ("fired", "watched")


@dataclass(slots=True)
class _Account:
    """What was read of one account, or why it could not be."""

    mails: list[dict[str, Any]] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    error: QuietcrmError | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        data: dict[str, Any] = {
            "mails": self.mails,
            "outcomes": dict(sorted(Counter(mail["outcome"] for mail in self.mails).items())),
            "unreadable": [{"folder": bad.folder, "ref": bad.ref, "reason": bad.reason} for bad in self.unreadable],
        }
        return data | ({"reason": self.error.message, "hint": self.error.hint} if self.error else {})


def rehearse(given: Invocation, accounts: list[str], *, as_json: bool) -> None:
    """Show for the newest mails of each account who they are about, what rules would do, and what is left out.

    Raises ConfigError, NotFound, StoreError; ends with the exit code of an account that could not be read.
    """
    office = load_office(given.directory)
    for name in accounts:
        if name not in office.settings.accounts:
            raise NotFound(f'no account "{name}"', hint=f"accounts: {', '.join(office.settings.accounts)}")
    names = accounts or list(office.settings.accounts)
    with progress(quiet=given.quiet or as_json) as bars:
        bar = bars.add_task("reading", total=len(names))
        found = _read_all(office, names, lambda: bars.advance(bar))
    data = {"accounts": {name: one.as_dict() for name, one in found.items()}, "dry_run": True}
    emit(data, as_json=as_json, human=lambda: _show(data, office.settings.zone))
    errors = [one.error for one in found.values() if one.error]
    if errors:
        raise typer.Exit(_exit_code(errors))


def _exit_code(errors: list[QuietcrmError]) -> Exit:
    from daemon.cli.main import exit_code

    return min(exit_code(error) for error in errors)


def _read_all(office: Office, names: list[str], done: Any) -> dict[str, _Account]:
    now = SystemClock().now()
    today = now.astimezone(office.settings.zone).date()
    around = Surroundings(base=office.directory, today=today, markup=office.rules.reads_markup)
    parser = ParserPool()

    def look(name: str) -> _Account:
        try:
            source = factory.build_source(name, office.settings.accounts[name], parser, around)
            try:
                messages, unreadable = newest(source, MAILS)
            finally:
                source.close()
            return _Account([*_explained(office, known, messages, now)], unreadable)
        except QuietcrmError as error:
            return _Account(error=error)
        finally:
            done()

    try:
        with knowledge(office) as known, ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(names, pool.map(look, names), strict=True))
    finally:
        parser.close()


def _explained(office: Office, known: Knowledge, messages: list[Message], now: datetime) -> list[dict[str, Any]]:
    directory, logged = known.directory(messages), known.logged(messages)
    rows = []
    for message in messages:
        decision = known.explain(message, directory, now)
        names = known.names(decision.match.customers)
        rows.append(
            {
                **as_dict(decision, message, office.rules, names),
                "at": message.received_at,
                "from": message.sender.email if message.sender else "",
                "to": [one.email for one in message.to],
                "subject": message.subject,
                "logged_before": identity(message).key in logged,
                "about": _about(decision, names),
                "would": _would(decision),
            }
        )
    return rows


def _about(decision: Decision, names: dict[int, str]) -> list[str]:
    """ "Acme (address)" for each customer, with the rung that decided."""
    match = decision.match
    return [f"{names.get(one, one)} ({match.rungs.get(one, '-').replace('_', '-')})" for one in match.customers]


def _would(decision: Decision) -> list[dict[str, Any]]:
    """The rules whose conditions held, with what each would do; `mode` watch = it would only be noted."""
    return [
        {"rule": one.rule, "mode": "watch" if one.result == "watched" else "on", "do": list(one.done)}
        for one in decision.traces
        if one.result in _ACTING
    ]


# --- on the screen -------------------------------------------------------------------------------------------------


def _show(data: dict[str, Any], zone: Any) -> None:
    total: Counter[str] = Counter()
    for name, account in data["accounts"].items():
        say(f"{name}: the {len(account['mails'])} newest mails")
        for mail in account["mails"]:
            _show_mail(mail, zone)
        for bad in account["unreadable"]:
            say(f"\n  unreadable, would be kept aside: {bad['folder']} {bad['ref']}: {bad['reason']}")
        total.update(account["outcomes"])
        if "reason" in account:
            remark(f"{name}: {account['reason']}" + (f"\n  = help: {account['hint']}" if account["hint"] else ""))
        say()
    say("in all: " + (", ".join(f"{number} {outcome}" for outcome, number in sorted(total.items())) or "no mail"))
    say("Nothing was written. Mail that is there before the first run becomes history; rules act on what comes later.")
    say("next: quietcrm run")


def _show_mail(mail: dict[str, Any], zone: Any) -> None:
    way = f"to {', '.join(mail['to']) or '-'}" if mail["direction"] == "out" else f"from {mail['from'] or '-'}"
    say(f"\n  {local(mail['at'], zone)}  {_line(mail['subject']) or '(no subject)'}")
    say(f"    {way}, {mail['kind']}, in {mail['folder']}")
    if mail["about"]:
        say(f"    about: {', '.join(mail['about'])}" + (" (several are possible)" if mail["ambiguous"] else ""))
    for one in mail["would"]:
        done = "; ".join(one["do"]) or "nothing"
        say(f"    rule {one['rule']}: {'would do' if one['mode'] == 'on' else 'watches, and would do'} {done}")
    reason = f" ({mail['reason']})" if mail["reason"] and mail["outcome"] != Outcome.UNMATCHED else ""
    outcome = "is in the history already" if mail["logged_before"] else _OUTCOMES[Outcome(mail["outcome"])]
    say(f"    {outcome}{reason}")


def _line(text: str) -> str:
    return " ".join(text.split())
