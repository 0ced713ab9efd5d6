"""What the rules may know of the world, as plain frozen values. The daemon fills these from the store.

Conditions see the state before the mail at hand (`last_in_at`, `open`), so an evaluation can be repeated any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerFacts:
    """One customer. `open` holds "lead", "case", "order" where one is open; times are aware UTC.

    deal        the newest open lead, else the newest open order ("lead 7"), "" for none
    sequences   names of the sequences that somebody there is in
    """

    id: int
    name: str
    stage: str = ""
    segment: str = ""
    owner: str = ""
    language: str = ""
    country: str = ""
    zone: str = ""
    source: str = ""
    tags: frozenset[str] = frozenset()
    fields: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    open: frozenset[str] = frozenset()
    deal: str = ""
    sequences: frozenset[str] = frozenset()
    last_in_at: datetime | None = None
    last_out_at: datetime | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFacts:
    """One person at a customer. `emails`: address keys (lower case), the main one first, aliases behind.

    away_until, bounced_at   what machines said of them since they last wrote
    """

    id: int
    customer_id: int
    name: str = ""
    emails: tuple[str, ...] = ()
    aliases: frozenset[str] = frozenset()
    title: str = ""
    phone: str = ""
    language: str = ""
    country: str = ""
    zone: str = ""
    fields: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    last_in_at: datetime | None = None
    last_out_at: datetime | None = None
    away_until: date | None = None
    bounced_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """Where a Message-ID that we logged belongs: its customers and its folded subject (without Re:, Fwd:)."""

    customers: tuple[int, ...]
    subject_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """All look-ups that a batch of mail needs, fetched at once. What is not in here is not known.

    contacts    address key -> every contact that has it (ambiguity is a normal outcome)
    domains     mail domain -> customer ids that claim it
    threads     Message-ID -> where it belongs
    tokens      token in a subject ("4F2K", upper case) or plus-address tag -> customer ids
    customers   id -> facts, for every customer named above
    once        (rule, key of rules.once) -> arrival of the mail that the rule acted on last
    never_log   address keys and domains of this batch that the store forbids to log
    """

    contacts: Mapping[str, tuple[ContactFacts, ...]] = field(default_factory=dict)
    domains: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    threads: Mapping[str, Thread] = field(default_factory=dict)
    tokens: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    customers: Mapping[int, CustomerFacts] = field(default_factory=dict)
    once: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    never_log: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When and how an evaluation happens.

    now         the clock
    baseline    mail received before it is history: logged, never acted upon; None = everything is history
    loaded      rule name -> when that rule was first loaded; a rule sees only later mail. Missing = loaded now
    paused      rules that the admin lets stand still: they only note what they would do. Rules that keep mail out of
                the history go on
    """

    now: datetime
    baseline: datetime | None
    loaded: Mapping[str, datetime] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()
