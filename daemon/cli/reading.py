"""read: what quietcrm sees in a mail or a calendar. Needs no configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from daemon.cli.options import AsJson
from daemon.cli.screen import Exit, emit, progress, remark, say, table


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(read)


def read(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Mails, folders of mails, Maildirs, mbox files, calendars (.ics)."),
    ],
    since: Annotated[str, typer.Option("--from", metavar="DAY", help="Of a calendar: from this day on.")] = "",
    until: Annotated[
        str, typer.Option("--to", metavar="DAY", help="Of a calendar: to the end of this day (two years without it).")
    ] = "",
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="Of a calendar: the zone of days, and of times that name none.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what quietcrm sees in mails: kind, people, new text, quote, signature, bounce, return date. Of a calendar,
    the occurrences of its events, each in its own time zone."""
    from connectors.parsing import ParserPool
    from daemon.agenda import is_calendar_file

    missing = [path for path in paths if not path.exists()]
    for path in missing:
        remark(f"{path}: no such file or folder; look at the name, and in which folder you are (pwd)")
    there = [path for path in paths if path.exists()]
    calendars = [path for path in there if is_calendar_file(path)]
    mails = [path for path in there if path not in calendars]
    if (since or until) and mails:
        raise typer.BadParameter(f"--from and --to are for calendars; {mails[0]} is none")
    if calendars and mails:
        raise typer.BadParameter("give mails or calendars, not both at once")
    for folder in mails:
        if beside := len(list(folder.rglob("*.ics"))) if folder.is_dir() else 0:
            files = "1 calendar file is" if beside == 1 else f"{beside} calendar files are"
            remark(f"{folder}: {files} left out; calendars are read alone: quietcrm read FILE.ics")
    parser = ParserPool(workers=2)
    try:
        whole = _read_calendars(calendars, (since, until, zone), parser, as_json) if calendars else True
        if mails or not calendars:
            _read_mails(mails, parser, as_json)
    finally:
        parser.close()
    if missing:
        raise typer.Exit(Exit.NOT_FOUND)
    if not whole:
        raise typer.Exit(Exit.PROBLEMS)


def _read_mails(paths: list[Path], parser: Any, as_json: bool) -> None:
    from daemon.reading import mails_at, summary

    with progress(quiet=as_json and not sys.stderr.isatty()) as bars:
        bar = bars.add_task("reading", total=None)
        found = list(_counted(mails_at(paths, parser), bars, bar))
    rows = [summary(name, item) for name, item in found]
    emit(rows, as_json=as_json, human=lambda: _show(rows))


def _read_calendars(paths: list[Path], wanted: tuple[str, str, str], parser: Any, as_json: bool) -> bool:
    """False if there is a calendar of which nothing could be read."""
    from daemon.agenda import occurrence, occurrences_at, span

    since, until = (_day(text, option) for text, option in zip(wanted[:2], ("--from", "--to"), strict=True))
    zone = _zone(wanted[2] or "UTC")
    if since and until and until < since:
        raise typer.BadParameter(f"--to {until} is before --from {since}")
    rows, whole = [], True
    for path in paths:
        events, trouble = occurrences_at(path, span(since, until, zone), zone, parser)
        for sentence in trouble:
            remark(f"{path}: {sentence}")
        whole &= bool(events) or not trouble
        rows += events
    plain = [occurrence(event, assumed=bool(wanted[2])) for event in rows]
    emit(plain, as_json=as_json, human=lambda: _show_occurrences(plain))
    return whole


def _day(text: str, option: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} {text} is not a day; write: 2026-11-30") from None


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise typer.BadParameter(f"--zone {text} is no time zone; write: Europe/Lisbon") from None


def _show_occurrences(rows: list[dict[str, Any]]) -> None:
    headings = ("start", "end", "status", "summary", "organizer", "attendees")
    table(headings, [_cells(row) for row in rows])


def _in_short(event: dict[str, Any]) -> str:
    return f"{event['summary'] or event['uid']} at {event['start'].replace('T', ' ')}"


def _cells(row: dict[str, Any]) -> list[str]:
    start, end = row["start"].replace("T", " "), row["end"].replace("T", " ")
    people = ", ".join(f"{one['email']} ({one['answer']})" for one in row["attendees"])
    return [start, end, row["status"], row["summary"], row["organizer"] or "", people]


def _counted(items: Iterable[Any], bars: Any, bar: Any) -> Iterator[Any]:
    for item in items:
        bars.advance(bar)
        yield item


_NAMED_BY = ("from", "subject", "date", "message_id")


def _show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        say(f"{row['path']}")
        if row["kind"] != "unreadable" and not any(row[part] for part in _NAMED_BY):
            say("  this does not look like a mail: it has no From, Subject, Date or Message-ID\n")
            continue
        say(f"  kind: {row['kind']}   date: {row['date'] or '-'}   id: {row['message_id'] or '-'}")
        say(f"  from: {row['from']}   to: {', '.join(row['to']) or '-'}")
        say(f"  subject: {row['subject']}")
        if row["bounce"]:
            hard = {True: "hard", False: "soft", None: "unclear"}[row["bounce"]["hard"]]
            say(f"  bounce: {', '.join(row['bounce']['recipients']) or '-'} ({hard}, {row['bounce']['reason']})")
        if row["away_until"]:
            say(f"  away until: {row['away_until']}")
        for one in row["invitations"]:
            say(f"  {one['method']}: {', '.join(map(_in_short, one['events'])) or 'no event in it'}")
        if row["attachments"]:
            say(f"  attachments: {', '.join(row['attachments'])}")
        if row["degraded"]:
            say(f"  degraded: {'; '.join(row['degraded'])}")
        for line in row["text"].splitlines():
            say(f"  | {line}")
        hidden = [f"{len(row[part].splitlines())} lines {part}" for part in ("quoted", "signature") if row[part]]
        if hidden:
            say(f"  ({', '.join(hidden)})")
        say()
