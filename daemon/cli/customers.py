"""customer propose|import|add|edit|merge|list|show|search|timeline|export|erase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.options import Apply, AsJson, Limit, invocation, whole
from daemon.cli.screen import emit, local, remark, say, table

group = typer.Typer(help="The customers: find, read, import, change.", no_args_is_help=True)

Who = Annotated[str, typer.Argument(help="A customer: number, name, domain or address.")]
Fields = Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Set a field; may repeat.")]
Emails = Annotated[list[str] | None, typer.Option("--email", help="Add a contact's address; may repeat.")]
Domains = Annotated[list[str] | None, typer.Option("--domain", help="Add a mail domain; may repeat.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(group, name="customer")


@group.command("propose")
def propose(
    context: typer.Context,
    since: Annotated[str, typer.Option(help="Look back this far: 2y, 6m, 30d or a date.")] = "2y",
    as_json: AsJson = False,
) -> None:
    """Suggest customers: whom the team wrote to, as CSV on stdout. Reads the mailboxes, stores nothing."""
    from daemon.proposing import crowded, propose_customers, write_csv

    given = invocation(context)
    rows = propose_customers(given.directory, since, quiet=given.quiet or as_json)
    emit(rows, as_json=as_json, human=lambda: write_csv(rows))
    for domain, count in crowded(rows):
        remark(f"{count} people write from {domain}. If that is a mail provider and no company, add it to")
        remark("  `public_domains:` in quietcrm.yaml and run this again: else they all become one customer.")


@group.command("import")
def import_(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV: name,email,company,domain and any other field.")
    ],
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Import customers from CSV. Shows the plan first; --apply carries it out. The same file twice changes nothing."""
    from daemon.app import looking, make_store
    from daemon.requests import perform, shown_plan
    from rules.office import office_of
    from store import importing

    directory = invocation(context).directory
    rows = importing.read_csv(file)
    if apply:
        args = {"rows": [[row.line, dict(row.values)] for row in rows]}
        data = perform(directory, "customer.import", args)
    else:
        make_store(directory)
        with looking(directory) as (office, store), store.session() as session:
            plan = importing.plan_import(session, rows, public=office_of(office.settings).public)
        data = shown_plan(plan) | {"applied": False}
    emit(data, as_json=as_json, human=lambda: _show_import(data, file))


def _show_import(data: dict[str, Any], file: Path) -> None:
    counts = data["counts"]
    say(f"{counts['new']} new customers, {counts['changed']} changed, {counts['same']} as they were;")
    say(f"{counts['contacts']} new contacts, {counts['domains']} new domains.")
    for one in data["problems"]:
        remark(f"{file}:{one['line']}: {one['message']}")
    if data["duplicates"]:
        say(f"{len(data['duplicates'])} rows say nothing that a row above does not say.")
    if not data["applied"]:
        say(f"Nothing was written. To do it: quietcrm customer import {file} --apply")
    elif data["to_read_again"]:
        say(f"{data['to_read_again']} mails that matched nobody are read again at the next pass.")


