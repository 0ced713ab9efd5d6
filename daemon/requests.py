"""The changes a person may ask for, each a function of the App: called by the daemon for the command line, or by the
command line itself under the writer's lock. Arguments and answers are plain JSON data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session

from config.errors import QuietcrmError
from config.values import mail_key
from daemon import blocks, claims, sequence_requests
from daemon.app import App, opened
from daemon.by_hand import plan_send
from daemon.control import ask
from daemon.errors import NotRunning, Refused
from daemon.last_look import Obstacle
from daemon.looking_back import bring_about
from daemon.office import state_directory
from daemon.undoing import take_back
from rules.office import office_of
from store import changes, customers, importing, merging, outbox, privacy, suppressions, unmatched
from store.customers import HISTORY, Actor, ContactRow
from store.tables import OutboxMail, OutboxState, SentCopy

Args = Mapping[str, Any]


def perform(directory: Path, command: str, args: dict[str, Any]) -> Any:
    """Have a change made: by the running daemon, else here under its lock. Raises QuietcrmError."""
    try:
        return ask(state_directory(directory), command, args)
    except NotRunning:
        with opened(directory) as app:
            return answer(app, command, args)


def answer(app: App, command: str, args: Args) -> Any:
    """Carry out one request. Raises NotFound, Refused, Conflict ..."""
    act = _REQUESTS.get(command)
    if act is None:
        raise QuietcrmError(f"the daemon does not know {command}", hint="restart it: it is of another release")
    return act(app, args)


def _admin(app: App) -> Actor:
    return Actor(name="admin", now=app.clock.now())


def one_customer(session: Any, text: str) -> int:
    """The customer a person means. Raises NotFound, or Refused where several fit."""
    found = customers.resolve(session, text)
    if not found:
        raise customers.unknown(session, text)
    if len(found) > 1:
        numbers = ", ".join(str(one) for one in found)
        raise Refused(f'"{text}" fits several customers: {numbers}', hint="name one by its number")
    return found[0]


def _import(app: App, args: Args) -> Any:
    with app.store.writing() as session:
        rows = [importing.SourceRow(int(line), values) for line, values in args["rows"]]
        plan = importing.plan_import(session, rows, public=office_of(app.office.settings).public)
        shown = shown_plan(plan)
        report = importing.apply_import(session, plan, Actor(name="import", now=app.clock.now(), chain=HISTORY))
        hashes = {app.key.address(one) for one in report.new_addresses}
        hashes |= {app.key.domain(one) for one in report.new_domains}
        due = unmatched.make_due(session, hashes)
    return {**shown, "applied": True, "to_read_again": due}


def shown_plan(plan: importing.ImportPlan) -> dict[str, Any]:
    """What an import does, as JSON data: counts, and lines that a person should look at."""
    return {
        "counts": plan.counts(),
        "problems": [{"line": one.line, "message": one.message} for one in plan.problems],
        "duplicates": [{"line": one.line, "message": one.message} for one in plan.duplicates],
    }


def _add(app: App, args: Args) -> Any:
    settings, fields = app.office.settings, args.get("fields") or {}
    domains = claims.check_domains(settings, args.get("domains") or ())
    emails = claims.check_emails(settings, args.get("emails") or ())
    claims.check_fields(settings, fields)
    with app.store.writing() as session:
        by = _admin(app)
        claims.check_new_name(session, fields.get("name") or args["name"])
        number = customers.add(session, args["name"], by, fields)
        hashes = set()
        for domain in domains:
            customers.add_domain(session, number, domain, by)
            hashes.add(app.key.domain(domain))
        for email in emails:
            contact = customers.add_contact(session, number, by, {"name": args.get("contact") or ""})
            customers.add_address(session, contact, email, by)
            hashes.add(app.key.address(email))
        _mind_blocks(session, hashes, readmit=bool(args.get("readmit")))
        due = unmatched.make_due(session, hashes)
        also = claims.shared(session, number, emails, domains)
    return {"id": number, "name": args["name"], "to_read_again": due, "shared": also}


def _mind_blocks(session: Any, hashes: set[str], *, readmit: bool) -> None:
    """Whoever was erased stays out until the admin says otherwise (decision 16). Raises Refused."""
    if readmit:
        for purpose in suppressions.PURPOSES:
            suppressions.lift(session, hashes, purpose)
    elif suppressions.which(session, hashes, "log"):
        raise Refused("an address or domain of this customer is blocked: somebody had it erased", hint="add: --readmit")


def _edit(app: App, args: Args) -> Any:
    settings, fields = app.office.settings, args.get("fields") or {}
    domains = claims.check_domains(settings, args.get("domains") or ())
    emails = claims.check_emails(settings, args.get("emails") or ())
    claims.check_fields(settings, fields)
    with app.store.writing() as session:
        number = one_customer(session, args["customer"])
        by, before = _admin(app), changes.newest(session)
        hashes = set()
        for domain in domains:
            customers.add_domain(session, number, domain, by)
            hashes.add(app.key.domain(domain))
        for email in emails:
            _add_email(session, number, email, by)
            hashes.add(app.key.address(email))
        for tag in args.get("tags") or ():
            customers.tag(session, number, tag, by)
        _stop_or_allow_mail(app, session, number, args, by)
        change = customers.edit(session, number, fields, by)
        due = unmatched.make_due(session, hashes)
        made = changes.newer(session, before)
        also = claims.shared(session, number, emails, domains)
    return {"id": number, "change": change, "changes": made, "to_read_again": due, "shared": also}


def _stop_or_allow_mail(app: App, session: Any, customer: int, args: Args, by: Actor) -> None:
    """What the customer said by telephone: no more mail to an address, or mail again. Raises Refused."""
    for address in args.get("no_mail") or ():
        person = _person_at(session, customer, address)
        blocks.block(session, app.key, address, blocks.BY_ADMIN, contact_id=person.id, by=by)
    for address in args.get("allow_mail") or ():
        person = _person_at(session, customer, address)
        blocks.unblock(session, app.key, address, contact_id=person.id, by=by)
        customers.edit_contact(session, person.id, {"bounced_at": None, "bounce_reason": ""}, by)
        left = blocks.why_blocked(session, app.key, address)
        if left:
            hint = f"to take them in again: quietcrm customer add NAME --email {address} --readmit"
            raise Refused(f"{address} still gets no mail: {left}", hint=hint)


def _person_at(session: Any, customer: int, address: str) -> ContactRow:
    key = mail_key(address)
    people = customers.lookup_addresses(session, [key]).get(key, ())
    found = next((one for one in people if one.customer_id == customer), None)
    if found is None:
        raise Refused(f"{address} is no address of this customer", hint=f"see: quietcrm customer show {customer}")
    return found


def _add_email(session: Any, customer: int, email: str, by: Actor) -> None:
    known = customers.lookup_addresses(session, [mail_key(email)]).get(mail_key(email), ())
    if any(one.customer_id == customer for one in known):
        return
    contact = customers.add_contact(session, customer, by, {})
    customers.add_address(session, contact, email, by)


def _merge(app: App, args: Args) -> Any:
    with app.store.writing() as session:
        keep, gone = one_customer(session, args["keep"]), one_customer(session, args["gone"])
        if keep == gone:
            raise Refused("both names are the same customer", hint="nothing to merge")
        change = merging.merge(session, keep, gone, _admin(app))
    return {"id": keep, "merged": gone, "change": change}


def _erase(app: App, args: Args) -> Any:
    with app.store.session() as session:
        number = one_customer(session, args["customer"])
        name = customers.get(session, number).name
    if args.get("confirm") != name:
        raise Refused(f'erasing "{name}" cannot be undone', hint=f'to do it, add: --confirm="{name}"')
    left = app.desks.take_back(number) + sum(items.take_back(number) for items in app.items.values())
    with app.store.writing() as session:
        erased = privacy.erase(session, number, app.key, _admin(app))
    return {"id": number, "erased": asdict(erased), "left_in_mailboxes": left}


def _undo(app: App, args: Args) -> Any:
    with app.store.writing() as session:
        change = changes.undo(session, int(args["change"]), app.clock.now())
    return {"change": change.id, "what": change.what, "table": change.table_name, "row": change.row_id}


# --- mail to customers ---------------------------------------------------------------------------------------------


def _release(app: App, args: Args) -> Any:
    number = int(args["id"])
    with app.store.writing() as session:
        row = outbox.get(session, number)
        _mind_the_wire(row)
        if row.state == OutboxState.UNCERTAIN:
            if not args.get("again"):
                hint = f"ask them; they have it: quietcrm outbox sent {number}; they do not: add --again"
                raise Refused(f"{number} may have been sent: the customer may get it twice", hint=hint)
            return _to_planned(app, session, row, "sent again: the admin says so")
        if row.state != OutboxState.HELD:
            raise _not(row, "held")
        return _to_planned(app, session, row, "released by the admin")


def _to_planned(app: App, session: Session, row: OutboxMail, reason: str) -> dict[str, Any]:
    """Let a held or uncertain mail be looked at again, in spite of what stood in its way. Where it became late while it
    waited for this word, that does not turn it into a draft either."""
    assert row.id is not None
    is_late = row.late_after is not None and app.clock.now() > row.late_after
    lifted = {row.obstacle, *([Obstacle.LATE.value] if is_late else [])}
    released = ",".join(sorted({*row.released.split(","), *lifted} - {""}))
    fields = {"released": released, "obstacle": "", "retry_at": None, "settled_at": None, "reason": reason}
    moved = outbox.move(session, row.id, (OutboxState(row.state),), OutboxState.PLANNED, **fields)
    assert moved, "one writer: nobody moved it since it was read"
    return _answer(row, OutboxState.PLANNED)


def _cancel(app: App, args: Args) -> Any:
    number = int(args["id"])
    early = (OutboxState.PLANNED, OutboxState.HELD, OutboxState.UNCERTAIN)
    placed = (OutboxState.PLACED, OutboxState.PLACING)
    reason = "cancelled by the admin"
    with app.store.writing() as session:
        row = outbox.get(session, number)
        _mind_the_wire(row)
        if outbox.move(session, number, early, OutboxState.CANCELLED, settled_at=app.clock.now(), reason=reason):
            return _answer(row, OutboxState.CANCELLED)
        if outbox.move(session, number, placed, OutboxState.WITHDRAWING, reason=reason):
            return _answer(row, OutboxState.WITHDRAWING)
    raise Refused(f"{number} is {row.state} already", hint="nothing to cancel")


def _sent(app: App, args: Args) -> Any:
    number = int(args["id"])
    states = (OutboxState.PLACED, OutboxState.DECLINED, OutboxState.HELD, OutboxState.UNCERTAIN)
    with app.store.writing() as session:
        row = outbox.get(session, number)
        _mind_the_wire(row)
        fields: dict[str, Any] = {"settled_at": app.clock.now(), "reason": "marked as sent by the admin"}
        if row.state == OutboxState.UNCERTAIN:  # it left by itself: its copy in Sent is ours to see to
            fields |= {"sent_message_id": row.message_id, "copy_state": row.copy_state or SentCopy.WANTED.value}
        if not outbox.move(session, number, states, OutboxState.SENT, **fields):
            raise _not(row, " or ".join(state.value for state in states))
    return _answer(row, OutboxState.SENT)


def _answer(row: OutboxMail, state: OutboxState) -> dict[str, Any]:
    return {"id": row.id, "state": state.value, "way": row.way}


def _not(row: OutboxMail, wanted: str) -> Refused:
    return Refused(f"{row.id} is {row.state}, not {wanted}", hint=f"its story: quietcrm outbox show {row.id}")


def _mind_the_wire(row: OutboxMail) -> None:
    """A mail on its way out belongs to the daemon alone. Raises Refused."""
    if row.state in (OutboxState.CLAIMED, OutboxState.SENDING):
        hint = f"look again in a minute: quietcrm outbox show {row.id}"
        raise Refused(f"{row.id} is being sent this moment", hint=hint)


def _burst(app: App, args: Args) -> Any:
    """Let go or cancel all that the breaker holds (of one rule). `confirm` has to be their number at this moment."""
    rule, release = args.get("rule") or "", args["act"] == "release"
    with app.store.writing() as session:
        waiting = burst(session, rule)
        if not waiting or len(waiting) != args.get("confirm"):
            raise Refused(
                f"{len(waiting)} mails are held by the breaker, not {args.get('confirm')}; nothing was done",
                hint="see them: quietcrm outbox list --state held",
            )
        for one in waiting:
            row = outbox.get(session, one["id"])
            if release:
                _to_planned(app, session, row, "released by the admin")
            else:
                fields = {"settled_at": app.clock.now(), "reason": "cancelled by the admin"}
                outbox.move(session, one["id"], (OutboxState.HELD,), OutboxState.CANCELLED, **fields)
    state = OutboxState.PLANNED if release else OutboxState.CANCELLED
    return {"ids": [one["id"] for one in waiting], "state": state.value}


def burst(session: Session, rule: str = "") -> list[dict[str, Any]]:
    """What the breaker holds, as `outbox list --json` shows it; of one rule, or "" = of all."""
    held, breaker = (OutboxState.HELD,), Obstacle.BREAKER.value
    return outbox.listing(session, states=held, rule=rule, obstacle=breaker, limit=None)


# --- rules looking back ----------------------------------------------------------------------------------------------


def _undo_rule(app: App, args: Args) -> Any:
    """Take back what a rule did since; without `confirm` it is only tried out."""
    since, confirm = datetime.fromisoformat(args["since"]), args.get("confirm")
    with app.store.writing() as session:
        found = take_back(session, args["rule"], since, app.clock.now(), confirm)
        if confirm is None:
            session.rollback()
    return found


_REQUESTS: dict[str, Callable[[App, Args], Any]] = {
    "customer.import": _import,
    "customer.add": _add,
    "customer.edit": _edit,
    "customer.merge": _merge,
    "customer.erase": _erase,
    "log.undo": _undo,
    "outbox.release": _release,
    "outbox.cancel": _cancel,
    "outbox.sent": _sent,
    "outbox.burst": _burst,
    "mail.send": plan_send,
    "rules.replay": bring_about,
    "rules.undo": _undo_rule,
    **sequence_requests.REQUESTS,
}
