"""Handing customers out: CSV that imports again unchanged, vCards that say one thing only, JSON with the history."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).parent / "quietcrm"
SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: en}
team: {ana: {mail: ana@vendas.example}}
accounts: {ana: {type: maildir, rep: ana, path: Maildir, since: 2020-01-01}}
"""
LETTER = b"""From: Zoe <zoe@acme.example>
To: ana@vendas.example
Subject: price list
Message-ID: <1@acme.example>
Date: Mon, 12 Oct 2026 10:00:00 +0000

How much is it?
"""
ROWS = [
    {"company": "Acme", "name": "Zoë Young", "email": "zoe@acme.example", "domain": "acme.example", "owner": "ana",
     "phone": "+351 21 000 00 00", "contact.floor": "3", "contract": "gold", "tags": "vip,north"},
    {"company": "Acme", "name": "", "email": "max@acme.example", "domain": "acme.net.example", "title": "Buyer"},
    {"company": "Acme", "name": "Zoë Young", "email": "zoe@freemail.example"},
    {"company": "Padaria São José", "name": "", "email": "", "domain": "padaria.example", "stage": "lead"},
    {"company": "", "name": "=HYPERLINK(1)", "email": "formula@freemail.example", "language": "ru"},
    {"company": 'A "B", C; D\\E', "name": "Line\nEMAIL:injected@evil.example", "email": "q@quote.example"},
    {"company": "Северный ветер " * 9, "name": "Фёдор Щукин", "email": "f@north.example", "domain": "north.example"},
    {"company": "Nothing known", "name": "", "email": "", "domain": "nothing.example"},
]  # fmt: skip


def quietcrm(folder: Path, *words: object, code: int = 0) -> str:
    """What a command prints; it must end with `code`."""
    done = subprocess.run(
        [PROGRAM, "--config", folder, *map(str, words)], capture_output=True, timeout=60
    )  # bytes: vCards end their lines with CR LF
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode()


def new_office(folder: Path) -> Path:
    """A configuration with one mail and no customers."""
    (folder / "Maildir/cur").mkdir(parents=True)
    (folder / "Maildir/new").mkdir()
    (folder / "Maildir/cur/1.a:2,S").write_bytes(LETTER)
    (folder / "quietcrm.yaml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An office with the customers of ROWS and one mail in the history."""
    folder = new_office(tmp_path_factory.mktemp("office"))
    names = list(dict.fromkeys(name for row in ROWS for name in row))
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(ROWS)
    quietcrm(folder, "customer", "import", folder / "rows.csv", "--apply")
    quietcrm(folder, "sync", "--once")
    return folder


def cards(folder: Path) -> list[dict[str, Any]]:
    """Every customer as the JSON form tells it, without what differs by the way it came."""
    of_customer = ("name", "stage", "segment", "owner", "country", "tags", "fields")
    of_contact = ("name", "title", "phone", "language", "fields", "emails")
    found = []
    for one in json.loads(quietcrm(folder, "customer", "export", "--format", "json")):
        contacts = [{name: who[name] for name in of_contact} for who in one["contacts"]]
        card = {name: one["customer"][name] for name in of_customer}
        found.append(card | {"domains": one["domains"], "contacts": contacts})
    return sorted(found, key=lambda card: str(card["name"]))


def test_csv_changes_nothing_at_home_and_makes_the_same_customers_elsewhere(office: Path, tmp_path: Path) -> None:
    exported = tmp_path / "exported.csv"
    exported.write_text(quietcrm(office, "customer", "export", "--format", "csv"), "utf-8", newline="")
    plan = json.loads(quietcrm(office, "customer", "import", exported, "--json"))
    changes = {name: plan["counts"][name] for name in ("new", "changed", "contacts", "changed_contacts", "domains")}
    assert (set(changes.values()), plan["problems"]) == ({0}, [])
    other = new_office(tmp_path / "other")
    quietcrm(other, "customer", "import", exported, "--apply")
    assert cards(other) == cards(office)
    assert quietcrm(other, "customer", "export", "--format", "csv") == exported.read_text("utf-8")


def test_no_cell_of_the_csv_is_a_formula(office: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(quietcrm(office, "customer", "export", "--format", "csv"))))
    assert "'=HYPERLINK(1)" in {row["name"] for row in rows}
    assert "+351 21 000 00 00" in {row["phone"] for row in rows}


def test_vcards_are_whole_and_nothing_is_smuggled_in(office: Path) -> None:
    text = quietcrm(office, "customer", "export", "--format", "vcf")
    assert text.replace("\r\n", "").count("\n") == 0
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    lines = text.replace("\r\n ", "").split("\r\n")
    assert lines.count("BEGIN:VCARD") == lines.count("END:VCARD") == lines.count("VERSION:3.0") == 8
    mails = [line.partition(":")[2] for line in lines if line.startswith("EMAIL")]
    assert sorted(mails) == sorted(row["email"] for row in ROWS if row["email"])
    assert "FN:Line\\nEMAIL:injected@evil.example" in lines
    assert 'ORG:A "B"\\, C\\; D\\\\E' in lines
    assert f"ORG:{('Северный ветер ' * 9).strip()}" in lines
    assert "FN:Padaria São José" in lines


def test_json_of_one_customer_is_the_whole_history(office: Path) -> None:
    data = json.loads(quietcrm(office, "customer", "export", "Acme"))
    assert data["customer"]["name"] == "Acme"
    assert [mail["subject"] for mail in data["interactions"]] == ["price list"]
    assert "How much is it?" in json.dumps(data["interactions"])
    assert data["sightings"]
    every = json.loads(quietcrm(office, "customer", "export", "--format", "json"))
    assert len(every) == 6
    assert data in every


def test_a_customer_that_is_not_there(office: Path) -> None:
    assert quietcrm(office, "customer", "export", "Nobody", code=4) == ""
