"""schema.org data in HTML mail: found, bounded, never more than text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.imap.structure import plan_mail
from connectors.imap.wire import tokens
from connectors.mail.crossing import pack_mail, unpack_mail
from connectors.mail.markup import LONGEST_VALUE, MOST_PAIRS, read_markup
from connectors.mail.mime import parse_mail
from connectors.mail.structure import Part
from connectors.model import RawMail, RawPart

ORDER = {
    "@context": "http://schema.org",
    "@type": "Order",
    "orderNumber": "88123",
    "price": 1250.00,
    "priceCurrency": "BRL",
    "customer": {"@type": "Person", "name": "Maria Silva"},
    "acceptedOffer": [{"@type": "Offer", "itemOffered": {"name": "Bread"}}, {"@type": "Offer", "price": "3.50"}],
    "isGift": False,
}


def page(data: object, kind: str = "application/ld+json") -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    return f'<html><head><script type="{kind}">{text}</script></head><body><p>Hello</p></body></html>'


def read(html: str) -> dict[str, str]:
    part = Part("text/html", {"charset": "utf-8"}, encoding="8bit", body=html.encode("utf-8", "replace"))
    return dict(reversed(read_markup([part])))


def test_values_by_type_and_path() -> None:
    found = read(page(ORDER))
    assert found["Order.orderNumber"] == "88123"
    assert found["Order.price"] == "1250.0"
    assert found["Order.isGift"] == "false"
    assert found["Order.customer.name"] == found["Person.name"] == "Maria Silva"
    assert found["Order.acceptedOffer.itemOffered.name"] == "Bread"
    assert found["Offer.price"] == "3.50"


def test_graphs_lists_long_types_and_entities() -> None:
    assert read(page({"@graph": [{"@type": "http://schema.org/Invoice", "totalPaymentDue": "5"}]})) == {
        "Invoice.totalPaymentDue": "5"
    }
    assert read(page([{"@type": ["Thing", "Order"], "orderNumber": "1"}])) == {
        "Thing.orderNumber": "1",
        "Order.orderNumber": "1",
    }
    assert read(page(json.dumps({"@type": "Order", "orderNumber": "2"}).replace('"', "&quot;"))) == {
        "Order.orderNumber": "2"
    }


def test_what_is_no_data_is_passed_over() -> None:
    assert read(page("{broken")) == {}
    assert read(page(ORDER, kind="text/javascript")) == {}
    assert read('<script type=\'application/ld+json\'>{"@type": "Order"') == {}
    assert read(page({"orderNumber": "no type"})) == {}
    assert read(page('{"@type": "Order", "n": ' + "[" * 100_000)) == {}
    assert (
        read(page('{"@type": "Order", "orderNumber": ' + "9" * 5000 + "}"))["Order.orderNumber"] == "9" * LONGEST_VALUE
    )


def test_limits() -> None:
    many = read_markup(
        [Part("text/html", {}, body=page({"@type": "Order", **{f"n{i}": "x" * 9999 for i in range(400)}}).encode())]
    )
    assert len(many) < MOST_PAIRS + 1
    assert all(len(value) <= LONGEST_VALUE for _, value in many)
    assert read("<script ld+json>" * 20_000) == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(
                st.sampled_from(["@type", "@graph", "name", "price"]) | st.text(max_size=5), inner, max_size=5
            )
        ),
        max_leaves=40,
    )
)
def test_any_json_gives_bounded_clean_text(data: object) -> None:
    part = Part("text/html", {"charset": "utf-8"}, body=page(json.dumps(data)).encode())
    found = read_markup([part])
    assert len(found) <= MOST_PAIRS
    for path, value in found:
        assert "." in path
        assert value == " ".join(value.split())
        assert "\0" not in path + value
        (path + value).encode()


@given(st.text(max_size=300))
def test_any_text_in_the_script(text: str) -> None:
    assert all(isinstance(value, str) for value in read(page(text)).values())


def raw(**changes: Any) -> RawMail:
    values: dict[str, Any] = {
        "account": "a",
        "folder": "INBOX",
        "ref": "1",
        "received_at": datetime(2026, 11, 20, tzinfo=UTC),
    }
    return RawMail(**{**values, **changes})


def test_a_plain_text_beside_the_html_is_still_the_text() -> None:
    mail = (
        "From: shop@loja.example\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nThanks for your order.\r\n--b\r\nContent-Type: text/html\r\n\r\n"
        f"{page(ORDER)}\r\n--b--\r\n"
    )
    message = parse_mail(raw(whole=mail.encode()))
    assert message.text == "Thanks for your order."
    assert ("Order.orderNumber", "88123") in message.markup


def test_a_spare_part_is_read_for_its_markup_only() -> None:
    parts = (
        RawPart(content_type="text/plain", body=b"Thanks."),
        RawPart(content_type="text/html", body=page(ORDER).encode(), spare=True),
    )
    header = b"From: shop@loja.example\r\nContent-Type: multipart/report; boundary=b\r\n\r\n"
    mail = raw(header=header, parts=parts, content_type="multipart/report")
    message = parse_mail(unpack_mail(pack_mail(mail)))
    assert message.text == "Thanks."
    assert ("Order.orderNumber", "88123") in message.markup


def test_html_is_fetched_beside_plain_text_only_where_a_rule_asks() -> None:
    plain = '("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 400 10 NIL NIL NIL NIL)'
    html = '("text" "html" ("charset" "utf-8") NIL NIL "base64" 9000 120 NIL NIL NIL NIL)'
    mail = f'({plain}{html} "alternative" ("boundary" "b") NIL NIL NIL)'
    structure = tokens([b"* " + mail.encode()])[0]
    assert [one.content_type for one in plan_mail(structure).sections] == ["text/plain"]
    wanted = plan_mail(structure, markup=True)
    assert [(one.content_type, one.spare) for one in wanted.sections] == [("text/plain", False), ("text/html", True)]
    assert wanted.attachments == ()
