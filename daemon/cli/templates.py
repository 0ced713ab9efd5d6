"""templates list|show, send: what templates there are, how one reads, and one templated mail."""

from __future__ import annotations

import html
import os
import tempfile
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.options import AsJson, invocation
from daemon.cli.screen import Exit, emit, harmless, remark, say, table

group = typer.Typer(help="The templates of mail to customers: what there is, and how one reads.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(group, name="templates")
    app.command("send")(send)


@group.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """The templates with their languages, files and subject, and the rules that use each."""
    from daemon.office import load_office

    office = load_office(invocation(context).directory)
    data = [_listed(one, office) for one in office.rules.templates.values()]
    rows = [
        [one["name"], ", ".join(one["languages"]), "yes" if one["leaves_by_itself"] else "", ", ".join(one["attach"]),
         one["subject"], ", ".join(one["rules"])]
        for one in data
    ]  # fmt: skip
    heads = ["template", "languages", "may leave by itself", "files", "subject", "rules"]
    emit(data, as_json=as_json, human=lambda: table(heads, rows))
    if not data:
        remark("there are none; see docs/how-to/templates.md")


def _listed(template: Any, office: Any) -> dict[str, Any]:
    name = template.name
    return {
        "name": name,
        "file": template.path.name,
        "languages": list(template.languages),
        "fallback": template.fallback,
        "attach": list(template.attach),
        "needs": list(template.needs),
        "subject": template.subjects.get(template.default_language, ""),
        "leaves_by_itself": name in office.settings.send.auto_templates,
        "rules": [rule.name for rule in office.rules.rules if any(_uses(one, name) for one in rule.effects)],
    }


def _uses(effect: Any, template: str) -> bool:
    return effect.verb in ("draft", "send") and effect.shown == f"{effect.verb} {template}"


@group.command("show")
def show(
    context: typer.Context,
    template: Annotated[str, typer.Argument(help="The name of a template.")],
    as_: Annotated[
        str | None, typer.Option("--as", metavar="CONTACT", help="For this contact: an address, a customer, a number.")
    ] = None,
    lang: Annotated[str, typer.Option("--lang", help="In this language.")] = "",
    open_: Annotated[
        bool, typer.Option("--open", help="Show it in the browser, as the customer would see it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """A template as the mail it makes: for a contact as it would leave now, else with names in place of values."""
    data = _made(invocation(context).directory, template, as_, lang)
    page = _page(data) if open_ else None
    if page is not None:
        data |= {"page": str(page)}
    emit(data, as_json=as_json, human=lambda: _show(data))
    if page is not None and not webbrowser.open(page.as_uri()):
        remark(f"no browser was found; open it yourself: {page}")


def _made(directory: Path, template: str, contact: str | None, language: str) -> dict[str, Any]:
    from daemon.app import looking
    from daemon.by_hand import preview, sample
    from daemon.office import load_office

    now = datetime.now(UTC)
    if contact is None:
        return sample(load_office(directory), template, now, language)
    with looking(directory) as (office, store), store.session() as session:
        return preview(session, office, template, contact, now, language)


def _show(data: dict[str, Any]) -> None:
    for name in ("from", "to", "subject"):
        if data[name]:
            say(f"{name.capitalize() + ':':<9}{data[name]}")
    for one in data["files"]:
        say(f"File:    {one['name']} ({one['size'] / 1024:.0f} KB)")
    say()
    say(data["text"].rstrip("\n"))
    others = [one for one in data["languages"] if one != data["language"]]
    more = f"; also written in: {', '.join(others)}" if others else ""
    remark(f'in "{data["language"]}"{more}')
    if data["sample"]:
        remark("for a customer of yours: add --as CONTACT")
    if "page" in data:
        remark(f"as a page: {data['page']}")


def _page(data: dict[str, Any]) -> Path:
    """The mail as a file for the browser; only this user may read it, and nothing in it runs or loads anything."""
    heads = "".join(
        f"<tr><th align=left>{name}</th><td>{html.escape(harmless(str(data[key])))}</td></tr>"
        for name, key in (("From", "from"), ("To", "to"), ("Subject", "subject"))
        if data[key]
    )
    files = "".join(f"<tr><th align=left>File</th><td>{html.escape(one['name'])}</td></tr>" for one in data["files"])
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    text = (
        f'<!doctype html><html lang="{html.escape(data["language"])}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{html.escape(data["template"])}</title>'
        '</head><body style="font-family:sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem">'
        f'<table cellpadding=4 style="color:#555">{heads}{files}</table><hr>{data["html"]}<hr>'
        f'<pre style="white-space:pre-wrap;color:#555">{html.escape(data["text"])}</pre></body></html>'
    )
    descriptor, name = tempfile.mkstemp(prefix=f"quietcrm-{data['template']}-", suffix=".html")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)


def send(
    context: typer.Context,
    template: Annotated[str, typer.Argument(help="The name of a template.")],
    to: Annotated[str, typer.Option("--to", metavar="CONTACT", help="An address, a customer, or its number.")],
    yes: Annotated[bool, typer.Option("--yes", help="Send it. Without this it is only shown.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show it.")] = False,
    as_json: AsJson = False,
) -> None:
    """One templated mail to a contact, looked at once more before it leaves, like mail of rules."""
    from daemon.requests import perform

    directory = invocation(context).directory
    if yes and dry_run:
        raise typer.BadParameter("--yes and --dry-run contradict each other")
    if not yes:
        data = _made(directory, template, to, "")
        emit(data, as_json=as_json, human=lambda: _show(data))
        if not dry_run:
            remark("nothing was sent; to send it, add: --yes")
            raise typer.Exit(Exit.REFUSED)
        return
    planned = perform(directory, "mail.send", {"template": template, "to": to})
    emit(planned, as_json=as_json, human=lambda: say(f"{planned['id']} leaves at the next pass, to {planned['to']}"))
    remark(f"its story: quietcrm outbox show {planned['id']}")
