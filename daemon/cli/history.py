"""log, log undo: what was logged, and taking a change back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from daemon.cli.options import AsJson, Limit, invocation, whole
from daemon.cli.screen import emit, local, remark, say, table

group = typer.Typer(help="The history: what was logged, newest first.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(group, name="log")


@group.callback()
def log(
    context: typer.Context,
    customer: Annotated[str | None, typer.Option(help="Only this customer.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only what this rule logged.")] = None,
    days: Annotated[int | None, typer.Option(parser=whole(1, 36500), help="Only the last so many days.")] = None,
    limit: Annotated[int, typer.Option("--limit", parser=whole(), help="At most this many; 0 = all.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What was logged, newest first. With --json everything unless --limit says otherwise."""
    if context.invoked_subcommand is not None:
        return
    from config.values import did_you_mean
    from daemon.app import looking
    from daemon.requests import one_customer
    from store import history

    given = context.get_parameter_source("limit")
    every = limit == 0 or (as_json and given is not None and given.name == "DEFAULT")
    since = datetime.now(UTC) - timedelta(days=days) if days else None
    with looking(invocation(context).directory) as (office, store), store.session() as session:
        number = one_customer(session, customer) if customer else None
        found = history.log(session, customer=number, rule=rule, since=since, limit=None if every else limit)
        names = {one.name for one in office.rules.rules}
    emit([one.as_dict() for one in found], as_json=as_json, human=lambda: _show(found, office.settings.zone))
    if rule and not found and rule not in names:
        remark(did_you_mean(rule, names, f'no rule is called "{rule}"; see: quietcrm rules list'))


def _show(found: list[Any], zone: Any) -> None:
    rows = [
        [
            one.id,
            local(one.at, zone),
            one.direction,
            one.kind,
            ", ".join(one.customers),
            one.subject,
            len(one.sightings),
        ]
        for one in found
    ]
    table(["no.", "when", "way", "kind", "customer", "subject", "copies"], rows)


@group.command("undo")
def undo(
    context: typer.Context,
    change: Annotated[int, typer.Argument(parser=whole(1), help="The number of the change.")],
    as_json: AsJson = False,
) -> None:
    """Take a change to a record back."""
    from daemon.requests import perform

    data = perform(invocation(context).directory, "log.undo", {"change": change})
    emit(data, as_json=as_json, human=lambda: say(f"change {data['change']} is undone"))


@group.command("changes")
def list_changes(context: typer.Context, limit: Limit = 50, as_json: AsJson = False) -> None:
    """The newest changes to records, each with its number."""
    from daemon.app import looking
    from store import changes

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        found = changes.recent(session, datetime.now(UTC) - timedelta(days=365), limit)
    data = [
        {"id": one.id, "at": one.at, "actor": one.actor, "what": one.what, "table": one.table_name, "row": one.row_id}
        | {"undone": one.undone_at is not None}
        for one in found
    ]
    zone = office.settings.zone
    rows = [
        [one.id, local(one.at, zone), one.actor, one.what, one.table_name, one.row_id, "yes" if one.undone_at else ""]
        for one in found
    ]
    emit(data, as_json=as_json, human=lambda: table(["no.", "when", "who", "what", "table", "row", "undone"], rows))
