"""Tests made of real mails: they pass at once, do as the mail does, and name nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rule_samples import DIRECTORY, MARIA, SOL, mail
from trial_samples import SETTINGS, office_folder

from connectors.model import Address, Attachment, Bounce, Kind, Message
from rules.facts import Directory, Thread
from rules.recording import Recorded, record
from rules.ruleset import RuleSet
from rules.trials import load_trials, problems_of, run_trials


@pytest.fixture(scope="module")
def office() -> Iterator[tuple[Path, RuleSet]]:
    with office_folder() as found:
        yield found


def passes(recorded: Recorded, office: tuple[Path, RuleSet]) -> bool:
    """Whether the file passes once it lies in tests/."""
    folder, ruleset = office
    path = folder / "tests" / "recorded.yaml"
    path.write_text(recorded.text, "utf-8")
    problems: list[object] = []
    trials = load_trials(folder, SETTINGS, ruleset, problems, lambda _: "none here")  # type: ignore[arg-type]
    return len(trials) == 1 and problems == [] and problems_of(run_trials(trials, ruleset, SETTINGS)) == []


def made(message: Message, office: tuple[Path, RuleSet], directory: Directory = DIRECTORY) -> Recorded:
    folder, ruleset = office
    recorded = record(
        message, directory, ruleset, SETTINGS, name="a real mail", path=folder / "tests" / "recorded.yaml"
    )
    assert passes(recorded, office)
    return recorded


def test_a_complaint_is_recorded_without_the_customer(office: tuple[Path, RuleSet]) -> None:
    free = replace(DIRECTORY, customers={1: replace(SOL, open=frozenset())})
    text = "Oi Ana,\n\no forno da Padaria Sol está com defeito.\nLigue: maria@sol.example, rui@sol.example\nMaria"
    recorded = made(mail(subject="Maria Silva: forno", text=text), office, free)
    assert (recorded.kept, recorded.rules, recorded.meant) == ((), ("complaint",), ("complaint",))
    for word in ("Maria", "Silva", "Sol", "sol.example", "rui@"):
        assert word not in recorded.text
    assert "Ana" in recorded.text
    assert "rules: [complaint]" in recorded.text
    assert "create: case" in recorded.text


def test_a_rule_that_names_an_address_keeps_it(office: tuple[Path, RuleSet]) -> None:
    message = mail(
        sender=Address("no-reply@shop.example", "Shop"),
        kind=Kind.NOTICE,
        subject="88123",
        text="Total: R$ 1.250,00",
        headers=(("received", "x"), ("x-shop", "main"), ("x-secret", "y")),
    )
    recorded = made(message, office, Directory())
    assert (recorded.kept, recorded.rules) == (("names in the text", "mail domains"), ("order",))
    assert "person1@shop.example" in recorded.text
    assert "x-shop" in recorded.text
    assert "x-secret" not in recorded.text


def test_an_address_that_a_list_names_stays_whole(office: tuple[Path, RuleSet]) -> None:
    recorded = made(mail(sender=Address("spy@rival.example")), office)
    assert recorded.rules == recorded.meant == ("never",)
    assert "log: no" in recorded.text


def test_a_stranger_is_recorded_with_what_came(office: tuple[Path, RuleSet]) -> None:
    message = mail(sender=Address("joao@nova.example", "João Prado"), subject="Preço? Price list", text="Abraço\nJoão")
    recorded = made(message, office, Directory())
    assert recorded.rules == ("price",)
    assert "João" not in recorded.text
    for line in ("create: lead", "draft: quote", "remind: ana"):
        assert line in recorded.text


def test_a_mail_that_no_rule_touches_expects_nothing(office: tuple[Path, RuleSet]) -> None:
    assert made(mail(sender=Address("x@nova.example"), subject="hi"), office, Directory()).text.endswith(
        "expect: nothing\n"
    )


def test_a_thread_and_a_bounce_are_kept(office: tuple[Path, RuleSet]) -> None:
    known = replace(DIRECTORY, threads={"p@x": Thread(customers=(1,), subject_key="forno")})
    message = mail(
        sender=Address("x@nova.example"), subject="forno", text="defeito", in_reply_to="p@x", references=("p@x",)
    )
    free = replace(known, customers={1: replace(SOL, open=frozenset())})
    assert "complaint" in made(message, office, free).rules
    bounce = Bounce(recipients=("maria@sol.example",), hard=True, reason="user_unknown")
    message = mail(sender=Address("mailer-daemon@sol.example"), kind=Kind.BOUNCE, bounce=bounce, subject="Undelivered")
    recorded = made(message, office)
    assert "bounced" in recorded.rules
    assert "maria" not in recorded.text.lower()


START = datetime(1971, 1, 2, tzinfo=UTC)


def test_what_machines_say_of_a_mail_is_kept(office: tuple[Path, RuleSet]) -> None:
    sender, data = (
        Address("no-reply@shop.example"),
        (("Order.price", "1250.00"), ("Order.customer", "maria@sol.example")),
    )
    headers = (("x-shop", "main"),)
    recorded = made(mail(sender=sender, kind=Kind.NOTICE, subject="8", markup=data, headers=headers), office)
    assert "Order.price: '1250.00'" in recorded.text
    assert "maria" not in recorded.text
    verdicts = (("mx.vendas.example", "pass"), ("mx.vendas.example", "fail"))
    assert "auth: pass" in made(mail(subject="sure", verdicts=verdicts), office).text
    assert "auth" not in made(mail(subject="sure", verdicts=(("else.example", "pass"),)), office).text


PLACES = ("maria@sol.example", "joao@nova.example", "ana@vendas.example", "x@lua.example", "no-reply@shop.example")
WORDS = ["price", "orçamento", "defeito", "Maria", "Silva", "maria@sol.example", "yes", "~", "[CRM-4F2K]", "Re: "]
SIGNS = [
    "\n",
    " ",
    ": ",
    " #",
    "'",
    '"',
    "“a”",
    "{{ x }}",
    "@",
    "*",
    "%",
    "`",
    "- ",
    "---",
    "\t",
    "\u00a0",
    "\u2028",
    "&a",
]
texts = st.text(max_size=60) | st.lists(st.sampled_from([*WORDS, *SIGNS]), max_size=8).map("".join)
addresses = st.builds(Address, st.sampled_from(PLACES) | texts, texts)
people = st.lists(addresses, max_size=3).map(tuple)
messages = st.builds(
    mail,
    sender=addresses | st.none(),
    sent_by=addresses | st.none(),
    to=people,
    cc=people,
    reply_to=people,
    subject=texts,
    text=texts | st.lists(texts, max_size=5).map("\n".join),
    kind=st.sampled_from(Kind),
    folder=st.sampled_from(["INBOX", "Sent", "Private", "CRM/Private"]) | texts,
    attachments=st.lists(st.builds(Attachment, name=texts, content_type=texts, size=st.integers(-1, 10**9))).map(tuple),
    headers=st.lists(st.tuples(st.sampled_from(["x-shop", "subject", "x-other"]), texts), max_size=3).map(tuple),
    markup=st.lists(st.tuples(st.sampled_from(["Order.orderNumber", "Order.price"]) | texts, texts)).map(tuple),
    in_reply_to=st.sampled_from(["", "p@x"]),
    bounce=st.none() | st.builds(lambda one: Bounce(recipients=(one,), hard=None, reason="other"), texts),
    received_at=st.integers(-1000, 80_000).map(lambda day: START + timedelta(days=day, minutes=day)),
)
facts = st.builds(
    lambda tags, fields, stage, segment, last: replace(
        SOL, tags=frozenset(tags), fields=fields, stage=stage, segment=segment, last_in_at=last
    ),
    st.lists(texts, max_size=2),
    st.dictionaries(texts, texts | st.integers(), max_size=2),
    st.sampled_from(["lead", "gone"]),
    texts,
    st.none() | st.just(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=3)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(message=messages, customer=facts, name=texts)
def test_whatever_is_recorded_passes_at_once(
    office: tuple[Path, RuleSet], message: Message, customer: object, name: str
) -> None:
    named = replace(MARIA, name=name)
    known = replace(
        DIRECTORY,
        contacts={"maria@sol.example": (named,)},
        customers={**DIRECTORY.customers, 1: customer},
        threads={"p@x": Thread(customers=(1,), subject_key="x")},
    )
    made(message, office, known)
