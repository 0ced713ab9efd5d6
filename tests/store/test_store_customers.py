"""Looking customers up, changing them, undoing it; import, merge, export, erasure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, Text, cast, func, select
from sqlmodel import SQLModel
from store_samples import ADMIN, NOW

from connectors.model import Address, Message, Unreadable
from store import (
    changes,
    customers,
    history,
    importing,
    interactions,
    merging,
    outbox,
    privacy,
    quarantine,
    records,
    suppressions,
    unmatched,
)
from store.engine import Store
from store.errors import Conflict, NotFound
from store.hashing import HashKey
from store.identity import identity
from store.importing import SourceRow
from store.interactions import NewInteraction
from store.statements import table
from store.tables import Case, Customer, Lead, OutboxMail

Mail = Callable[..., Message]


def rows(*values: Mapping[str, str]) -> list[SourceRow]:
    return [SourceRow(number, one) for number, one in enumerate(values, 2)]


def load(store: Store, *values: Mapping[str, str], public: tuple[str, ...] = ()) -> importing.ImportReport:
    with store.writing() as session:
        return importing.apply_import(session, importing.plan_import(session, rows(*values), public=public), ADMIN)


def names(store: Store) -> list[str]:
    with store.session() as session:
        return [one.name for one in customers.listing(session)]


def test_addresses_shared_by_two_contacts_give_both(store: Store) -> None:
    with store.writing() as session:
        for company in ("Acme", "Beta"):
            number = customers.add(session, company, ADMIN)
            person = customers.add_contact(
                session, number, ADMIN, {"name": f"Ana of {company}", "birthday": "1990-02-01"}
            )
            assert customers.add_address(session, person, "Old@acme.example", ADMIN, alias=True)
            assert customers.add_address(session, person, "Shared@acme.example", ADMIN)
            assert not customers.add_address(session, person, "shared@ACME.example", ADMIN)
            assert customers.add_domain(session, number, "@Acme.example", ADMIN)
    with store.session() as session:
        found = customers.lookup_addresses(session, ["shared@acme.example", "nobody@acme.example"])
        domains = customers.lookup_domains(session, ["acme.example", "x.example"])
    assert [one.name for one in found["shared@acme.example"]] == ["Ana of Acme", "Ana of Beta"]
    first = found["shared@acme.example"][0]
    assert (first.emails, first.aliases) == (("shared@acme.example", "old@acme.example"), {"old@acme.example"})
    assert first.fields == {"birthday": "1990-02-01"}
    assert set(found) == {"shared@acme.example"}
    assert domains == {"acme.example": (1, 2)}


def test_facts_tell_tags_and_what_is_open(store: Store) -> None:
    with store.writing() as session:
        acme = customers.add(session, "Acme", ADMIN, {"stage": "lead", "contract": "gold"})
        customers.tag(session, acme, "vip", ADMIN)
        lead = records.add(session, Lead(title="A", customer_id=acme, created_at=NOW))
        records.add(session, Case(title="B", customer_id=acme, created_at=NOW))
        assert records.move(session, Lead, lead, "won", NOW)
        assert not records.move(session, Lead, lead, "won", NOW)
    with store.session() as session:
        found = customers.facts(session, [acme, 99])
    assert set(found) == {acme}
    assert (found[acme].tags, found[acme].open, found[acme].fields) == ({"vip"}, {"case"}, {"contract": "gold"})
    assert found[acme].stage == "lead"


def test_search_finds_by_name_address_and_domain_beginnings_first(store: Store) -> None:
    load(
        store,
        {"company": "São Paulo Café", "email": "ana@cafe.example", "domain": "cafe.example"},
        {"company": "Casa 100%_x", "email": "joão@outro.example"},
        {"company": "O Café", "email": "x@y.example"},
    )
    with store.session() as session:

        def found(q: str) -> list[str]:
            return [one.name for one in customers.search(session, q)]

        assert found("SAO paulo") == ["São Paulo Café"]
        assert found("cafe") == ["São Paulo Café", "O Café"]
        assert found("joão@") == found("100%_") == ["Casa 100%_x"]
        assert found("%") == found("0%_x") == ["Casa 100%_x"]
        assert found("  ") == found("nobody") == []
        assert customers.resolve(session, "ANA@cafe.example") == customers.resolve(session, "cafe.example") == [1]
        assert customers.resolve(session, "o cafe") == customers.resolve(session, "3") == [3]


def test_changes_are_numbered_and_undone(store: Store) -> None:
    with store.writing() as session:
        acme = customers.add(session, "Acme", ADMIN)
        first = customers.edit(session, acme, {"stage": "cliente", "size": "10"}, ADMIN)
        assert customers.edit(session, acme, {"stage": "cliente"}, ADMIN) is None
        second = customers.edit(session, acme, {"stage": "perdida"}, ADMIN)
        assert first is not None
        assert second is not None
        with pytest.raises(Conflict, match="again"):
            changes.undo(session, first, NOW)
        changes.undo(session, second, NOW)
        assert customers.get(session, acme).stage == "cliente"
        changes.undo(session, first, NOW)
        customer = customers.get(session, acme)
        assert (customer.stage, customer.fields) == ("", {})
        with pytest.raises(Conflict, match="undone already"):
            changes.undo(session, first, NOW)
        assert customers.tag(session, acme, "vip", ADMIN)
        assert customers.untag(session, acme, "vip", ADMIN)
        changes.undo(session, changes.of_row(session, "customer", acme)[0].id or 0, NOW)
        assert customers.get(session, acme).tags == {"vip"}
        with pytest.raises(NotFound):
            customers.edit(session, 99, {"stage": "x"}, ADMIN)


def test_a_merge_moves_everything_and_can_be_undone(store: Store, mail: Mail) -> None:
    load(
        store,
        {"company": "Acme", "email": "a@acme.example", "domain": "acme.example", "tags": "x", "stage": "lead"},
        {
            "company": "ACME Ltda",
            "email": "b@acme.example",
            "domain": "acme.com.example",
            "tags": "x,y",
            "owner": "rep1",
        },
    )
    with store.writing() as session:
        both, second = mail(), mail()
        for message, whose in ((both, (1, 2)), (second, (2,))):
            links = [(number, "address") for number in whose]
            interactions.record(session, [NewInteraction(message=message, identity=identity(message), kind="human",
                                                         direction="in", customers=links, created_at=NOW)])  # fmt: skip

    def state() -> dict[str, Any]:
        with store.session() as session:
            cards = [customers.show(session, number) for number in (1, 2)]
            return {"cards": cards, "mails": [history.timeline(session, number) for number in (1, 2)]}

    before = state()
    with store.writing() as session:
        number = merging.merge(session, 1, 2, ADMIN)
        with pytest.raises(Conflict):
            merging.merge(session, 1, 2, ADMIN)
    with store.session() as session:
        card = customers.show(session, 2)
        assert card == customers.show(session, 1)
        assert (card.customer.owner, card.customer.stage, card.customer.tags) == ("rep1", "lead", {"x", "y"})
        assert card.domains == ("acme.com.example", "acme.example")
        assert [one.emails for one in card.contacts] == [("a@acme.example",), ("b@acme.example",)]
        assert len(history.timeline(session, 1)) == 2
        assert customers.by_name(session, "ACME Ltda") == []
    with store.writing() as session:
        changes.undo(session, number, NOW)
    assert state() == before


def test_import_twice_changes_nothing(store: Store) -> None:
    table_rows = (
        {
            "company": "Acme",
            "name": "Ana",
            "email": "Ana@acme.example",
            "domain": "acme.example",
            "plan": "gold",
            "title": "CFO",
        },
        {"company": "ACMÉ", "name": "Bob", "email": "bob@acme.example"},
        {"company": "Acme Brasil", "domain": "acme.example"},
        {"name": "Carla Souza", "email": "carla@mail.example", "tags": "vip; novo"},
        {"company": "Só Domínio", "domain": "dominio.example"},
    )
    first = load(store, *table_rows)
    assert names(store) == ["Acme", "Carla Souza", "Só Domínio"]
    assert first.counts == {"new": 3, "changed": 0, "same": 0, "contacts": 3, "changed_contacts": 0, "domains": 2}
    assert first.new_addresses == ("ana@acme.example", "bob@acme.example", "carla@mail.example")
    assert first.new_domains == ("acme.example", "dominio.example")
    with store.session() as session:
        card = customers.show(session, 1)
        assert card.customer.fields == {"plan": "gold"}
        assert [(one.name, one.title) for one in card.contacts] == [("Ana", "CFO"), ("Bob", "")]
        assert customers.get(session, 2).tags == {"vip", "novo"}
    again = load(store, *table_rows)
    assert again.counts == {"new": 0, "changed": 0, "same": 3, "contacts": 0, "changed_contacts": 0, "domains": 0}
    assert (again.new_addresses, again.new_domains) == ((), ())


def test_import_changes_what_differs_and_names_what_it_cannot_take(store: Store) -> None:
    load(
        store, {"company": "Acme", "email": "ana@acme.example", "stage": "lead"}, {"name": "Twin"}, {"company": "Beta"}
    )
    with store.writing() as session:
        customers.add(session, "Twin", ADMIN)
        plan = importing.plan_import(
            session,
            rows(
                {"company": "Acme", "email": "ana@acme.example", "stage": "cliente", "name": "Ana"},
                {"company": "Acme", "email": "ana@acme.example"},
                {"company": "Acme", "stage": "perdida"},
                {"company": "Beta", "email": "ana@acme.example"},
                {"name": "Twin", "email": "twin@x.example"},
                {"company": "Gama", "domain": "gmail.com"},
                {"email": "not an address"},
                {"phone": "123"},
            ),
            public=("gmail.com",),
        )
        importing.apply_import(session, plan, ADMIN)
        acme = customers.show(session, 1)
    assert plan.counts() == {"new": 1, "changed": 1, "same": 1, "contacts": 0, "changed_contacts": 1, "domains": 0}
    assert (acme.customer.stage, acme.contacts[0].name) == ("cliente", "Ana")
    assert [problem.line for problem in plan.problems] == [4, 5, 6, 7, 8, 9]
    assert [one.line for one in plan.duplicates] == [3]


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_from_any_spreadsheet(tmp_path: Path, coding: str, separator: str) -> None:
    lines = ("Name,Email,Notes", 'José,jose@x.example,"two\nlines"', "", "Ana,ana@x.example,x")
    path = tmp_path / "a.csv"
    path.write_text("\r\n".join(lines).replace(",", separator), encoding=coding)
    assert importing.read_csv(path) == [
        SourceRow(2, {"name": "José", "email": "jose@x.example", "notes": "two\nlines"}),
        SourceRow(5, {"name": "Ana", "email": "ana@x.example", "notes": "x"}),
    ]


@pytest.mark.parametrize(
    ("coding", "lines", "name"),
    [
        ("cp1251", "Имя;E-mail;Компания;Домен\r\nОльга;olga@x.example;ООО «Ромашка»;x.example", "ООО «Ромашка»"),
        ("cp1251", "name;email;company;domain\r\nOlga;olga@x.example;Ёлка;x.example", "Ёлка"),
        ("utf-16", "ФИО;Почта;Организация;Домен\r\nОльга;olga@x.example;Завод;x.example", "Завод"),
        ("cp1252", "Nome;E-mail;Empresa;Domínio\r\nJoão;joao@x.example;Padaria São José;x.example", "Padaria São José"),
        ("cp1252", "Nome;E-mail;Empresa;Domínio\r\nInês;ines@x.example;AÇÃO Ltda;x.example", "AÇÃO Ltda"),
    ],
)
def test_tables_as_a_spreadsheet_of_the_country_saves_them(tmp_path: Path, coding: str, lines: str, name: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(lines, encoding=coding, newline="")
    (row,) = importing.read_csv(path)
    assert row.values["company"] == name
    assert set(row.values) == {"name", "email", "company", "domain"}


@pytest.mark.parametrize("header", ["foo,bar", "name,name", "nome,name", ""])
def test_tables_without_known_columns_are_refused(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(header + "\nx,y\n")
    with pytest.raises(Conflict) as caught:
        importing.read_csv(tmp_path / "a.csv")
    assert caught.value.hint


def everywhere(store: Store) -> str:
    """Every text and every byte of every table, in lower case."""
    found = []
    with store.session() as session:
        for one in SQLModel.metadata.sorted_tables:
            for column in one.c:
                if isinstance(column.type, LargeBinary):
                    found += [bytes(raw).decode("latin-1") for raw in session.execute(select(column)).scalars()]
                else:
                    found += [str(value) for value in session.execute(select(cast(column, Text))).scalars()]
    return "\n".join(found).lower()


def test_erasure_leaves_nothing_but_hashes(store: Store, key: HashKey, mail: Mail) -> None:
    address = "maria.silva@acme.example"
    load(
        store,
        {"company": "Acme", "name": "Maria", "email": "Maria.Silva@acme.example", "domain": "acme.example"},
        {"company": "Beta", "name": "Bob", "email": "bob@beta.example"},
    )
    with store.writing() as session:
        people = {contact.customer_id: contact.id for k in (address, "bob@beta.example")
                  for contact in customers.lookup_addresses(session, [k])[k]}  # fmt: skip
        alone = mail(address, text=f"write to {address.upper()}")
        shared = mail(address, cc=(Address("bob@beta.example"),), text=f"I am {address}", subject=f"From {address}")
        for message, whose in ((alone, (1,)), (shared, (1, 2))):
            row = NewInteraction(
                message=message, identity=identity(message), kind="human", direction="in", created_at=NOW,
                customers=[(number, "address") for number in whose], contacts={address: people[1]}, logged_by="r",
                headers=[("reply-to", address)], trace={"rules": [{"rule": "r", "result": "fired", "seen": address}]},
            )  # fmt: skip
            interactions.record(session, [row])
        records.add(session, records.make("note", {"text": f"call {address}"}, customer_id=1, created_at=NOW))
        records.add(session, records.make("note", {"text": f"knows {address}"}, customer_id=2, created_at=NOW))
        draft = OutboxMail(event="e", event_at=NOW, rule="r", slot="s", due_at=NOW, created_at=NOW, recipient=address)
        draft.customer_id, draft.contact_id, draft.interaction_id = 1, people[1], 1
        outbox.plan(session, draft)
        customers.edit(session, 2, {"friend": address}, ADMIN)
        quarantine.put(session, Unreadable(account="a", folder="f", ref="1", stage="parse", reason="x",
                                           raw=b"From: Maria.Silva@ACME.example\r\n"), NOW)  # fmt: skip
        unmatched.remember(session, [unmatched.NewUnmatched(identity="i:1", account="a", folder="f", ref="2", at=NOW,
                                                            hashes=[key.address(address)])])  # fmt: skip
    assert address in everywhere(store)
    with store.writing() as session:
        exported = privacy.export(session, 1)
        assert len(exported["interactions"]) == 2
        done = privacy.erase(session, 1, key, ADMIN)
    assert (done.interactions, done.contacts, done.hashes) == (1, 1, 1)
    left = everywhere(store)
    assert address not in left
    assert "acme.example" not in left.replace(alone.message_id, "").replace(shared.message_id, "")
    with store.session() as session:
        assert suppressions.which(session, [key.address(address.upper())], "log") == {key.address(address): "erased"}
        assert suppressions.which(session, [key.address(address)], "mail")
        assert unmatched.count(session) == 0
        (entry,) = history.timeline(session, 2)
        assert entry.customers == ["Beta"]
        assert session.execute(select(func.count()).select_from(table(Customer))).scalar() == 1
        with pytest.raises(NotFound):
            customers.show(session, 1)
    if store.dialect == "sqlite":
        assert address.encode() not in (store.folder / "crm.db").read_bytes().lower()


@pytest.mark.parametrize("fields", [{"away_until": "soon"}, {"bounced_at": "x"}, {"bounced_at": "2027-02-09"}])
def test_a_stated_date_that_is_none_is_refused_by_name(store: Store, fields: dict[str, str]) -> None:
    with store.writing() as session:
        number = customers.add(session, "Acme", ADMIN)
        with pytest.raises(Conflict, match="is no date"):
            customers.add_contact(session, number, ADMIN, fields)
        contact = customers.add_contact(session, number, ADMIN, {"away_until": "2027-02-09"})
        assert customers.show(session, number).contacts[0].id == contact


def test_an_endless_question_finds_nothing(store: Store) -> None:
    with store.writing() as session:
        customers.add(session, "Acme", ADMIN)
        assert customers.search(session, "x" * 100_000) == []


@pytest.mark.parametrize(
    ("text", "line"), [('name,email\n"A,a@x.example\nB,b@x.example\n', 3), ("name\n" + "a" * 200_000, 2)]
)
def test_a_table_that_cannot_be_read_names_the_line(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
    with pytest.raises(Conflict, match=f"line {line} cannot be read"):
        importing.read_csv(tmp_path / "bad.csv")
