"""rules replay, rules undo: what today's rules would have done with past mail, and taking back what a rule did."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.options import AsJson, invocation, whole
from daemon.cli.screen import Exit, emit, local, progress, remark, say, table

Since = Annotated[str, typer.Option("--since", metavar="LENGTH|DATE", help="30d, 2 weeks, or a date: 2026-11-01.")]
Confirm = Annotated[int | None, typer.Option("--confirm", parser=whole(), help="With --apply: how many changes it is.")]


def register(rules: typer.Typer) -> None:
    """Add the commands of this module to `quietcrm rules`."""
    rules.command("replay")(replay)
    rules.command("undo")(undo)


def replay(
    context: typer.Context,
    since: Since,
    rule: Annotated[str | None, typer.Option("--rule", help="Only what this rule would do.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Change the records. Never drafts, sends, reminders.")] = False,
    confirm: Confirm = None,
    as_json: AsJson = False,
) -> None:
    """What today's rules would have done with the mail of some time, and what was done. Does nothing by itself."""
    from daemon.looking_back import chosen, review
    from daemon.requests import perform

    given = invocation(context)
    _mind_confirm(apply, confirm)
    begin = _moment(given.directory, since)
    mind_rule(given.directory, rule)
    with progress(quiet=given.quiet or (as_json and not sys.stderr.isatty())) as bars:
        bar = bars.add_task("looking back", total=None)
        office, found = review(
            given.directory, begin, rule, lambda done, total: bars.update(bar, completed=done, total=total)
        )
    if confirm is not None:
        args = {**chosen(found), "rule": rule, "rules": office.rules.hash, "confirm": confirm}
        data = perform(given.directory, "rules.replay", args)
        emit(
            data,
            as_json=as_json,
            human=lambda: say(f"{_many(data['changes'], 'change')} made, on {_many(data['mails'], 'mail')}"),
        )
        return
    data = _as_dict(found, begin, rule)
    emit(data, as_json=as_json, human=lambda: _show(data, office.settings.zone))
    _end(apply, found.to_apply, "to make", f"quietcrm rules replay --since {since}")


MOST_WATCHED = 20
"""Mails shown of a rule that only watches."""


def _as_dict(found: Any, begin: datetime, rule: str | None) -> dict[str, Any]:
    from daemon.replaying import by_rule

    return {
        "since": begin,
        "rule": rule,
        "looked": found.looked,
        "differ": len(found.planned),
        "changes": found.to_apply,
        "rules": by_rule([*found.differences, *found.occasions]),
        "mails": [one.as_dict() for one in found.differences],
        "occasions": {
            "looked": found.occasions_looked,
            "differ": [one.as_dict() for one in found.occasions],
            "left_out": found.left_out,
        },
        "untold": [{"mail": mail, "at": at, "why": why} for mail, at, why in found.untold],
        "waiting": found.waiting,
        "same": found.same,
        "watched": [one.as_dict() for one in sorted(found.watched, key=lambda one: (one.rule, one.at))],
    }


def _show(data: dict[str, Any], zone: Any) -> None:
    begin = local(data["since"], zone)
    say(
        f"{_many(data['looked'], 'mail')} since {begin}; today's rules would treat {data['differ']} of them differently"
    )
    if data["rules"]:
        say()
        rows = [[name, one["add"], one["drop"], one["change"]] for name, one in data["rules"].items()]
        table(
            ["rule", "would add", "would drop", "would change"], [["rule", "add", "drop", "change"], *rows][_first() :]
        )
    live = [one for one in data["mails"] if not one["past"]]
    old = [one for one in data["mails"] if one["past"]]
    for mails, heading in ((live, ""), (old, "Old mail, read as history: no rule acted on it when it came")):
        if mails and heading:
            say(f"\n{heading}")
        for mail in mails:
            say()
            for line in _mail(mail, zone):
                say(line)
    for line in (*_occasions(data["occasions"], zone), *_footer(data, zone)):
        say(line)


