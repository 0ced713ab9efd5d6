"""A decision told to people: who the mail is about, why each rule would fire or not, what would become of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from connectors.model import Message
from rules.condition import clip
from rules.decision import Action, Answer, Check, Decision, Direction, Extracted, Outcome, RuleTrace
from rules.engine import SEVERAL, TOO_LATE
from rules.ruleset import RuleSet

_OUTCOMES = {
    Outcome.LOG: "logged",
    Outcome.HEADERS: "logged, header only",
    Outcome.UNMATCHED: "not logged: nobody known; a later contact, alias or domain brings it in",
    Outcome.INTERNAL: "not logged: internal mail",
    Outcome.NEVER_LOG: "never logged",
    Outcome.IGNORED: "not logged",
    Outcome.OCCASION: "no mail",
}
_RESULTS = {
    "fired": "fired",
    "watched": "would have fired (mode: watch)",
    "paused": "would have fired (paused)",
    "failed": "did not fire",
    "not_for": "not asked: its `when` is another",
    "not_seen": "not asked: automatic mail is seen only by rules that name it with `is`",
    "too_old": "held, but the mail is older than the rule or the account's start, so nothing is done",
    "looping": "not asked: rules would set each other off for ever",
    "stopped": "not asked: a rule before it said `stop: yes`",
    "off": "switched off",
}


def explain(
    decision: Decision,
    message: Message,
    ruleset: RuleSet,
    customer_names: Mapping[int, str],
    *,
    zone: tzinfo | None = None,
    now: datetime | None = None,
) -> list[str]:
    """Lines for a terminal, of what would become of the mail. Evaluate with `explain=True` to have every rule in them.

    `zone` shows times by that clock (else UTC); `now` adds when this was worked out.
    """
    return [
        *_mail(message, decision, zone),
        "",
        *_who(decision, customer_names),
        "",
        *_rules(decision),
        "",
        *_outcome(decision, zone),
        _footer(ruleset, zone, now),
    ]


def as_dict(
    decision: Decision, message: Message, ruleset: RuleSet, customer_names: Mapping[int, str]
) -> dict[str, Any]:
    """The same as plain JSON data, with names beside ids and the configuration's hash."""
    data = decision.as_dict()
    for told, trace in zip(data["rules"], decision.traces, strict=True):
        for shown, one in zip(told["extracted"], trace.extracted, strict=True):
            shown |= {"value": one.value, "missed": one.missed}
    for answer in data["who"]:
        answer["names"] = [_name(one, customer_names) for one in answer["customers"]]
    return {
        **data,
        "message_id": message.message_id,
        "account": message.account,
        "folder": message.folder,
        "kind": message.kind.value,
        "received_at": message.received_at.isoformat(),
        "customers": [_name(one, customer_names) for one in decision.match.customers],
        "ambiguous": decision.match.ambiguous,
        "config": ruleset.hash,
    }


def _mail(message: Message, decision: Decision, zone: tzinfo | None) -> Iterator[str]:
    way = "sent" if decision.direction is Direction.OUT else "arrived"
    yield f"{message.subject or '(no subject)'}"
    sender = message.sender.email if message.sender else "(unreadable)"
    yield f"  from {sender}, {way} {_time(message.received_at, zone)}"
    yield f"  {message.kind.value} mail in {message.account}/{message.folder}"
    for reason in message.degraded:
        yield f"  read in part: {reason}"


def _who(decision: Decision, names: Mapping[int, str]) -> Iterator[str]:
    found = [_name(one, names) for one in decision.match.customers]
    doubt = " (several share an address or domain)" if decision.match.ambiguous else ""
    yield f"About: {', '.join(found) or 'nobody known'}{doubt}"
    for answer in decision.match.answers:
        yield "  " + _answer(answer, names)
    contact = decision.match.contact
    if contact:
        yield f"  contact: {contact.name or next(iter(contact.emails), '')}"


def _answer(answer: Answer, names: Mapping[int, str]) -> str:
    said = ", ".join(_name(one, names) for one in answer.customers) or "nobody"
    why = f" ({answer.why})" if answer.why and answer.customers else ""
    return f"{'✓' if answer.used else '✗'} {answer.rung.replace('_', '-')} {answer.seen}: {said}{why}"


