"""The time and the person of the store's tests."""

from datetime import UTC, datetime

from store.customers import Actor

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ADMIN = Actor(name="admin", now=NOW)
