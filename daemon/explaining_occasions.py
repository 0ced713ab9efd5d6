"""Answers "why, and why not" for something else than a mail: as it was recorded, and as today's rules see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from sqlmodel import Session

from config.values import did_you_mean
from daemon.clock import SystemClock
from daemon.happening import Happening
from daemon.office import Office
from daemon.requests import one_customer
from rules.decision import Decision, RuleTrace
from rules.engine import evaluate_occasion
from rules.explain import action_line, rule_lines, trace_of
from rules.facts import Moment
from rules.occasion import Occasion, occasion_of
from store import customers
from store.errors import NotFound
from store.hashing import HashKey


def recorded_lines(trace: Mapping[str, Any]) -> Iterator[str]:
    """The rules as they were asked, from a kept trace of an occasion."""
    seen = trace["occasion"].get("seen")
    if seen:
        yield f"because: {seen}"
    for rule in trace.get("rules", ()):
        yield from rule_lines(trace_of(rule))


def of_now(session: Session, office: Office, words: str, customer: str | None) -> Occasion:
    """The occasion that a person means by the words of a trigger, as if it came true now. Raises NotFound, Refused."""
    known = [one.words for one in office.rules.triggers]
    wanted = " ".join(words.split()).casefold()
    found = next((one for one in known if one.casefold() == wanted), None)
    if found is None:
        help = did_you_mean(words, known, "see what rules wait for: quietcrm rules list")
        raise NotFound(f'no rule waits for "{words}"', hint=help)
    number = one_customer(session, customer) if customer else None
    return Occasion(when=found, event=found, at=SystemClock().now(), customer_id=number)


def again(trace: Mapping[str, Any]) -> Occasion:
    """The occasion of a kept trace."""
    return occasion_of(trace["occasion"])


def today(
    session: Session, office: Office, key: HashKey, occasion: Occasion, rule: str | None
) -> tuple[list[str], dict[str, Any]]:
    """What today's rules make of it, as lines for people and as plain data. Writes nothing."""
    happening = Happening(session=session, office=office, key=key, now=SystemClock().now())
    loaded = {one.name: occasion.at - timedelta(days=1) for one in office.rules.rules}
    directory = happening.directory([occasion])
    moment = Moment(now=occasion.at, baseline=None, loaded=loaded)
    decision = evaluate_occasion(office.rules, occasion, directory, office.settings, moment)
    traces = [one for one in decision.traces if rule in (None, one.rule)]
    name = ""
    if occasion.customer_id is not None:
        row = customers.facts(session, [occasion.customer_id]).get(occasion.customer_id)
        name = row.name if row else ""
    lines = [*_lines(occasion, traces, decision, name, office), f"Rules {office.rules.hash or '(none)'}"]
    return lines, {**decision.as_dict(), "occasion": occasion.as_dict(), "customer": name, "config": office.rules.hash}


def _lines(occasion: Occasion, traces: list[RuleTrace], decision: Decision, name: str, office: Office) -> Iterator[str]:
    zone = office.settings.zone
    yield f"{occasion.when}, {occasion.at.astimezone(zone):%Y-%m-%d %H:%M}"
    yield f"About: {name or 'nobody in particular'}"
    yield "Rules:" if traces else "Rules: none waits for this"
    for trace in traces:
        yield from rule_lines(trace, supposed=True)
    for action in decision.actions:
        yield f"  {action_line(action, zone)}"
