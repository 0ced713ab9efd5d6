"""What a look back says of one mail: what today's rules would add to it, drop from it, or do in another way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmodel import Session

from connectors.model import Message
from daemon.office import Office
from rules.decision import Action, Decision
from store import customers
from store.customers import CustomerRow
from store.past import PastMail

RECORDS = frozenset(("file_under", "create", "set", "tag", "untag", "segment", "stage", "owner"))
"""What `--apply` does afterwards. Promises (drafts, sends, reminders) and marks in the
mailbox belong to their time and are never made later."""
LEAVES, ENTERS = "leaves", "enters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One mail on which a rule in mode watch would have acted, and what it would have done. `mail`: see Difference."""

    rule: str
    mail: int | None
    at: datetime
    sender: str
    subject: str
    does: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "rule": self.rule,
            "mail": self.mail,
            "at": self.at,
            "from": self.sender,
            "subject": self.subject,
            "does": list(self.does),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One mail on which today's rules and what happened differ.

    mail      its number in the log, None for mail that belongs to nobody
    past      it was read as old mail: nothing was done about it when it came
    adds      {rule, slot, verb, does, applies}
    drops     (rule, slot) of what was done and would not be
    changed   (rule, what it did, what it would do)
    refiled   names of customers: whose it was by a rule, whose it would be
    history   "enters", "leaves", "headers" (its text would not be kept), "whole" (it would), "" = as it is
    """

    mail: int | None
    identity: str
    at: datetime
    sender: str
    subject: str
    direction: str
    past: bool = False
    adds: tuple[dict[str, Any], ...] = ()
    drops: tuple[tuple[str, str], ...] = ()
    changed: tuple[tuple[str, str, str], ...] = ()
    refiled: tuple[str, str] | None = None
    history: str = ""
    why: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether today's rules would do what was done."""
        return not (self.adds or self.drops or self.changed or self.refiled or self.history)

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "mail": self.mail,
            "at": self.at,
            "from": self.sender,
            "subject": self.subject,
            "direction": self.direction,
            "past": self.past,
            "add": [dict(one) for one in self.adds],
            "drop": [{"rule": rule, "slot": slot} for rule, slot in self.drops],
            "change": [{"rule": rule, "was": was, "would": would} for rule, was, would in self.changed],
            "refile": {"from": self.refiled[0], "to": self.refiled[1]} if self.refiled else None,
            "history": self.history,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Planned:
    """A difference with what is needed to bring it about.

    actions   what would be added
    mail      the stored mail, None for one that belongs to nobody
    target    the customer it would be filed under instead
    maker     the rule by which a mail of nobody comes into the history
    """

    difference: Difference
    message: Message
    decision: Decision
    actions: tuple[Action, ...] = ()
    mail: PastMail | None = None
    target: int | None = None
    maker: str = ""

    @property
    def wanted(self) -> tuple[Action, ...]:
        """Those of the actions that may be done afterwards."""
        return tuple(one for one in self.actions if one.verb in RECORDS)

    @property
    def size(self) -> int:
        """How many changes to records it comes to."""
        return len(self.wanted) + (self.target is not None) + (self.difference.history == ENTERS)


def told(action: Action) -> dict[str, Any]:
    """An action in words, as plain data."""
    return {
        "rule": action.rule,
        "slot": action.slot,
        "verb": action.verb,
        "does": _words(action),
        "applies": action.verb in RECORDS,
    }


_TOLD = ("tag", "segment", "to", "rep", "category", "day", "folder", "channel")


def _words(action: Action) -> str:
    args = action.args
    if action.verb == "create":
        title = next(
            (str(args["fields"][name]) for name in ("title", "number", "name", "text") if args["fields"].get(name)), ""
        )
        return f"create {args['what']}" + (f': "{title}"' if title else "")
    if action.verb == "file_under":
        return f"file under {args['customer']}"
    if action.verb == "set":
        return f"set {args['field']}: {args['value']}"
    if action.verb == "remind":
        return f"remind {args['rep']}: {args['text']}"
    if action.verb in ("draft", "send"):
        return f"{action.verb} {args['template']} to {args['to']}"
    if action.verb in ("start", "stop"):
        return f"{action.verb} {args['sequence']}"
    value = next((args[name] for name in _TOLD if args.get(name)), "")
    return f"{action.verb} {value}".strip()


def target(session: Session, action: Action) -> int | None:
    """The customer that a `file_under` names, None unless it is exactly one."""
    number = action.args.get("customer_id")
    if number is not None:
        return int(number)
    found = customers.resolve(session, str(action.args.get("customer", "")))
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Today:
    """How the records stand now: tells what would change nothing any more."""

    session: Session
    office: Office
    customers: Mapping[int, CustomerRow] = field(default_factory=dict)

    def has(self, action: Action, main: int | None, mail: PastMail, *, person: bool) -> bool:
        """Whether the effect is there already. person: the one at the other end is a contact."""
        if action.verb == "file_under":
            number = target(self.session, action)
            return number is None or number in mail.customers
        if action.verb == "create":
            return action.args["what"] == "contact" and person
        row = self.customers.get(main) if main is not None else None
        return row is not None and self._is(row, action)

    def _is(self, row: CustomerRow, action: Action) -> bool:
        args = action.args
        if action.verb in ("tag", "untag"):
            return (args["tag"] in row.tags) is (action.verb == "tag")
        if action.verb == "segment":
            return bool(row.segment == args["segment"])
        if action.verb == "owner":
            return bool(row.owner == args["rep"])
        if action.verb == "stage":
            return not self._moves(row.stage, str(args["to"]), bool(args.get("back")))
        if action.verb == "set" and args.get("target") != "contact":
            name = str(args["field"])
            return bool(getattr(row, name, None) == args["value"] or row.fields.get(name) == args["value"])
        return False

    def _moves(self, now: str, to: str, back: bool) -> bool:
        """Whether `stage` would move the customer: forward only, and nobody who bought is lost (decision 15)."""
        stages = self.office.settings.stages
        order = list(stages.order)
        if now == to or (now == stages.won and to == stages.lost):
            return False
        return back or now not in order or order.index(to) > order.index(now)