def _rules(decision: Decision) -> Iterator[str]:
    yield "Rules:" if decision.traces else "Rules: none had anything to say"
    for trace in decision.traces:
        yield from rule_lines(trace, supposed=True)


def rule_lines(trace: RuleTrace, *, supposed: bool = False) -> Iterator[str]:
    """One rule on one mail: its result, a tick for each condition, what was done and what was shadowed.

    `supposed`: it is only supposed to have come true, so nothing was done.
    """
    result = "would fire" if supposed and trace.result == "fired" else _RESULTS.get(trace.result, trace.result)
    yield f"  {trace.rule}  [{trace.place}]  {result}"
    for check in trace.checks:
        seen = "" if check.held and check.seen == check.wanted else f"  saw: {check.seen}"
        yield f"    {'✓' if check.held else '✗'} {check.condition}: {check.wanted}{seen}"
    for one in trace.extracted:
        if one.value or not one.required:
            yield f"    = {one.name}: {_value(one)}"
    for done in trace.done:
        yield f"    → {'would do' if supposed or trace.result in ('watched', 'paused') else 'done'}: {done}"
    for slot, rule in trace.shadowed.items():
        yield f"    - {slot}: {rule}" if rule in (SEVERAL, TOO_LATE) else f"    - {slot}: {rule} had claimed it before"


def trace_of(data: Mapping[str, Any]) -> RuleTrace:
    """A rule's trace again, from the plain data of `Decision.as_dict`; without the values it extracted."""
    return RuleTrace(
        rule=data["rule"],
        place=data.get("place", ""),
        result=data.get("result", ""),
        checks=tuple(Check(**one) for one in data.get("checks", ())),
        done=tuple(data.get("done", ())),
        shadowed=dict(data.get("shadowed", {})),
    )


def _value(one: Extracted) -> str:
    kind = f", {one.kind}" if one.kind else ""
    return f"{clip(one.value)}  ({one.way}{kind})" if one.value else f"none, saw: {one.missed}"


def _outcome(decision: Decision, zone: tzinfo | None) -> Iterator[str]:
    by = f", by {decision.logged_by}" if decision.logged_by else ""
    why = f" ({decision.reason})" if decision.reason else ""
    yield f"Outcome: {_OUTCOMES[decision.outcome]}{by}{why}"
    for action in decision.actions:
        yield f"  {action_line(action, zone)}"


_TOLD = ("to", "rep", "value", "segment")
"""Arguments that say more than the slot."""
_MARKS = {"category": "category", "uncategory": "category", "flag": "day", "move": "folder"}
"""What is done to the mail itself, and the argument that says it."""


def action_line(action: Action, zone: tzinfo | None) -> str:
    """One action in a line: what, for whom, when, and by which rule."""
    args = action.args
    if action.verb == "remind":
        what = f"remind {args['rep']}: {args['text']}"
    elif action.verb == "draft":
        what = f"draft {args['template']} to {args['to']}, in the Drafts of {args['rep']}"
    elif action.verb == "send":
        what = f"send {args['template']} to {args['to']}, for {args['rep']}"
    elif action.verb == "notify":
        what = f"notify {args['channel']}: {args['text']}"
    elif action.verb in _MARKS:
        what = f"{action.verb} {args[_MARKS[action.verb]]}"
    elif action.verb in ("start", "stop"):
        what = f"{action.verb} {args['sequence']}"
    else:
        what = f"{action.slot}" + "".join(f" {args[key]}" for key in _TOLD if key in args)
    due = args.get("due_at")
    unless = f", unless {args['unless']}" if args.get("unless") else ""
    when = f", due {_time(due, zone)}{unless}" if isinstance(due, datetime) else ""
    return f"{what}{when}  [{action.rule}]"


def _footer(ruleset: RuleSet, zone: tzinfo | None, now: datetime | None) -> str:
    at = f", {_time(now, zone)}" if now else ""
    return f"Rules {ruleset.hash or '(none)'}{at}"


def _name(customer: int, names: Mapping[int, str]) -> str:
    return names.get(customer, f"customer {customer}")


def _time(at: datetime, zone: tzinfo | None) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}" if zone else f"{at:%Y-%m-%d %H:%M} UTC"
