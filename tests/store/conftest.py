"""Fixtures of the store's tests: an open, upgraded store on each kind of database, and mails to put into it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from store_samples import NOW

from connectors.model import Address, Message
from store import schema
from store.engine import Store, open_store
from store.hashing import HashKey


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    """A store with the newest schema and nothing in it."""
    schema.upgrade(database_url, tmp_path, backup_to=tmp_path / "backups")
    opened = open_store(database_url, base=tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def key(tmp_path: Path) -> HashKey:
    """The hash key of this test's store."""
    return HashKey.create(tmp_path / "state" / "hash.key")


@pytest.fixture
def mail() -> Callable[..., Message]:
    """Makes mails: each call another Message-ID, a minute later; any field can be stated."""
    serial = itertools.count(1)

    def make(sender: str = "ana@acme.example", **stated: Any) -> Message:
        number = next(serial)
        at = NOW + timedelta(minutes=number)
        fields: dict[str, Any] = {
            "account": "rep1",
            "folder": "INBOX",
            "ref": f"1:{number}",
            "message_id": f"m{number}@acme.example",
            "sent_at": at,
            "received_at": at,
            "sender": Address(sender, "Ana"),
            "to": (Address("rep1@vendas.example", "Rep"),),
            "subject": f"Proposta {number}",
            "text": f"Bom dia {number}",
        }
        return Message(**fields | stated)

    return make
