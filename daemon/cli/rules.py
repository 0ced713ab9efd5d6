"""rules list|explain|new; replay, undo and lint have modules of their own."""

from __future__ import annotations

import os
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
    """The rules in the order they run: how often each acted (or would have), what became of its mails, when last."""
    from daemon.glance import glancing
    from store import actions, outbox

    with glancing(invocation(context).directory) as (office, session):
        hits = actions.hits(session) if session else {}
        mails = outbox.outcomes(session) if session else {}
    data = [_rule(rule, hits.get(rule.name), mails.get(rule.name, {})) for rule in office.rules.rules]
    zone = office.settings.zone
    shown = ("name", "mode", "when", "hits", "sent", "declined", "last_hit", "place", "about")
    rows = [[local(one[key], zone) if key == "last_hit" else one[key] for key in shown] for one in data]
    headings = ["rule", "mode", "when", "hits", "sent", "declined", "last", "place", "about"]
    emit(data, as_json=as_json, human=lambda: table(headings, rows, beside=("about", "declined", "place")))


def _rule(rule: Any, row: Any, mails: dict[str, int]) -> dict[str, Any]:
    """`declined` and `expired`: drafts that a person deleted, or left alone too long."""
    return {
        "name": rule.name,
        "mode": rule.mode,
        "when": ", ".join(rule.whens),
        "about": rule.about,
        "place": rule.place,
        "blueprint": rule.blueprint,
        "hits": row.hits if row else 0,
        **{word: mails.get(word, 0) for word in ("sent", "declined", "expired")},
        "last_hit": row.last_hit_at if row else None,
        "loaded": row.first_at if row else None,
    }


@group.command("new")
def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the rule: letters, digits and -.")],
    as_json: AsJson = False,
) -> None:
    """Write a rule to begin with, in a file of its own: it only watches, and says what else may stand in it."""
    from daemon.office import load_office
    from daemon.schemas import write_schemas
    from daemon.writing import why_no_name, write_rule

    directory = invocation(context).directory
    if why := why_no_name(name):
        raise typer.BadParameter(why, param_hint="NAME")
    path = write_rule(load_office(directory), name)
    write_schemas(directory)
    data = {"file": path, "name": name, "next": "quietcrm check"}
    emit(data, as_json=as_json, human=lambda: _show_new(data, directory))


def _show_new(data: dict[str, Any], directory: Path) -> None:
    say(f"written: {data['file'].relative_to(directory)}; it only watches, and runs behind all other rules")
    say("Say in it what it is for, when it is asked, what has to hold and what it does. Then: quietcrm check")
    say(f"What it would do with a mail: quietcrm rules explain FILE.eml --rule {data['name']}")


@group.command("explain")
def explain(
    context: typer.Context,
    mail: Annotated[
        str,
        typer.Argument(
            metavar="MAIL|EVENT|FILE.eml",
            help='A number of the log, a Message-ID, a file, or what a rule waits for ("customer silent: 21 days").',
        ),
    ],
    rule: Annotated[str | None, typer.Option(help="Only this rule.")] = None,
    customer: Annotated[str | None, typer.Option(help="For what a rule waits for: whose it is.")] = None,
    as_json: AsJson = False,
) -> None:
    """Why and why not: who a mail is about, each rule with its conditions, what was done or shadowed."""
    from daemon.agenda import SUFFIXES
    from daemon.errors import Refused
    from daemon.explaining import explain_file, explain_logged, explain_occasion
    from rules.triggers import is_event
    from store.errors import NotFound

    directory = invocation(context).directory
    path = Path(mail)
    if path.suffix.lower() in SUFFIXES:
        hint = f"its meetings by number, see: quietcrm log; what stands in it: quietcrm read {mail}"
        raise Refused(f"{mail} is a calendar, and rules see mails and meetings", hint=hint)
    if path.is_file():
        found = explain_file(directory, path, rule)
    elif customer is not None or is_event(mail):
        found = explain_occasion(directory, mail, customer, rule)
    elif _is_a_path(mail):
        raise NotFound(f"there is no file {mail}", hint="look at the name, and in which folder you are (pwd)")
    else:
        found = explain_logged(directory, mail, rule)
    if rule and not any(rule in line for line in found.lines):  # a rule that is gone may stand in an old trace
        looking_back.mind_rule(directory, rule)
    emit(found.data, as_json=as_json, human=lambda: say("\n".join(found.lines)))


def _is_a_path(text: str) -> bool:
    """A Message-ID has an @ and no ending; nobody names a mail of the log so."""
    return text.lower().endswith((".eml", ".mbox", ".msg")) or (os.sep in text and "@" not in text)
