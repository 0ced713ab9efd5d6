"""Conditions on the customer, as it was before this mail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from config.nodes import Node, Scalar
from rules.condition import Condition, clip, listed
from rules.enrolling import in_sequence
from rules.facts import ContactFacts, CustomerFacts
from rules.mail_conditions import Build
from rules.moments import parse_age
from rules.reader import Item, Reader, entries
from rules.text_conditions import written
from rules.text_match import fold_text, glob_set
from rules.view import View

OPEN = ("lead", "case", "order")


def _known(name: str, node: Node, reader: Reader) -> Condition | None:
    wanted = reader.yes_no(node, "`known`")
    return Condition(
        name=name,
        wanted=written(node),
        holds=lambda view: view.match.known is wanted,
        seen=_seen_known,
    )


def _seen_known(view: View) -> str:
    count = len(view.match.customers)
    return "yes" if count == 1 else "no customer" if count == 0 else f"{count} customers"


def _customer(name: str, node: Node, reader: Reader) -> Condition | None:
    return _globbed(name, node, reader, lambda view: (one.name for one in view.customers))


def _globbed(name: str, node: Node, reader: Reader, values: Callable[[View], Iterable[str]]) -> Condition | None:
    """Names with * and ?, case and accents ignored; one of the values must fit."""
    items = reader.items(node, f"`{name}`")
    return listed(
        name,
        [glob_set(one.text for one in items if one.wanted)] if any(one.wanted for one in items) else [],
        [glob_set([one.text]) for one in items if not one.wanted],
        lambda view, globs: any(globs.fits(value) for value in values(view)),
        lambda view: clip(", ".join(sorted(value for value in values(view) if value))) or "none",
        written=written(node),
        keys=_fact_keys(name, items),
    )


def _fact_keys(name: str, items: list[Item]) -> frozenset[str] | None:
    plain = [fold_text(one.text) for one in items if one.wanted]
    if name not in INDEXED or any("*" in text or "?" in text for text in plain):
        return None
    return frozenset(f"f:{name}={text}" for text in plain)


INDEXED = ("stage", "segment", "tag", "owner")


def fact_keys(customer: CustomerFacts | None) -> set[str]:
    """The index keys of a customer, for the conditions in INDEXED."""
    if customer is None:
        return set()
    keys = {f"tag={fold_text(tag)}" for tag in customer.tags}
    return keys | {f"{name}={fold_text(getattr(customer, name))}" for name in ("stage", "segment", "owner")}


def _attribute(attribute: str, known: Callable[[Reader], Iterable[str]] | None = None) -> Build:
    def build(name: str, node: Node, reader: Reader) -> Condition | None:
        if known is not None:
            for item in reader.items(node, f"`{name}`"):
                if "*" not in item.text:
                    reader.defined(Scalar(item.text, item.place), known(reader), name)
        return _globbed(name, node, reader, lambda view: _of(view.customer, attribute))

    return build


def _of(customer: CustomerFacts | None, attribute: str) -> tuple[str, ...]:
    return (str(getattr(customer, attribute)),) if customer is not None else ()


def _tag(name: str, node: Node, reader: Reader) -> Condition | None:
    return _globbed(name, node, reader, lambda view: view.customer.tags if view.customer else ())


def _country(name: str, node: Node, reader: Reader) -> Condition | None:
    return _globbed(name, node, reader, lambda view: (view.country,))


def _field(name: str, node: Node, reader: Reader) -> Condition | None:
    mapping = reader.mapping(node, "`field`", "{contract: gold}")
    if mapping is None:
        return None
    members = [
        one
        for key, value in mapping.entries
        if (one := _globbed(key.text, value, reader, _field_values(key.text))) is not None
    ]
    return Condition(
        name=name,
        wanted=written(node),
        holds=lambda view: all(one.holds(view) for one in members),
        seen=lambda view: clip("; ".join(f"{one.name}: {one.seen(view)}" for one in members)),
    )


def _field_values(key: str) -> Callable[[View], Iterable[str]]:
    name = key.removeprefix("contact.")
    of_contact = name != key

    def values(view: View) -> tuple[str, ...]:
        owner: CustomerFacts | ContactFacts | None = view.contact if of_contact else view.customer
        fields: Mapping[str, Any] = owner.fields if owner is not None else {}
        value = fields.get(name)
        return () if value is None else (_as_text(value),)

    return values


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _age(times: Callable[[CustomerFacts], tuple[datetime | None, ...]]) -> Build:
    """{older: 30 days} or {newer: 7 days}, counted from this mail's arrival; never = neither."""

    def build(name: str, node: Node, reader: Reader) -> Condition | None:
        mapping = reader.mapping(node, f"`{name}`", "{older: 30 days}")
        if mapping is None:
            return None
        limits: list[tuple[str, timedelta]] = []
        for key, value in entries(mapping, reader, ("older", "newer"), f"test of `{name}`"):
            scalar = reader.scalar(value, f"`{key.text}`")
            length = reader.parsed(scalar, parse_age, "E202") if scalar else None
            if length is not None:
                limits.append((key.text, length))

        def holds(view: View) -> bool:
            last = _latest(view, times)
            return last is not None and all((view.at - last > length) is (word == "older") for word, length in limits)

        return Condition(
            name=name, wanted=written(node), holds=holds, seen=lambda view: _shown_time(_latest(view, times))
        )

    return build


def _latest(view: View, times: Callable[[CustomerFacts], tuple[datetime | None, ...]]) -> datetime | None:
    if view.customer is None:
        return None
    return max((one for one in times(view.customer) if one is not None), default=None)


def _shown_time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "never"


def _open(name: str, node: Node, reader: Reader) -> Condition | None:
    items = [(item.wanted, reader.item_choice(item, OPEN, "`open`")) for item in reader.items(node, "`open`")]
    return listed(
        name,
        [word for wanted, word in items if wanted and word],
        [word for wanted, word in items if not wanted and word],
        lambda view, word: view.customer is not None and word in view.customer.open,
        lambda view: clip(", ".join(sorted(view.customer.open))) if view.customer and view.customer.open else "nothing",
        written=written(node),
    )


CUSTOMER: dict[str, Build] = {
    "known": _known,
    "customer": _customer,
    "stage": _attribute("stage", lambda reader: reader.settings.stages.order),
    "segment": _attribute("segment"),
    "tag": _tag,
    "owner": _attribute("owner", lambda reader: reader.settings.team),
    "country": _country,
    "field": _field,
    "last_in": _age(lambda customer: (customer.last_in_at,)),
    "last_out": _age(lambda customer: (customer.last_out_at,)),
    "last_contact": _age(lambda customer: (customer.last_in_at, customer.last_out_at)),
    "open": _open,
    "in_sequence": in_sequence,
}
"""Conditions on the customer by name."""
