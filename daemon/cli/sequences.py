"""sequences list|show|enrol|stop|migrate: who is where, next step and when, why it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from daemon.cli.options import Apply, AsJson, Limit, invocation, whole
from daemon.cli.screen import Exit, emit, local, remark, say, table

group = typer.Typer(help="Sequences: who is in them, what comes next and when, why they ended.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="SEQUENCE", help="Its name in: quietcrm sequences list.")]
Person = Annotated[str, typer.Argument(metavar="CONTACT", help="An address, or a customer with one contact.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(group, name="sequences")


@group.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """The sequences, with how many are in them and how many were."""
    from daemon.glance import glancing
    from daemon.sequence_views import listing

    with glancing(invocation(context).directory) as (office, session):
        data = listing(session, office)

    def human() -> None:
        names = ("name", "mode", "steps", "active", "done", "stopped", "number", "place", "about")
        shown = [one | {"mode": "paused" if one["paused"] else one["mode"]} for one in data]
        rows = [[one[name] if one[name] is not None else "-" for name in names] for one in shown]
        table(
            ["sequence", "mode", "steps", "inside", "done", "stopped", "version", "place", "about"],
            rows,
            beside=("about", "place"),
        )

    emit(data, as_json=as_json, human=human)


@group.command("show")
def show(
    context: typer.Context,
    name: Name,
    every: Annotated[bool, typer.Option("--all", help="Also who was in it, and why it ended for them.")] = False,
    limit: Limit = 200,
    as_json: AsJson = False,
) -> None:
    """Its steps, and who is where: the next step and when it comes."""
    from daemon.app import looking
    from daemon.sequence_views import show as told

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        data = told(session, office, name, every=every, limit=limit)
    emit(data, as_json=as_json, human=lambda: _show(data, office.settings.zone))


def _show(data: dict[str, Any], zone: Any) -> None:
    paused = ", paused" if data["paused"] else ""
    say(f"{data['name']}  ({data['mode']}{paused}, {data['once']}, ends when: {', '.join(data['stop_when']) or '-'})")
    for step in data["plan"]:
        wait = f"after {step['wait']}" if step["wait"] else "at once"
        say(f"  {step['step']}  {wait:<24}{step['does']}{'  (' + step['name'] + ')' if step['name'] else ''}")
    if not data["people"]:
        remark("nobody is in it")
        return
    _people(data["people"], zone)


def _people(people: list[dict[str, Any]], zone: Any) -> None:
    rows = [
        [
            one["customer"] or "-",
            one["to"],
            one["rep"],
            f"{one['step']}/{one['steps']}" if one["state"] == "active" else one["state"],
            _next(one, zone),
            one["reason"] or "-",
            f"v{one['version']}",
        ]
        for one in people
    ]
    table(["customer", "to", "for", "step", "next", "reason", "version"], rows)


def _next(one: dict[str, Any], zone: Any) -> str:
    """ "2026-11-24 10:00 mail reminder", "mail 17 placed", "-"."""
    if one["state"] != "active":
        return local(_time(one["ended_at"]), zone)
    if one["mail"] is not None:
        return f"mail {one['mail']} {one['mail_state']}"
    away = f" (away until {one['away_until']})" if one["away_until"] else ""
    return f"{local(_time(one['next_at']), zone)} {one['does']}{away}"


def _time(at: Any) -> datetime | None:
    """What came over the daemon's socket is text."""
    return datetime.fromisoformat(at) if isinstance(at, str) else at


@group.command("enrol")
def enrol(
    context: typer.Context,
    name: Name,
    contact: Person,
    again: Annotated[bool, typer.Option("--again", help="Although they entered before.")] = False,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Let somebody enter: shows the first step and when it comes; --apply does it."""
    from daemon.requests import perform

    args = {"sequence": name, "contact": contact, "again": again, "apply": apply}
    data = perform(invocation(context).directory, "sequence.enrol", args)

    def human() -> None:
        who = f"{data['to']} ({data['customer']})"
        say(f"{who} {'entered' if data['applied'] else 'would enter'} {name} for {data['rep']} (mode {data['mode']})")
        say(f"  next: {_next(data, _zone(context))}")
        if not data["applied"]:
            remark("nothing was done; to do it, add: --apply")

    emit(data, as_json=as_json, human=human)


@group.command("stop")
def stop(
    context: typer.Context,
    contact: Annotated[str, typer.Argument(metavar="CONTACT", help="An address, or a customer: everybody there.")],
    name: Annotated[str | None, typer.Argument(metavar="[SEQUENCE]", help="Only this one; without it all.")] = None,
    as_json: AsJson = False,
) -> None:
    """End it for somebody: what was prepared is cancelled, untouched drafts are taken out of Drafts."""
    from daemon.requests import perform

    data = perform(invocation(context).directory, "sequence.stop", {"contact": contact, "sequence": name})

    def human() -> None:
        for one in data["stopped"]:
            say(f"{one['to']} ({one['customer']}) is out of {one['sequence']}")

    emit(data, as_json=as_json, human=human)


@group.command("migrate")
def migrate(
    context: typer.Context,
    name: Name,
    confirm: Annotated[int | None, typer.Option("--confirm", parser=whole(), help="Do it: how many they are.")] = None,
    as_json: AsJson = False,
) -> None:
    """Move those on an older version to the file as it is now. Shows each with the next step; --confirm N does it."""
    from daemon.requests import perform

    data = perform(invocation(context).directory, "sequence.migrate", {"sequence": name, "confirm": confirm})
    people = data["people"]

    def human() -> None:
        zone = _zone(context)
        for one in people:
            was = f"version {one['was_version']} step {one['was_step']}"
            say(f"{one['to']} ({one['customer']}): {was} -> {_where(one, zone)}")
        if not people:
            say(f"everybody in {name} is on the newest version")
        elif data["applied"]:
            say(f"{len(people)} moved")

    emit(data, as_json=as_json, human=human)
    if people and not data["applied"]:
        remark(f"nothing was done; to move these {len(people)}, add: --confirm {len(people)}")
        raise typer.Exit(Exit.REFUSED)


def _where(one: dict[str, Any], zone: Any) -> str:
    return f"version {one['version']} step {one['step']}, {_next(one, zone)}"


def _zone(context: typer.Context) -> Any:
    from daemon.office import load_office

    return load_office(invocation(context).directory).settings.zone