@group.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the company or person.")],
    email: Emails = None,
    domain: Domains = None,
    contact: Annotated[str, typer.Option(help="Name of the contact.")] = "",
    fields: Fields = None,
    readmit: Annotated[bool, typer.Option("--readmit", help="Lift the block that an erasure left on them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add a customer. Mails of theirs that matched nobody are logged at the next pass."""
    from daemon.requests import perform

    args = {
        "name": name,
        "emails": list(email or []),
        "domains": list(domain or []),
        "contact": contact,
        "readmit": readmit,
        "fields": _pairs(fields),
    }
    data = perform(invocation(context).directory, "customer.add", args)
    emit(data, as_json=as_json, human=lambda: say(f"customer {data['id']}: {data['name']}"))
    _warn_of_shared(data)


@group.command("edit")
def edit(
    context: typer.Context,
    customer: Who,
    fields: Fields = None,
    email: Emails = None,
    domain: Domains = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Put a tag on it; may repeat.")] = None,
    no_mail: Annotated[
        list[str] | None, typer.Option("--no-mail", metavar="ADDRESS", help="No mail to this address of theirs.")
    ] = None,
    allow_mail: Annotated[
        list[str] | None, typer.Option("--allow-mail", metavar="ADDRESS", help="Mail to this address again.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a customer. The change gets a number; undo it with: quietcrm log undo N."""
    from daemon.requests import perform

    args = {
        "customer": customer,
        "fields": _pairs(fields),
        "emails": list(email or []),
        "domains": list(domain or []),
        "tags": list(tag or []),
        "no_mail": list(no_mail or []),
        "allow_mail": list(allow_mail or []),
    }
    data = perform(invocation(context).directory, "customer.edit", args)
    emit(data, as_json=as_json, human=lambda: _show_edit(data))
    _warn_of_shared(data)


def _show_edit(data: dict[str, Any]) -> None:
    if not data["changes"]:
        say(f"customer {data['id']} is like that already; nothing changed")
        return
    undo = "; ".join(f"quietcrm log undo {number}" for number in data["changes"])
    say(f"customer {data['id']} changed; undo: {undo}")


def _warn_of_shared(data: dict[str, Any]) -> None:
    """Two customers with one address or domain are allowed, but mostly a mistake: each mail fits both."""
    for one in data["shared"]:
        remark(f'warning: {one["what"]} is of customer {one["id"]} ("{one["name"]}") too: its mail fits both')
        remark(f"  = help: if they are one: quietcrm customer merge {one['id']} {data['id']}")


def _pairs(fields: Sequence[str] | None) -> dict[str, str]:
    pairs = {}
    for one in fields or ():
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f'"{one}" is not FIELD=VALUE', param_hint="--set")
        pairs[name.strip()] = value.strip()
    return pairs


@group.command("merge")
def merge(context: typer.Context, keep: Who, gone: Who, as_json: AsJson = False) -> None:
    """Make two customers one: everything of the second goes to the first. Can be undone."""
    from daemon.requests import perform

    data = perform(invocation(context).directory, "customer.merge", {"keep": keep, "gone": gone})
    undo = f"undo: quietcrm log undo {data['change']}"
    emit(data, as_json=as_json, human=lambda: say(f"customer {data['merged']} is now part of {data['id']}; {undo}"))


@group.command("list")
def list_(
    context: typer.Context,
    limit: Limit = 100,
    after: Annotated[int, typer.Option(parser=whole(), help="Go on behind this number.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List customers by number."""
    from daemon.app import looking
    from store import customers

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        rows = [_customer(row) for row in customers.listing(session, limit=limit, after=after)]
    emit(rows, as_json=as_json, human=lambda: _show_customers(rows, office.settings.zone))


@group.command("search")
def search(
    context: typer.Context,
    q: Annotated[str, typer.Argument(help="Begin or part of a name, address or domain.")],
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Find customers by name, contact, address or domain."""
    from daemon.app import looking
    from store import customers

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        rows = [_customer(row) for row in customers.search(session, q, limit)]
    emit(rows, as_json=as_json, human=lambda: _show_customers(rows, office.settings.zone))


def _customer(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "stage": row.stage,
        "segment": row.segment,
        "owner": row.owner,
        "language": row.language,
        "country": row.country,
        "source": row.source,
        "tags": sorted(row.tags),
        "open": sorted(row.open),
        "fields": dict(row.fields),
        "last_in": row.last_in_at,
        "last_out": row.last_out_at,
    }


def _show_customers(rows: Sequence[dict[str, Any]], zone: Any) -> None:
    headings = ["no.", "name", "stage", "owner", "they wrote", "we wrote", "open"]
    table(
        headings,
        [
            [
                row["id"],
                row["name"],
                row["stage"] or "-",
                row["owner"] or "-",
                local(row["last_in"], zone),
                local(row["last_out"], zone),
                ", ".join(row["open"]) or "-",
            ]
            for row in rows
        ],
    )


@group.command("show")
def show(context: typer.Context, customer: Who, as_json: AsJson = False) -> None:
    """Everything about one customer: fields, contacts, domains, the newest mails."""
    from daemon.app import hash_key, looking
    from daemon.blocks import why_blocked
    from daemon.requests import one_customer
    from store import customers, history

    directory = invocation(context).directory
    with looking(directory) as (office, store), store.session() as session:
        key = hash_key(directory)
        card = customers.show(session, one_customer(session, customer))
        newest = [one.as_dict() | {"at": one.at} for one in history.timeline(session, card.customer.id, 5)]
        emails = [email for one in card.contacts for email in one.emails]
        no_mail = {email: why for email in emails if (why := why_blocked(session, key, email))}
    data = _customer(card.customer) | {
        "domains": list(card.domains),
        "contacts": [_contact(one, no_mail) for one in card.contacts],
        "newest": newest,
    }
    emit(data, as_json=as_json, human=lambda: _show_card(data, office.settings.zone))


def _contact(row: Any, no_mail: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "emails": list(row.emails),
        "aliases": sorted(row.aliases),
        "title": row.title,
        "phone": row.phone,
        "language": row.language,
        "away_until": row.away_until,
        "bounced": row.bounced_at,
        "bounce_reason": row.bounce_reason,
        "no_mail": {email: no_mail[email] for email in row.emails if email in no_mail},
        "fields": dict(row.fields),
    }


def _show_card(data: dict[str, Any], zone: Any) -> None:
    say(f"{data['name']}  (customer {data['id']})")
    for name in ("stage", "segment", "owner", "language", "country", "source"):
        if data[name]:
            say(f"  {name}: {data[name]}")
    for name, value in data["fields"].items():
        say(f"  {name}: {value}")
    if data["tags"]:
        say(f"  tags: {', '.join(data['tags'])}")
    if data["domains"]:
        say(f"  domains: {', '.join(data['domains'])}")
    say(f"  they wrote: {local(data['last_in'], zone)}   we wrote: {local(data['last_out'], zone)}")
    for one in data["contacts"]:
        say(f"  contact {one['id']}: {one['name'] or '-'}  {', '.join(one['emails'])}")
        for email, why in one["no_mail"].items():
            said = f"{why}, {one['bounce_reason']}" if why == "bounced" and one["bounce_reason"] else why
            say(f"    gets no mail: {email} ({said}); to lift it: customer edit {data['id']} --allow-mail {email}")
        if one["away_until"]:
            say(f"    away until {one['away_until']}")
    _show_timeline(data["newest"], zone)
    say(f"all of it: quietcrm customer timeline {data['id']}")


@group.command("timeline")
def timeline(context: typer.Context, customer: Who, limit: Limit = 50, as_json: AsJson = False) -> None:
    """The history of a customer, newest first."""
    from daemon.app import looking
    from daemon.requests import one_customer
    from store import history

    with looking(invocation(context).directory) as (office, store), store.session() as session:
        found = history.timeline(session, one_customer(session, customer), limit)
        rows = [one.as_dict() | {"at": one.at} for one in found]
    emit(rows, as_json=as_json, human=lambda: _show_timeline(rows, office.settings.zone))


def _show_timeline(rows: Sequence[dict[str, Any]], zone: Any) -> None:
    arrows = {"in": "→ us", "out": "← us"}
    table(
        ["no.", "when", "way", "kind", "subject", "contacts"],
        [
            [
                row["id"],
                local(row["at"], zone),
                arrows.get(row["direction"], row["direction"]),
                row["kind"],
                row["subject"],
                ", ".join(row["contacts"]),
            ]
            for row in rows
        ],
    )


@group.command("export")
def export(
    context: typer.Context,
    customer: Annotated[str | None, typer.Argument(help="One customer; without it all of them.")] = None,
    form: Annotated[str, typer.Option("--format", help="csv, json or vcf.")] = "json",
    as_json: AsJson = False,
) -> None:
    """Export customers to stdout: CSV to import again, JSON with the whole history, or vCard."""
    from daemon.exporting import FORMATS, export_customers

    form = "json" if as_json else form
    if form not in FORMATS:
        raise typer.BadParameter(f"one of: {', '.join(FORMATS)}", param_hint="--format")
    export_customers(invocation(context).directory, customer, form)


@group.command("erase")
def erase(
    context: typer.Context,
    customer: Who,
    confirm: Annotated[str, typer.Option(help="The customer's exact name: this cannot be undone.")] = "",
    as_json: AsJson = False,
) -> None:
    """Erase a customer with everything about them. Only keyed hashes stay, so that a sync does not bring them back."""
    from daemon.requests import perform

    data = perform(invocation(context).directory, "customer.erase", {"customer": customer, "confirm": confirm})
    left = data["left_in_mailboxes"]
    more = f"; {left} drafts or reminders for them stay in your mailboxes: delete them by hand" if left else ""
    emit(data, as_json=as_json, human=lambda: say(f"customer {data['id']} is erased{more}"))
