"""outbox list|show|release|cancel|sent: mail to customers that rules want, from plan to end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from daemon.cli.options import AsJson, Limit, invocation, whole
from daemon.cli.screen import Exit, emit, local, remark, say, table

group = typer.Typer(
    help="Mail to customers that rules want: what waits, what is held, what became of it.", no_args_is_help=True
)

Number = Annotated[int, typer.Argument(parser=whole(1), help="The number in: quietcrm outbox list.")]
Maybe = Annotated[int | None, typer.Argument(parser=whole(1), help="The number in: quietcrm outbox list.")]
OfRule = Annotated[str | None, typer.Option("--rule", help="All mails of this rule that the breaker holds.")]
All = Annotated[bool, typer.Option("--all", help="All mails that the breaker holds.")]
Confirm = Annotated[
    int | None, typer.Option("--confirm", parser=whole(), help="With --rule or --all: how many they are.")
]

_DRAFT = {
    "planned": "is laid into Drafts at the next pass",
    "cancelled": "is cancelled",
    "withdrawing": "is taken out of Drafts at the next pass, unless somebody has edited it",
    "sent": "counts as sent",
}
_SEND = {"planned": "is looked at again at the next pass, and goes if nothing else stands in its way"}
_OUTCOMES = {
    "": "not known yet",
    "sent": "sent",
    "refused": "refused",
    "later": "refused for now",
    "broken": "the line broke before the end of the mail",
    "unknown": "the line broke after the end of the mail",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(group, name="outbox")


@group.command("list")
def list_(
    context: typer.Context,
    state: Annotated[list[str] | None, typer.Option(help="Only in this state; may repeat.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Drafts and mail that leaves by itself, newest first, with state and reason."""
    from daemon.app import looking
    from store import outbox

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        rows = outbox.listing(session, states=state or (), limit=limit)
    emit(rows, as_json=as_json, human=lambda: _show_all(rows, office.settings.zone))


def _show_all(rows: list[dict[str, Any]], zone: Any) -> None:
    names = ("to", "template", "rep", "rule", "reason")
    table(
        ["no.", "state", "due", "to", "template", "rep", "rule", "reason", "way"],
        [
            [row["id"], row["state"], local(row["due_at"], zone), *(row[name] or "-" for name in names), row["way"]]
            for row in rows
        ],
        beside=("rep", "rule", "way"),
    )


@group.command("show")
def show(context: typer.Context, number: Number, as_json: AsJson = False) -> None:
    """The story of one: why it exists, what stands in its way, what was tried, its words."""
    from daemon.app import looking
    from daemon.outbox_story import story

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        told = story(session, office, number, datetime.now(UTC))

    def human() -> None:
        for line in _told(told, office.settings.zone):
            say(line)

    emit(told, as_json=as_json, human=human)


def _told(told: dict[str, Any], zone: Any) -> Iterator[str]:
    way = "leaves by itself" if told["way"] == "send" else "draft"
    yield f"{told['id']}  {told['state']}  ({way}, template {told['template']})"
    rows = [
        ("to", " / ".join(part for part in (told["to"], told["customer"]) if part)),
        ("for", told["rep"]),
        ("rule", told["rule"]),
        ("because of", _cause(told["cause"], zone)),
        ("planned", local(told["created_at"], zone)),
        ("due", local(told["due_at"], zone)),
        ("late after", _time(told["late_after"], zone)),
        ("looked at again", _time(told["retry_at"], zone)),
        ("laid out", _time(told["placed_at"], zone)),
        ("settled", _time(told["settled_at"], zone)),
        ("obstacle", told["obstacle"]),
        ("reason", told["reason"]),
        ("released from", ", ".join(told["released"])),
        ("looked for in Sent", _time(told["looked_at"], zone)),
        ("copy in Sent", told["copy_state"]),
    ]
    yield from (f"  {name:<19}{value}" for name, value in rows if value)
    yield from (f"  {'attempt':<19}{_attempt(one, zone)}" for one in told["attempts"])
    yield from (f"  {'file':<19}{_file(one)}" for one in told["files"])
    yield from _words(told["words"])


