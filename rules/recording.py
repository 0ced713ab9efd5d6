"""Makes a rule test of a real mail: what it says, whom it is about, and what the rules of today make of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from config.errors import Problem
from config.settings import Settings
from config.text import STRANGE
from config.values import LANGUAGE, MAIL
from connectors.model import Address, Attachment, Kind, Message
from rules.decision import Decision, Direction, Outcome
from rules.disguise import CARES, Care, Disguise, contacts_of, disguised
from rules.facts import ContactFacts, CustomerFacts, Directory
from rules.ladder import direction_of
from rules.machine_conditions import AUTH
from rules.office import office_of
from rules.ruleset import RuleSet
from rules.subjects import is_forward_subject, is_reply_subject
from rules.trials import Verdict, decide, read_trials, run_trials, switched_on

UNKNOWN = Address("unknown@nobody.example")
"""Stands for a sender that cannot be read."""
_LONGEST_BODY = 20_000
_PLAIN = re.compile(r"[^\W\d_][\w .@/+-]*(?<! )")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A file of tests with one test, which passes.

    kept     what could not be replaced because a rule asks for it: "names in the text", "domains", "addresses"
    rules    the rules that fire in the test; `meant`: those that fire for the mail itself
    """

    text: str
    kept: tuple[str, ...]
    rules: tuple[str, ...]
    meant: tuple[str, ...]


def record(
    message: Message, directory: Directory, ruleset: RuleSet, settings: Settings, *, name: str, path: Path
) -> Recorded:
    """The test of a mail. `path`: where it will stand. People are replaced as far as the rules allow it."""
    rules = switched_on(ruleset)
    meant = _said(decide(message, directory, rules, settings))
    asked = " ".join(f"{one.name} {one.wanted}" for rule in rules.rules for one in rule.conditions).lower()
    message = _clean(message, asked)
    if not any(rule.reads_markup for rule in rules.rules):
        message = replace(message, markup=())
    for care in CARES:
        writer = _Writer(message, directory, settings, Disguise(office_of(settings), care), name)
        verdict = _judge(writer.text("nothing"), path, ruleset, settings)
        said = _said(verdict.decision)
        if said == meant or care is CARES[-1]:
            break
    text = _passing(writer, verdict, path, ruleset, settings)
    return Recorded(text=text, kept=_kept(care), rules=said[1:], meant=meant[1:])


def _kept(care: Care) -> tuple[str, ...]:
    every = (("names in the text", care.names), ("mail domains", care.domains), ("addresses", care.addresses))
    return tuple(word for word, replaced in every if not replaced)


def _said(decision: Decision) -> tuple[str, ...]:
    """What a replaced name must not change: the outcome, and which rules fire."""
    return (decision.outcome.value, *(one.rule for one in decision.traces if one.result == "fired"))


def _judge(text: str, path: Path, ruleset: RuleSet, settings: Settings) -> Verdict:
    """Run the one test of a file that we wrote."""
    problems: list[Problem] = []
    trials = read_trials(path, text, settings, ruleset, problems)
    assert len(trials) == 1, (problems, text)
    return run_trials(trials, ruleset, settings)[0]


def _passing(writer: _Writer, verdict: Verdict, path: Path, ruleset: RuleSet, settings: Settings) -> str:
    """The text with all that can be expected; with the rules alone where a value is not written as it is read."""
    lines = expected(verdict.decision)
    for some in (lines, {name: value for name, value in lines.items() if name in ("rules", "log")}):
        text = writer.text(some or "nothing")
        problems: list[Problem] = []
        trials = read_trials(path, text, settings, ruleset, problems)
        if trials and not problems and run_trials(trials, ruleset, settings)[0].passed:
            return text
    raise AssertionError(f"a recorded test does not pass: {writer.text(lines)}")


def expected(decision: Decision) -> dict[str, Any]:
    """What came, as lines of `expect`; empty where no rule did anything."""
    fired = [one.rule for one in decision.traces if one.result == "fired"]
    if not any(one.done for one in decision.traces if one.result == "fired"):
        return {"log": "no"} if decision.outcome is Outcome.NEVER_LOG else {}
    lines: dict[str, Any] = {"rules": fired}
    if decision.outcome is Outcome.IGNORED:
        return lines | {"log": "no"}
    for action in decision.actions:
        key = _TOLD.get(action.verb)
        value = str(action.args.get(key, "")) if key else ""
        if value.strip() and value not in lines.setdefault(action.verb, []):
            lines[action.verb].append(value)
    return {name: value[0] if len(value) == 1 and name != "rules" else value for name, value in lines.items() if value}


