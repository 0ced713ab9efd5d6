"""Suggested customers: who counts, how companies are named, and that the table imports as it stands."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as some

from config.settings import Settings
from connectors.model import Address, FolderRole, Kind, Message
from daemon.proposing import COLUMNS, CROWD, Person, Tally, company_names, crowded, first_day, rows_of, write_csv
from rules.decision import Outcome
from store.engine import Store, open_store
from store.importing import guarded, plan_import, read_csv
from store.schema import upgrade

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OFFICE = Settings.model_validate(
    {
        "company": {"name": "Vendas", "zone": "Europe/Lisbon", "language": "en"},
        "internal": ["@vendas.example"],
        "never_log": ["@bank.example"],
        "public_domains": ["freemail.example"],
        "team": {"ana": {"mail": "ana@vendas.example"}},
    }
)


def mail(sender: str, *to: str, kind: Kind = Kind.HUMAN, number: int = 1, **more: Any) -> Message:
    """One mail; people as "Name <address>" or bare addresses."""
    return Message(
        account="ana",
        folder="Sent",
        folder_role=FolderRole.SENT,
        ref=str(number),
        message_id=f"{number}@vendas.example",
        sent_at=AT,
        received_at=AT + timedelta(minutes=number),
        sender=person(sender),
        to=tuple(map(person, to)),
        kind=kind,
        **more,
    )


def person(text: str) -> Address:
    """ "Name <address>" or a bare address."""
    name, _, email = text.rpartition("<")
    return Address(email.rstrip(">"), name.strip())


def proposed(*mails: Message, outcome: Outcome = Outcome.UNMATCHED) -> dict[str, dict[str, object]]:
    """The rows by address."""
    tally = Tally(OFFICE)
    tally.add((one, outcome) for one in mails)
    return {row["email"]: row for row in rows_of(tally.worth(), OFFICE)}


def test_who_was_written_to_counts_and_nobody_else() -> None:
    rows = proposed(
        mail("ana@vendas.example", "Zoë <zoe@acme.example>", "bruno@vendas.example", number=1),
        mail("bruno@vendas.example", "zoe@acme.example", number=2, cc=(person("max@acme.example"),)),
        mail("stranger@else.example", "ana@vendas.example", "other@else.example", number=3),
    )
    assert set(rows) == {"zoe@acme.example", "max@acme.example"}
    assert rows["zoe@acme.example"] == {
        "name": "Zoë",
        "email": "zoe@acme.example",
        "company": "Acme",
        "domain": "acme.example",
        "#mails": 2,
        "#last": "2026-11-20",
    }


def test_a_mail_in_two_mailboxes_counts_once() -> None:
    copy = mail("ana@vendas.example", "zoe@acme.example")
    assert proposed(copy, copy)["zoe@acme.example"]["#mails"] == 1


@pytest.mark.parametrize(
    "address",
    [
        "no-reply@shop.example", "noreply@shop.example", "no-reply+42@shop.example", "naoresponda@shop.example",
        "do-not-reply@shop.example", "mailer-daemon@shop.example", "MAILER-DAEMON@shop.example",
        "notifications@shop.example", "bounces+17@shop.example", "postmaster@shop.example", "unsubscribe@shop.example",
    ],
)  # fmt: skip
def test_machines_are_left_out(address: str) -> None:
    assert proposed(mail("ana@vendas.example", address)) == {}


@pytest.mark.parametrize("local", ["nora.reply", "robin", "replyson", "abuser.jones", "norbert", "nothing"])
def test_people_are_not_taken_for_machines(local: str) -> None:
    assert set(proposed(mail("ana@vendas.example", f"{local}@acme.example"))) == {f"{local}@acme.example"}


def test_who_only_sends_newsletters_is_left_out_and_who_also_writes_is_not() -> None:
    wrote = mail("ana@vendas.example", "news@shop.example", "shop@acme.example", number=1)
    bulk = [mail(one, "ana@vendas.example", kind=Kind.BULK, number=2 + i) for i, one in
            enumerate(("news@shop.example", "shop@acme.example"))]  # fmt: skip
    human = mail("shop@acme.example", "ana@vendas.example", number=9)
    assert set(proposed(wrote, *bulk, human)) == {"shop@acme.example"}


def test_who_only_answered_automatically_may_be_a_customer() -> None:
    ours = mail("ana@vendas.example", "zoe@acme.example", number=1)
    theirs = mail("zoe@acme.example", "ana@vendas.example", kind=Kind.AUTO_REPLY, number=2)
    assert set(proposed(ours, theirs)) == {"zoe@acme.example"}


def test_mailing_lists_are_left_out() -> None:
    listed = mail(
        "max@acme.example", "all@lists.example", "ana@vendas.example", number=1,
        headers=(("list-post", "<mailto:all@lists.example>"),),
    )  # fmt: skip
    ours = mail("ana@vendas.example", "all@lists.example", "max@acme.example", number=2)
    assert set(proposed(listed, ours)) == {"max@acme.example"}


def test_what_must_not_be_logged_is_not_proposed() -> None:
    ours = mail("ana@vendas.example", "clerk@bank.example", "zoe@acme.example")
    assert set(proposed(ours)) == {"zoe@acme.example"}
    for outcome in (Outcome.NEVER_LOG, Outcome.INTERNAL, Outcome.IGNORED):
        assert proposed(ours, outcome=outcome) == {}


def test_our_own_newsletter_and_auto_replies_propose_nobody() -> None:
    for kind in (Kind.BULK, Kind.OUT_OF_OFFICE, Kind.AUTO_REPLY):
        assert proposed(mail("ana@vendas.example", "zoe@acme.example", kind=kind)) == {}


def test_two_people_of_one_name_at_a_provider_stay_two() -> None:
    people = [Person(f"jose{n}@freemail.example", mails=n) for n in (1, 2)]
    for one in people:
        one.names["José Silva"] += 1
    companies = [row["company"] for row in rows_of(people, OFFICE)]
    assert companies == ["José Silva (jose2@freemail.example)", "José Silva (jose1@freemail.example)"]


@pytest.mark.parametrize(
    ("domains", "names"),
    [
        (["acme.example"], {"Acme"}),
        (["acme-tools.example", "mail.acme-tools.example"], {"Acme Tools"}),
        (["padaria.com.br", "loja.padaria.com.br"], {"Padaria"}),
        (["acme.example", "acme.com"], {"acme.example", "acme.com"}),
        (["xn--80ak6aa92e.example"], {"Аррӏе"}),
        (["example"], {"Example"}),
    ],
)
def test_company_names(domains: list[str], names: set[str]) -> None:
    assert set(company_names(domains).values()) == names


@given(some.sets(some.from_regex(r"[a-z0-9]{1,6}(\.[a-z0-9]{1,4}){0,3}", fullmatch=True), max_size=30))
def test_different_registered_domains_never_share_a_name(domains: set[str]) -> None:
    named = company_names(domains)
    assert set(named) == domains
    for one in domains:
        for other in domains:
            if named[one] == named[other]:
                assert one.split(".")[-2:] == other.split(".")[-2:]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2y", date(2024, 11, 20)),
        ("6m", date(2026, 5, 24)),
        ("3w", date(2026, 10, 30)),
        ("30d", date(2026, 10, 21)),
        ("18 months", date(2025, 5, 29)),
        ("2025-01-31", date(2025, 1, 31)),
    ],
)
def test_since(text: str, day: date) -> None:
    assert first_day(text, AT.date()) == day


@given(some.text(max_size=12))
def test_since_never_breaks(text: str) -> None:
    with suppress(typer.BadParameter):
        assert isinstance(first_day(text, AT.date()), date)


def test_a_wrong_since_says_what_to_write() -> None:
    with pytest.raises(typer.BadParameter, match="write for example 2y"):
        first_day("yesterday", AT.date())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An empty store."""
    folder = tmp_path_factory.mktemp("store")
    upgrade("sqlite:///crm.db", folder, backup_to=folder)
    made = open_store("sqlite:///crm.db", base=folder)
    yield made
    made.close()


