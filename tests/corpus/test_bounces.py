"""Labelled bounces of other projects, beside flufl.bounce measured in the same run. Thresholds are of the issue."""

from __future__ import annotations

import csv
import email
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flufl.bounce import all_failures

from connectors.mail.mime import build_message, read_mail
from connectors.model import Kind, Message, RawMail

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
AS_BOUNCE = (
    "bounce",
    "delayed",
    "bounce-no-address",
    "make-test",
    "newline-variant-crlf",
    "newline-variant-cr",
    "sample",
)
KINDS = {**dict.fromkeys(AS_BOUNCE, Kind.BOUNCE), "feedback": Kind.FEEDBACK}


@dataclass(frozen=True)
class Labelled:
    name: str
    category: str
    recipients: frozenset[str]
    hard: bool | None
    data: bytes
    mail: Message


def load(folder: Path) -> Iterator[Labelled]:
    for row in csv.DictReader((folder / "index.csv").read_text().splitlines()):
        data = (folder / row["path"]).read_bytes()
        raw = RawMail(account="a", folder="f", ref=row["path"], received_at=NOON, whole=data)
        stated = set(filter(None, row["hard"].split(";")))
        yield Labelled(
            row["path"],
            row["category"],
            frozenset(item.lower() for item in row["recipients"].split(";") if item),
            stated == {"1"} if len(stated) == 1 else None,
            data,
            build_message(raw, read_mail(raw)),
        )


@pytest.fixture(scope="module")
def labelled(corpora: Path) -> list[Labelled]:
    folder = corpora / "1_bounces"
    return [item for part in ("sisimai", "flufl") for item in load(folder / part)]


def share(good: int, total: int, what: str) -> float:
    print(f"{what}: {good} of {total} = {good / total:.1%}")
    return good / total


def addressed(items: list[Labelled]) -> list[Labelled]:
    return [item for item in items if item.category in ("bounce", "delayed") and item.recipients]


def find_ours(item: Labelled) -> set[str]:
    return {address.lower() for address in item.mail.bounce.recipients} if item.mail.bounce else set()


def find_theirs(item: Labelled) -> set[str]:
    try:
        found = all_failures(email.message_from_bytes(item.data))
    except Exception:
        return set()
    return {address.decode("latin-1").lower() for part in found for address in part}


def test_exact_recipients_beat_flufl_by_ten_points(labelled: list[Labelled]) -> None:
    items = addressed(labelled)
    ours = share(sum(find_ours(item) == item.recipients for item in items), len(items), "exact recipients, quietcrm")
    theirs = share(
        sum(find_theirs(item) == item.recipients for item in items), len(items), "exact recipients, flufl.bounce"
    )
    assert ours >= theirs + 0.10
    assert ours >= 0.97


def test_kind_is_right(labelled: list[Labelled]) -> None:
    items = [item for item in labelled if item.category != "unlabelled"]
    wrong = [
        item.name
        for item in items
        if (item.mail.kind != KINDS[item.category] if item.category in KINDS else item.mail.kind is Kind.BOUNCE)
    ]
    print("kind wrong:", wrong)
    assert share(len(items) - len(wrong), len(items), "kind right") >= 0.98


def test_hard_or_soft_as_labelled(labelled: list[Labelled]) -> None:
    """The two sets mean different things by hard (dead address; permanent error), so one bar for both, and for each."""
    items = [item for item in addressed(labelled) if item.mail.bounce]
    right = [item for item in items if item.mail.bounce and item.mail.bounce.hard == item.hard]
    assert share(len(right), len(items), "hard or soft right") >= 0.90