_TOLD = {
    "create": "what",
    "draft": "template",
    "send": "template",
    "remind": "rep",
    "tag": "tag",
    "untag": "tag",
    "stage": "to",
    "owner": "rep",
    "segment": "segment",
    "category": "category",
    "uncategory": "category",
    "flag": "day",
    "move": "folder",
    "notify": "channel",
}
"""Of each action the argument that tells most."""


# --- writing


class _Writer:
    """Writes the file; `expect` is filled in when it is known what comes."""

    def __init__(self, message: Message, directory: Directory, settings: Settings, disguise: Disguise, name: str):
        for one in directory.customers.values():
            disguise.customer(one)
        hidden = disguised(message, disguise)
        self._at = _clock(message.received_at, settings.zone)
        self._name = name
        self._mail = _mail(hidden, settings)
        parents = (message.in_reply_to, *reversed(message.references))
        thread = next((directory.threads[one] for one in parents if one in directory.threads), None)
        customer = directory.customers.get(thread.customers[0]) if thread and thread.customers else None
        if customer:
            self._mail["thread"] = disguise.customer(customer)
        self._given = [_customer(one, directory, disguise, settings) for one in directory.customers.values()]

    def text(self, expect: Mapping[str, Any] | str) -> str:
        """The whole file."""
        lines = [f"now: {self._at}"]
        if self._given:
            lines += ["given:", "  customers:", *(f"    - {_flow(customer)}" for customer in self._given)]
        lines += ["tests:", f"  - name: {_flow(self._name)}", "    mail:", *_block(self._mail, 6)]
        if isinstance(expect, str):
            return "\n".join([*lines, f"    expect: {expect}"]) + "\n"
        return "\n".join([*lines, "    expect:", *_block(expect, 6)]) + "\n"


def _clock(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local.replace(year=min(max(local.year, 1971), 2198)):%Y-%m-%d %H:%M}"


def _mail(message: Message, settings: Settings) -> dict[str, Any]:
    out = direction_of(message, office_of(settings)) is Direction.OUT
    sender = message.sender or UNKNOWN
    parts: dict[str, Any] = {"from": _shown(sender)}
    for name in ("to", "cc", "bcc", "reply_to"):
        parts[name] = [_shown(one) for one in getattr(message, name)]
    if out and not (message.to or message.cc or message.bcc):
        parts["to"] = [_shown(sender)]
    parts |= {"subject": message.subject, "body": message.text[:_LONGEST_BODY]}
    if message.kind is not Kind.HUMAN:
        parts["kind"] = message.kind.value
    if message.bounce:
        parts["bounced"] = list(message.bounce.recipients)
    answers = bool(message.in_reply_to or message.references)
    if answers and not (is_reply_subject(message.subject) or is_forward_subject(message.subject)):
        parts["is"] = "reply"
    parts["attachment"] = [_attachment(one) for one in message.attachments]
    parts["header"] = dict(reversed(message.headers))
    parts["jsonld"] = dict(message.markup)
    box = settings.accounts.get(message.account)
    trusted = ((box.authserv if box else None) or "").lower()
    verdict = dict(reversed(message.verdicts)).get(trusted, "") if trusted else ""
    parts["auth"] = verdict if verdict in AUTH else ""
    if message.folder != ("Sent" if out else "INBOX"):
        parts["folder"] = message.folder
    if message.account in settings.accounts and message.account != next(iter(settings.accounts)):
        parts["mailbox"] = message.account
    shorter = {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in parts.items()
    }
    return {name: value for name, value in shorter.items() if value}


def _shown(one: Address) -> str:
    return f"{one.name} <{one.email}>" if one.name else one.email


def _attachment(one: Attachment) -> dict[str, str]:
    size = {"size": f"{one.size / 1024:.3f} KB"} if 0 <= one.size < 1_000_000_000 * 1024 else {}
    return {"name": one.name, "type": one.content_type, **size} if one.name else {"type": one.content_type, **size}


