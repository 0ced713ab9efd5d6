"""What an admin states about a customer is checked before it is written, and every change of it can be undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from maildir_offices import MaildirOffice

from daemon.app import App, opened
from daemon.errors import Refused
from daemon.requests import answer
from store import customers


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    office = MaildirOffice(tmp_path / "office")
    office.write()
    with opened(office.directory) as app:
        answer(app, "customer.add", {"name": "Padaria Sol", "domains": ["padariasol.example"]})
        yield app


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"domains": ["gmail.com"]}, "used by everybody"),
        ({"domains": ["@GMAIL.com"]}, "used by everybody"),
        ({"domains": ["vendas.example"]}, "our own domain"),
        ({"domains": ["padaria sol.example"]}, "no mail domain"),
        ({"domains": ["padariasol"]}, "no mail domain"),
        ({"emails": ["maria at padariasol.example"]}, "no mail address"),
        ({"emails": ["Maria <maria@padariasol.example>"]}, "no mail address"),
        ({"emails": ["ana@vendas.example"]}, "of our own"),
        ({"fields": {"stage": "propsal"}}, "no stage of quietcrm.yaml"),
        ({"fields": {"owner": "anna"}}, "no owner of quietcrm.yaml"),
        ({"fields": {"name": ""}}, "needs a name"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(app: App, args: dict[str, Any], said: str) -> None:
    for command, whom in (("customer.edit", {"customer": "Padaria Sol"}), ("customer.add", {"name": "Loja Nova"})):
        with pytest.raises(Refused) as refused:
            answer(app, command, {**whom, **args})
        assert said in refused.value.message
        assert refused.value.hint
    with app.store.session() as session:
        (one,) = customers.listing(session)
        card = customers.show(session, one.id)
    assert (one.name, one.stage, one.owner) == ("Padaria Sol", "", "")
    assert (card.domains, card.contacts) == (("padariasol.example",), ())


def test_a_second_customer_of_one_name_is_refused(app: App) -> None:
    with pytest.raises(Refused, match="already, number 1"):
        answer(app, "customer.add", {"name": "PADARIA SOL"})


def test_whoever_has_the_address_or_domain_too_is_named(app: App) -> None:
    answer(app, "customer.edit", {"customer": "Padaria Sol", "emails": ["maria@correio.example"]})
    args = {"name": "Loja", "domains": ["padariasol.example"], "emails": ["Maria@correio.example"]}
    told = answer(app, "customer.add", args)["shared"]
    assert [(one["what"], one["name"]) for one in told] == [
        ("maria@correio.example", "Padaria Sol"),
        ("padariasol.example", "Padaria Sol"),
    ]


def test_every_part_of_an_edit_can_be_undone_in_the_order_named(app: App) -> None:
    with app.store.session() as session:
        before = customers.show(session, 1)
    args = {"emails": ["maria@padariasol.example"], "domains": ["sol.example"], "tags": ["vip"]}
    made = answer(app, "customer.edit", {"customer": "1", "fields": {"stage": "lead"}, **args})["changes"]
    for number in made:
        answer(app, "log.undo", {"change": number})
    with app.store.session() as session:
        assert customers.show(session, 1) == before
    assert answer(app, "customer.edit", {"customer": "1", "domains": ["padariasol.example"]})["changes"] == []
