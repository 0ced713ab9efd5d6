"""Column types that behave the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, String
from sqlalchemy.types import TypeDecorator

KeyText = String().with_variant(String(collation="C"), "postgresql")
"""Text compared byte by byte on both databases, so that a prefix search can use the index."""


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC datetime. SQLite stores it naive (it has no zones), PostgreSQL as timestamptz.

    A naive value is a bug of the caller and refused. On SQLite it is SQLAlchemy's usual text form
    ("2026-11-22 09:00:00.000000"), written and read in one step: a mail has half a dozen times.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        """Aware in any zone -> UTC; ValueError for a naive one."""
        return _write_text if dialect.name == "sqlite" else _in_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Always aware UTC."""
        return _read_text if dialect.name == "sqlite" else _in_utc


def _in_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError(f"naive datetime {value!r}: times are aware UTC inside quietcrm")
    return value.astimezone(UTC)


def _write_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is not UTC:
        value = _in_utc(value)
        assert value is not None
    return value.isoformat(" ", "microseconds")[:26]


def _read_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")
