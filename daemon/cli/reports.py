"""report meetings, pipeline, activity, silence: answers about the history, as tables."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

import typer

from daemon.cli.options import AsJson, Limit, invocation, whole
from daemon.cli.screen import emit, local, remark, say, table

group = typer.Typer(help="Answers about the history, as tables.", no_args_is_help=True)
FATES = ("held", "moved", "missed", "cancelled", "ahead")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(group, name="report")


Month = Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="By default the present one.")]


@group.command("meetings")
def meetings(
    context: typer.Context,
    month: Month = "",
    customer: Annotated[str | None, typer.Option(help="Only this customer, and when we last met.")] = None,
    rep: Annotated[str, typer.Option(help="Only this person's, in their time zone.")] = "",
    as_json: AsJson = False,
) -> None:
    """Meetings held, moved and missed last week and in a month, follow-ups booked, and those of the month after."""
    from daemon.app import hash_key, looking
    from daemon.clock import SystemClock
    from daemon.meeting_report import MeetingReport
    from daemon.requests import one_customer
    from store import customers

    directory, now = invocation(context).directory, SystemClock().now()
    with looking(directory) as (office, store), store.session() as session:
        _mind_rep(rep, office.settings.team)
        zone = office.settings.zone_for(rep) if rep else office.settings.zone
        number = one_customer(session, customer) if customer else None
        report = MeetingReport(
            session=session, office=office, key=hash_key(directory), now=now, zone=zone, customer=number, rep=rep
        )
        data = report.answers(_month(month, now.astimezone(zone).date()))
        data["customer"] = customers.get(session, number).name if number is not None else None
        data["rep"] = rep or None
    emit(data, as_json=as_json, human=lambda: _show(data))


@group.command("pipeline")
def pipeline(context: typer.Context, as_json: AsJson = False) -> None:
    """How many customers stand in each stage, and whose they are."""
    from daemon.app import looking
    from daemon.standing import pipeline as told

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        data = told(session, office)

    def human() -> None:
        rows = [[one["stage"] or "-", one["customers"], _owners(one["owners"])] for one in data]
        table(["stage", "customers", "owners"], rows)

    emit(data, as_json=as_json, human=human)


def _owners(counts: dict[str, int]) -> str:
    return ", ".join(f"{owner or 'nobody'} {count}" for owner, count in counts.items()) or "-"


@group.command("activity")
def activity(context: typer.Context, month: Month = "", as_json: AsJson = False) -> None:
    """What each person's part of the history of a month is: mails in and out, those of machines, meetings."""
    from daemon.app import looking
    from daemon.clock import SystemClock
    from daemon.meeting_report import Span
    from daemon.standing import activity as told

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        zone = office.settings.zone
        day = _month(month, SystemClock().now().astimezone(zone).date())
        span = Span.of_month(day, zone)
        people = told(session, office, span.since, span.until)
    data = {"month": f"{day:%Y-%m}", "zone": str(zone), "people": people}

    def human() -> None:
        names = ("mails_in", "mails_out", "automatic", "meetings", "other")
        rows = [[one["rep"] or "nobody", *(one[name] for name in names)] for one in people]
        table(["rep", "mails in", "mails out", "automatic", "meetings", "other"], rows)

    emit(data, as_json=as_json, human=human)


@group.command("silence")
def silence(
    context: typer.Context,
    days: Annotated[
        int, typer.Option(parser=whole(1, 36500), help="Without a mail of either side for so many days.")
    ] = 30,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Customers of whom nobody has heard and to whom nobody has written, the longest silent first."""
    from daemon.app import looking
    from daemon.clock import SystemClock
    from daemon.standing import silence as told

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        data = told(session, SystemClock().now(), days, limit)
    zone = office.settings.zone

    def human() -> None:
        if not data:
            remark(f"nobody is silent for {days} days")
            return
        names = ("days", "customer", "stage", "owner")
        rows = [
            [*(one[name] or "-" for name in names), local(one["last_in"], zone), local(one["last_out"], zone)]
            for one in data
        ]
        table(["days", "customer", "stage", "owner", "last in", "last out"], rows)

    emit(data, as_json=as_json, human=human)


def _mind_rep(rep: str, team: Any) -> None:
    if rep and rep not in team:
        from config.values import did_you_mean

        help = did_you_mean(rep, team, f"one of {', '.join(team)}")
        raise typer.BadParameter(f'nobody of the team is called "{rep}"; {help}', param_hint="--rep")


def _month(text: str, today: date) -> date:
    if not text:
        return today
    try:
        return datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007 - a month has no zone
    except ValueError:
        raise typer.BadParameter(f"{text} is no month; write: {today:%Y-%m}", param_hint="--month") from None


def _show(data: dict[str, Any]) -> None:
    week, month, ahead = data["last_week"], data["month"], data["next_month"]
    first, last = week["from"], week["until"].date()
    say(f"last week ({first:%Y-%m-%d} to {date.fromordinal(last.toordinal() - 1)}): {_counts(week)}")
    say(f"{month['month']}: {_counts(month)}")
    say(f"follow-up meetings booked in {month['month']}: {len(data['follow_ups'])}")
    say(f"{ahead['month']}: {_counts(ahead)}")
    if data["customer"]:
        say(f"{data['customer']}: last met {_one(data['last_met'])}; next {_one(data['next_meeting'])}")
    rows = _rows(data)
    if not rows:
        remark("no meetings; look at quietcrm status, whether the calendars are read")
        return
    table(["no.", "when", "customer", "rep", "what became of it", "title"], rows)


def _counts(part: dict[str, Any]) -> str:
    shown = [f"{len(part[fate])} {fate}" for fate in FATES if part[fate] or fate in FATES[:3]]
    return ", ".join([*shown, *([f"{len(part['other'])} other"] if part["other"] else [])])


def _one(meeting: dict[str, Any] | None) -> str:
    return f"{_when(meeting)} ({meeting['title'] or 'no title'})" if meeting else "-"


def _rows(data: dict[str, Any]) -> list[list[object]]:
    """Every meeting that is counted, once, by its beginning."""
    parts = [data[name][fate] for name in ("last_week", "month", "next_month") for fate in (*FATES, "other")]
    found = {one["id"]: one for part in (*parts, data["follow_ups"]) for one in part}
    booked = {one["id"] for one in data["follow_ups"]}
    rows = sorted(found.values(), key=lambda one: (_when(one), one["id"]))
    return [
        [one["id"], _when(one), ", ".join(one["customers"]), one["rep"], _became(one, booked), one["title"]]
        for one in rows
    ]


def _became(one: dict[str, Any], booked: set[int]) -> str:
    moved = [f"moved {one['moves']}x" if one["moves"] > 1 else "moved"] if one["moves"] else []
    return ", ".join([one["became"], *moved, *(["follow-up"] if one["id"] in booked else [])])


def _when(one: dict[str, Any]) -> str:
    return f"{one['start']:%Y-%m-%d}" if one["all_day"] else f"{one['start']:%Y-%m-%d %H:%M}"