NAMES = some.text(some.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=60, deadline=None)
@given(some.lists(some.tuples(NAMES, some.sampled_from(["acme.example", "acme.com", "freemail.example", "b.example"])),
                  min_size=1, max_size=8))  # fmt: skip
def test_whatever_people_call_themselves_the_table_imports(
    store: Store, tmp_path_factory: pytest.TempPathFactory, people: list[tuple[str, str]]
) -> None:
    """Every proposed person becomes exactly one new contact, at customers that the domains keep apart."""
    tally = Tally(OFFICE)
    addresses = [f"p{number}@{domain}" for number, (_, domain) in enumerate(people)]
    named = zip(addresses, people, strict=True)
    tally.add(
        (mail("ana@vendas.example", number=n, cc=(Address(email, name),)), Outcome.UNMATCHED)
        for n, (email, (name, _)) in enumerate(named)
    )
    written = io.StringIO()
    with redirect_stdout(written):
        write_csv(rows_of(tally.worth(), OFFICE))
    path = tmp_path_factory.mktemp("csv") / "customers.csv"
    path.write_text(written.getvalue(), "utf-8", newline="")
    assert next(csv.reader(io.StringIO(written.getvalue()))) == list(COLUMNS)
    with store.session() as session:
        plan = plan_import(session, read_csv(path), public={"freemail.example"})
    assert plan.problems == []
    contacts = {contact.email: one for one in plan.customers for contact in one.contacts}
    assert set(contacts) == set(addresses)
    for one in addresses:
        for other in addresses:
            together = contacts[one] is contacts[other]
            same = one.partition("@")[2] == other.partition("@")[2] != "freemail.example"
            assert together == (same or one == other)
    assert all(not one.fields for one in plan.customers)


@given(NAMES)
def test_no_cell_is_a_formula_to_a_spreadsheet(name: str) -> None:
    assert guarded(name)[:1] not in ("=", "@", "\t", "\r")


@pytest.mark.parametrize("phone", ["+351 21 000 00 00", "+55 (11) 5555-0100", "-"])
def test_telephone_numbers_stay(phone: str) -> None:
    assert guarded(phone) == phone


def test_remarks_and_guards_are_taken_off_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,email,#mails,,title\n'=1+1,a@b.example,7,x,'ok'\n")
    assert [dict(row.values) for row in read_csv(path)] == [{"name": "=1+1", "email": "a@b.example", "title": "'ok'"}]


def test_a_domain_of_many_people_is_asked_about() -> None:
    rows = [{"domain": "correio.example"}] * CROWD + [{"domain": "loja.example"}] * (CROWD - 1) + [{"domain": ""}] * 20
    assert crowded(rows) == [("correio.example", CROWD)]
