"""An order out of a shop's mail: from the HTML on a real server, over the rule, to the record and the draft."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

import pytest
from maildir_offices import MaildirOffice, logged
from offices import TestOffice, import_customers, work
from servers.dovecot import DovecotServer

from daemon.app import App
from store import customers, records
from store.tables import Order

RULES = r"""
rules:
  - name: shop
    when: mail arrives
    if: {from: "@loja.example"}
    extract:
      number: {jsonld: Order.orderNumber, regex: 'pedido (\d+)', required: yes}
      total: {jsonld: Order.price, regex: 'total: (.+)', as: money}
      buyer: {regex: 'cliente: (\S+)', as: address}
    then:
      file_under: "{{ buyer }}"
      create: {order: {number: "{{ number }}", total: "{{ total }}"}}
      draft: {template: proposta, to: "{{ buyer }}"}
"""
TEMPLATE = """\
---
name: proposta
subject: "Pedido {{ number }}"
---
Recebemos o pedido {{ number }}.
"""
ORDER = {"@type": "Order", "orderNumber": "88123", "price": "1250.50", "priceCurrency": "BRL"}
TEXT = "Novo pedido 111\nCliente: maria@padariasol.example\nTotal: R$ 99,90\n"


def notice(html: bool) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Loja <loja@loja.example>", "ana@vendas.example", "Novo pedido"
    mail["Date"], mail["Message-ID"] = "Mon, 16 Nov 2026 12:02:00 +0000", "<o1@loja.example>"
    mail.set_content(TEXT)
    if html:
        script = f'<script type="application/ld+json">{json.dumps(ORDER)}</script>'
        mail.add_alternative(f"<html><head>{script}</head><body>Novo pedido</body></html>", subtype="html")
    return mail


def orders(app: App) -> list[tuple[str, int, str]]:
    with app.store.session() as session:
        return [(one.number, one.amount, one.currency) for one in records.of_customer(session, Order, 1)]


@pytest.fixture
def office(tmp_path: Path) -> MaildirOffice:
    office = MaildirOffice(tmp_path / "office", rules=RULES, template=TEMPLATE)
    office.write()
    return office


@pytest.mark.parametrize(("html", "wanted"), [(True, ("88123", 125_050, "BRL")), (False, ("111", 9_990, "BRL"))])
def test_an_order_of_a_known_customer(office: MaildirOffice, html: bool, wanted: tuple[str, int, str]) -> None:
    with office.running() as app:
        office.clock.move(timedelta(minutes=5))
        office.deliver(notice(html).as_bytes())
        work(app)
        assert orders(app) == [wanted]
        (entry,) = logged(app)
        assert entry["customers"] == ["Padaria Sol"]
    (draft,) = office.drafts()
    assert f"Pedido {wanted[0]}".encode() in draft


def test_three_orders_are_a_rhythm(office: MaildirOffice) -> None:
    with office.running() as app:
        for number, gap in enumerate((1, 30, 30)):
            office.clock.move(timedelta(days=gap))
            mail = notice(html=False)
            mail.replace_header("Message-ID", f"<rhythm{number}@loja.example>")
            mail.replace_header("Date", format_datetime(office.clock.now()))
            mail.set_content(TEXT.replace("111", f"20{number}"))
            office.deliver(mail.as_bytes())
            work(app)
        with app.store.session() as session:
            fields = customers.get(session, 1).fields
        last = office.clock.now().date()
        assert fields["last_order"] == last.isoformat()
        assert fields["next_order"] == (last + timedelta(days=30)).isoformat()


@pytest.fixture
def served(tmp_path: Path, dovecot: DovecotServer) -> Iterator[tuple[TestOffice, App]]:
    office = TestOffice(tmp_path / "served", dovecot, rules=RULES)
    office.directory.mkdir()
    office.write()
    (office.directory / "templates" / "proposta.md").write_text(TEMPLATE, encoding="utf-8")
    with office.running() as app:
        import_customers(app, office.directory / "customers.csv")
        work(app)
        office.move_clock(timedelta(minutes=5))
        yield office, app


def test_the_html_is_fetched_where_a_rule_asks_for_its_data(served: tuple[TestOffice, App]) -> None:
    office, app = served
    office.deliver("ana", notice(html=True))
    work(app)
    assert orders(app) == [("88123", 125_050, "BRL")]
