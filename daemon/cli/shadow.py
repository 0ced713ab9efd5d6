"""shadow: does another way into a mailbox show the same mail? For offices that move, from EWS to Graph say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.options import AsJson, invocation, whole
from daemon.cli.screen import Exit, emit, local, progress, remark, say, table

if TYPE_CHECKING:
    from config.settings import Settings
    from daemon.shadow import Comparison, Fact

SHOWN = 50
DAYS = 30


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(shadow)


def shadow(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="ACCOUNT_A", help="An account, the one in use say.")],
    second: Annotated[str, typer.Argument(metavar="ACCOUNT_B", help="Another account on the same mailbox.")],
    since: Annotated[
        str, typer.Option("--since", metavar="DATE", help="Compare from this day on: 2026-01-31, or 30 days.")
    ] = f"{DAYS} days",
    limit: Annotated[
        int, typer.Option("--limit", parser=whole(1), help="Read at most so many mails of each account.")
    ] = 20_000,
    as_json: AsJson = False,
) -> None:
    """Read one mailbox by two accounts and show what only one of them gives. Reads only; stores nothing.

    Exit code 0: the same. 1: there are differences. 7: the limit ended it before the end of an account.
    """
    from config.load import load_settings
    from daemon.shadow import compare, read_both
    from store.errors import NotFound

    given = invocation(context)
    settings = load_settings(given.directory)
    for name in (first, second):
        if name not in settings.accounts:
            raise NotFound(f'no account "{name}"', hint=f"accounts: {', '.join(settings.accounts)}")
    if first == second:
        raise typer.BadParameter("name two different accounts")
    day, began = _day(since), datetime.now(UTC)
    with progress(quiet=given.quiet or as_json) as bars:
        tasks = {name: bars.add_task(name, total=None) for name in (first, second)}

        def show(name: str, done: int, total: int) -> None:
            bars.update(tasks[name], completed=done, total=total or None)

        names = (first, second)
        readings = read_both(settings, given.directory, names, since=day, limit=limit, show=show)
    found = compare(*readings, since=day, until=began)
    data = {"since": day, **found.as_dict()}
    emit(data, as_json=as_json, human=lambda: _show(found, settings, day))
    if not found.is_clean:
        cut = not (found.first.complete and found.second.complete)
        raise typer.Exit(Exit.REFUSED if cut else Exit.PROBLEMS)


def _day(text: str) -> date:
    from pydantic_core import PydanticCustomError

    from config.values import Length, parse_since

    try:
        since = parse_since(text)
    except PydanticCustomError as error:
        raise typer.BadParameter(f"{error.message()}; {(error.context or {}).get('help', '')}") from None
    return datetime.now(UTC).date() - timedelta(days=since.delta().days) if isinstance(since, Length) else since


def _show(found: Comparison, settings: Settings, day: date) -> None:
    for reading in (found.first, found.second):
        rest = f", {reading.unreadable} unreadable" if reading.unreadable else ""
        end = "" if reading.complete else " (cut off by --limit)"
        kind = settings.accounts[reading.account].type
        say(f"{reading.account} ({kind}): {reading.read} mails read{rest}{end}")
    say(f"the same in both since {day}: {found.same}")
    pairs = ((found.first, found.only_first, found.second), (found.second, found.only_second, found.first))
    for mine, facts, theirs in pairs:
        if theirs.complete:
            _show_alone(mine.account, facts, settings)
        else:
            remark(
                f"what only {mine.account} has cannot be told: raise --limit, or compare from a later day by --since"
            )
    if found.differing:
        say(f"under one Message-ID, but not the same: {len(found.differing)}")
        rows = [
            [local(one.first.received_at, settings.zone), ", ".join(one.fields), one.first.sender, one.first.subject]
            for one in found.differing[:SHOWN]
        ]
        table(["received", "differs in", "from", "subject"], rows)
        _say_more(len(found.differing))
    if found.is_clean:
        say("no difference")


def _show_alone(account: str, facts: Sequence[Fact], settings: Settings) -> None:
    if not facts:
        return
    say(f"only in {account}: {len(facts)}")
    rows = [[local(one.received_at, settings.zone), one.folder, one.sender, one.subject] for one in facts[:SHOWN]]
    table(["received", "folder", "from", "subject"], rows)
    _say_more(len(facts))


def _say_more(count: int) -> None:
    if count > SHOWN:
        say(f"and {count - SHOWN} more; all of them: --json")