def _first() -> int:
    """On a terminal the table has its own headings."""
    return 1 if sys.stdout.isatty() else 0


def _mail(mail: dict[str, Any], zone: Any) -> Iterator[str]:
    number = f"no. {mail['mail']}" if mail["mail"] else "not in the history"
    subject = " ".join(mail["subject"].split()) or "(no subject)"
    yield f"{local(mail['at'], zone)}  {mail['from'] or '-'}  {subject}  ({number})"
    if mail["history"]:
        yield f"  {_FATES[mail['history']]}: {mail['why']}"
    if mail["refile"]:
        yield f"  > filed under {mail['refile']['to']} instead of {mail['refile']['from']}"
    for one in mail["add"]:
        promise = "" if one["applies"] else "  (never made afterwards)"
        yield f"  + {one['rule']}: {' '.join(one['does'].split())}{promise}"
    yield from (f"  - {one['rule']}: {one['slot']}" for one in mail["drop"])
    yield from (f"  ~ {one['rule']}: {one['was']} -> {one['would'] or 'nothing'}" for one in mail["change"])


def _occasions(found: dict[str, Any], zone: Any) -> Iterator[str]:
    """What else happened, with customers as they are today; never brought about afterwards."""
    if found["differ"]:
        yield f"\nBeside mail: {len(found['differ'])} of {found['looked']} occasions (customers as they are today)"
    for one in found["differ"]:
        yield f"\n{local(one['at'], zone)}  {one['from'] or '-'}  {one['subject']}"
        yield from (
            f"  + {add['rule']}: {' '.join(add['does'].split())}  (never made afterwards)" for add in one["add"]
        )
        yield from (f"  - {drop['rule']}: {drop['slot']}" for drop in one["drop"])
    for words in found["left_out"]:
        yield f"\n{words}: the customers it chose then cannot be told any more"


_FATES = {
    "enters": "would come into the history",
    "leaves": "would not be in the history",
    "headers": "its text would not be kept",
    "whole": "its text would be kept",
}


def _footer(data: dict[str, Any], zone: Any) -> Iterator[str]:
    if data["untold"]:
        yield f"\ncannot be told for {len(data['untold'])} mails:"
        for one in data["untold"]:
            yield f"  {local(one['at'], zone)}  {'no. ' + str(one['mail']) if one['mail'] else '-'}  {one['why']}"
    if data["same"]:
        yield f"\n{data['same']} more effects would change nothing today: the tag is there already, and the like"
    if data["waiting"]:
        yield f"\n{data['waiting']} mails belong to somebody by now and come into the history at the next pass"
    yield from _watched(data["watched"], zone)
    if any(one["drop"] or one["change"] for one in data["mails"]):
        yield "\nWhat would be dropped or changed is taken back by: quietcrm rules undo RULE --since DATE"


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _watched(mails: list[dict[str, Any]], zone: Any) -> Iterator[str]:
    """What rules in mode watch would have done, the newest mails of each."""
    for rule, several in groupby(mails, key=lambda one: str(one["rule"])):
        found = list(several)
        yield f"\nrule {rule} (mode: watch) would act on {_many(len(found), 'mail')}:"
        for one in found[-MOST_WATCHED:]:
            subject = " ".join(one["subject"].split()) or "(no subject)"
            number = f"  (no. {one['mail']})" if one["mail"] else ""
            yield f"  {local(one['at'], zone)}  {one['from'] or '-'}  {subject}{number}"
            yield f"    {'; '.join(one['does'])}"
        if len(found) > MOST_WATCHED:
            yield f"  and {len(found) - MOST_WATCHED} before them: --json names all"


# --- taking back -----------------------------------------------------------------------------------------------------