def _time(at: datetime | None, zone: Any) -> str:
    return local(at, zone) if at else ""


def _cause(cause: dict[str, Any] | None, zone: Any) -> str:
    if cause is None:
        return ""
    return f"{local(cause['at'], zone)} {cause['from']}: {cause['subject']} (log no. {cause['id']})"


def _attempt(one: dict[str, Any], zone: Any) -> str:
    said = f": {one['said']}" if one["said"] else ""
    return f"{local(one['at'], zone)} by {one['sender']}, {_OUTCOMES.get(one['outcome'], one['outcome'])}{said}"


def _file(one: dict[str, Any]) -> str:
    return f"{one['name']}{' (changed since the mail was made)' if one['changed'] else ''}"


def _words(words: dict[str, Any]) -> Iterator[str]:
    if words["trouble"]:
        yield f"  the text cannot be made: {words['trouble']}"
    if not words["text"]:
        return
    yield "" if words["final"] else "\n  as it would be now:"
    yield f"  | {words['subject']}"
    yield from (f"  | {line}".rstrip() for line in ["", *words["text"].splitlines()])


# --- settling --------------------------------------------------------------------------------------------------------


@group.command("release")
def release(
    context: typer.Context,
    number: Maybe = None,
    again: Annotated[
        bool, typer.Option("--again", help="Send an uncertain mail once more: the customer may get it twice.")
    ] = False,
    rule: OfRule = None,
    every: All = False,
    confirm: Confirm = None,
    as_json: AsJson = False,
) -> None:
    """Let a held one go in spite of what it was held for; or all that the breaker holds."""
    if number is None:
        _burst(context, "release", rule, every, confirm, as_json)
    else:
        _change(context, "outbox.release", {"id": number, "again": again}, as_json)


@group.command("cancel")
def cancel(
    context: typer.Context,
    number: Maybe = None,
    rule: OfRule = None,
    every: All = False,
    confirm: Confirm = None,
    as_json: AsJson = False,
) -> None:
    """Drop one; a draft that lies in Drafts untouched is taken away. Or all that the breaker holds."""
    if number is None:
        _burst(context, "cancel", rule, every, confirm, as_json)
    else:
        _change(context, "outbox.cancel", {"id": number}, as_json)


@group.command("sent")
def sent(context: typer.Context, number: Number, as_json: AsJson = False) -> None:
    """Say that the customer has it: a draft whose copy was not recognised, or an uncertain mail that arrived."""
    _change(context, "outbox.sent", {"id": number}, as_json)


def _change(context: typer.Context, command: str, args: dict[str, Any], as_json: bool) -> None:
    from daemon.requests import perform

    data = perform(invocation(context).directory, command, args)
    said = _DRAFT | _SEND if data["way"] == "send" else _DRAFT
    emit(data, as_json=as_json, human=lambda: say(f"{data['id']} {said.get(data['state'], data['state'])}"))


def _burst(context: typer.Context, act: str, rule: str | None, every: bool, confirm: int | None, as_json: bool) -> None:
    """Show what the breaker holds; do it where the number is confirmed."""
    from daemon.app import looking
    from daemon.requests import burst, perform

    if bool(rule) == every:
        raise typer.BadParameter("name a number, or --rule NAME, or --all")
    directory = invocation(context).directory
    if confirm is not None:
        data = perform(directory, "outbox.burst", {"act": act, "rule": rule, "confirm": confirm})
        done = "looked at again at the next pass" if act == "release" else "cancelled"
        emit(data, as_json=as_json, human=lambda: say(f"{len(data['ids'])} mails are {done}"))
        return
    with looking(directory) as (office, store), store.session() as session:
        rows = burst(session, rule or "")
    emit(rows, as_json=as_json, human=lambda: _show_all(rows, office.settings.zone))
    if rows:
        remark(f"nothing was done; to {act} these {len(rows)}, add: --confirm {len(rows)}")
        raise typer.Exit(Exit.REFUSED)
