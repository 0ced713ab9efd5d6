"""`quietcrm read FILE.ics` and the settings of calendars, as an admin meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SERIES = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//acme//test//EN
BEGIN:VEVENT
UID:week@acme.example
DTSTAMP:20261001T080000Z
DTSTART;TZID=W. Europe Standard Time:20261019T090000
DURATION:PT1H
RRULE:FREQ=WEEKLY;COUNT=10
SUMMARY:Jour fixe
ORGANIZER:mailto:ivan@acme.example
ATTENDEE;CN=Ana;PARTSTAT=ACCEPTED:mailto:ana@vendas.example
END:VEVENT
BEGIN:VEVENT
UID:week@acme.example
DTSTAMP:20261001T080000Z
RECURRENCE-ID;TZID=W. Europe Standard Time:20261026T090000
DTSTART;TZID=W. Europe Standard Time:20261027T150000
DURATION:PT1H
STATUS:TENTATIVE
SUMMARY:Jour fixe, later
END:VEVENT
BEGIN:VEVENT
UID:fair@acme.example
DTSTAMP:20261001T080000Z
DTSTART;VALUE=DATE:20261028
DTEND;VALUE=DATE:20261031
SUMMARY:Fair
END:VEVENT
BEGIN:VEVENT
UID:floats@acme.example
DTSTAMP:20261001T080000Z
DTSTART:20261029T120000
SUMMARY:Lunch
END:VEVENT
BEGIN:VEVENT
UID:broken@acme.example
DTSTAMP:20261001T080000Z
DTSTART:20261301T090000Z
END:VEVENT
END:VCALENDAR
"""


@pytest.fixture
def series(tmp_path: Path) -> Path:
    path = tmp_path / "series.ics"
    path.write_text(SERIES)
    return path


def quietcrm(*words: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "quietcrm"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_occurrences_of_some_days(series: Path) -> None:
    done = quietcrm("read", series, "--from", "2026-10-19", "--to", "2026-10-31", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["items"]
    assert [(one["start"], one["end"], one["all_day"], one["status"]) for one in found] == [
        ("2026-10-19T09:00:00+02:00", "2026-10-19T10:00:00+02:00", False, "confirmed"),
        ("2026-10-27T15:00:00+01:00", "2026-10-27T16:00:00+01:00", False, "tentative"),
        ("2026-10-28", "2026-10-31", True, "confirmed"),
        ("2026-10-29T12:00:00", "2026-10-29T12:00:00", False, "confirmed"),
    ]
    assert found[0] | {"start": "", "end": ""} == {
        "uid": "week@acme.example",
        "start": "",
        "end": "",
        "all_day": False,
        "summary": "Jour fixe",
        "status": "confirmed",
        "organizer": "ivan@acme.example",
        "attendees": [{"email": "ana@vendas.example", "name": "Ana", "answer": "accepted"}],
    }
    assert "event broken@acme.example: DTSTART is an impossible date" in done.stderr


def test_a_table_for_people_and_a_zone_for_what_names_none(series: Path) -> None:
    done = quietcrm("read", series, "--from", "2026-10-29", "--to", "2026-10-29", "--zone", "Europe/Lisbon")
    assert done.returncode == 0
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["2026-10-28", "2026-10-29 12:00:00+00:00"]
    assert rows[1][3] == "Lunch"


def test_all_of_a_file_without_days(series: Path) -> None:
    assert len(json.loads(quietcrm("read", series, "--json").stdout)["items"]) == 12


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nowhere.ics"], 4, "no such file"),
        (["SERIES", "--from", "29.10.2026"], 2, "write: 2026-11-30"),
        (["SERIES", "--zone", "Berlin"], 2, "write: Europe/Lisbon"),
        (["SERIES", "--from", "2026-10-02", "--to", "2026-10-01"], 2, "is before"),
        (["BROKEN"], 1, "this is no calendar"),
    ],
)
def test_errors_say_what_to_do(series: Path, tmp_path: Path, words: list[str], code: int, told: str) -> None:
    broken = tmp_path / "broken.ics"
    broken.write_text("nothing of the kind")
    places = {"SERIES": series, "BROKEN": broken}
    done = quietcrm("read", *(places.get(word, word) for word in words))
    assert done.returncode == code, done.stderr
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_mail_with_an_invitation(tmp_path: Path) -> None:
    mail = tmp_path / "mail.eml"
    calendar = SERIES.replace("VERSION:2.0", "VERSION:2.0\nMETHOD:REQUEST")
    mail.write_text(
        "From: ivan@acme.example\nTo: ana@vendas.example\nSubject: Jour fixe\nDate: Thu, 1 Oct 2026 10:00:00 +0200\n"
        f"Content-Type: text/calendar; method=REQUEST; charset=utf-8\n\n{calendar}"
    )
    (row,) = json.loads(quietcrm("read", mail, "--json").stdout)["items"]
    assert row["kind"] == "invitation"
    assert [one["method"] for one in row["invitations"]] == ["request"]
    assert any("broken@acme.example" in odd for odd in row["degraded"])
    assert "request: " in quietcrm("read", mail).stdout