def undo(
    context: typer.Context,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The name of the rule, also of one that is gone.")],
    since: Since,
    apply: Annotated[bool, typer.Option("--apply", help="Take it back. Without this it is only shown.")] = False,
    confirm: Confirm = None,
    as_json: AsJson = False,
) -> None:
    """What a rule changed in the records since, and taking it back, newest first. What a person changed after stays."""
    from daemon.office import load_office
    from daemon.requests import perform
    from daemon.undoing import look

    directory = invocation(context).directory
    _mind_confirm(apply, confirm)
    begin = _moment(directory, since)
    if confirm is not None:
        args = {"rule": rule, "since": begin.isoformat(), "confirm": confirm}
        data = perform(directory, "rules.undo", args)
    else:
        data = look(directory, rule, begin)
    zone = load_office(directory).settings.zone
    emit(data, as_json=as_json, human=lambda: _show_undone(data, zone, done=confirm is not None))
    if confirm is None:
        _end(apply, len(data["undone"]), "to take back", f"quietcrm rules undo {rule} --since {since}")


def _show_undone(data: dict[str, Any], zone: Any, *, done: bool) -> None:
    if not data["undone"] and not data["refused"]:
        remark(f"rule {data['rule']} changed nothing since then that still stands")
    verb = "taken back" if done else "can be taken back"
    if data["undone"]:
        say(f"{_many(len(data['undone']), 'change')} {verb}:")
    for one in data["undone"]:
        say(f"  {_change(one, zone)}")
    if data["refused"]:
        say(f"{len(data['refused'])} stay as they are:")
    for one in data["refused"]:
        say(f"  {_change(one, zone)}\n      {one['why']}")
    if data["outgoing"]:
        numbers = ", ".join(str(one) for one in data["outgoing"])
        say(f"Mails of this rule that wait are not touched; to drop one: quietcrm outbox cancel N ({numbers})")
    if data["reminders"]:
        say("Reminders of this rule are not touched; whoever has one deletes it, a mail once it is in the Inbox:")
    for one in data["reminders"]:
        say(f"  {one['rep']}, {_at(one['due_at'], zone)}, as {one['as']}: {' '.join(one['text'].split())}")


def _change(one: dict[str, Any], zone: Any) -> str:
    return f"{one['change']:>6}  {_at(one['at'], zone)}  {one['customer'] or '-'}: {one['did']}"


def _at(at: datetime | str, zone: Any) -> str:
    """A time that may have come through the socket, by the office's clock."""
    return local(at if isinstance(at, datetime) else datetime.fromisoformat(at), zone)


# --- both ------------------------------------------------------------------------------------------------------------


def _moment(directory: Path, text: str) -> datetime:
    """The moment a person means by --since: so long ago, or the beginning of that day here."""
    from config.values import Length, parse_since
    from daemon.clock import SystemClock
    from daemon.office import load_office

    zone = load_office(directory).settings.zone
    meant = _read(parse_since, text)
    if isinstance(meant, Length):
        return SystemClock().now() - meant.delta()
    assert isinstance(meant, date)
    try:
        return datetime.combine(meant, time(), zone)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{text} is no date of ours") from error


def _read(parse: Callable[[object], Any], text: str) -> Any:
    from pydantic_core import PydanticCustomError

    try:
        return parse(text)
    except PydanticCustomError as error:
        raise typer.BadParameter(f"{error.message()}; for example: --since 30d") from error


def mind_rule(directory: Path, rule: str | None) -> None:
    """Raise NotFound if no rule of the files is called so."""
    from config.values import did_you_mean
    from daemon.office import load_office
    from store.errors import NotFound

    names = {one.name for one in load_office(directory).rules.rules} if rule else set()
    if rule and rule not in names:
        hint = did_you_mean(rule, names, "see: quietcrm rules list")
        raise NotFound(f'no rule is called "{rule}"', hint=hint)


def _mind_confirm(apply: bool, confirm: int | None) -> None:
    if confirm is not None and not apply:
        raise typer.BadParameter("--confirm belongs to --apply")


def _end(apply: bool, count: int, what: str, command: str) -> None:
    """Say what comes next; with --apply but without the number nothing was done."""
    if count:
        remark(f"nothing was done; {what} {_many(count, 'change')}: {command} --apply --confirm {count}")
    if apply:
        raise typer.Exit(Exit.REFUSED if count else Exit.FINE)
