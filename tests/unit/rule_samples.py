"""A small office, its mail and its rules, for the tests of rules. Rules go through the real files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any

import schema_oracle

from config.errors import Problem
from config.settings import Settings
from connectors.model import Address, Message
from rules.decision import Decision
from rules.engine import evaluate
from rules.facts import ContactFacts, CustomerFacts, Directory, Moment
from rules.load import RuleSet, load_ruleset

NOW = datetime(2026, 11, 18, 13, 0, tzinfo=UTC)  # a Wednesday, 10:00 in São Paulo
LISTS = {"rivals": "@rival.example\n", "complaint": "defeito*\nreclam*\nnot working\n"}
QUOTE = """---
name: quote
subject: {pt: "Re: {{ mail.subject }}"}
---
--- pt ---
{{ greeting }}, {{ contact.first_name | or("tudo bem") }}!
"""
AFTER_QUOTE = """name: after-quote
steps:
  - {wait: 3 business days, template: quote, reply: yes}
  - {wait: 7 business days, remind: {who: owner, text: "Call {{ customer.name }}"}}
"""
TEMPLATES = {"quote.md": QUOTE, "thanks.md": QUOTE.replace("quote", "thanks")}


def office(**changes: Any) -> Settings:
    """The settings: Ana and Bruno of vendas.example."""
    return Settings.model_validate(
        {
            "company": {"name": "Vendas", "zone": "America/Sao_Paulo", "language": "pt"},
            "internal": ["@vendas.example"],
            "never_log": ["@banco.example"],
            "team": {
                "ana": {"mail": "ana@vendas.example", "name": "Ana Souza", "aliases": ["ana.souza@vendas.example"]},
                "bruno": {"mail": "bruno@partner.example"},
            },
            "accounts": {"ana": {"type": "maildir", "rep": "ana", "path": "mail/ana"}},
            "hours": {"mon-fri": "09:00-18:00", "extra": ["2026-11-16"]},
            "stages": {"open": ["lead", "proposal"], "won": "customer", "lost": "lost"},
            **changes,
        }
    )


SETTINGS = office()


def rules_of(
    text: str, *, settings: Settings = SETTINGS, lists: Mapping[str, str] = LISTS, sequence: str = AFTER_QUOTE
) -> tuple[RuleSet, list[Problem]]:
    """Load one rules file with its lists, the templates "quote" and "thanks" and one file of sequences.

    What loads without a fault must fit the schema that editors get: whoever adds to the one, adds to the other.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part, files in (
            ("rules", {"10.yaml": text}),
            ("templates", TEMPLATES),
            ("sequences", {"s.yaml": sequence}),
        ):
            (folder / part).mkdir()
            for file, content in files.items():
                (folder / part / file).write_text(dedent(content), encoding="utf-8")
        (folder / "lists").mkdir()
        for file, content in lists.items():
            (folder / "lists" / f"{file}.txt").write_text(content, encoding="utf-8")
        problems: list[Problem] = []
        ruleset = load_ruleset(folder, settings, problems)
    if not problems:
        names = tuple(sorted({*lists, *ruleset.lists}))
        templates = tuple(Path(one).stem for one in TEMPLATES)
        against = schema_oracle.of_rules(dedent(text), settings, templates, names)
        against += schema_oracle.of_sequence(dedent(sequence), settings, templates)
        assert against == [], f"the schema for editors (rules/shapes.py) refuses what loads: {against}"
    return ruleset, problems


def sound_rules(text: str, **options: Any) -> RuleSet:
    """The same where nothing may be wrong."""
    ruleset, problems = rules_of(text, **options)
    assert problems == []
    return ruleset


def one_rule(condition: str, then: str = "{tag: hit}", when: str = "[mail arrives, mail sent]") -> RuleSet:
    """One rule named "probe"."""
    return sound_rules(f"rules:\n  - name: probe\n    when: {when}\n    if: {condition}\n    then: {then}\n")


def mail(**changes: Any) -> Message:
    """A mail from Maria of Sol to Ana, in the middle of the morning."""
    values: dict[str, Any] = {
        "account": "ana",
        "folder": "INBOX",
        "ref": "1:1",
        "message_id": "m1@sol.example",
        "sent_at": NOW,
        "received_at": NOW,
        "sender": Address("maria@sol.example", "Maria Silva"),
        "to": (Address("ana@vendas.example", "Ana"),),
        **changes,
    }
    return Message(**values)


MARIA = ContactFacts(id=11, customer_id=1, name="Maria Silva", emails=("maria@sol.example",), language="pt")
SOL = CustomerFacts(
    id=1,
    name="Padaria Sol",
    stage="lead",
    segment="Ouro",
    owner="bruno",
    country="BR",
    tags=frozenset(("vip",)),
    fields={"contract": "gold", "boxes": 12, "paid": True},
    open=frozenset(("case",)),
    last_in_at=NOW - timedelta(days=40),
    last_out_at=NOW - timedelta(days=10),
)
LUA = CustomerFacts(id=2, name="Mercado Lua")
DIRECTORY = Directory(
    contacts={"maria@sol.example": (MARIA,)},
    domains={"sol.example": (1,), "lua.example": (2,)},
    customers={1: SOL, 2: LUA},
)


def moment(ruleset: RuleSet, now: datetime = NOW) -> Moment:
    """Everything live: the rules were loaded a month ago."""
    before = now - timedelta(days=30)
    return Moment(now=now, baseline=before, loaded={rule.name: before for rule in ruleset.rules})


def decide(
    ruleset: RuleSet,
    message: Message,
    directory: Directory = DIRECTORY,
    settings: Settings = SETTINGS,
    *,
    explain: bool = False,
) -> Decision:
    """Evaluate a live mail."""
    return evaluate(ruleset, message, directory, settings, moment(ruleset), explain=explain)


def fired(decision: Decision) -> list[str]:
    """The names of the rules that fired."""
    return [trace.rule for trace in decision.traces if trace.result == "fired"]
