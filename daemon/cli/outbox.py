"""outbox list|sent|release|cancel: drafts that rules prepared, from plan to end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from daemon.cli.options import MOST, AsJson, Limit, invocation
from daemon.cli.screen import emit, local, remark, say, table

group = typer.Typer(
    help="Drafts that rules prepared: what waits, what is held, what became of it.", no_args_is_help=True
)

Number = Annotated[int, typer.Argument(max=MOST, help="The number in: quietcrm outbox list.")]


_SAID = {
    "planned": "is laid into Drafts at the next pass",
    "cancelled": "is cancelled",
    "withdrawing": "is taken out of Drafts at the next pass, unless somebody has edited it",
    "sent": "counts as sent",
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
    """The drafts, newest first, with their state and the reason for it."""
    from daemon.app import looking
    from store import outbox

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        rows = outbox.listing(session, states=state or (), limit=limit)
    emit(rows, as_json=as_json, human=lambda: _show(rows, office.settings.zone))


def _show(rows: list[dict[str, Any]], zone: Any) -> None:
    if not rows:
        remark("none found")
        return
    names = ("to", "template", "rep", "rule", "reason")
    table(
        ["no.", "state", "due", "to", "template", "rep", "rule", "reason"],
        [[row["id"], row["state"], local(row["due_at"], zone), *(row[name] or "-" for name in names)] for row in rows],
    )


def _change(context: typer.Context, command: str, number: int, as_json: bool) -> None:
    from daemon.requests import perform

    data = perform(invocation(context).directory, command, {"id": number})
    emit(data, as_json=as_json, human=lambda: say(f"{data['id']} {_SAID.get(data['state'], data['state'])}"))


@group.command("release")
def release(context: typer.Context, number: Number, as_json: AsJson = False) -> None:
    """Try a held one again: the reason it was held for is mended."""
    _change(context, "outbox.release", number, as_json)


@group.command("cancel")
def cancel(context: typer.Context, number: Number, as_json: AsJson = False) -> None:
    """Drop one; if it lies in Drafts untouched, it is taken away."""
    _change(context, "outbox.cancel", number, as_json)


@group.command("sent")
def sent(context: typer.Context, number: Number, as_json: AsJson = False) -> None:
    """Say that the rep sent it, where its copy in Sent was not recognised."""
    _change(context, "outbox.sent", number, as_json)
