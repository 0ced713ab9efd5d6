"""Keeps with a customer when they ordered last and will order again: dates that rules may wait for."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlmodel import Session

from rules.rhythm import next_order
from store import customers, records
from store.customers import Actor
from store.tables import Order

LAST, NEXT = "last_order", "next_order"


def keep_rhythm(session: Session, customer_id: int, zone: ZoneInfo, by: Actor) -> None:
    """Set `last_order` and, with a rhythm, `next_order` (2026-12-24, by the office's clock) after an order came."""
    orders = records.of_customer(session, Order, customer_id)
    days = [one.created_at.astimezone(zone).date() for one in orders if one.state != "cancelled"]
    if days:
        after = next_order(days)
        values = {LAST: max(days).isoformat(), NEXT: after.isoformat() if after else None}
        customers.edit(session, customer_id, values, by)