def _customer(facts: CustomerFacts, directory: Directory, disguise: Disguise, settings: Settings) -> dict[str, Any]:
    """A customer as `given` takes it; what the settings do not know any more is left out."""
    lines: dict[str, Any] = {"name": disguise.customer(facts)}
    lines["domain"] = [disguise.domain(one) for one, ids in directory.domains.items() if facts.id in ids]
    lines["token"] = [one for one, ids in directory.tokens.items() if facts.id in ids]
    lines["contacts"] = [
        _contact(one, directory, disguise) for one in contacts_of(facts.id, directory) if _keys(one, directory)
    ]
    lines["stage"] = facts.stage if facts.stage in settings.stages.order else ""
    lines["owner"] = facts.owner if facts.owner in settings.team else ""
    lines["language"] = facts.language if LANGUAGE.fullmatch(facts.language) else ""
    lines |= {"segment": _line(facts.segment), "country": _line(facts.country)}
    lines |= {"tag": sorted(filter(None, map(_line, facts.tags))), "open": sorted(facts.open)}
    if not disguise.care.names:
        fields = {_line(name): _line(str(value)) for name, value in facts.fields.items()}
        lines["field"] = {name: value for name, value in fields.items() if name and value}
    times = (("last_in", facts.last_in_at), ("last_out", facts.last_out_at))
    lines |= {name: _clock(at, settings.zone) if at else "never" for name, at in times}
    return {name: value for name, value in lines.items() if value}


def _keys(contact: ContactFacts, directory: Directory) -> list[str]:
    """The addresses of a contact that the mail names."""
    return [key for key in contact.emails if contact in directory.contacts.get(key, ()) and MAIL.fullmatch(key)]


def _contact(contact: ContactFacts, directory: Directory, disguise: Disguise) -> dict[str, Any]:
    keys = _keys(contact, directory)
    person = disguise.person(Address(keys[0], _name(contact.name)))
    aliases = [disguise.address(key) for key in keys if key in contact.aliases]
    proper = [disguise.address(key) for key in keys if key not in contact.aliases]
    # An alias alone still needs a main address, one that no mail names.
    lines = {"name": person.name, "mail": proper or f"main-{contact.id}@nobody.example", "alias": aliases}
    if LANGUAGE.fullmatch(contact.language):
        lines["language"] = contact.language
    return {name: value for name, value in lines.items() if value}


# --- YAML


def _block(mapping: Mapping[str, Any], indent: int) -> Iterator[str]:
    pad = " " * indent
    for name, value in mapping.items():
        if isinstance(value, str) and "\n" in value:
            yield f"{pad}{name}: |-"
            yield from (f"{pad}  {line}" if line else "" for line in value.split("\n"))
        else:
            yield f"{pad}{name}: {_flow(value)}"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(name)}: {_flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    text = str(value)
    return text if _PLAIN.fullmatch(text) else "'" + text.replace("'", "''") + "'"


# --- what a file can hold


def _clean(message: Message, asked: str) -> Message:
    """The mail without what no file of tests can hold: odd addresses and invisible characters; of its headers, only
    those that a rule names in `asked`."""
    headers = {
        name: _line(value)
        for name, value in reversed(message.headers)
        if "-" in name and name in asked and _line(value)
    }
    changes: dict[str, Any] = {
        name: tuple(_person(one) for one in getattr(message, name) if MAIL.fullmatch(one.email))
        for name in ("to", "cc", "bcc", "reply_to")
    }
    bounce = message.bounce
    if bounce:
        bounce = replace(bounce, recipients=tuple(one for one in bounce.recipients if MAIL.fullmatch(one)))
    sender = message.sender
    return replace(
        message,
        sender=_person(sender) if sender and MAIL.fullmatch(sender.email) else None,
        sent_by=None,
        bounce=bounce if bounce and bounce.recipients else None,
        subject=_line(message.subject),
        text=_lines(message.text),
        folder=_line(message.folder),
        headers=tuple(headers.items()),
        markup=tuple(
            {_line(path): _line(value) for path, value in message.markup if _line(path) and _line(value)}.items()
        ),
        attachments=tuple(
            replace(one, name=_line(one.name), content_type=_line(one.content_type) or "application/octet-stream")
            for one in message.attachments
        ),
        **changes,
    )


def _person(one: Address) -> Address:
    return Address(one.email, _name(one.name))


def _name(name: str) -> str:
    """A display name that needs no quotes in a header."""
    return " ".join(re.sub(r"[^\w '’-]+", " ", STRANGE.sub("", name)).split())


def _line(text: str) -> str:
    return " ".join(STRANGE.sub("", text).split())


def _lines(text: str) -> str:
    lines = [STRANGE.sub("", line).strip() for line in text.split("\n")]
    return "\n".join(lines).strip("\n")
