"""rules list|explain; replay, undo and lint have modules of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli import lint, looking_back, rule_tests
from daemon.cli.options import AsJson, invocation
from daemon.cli.screen import emit, local, say, table

group = typer.Typer(help="The rules: what there is, and why something happened.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    rule_tests.register(group)
    looking_back.register(group)
    lint.register(group)
    app.add_typer(group, name="rules")


@group.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """The rules in the order they run, with how often each acted."""
    from daemon.app import looking
    from store import actions

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        hits = actions.hits(session)
    data = [_rule(rule, hits.get(rule.name)) for rule in office.rules.rules]
    zone = office.settings.zone
    rows = [
        [one["name"], one["mode"], one["when"], one["hits"], local(one["last_hit"], zone), one["place"], one["about"]]
        for one in data
    ]
    emit(data, as_json=as_json, human=lambda: table(["rule", "mode", "when", "hits", "last", "place", "about"], rows))


def _rule(rule: Any, row: Any) -> dict[str, Any]:
    return {
        "name": rule.name,
        "mode": rule.mode,
        "when": ", ".join(rule.whens),
        "about": rule.about,
        "place": rule.place,
        "blueprint": rule.blueprint,
        "hits": row.hits if row else 0,
        "last_hit": row.last_hit_at if row else None,
        "loaded": row.first_at if row else None,
    }


@group.command("explain")
def explain(
    context: typer.Context,
    mail: Annotated[str, typer.Argument(metavar="MAIL|FILE.eml", help="A number of the log, a Message-ID, or a file.")],
    rule: Annotated[str | None, typer.Option(help="Only this rule.")] = None,
    as_json: AsJson = False,
) -> None:
    """Why and why not: who a mail is about, each rule with its conditions, what was done or shadowed."""
    from daemon.explaining import explain_file, explain_logged

    directory = invocation(context).directory
    path = Path(mail)
    found = explain_file(directory, path, rule) if path.is_file() else explain_logged(directory, mail, rule)
    emit(found.data, as_json=as_json, human=lambda: say("\n".join(found.lines)))
