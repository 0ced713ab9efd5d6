"""What doctor says of calendars: what is read, where reminders go, what is broken; nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from servers.calendars import RadicaleServer

SETTINGS = """
company: {name: Vendas, zone: Europe/Lisbon, language: en}
team: {ana: {mail: ana@vendas.example}}
"""


def event(name: str, start: str, *lines: str) -> bytes:
    inner = [f"UID:{name}@acme.example", "DTSTAMP:20260101T000000Z", start, f"SUMMARY:{name}", *lines]
    text = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", *inner, "END:VEVENT", "END:VCALENDAR", ""]
    return "\r\n".join(text).encode()


def doctor(folder: Path, calendars: str, code: int, password: str = "secret") -> list[dict[str, str]]:
    (folder / "quietcrm.yaml").write_text(SETTINGS + f"calendars:\n{calendars}")
    command = [str(Path(sys.executable).parent / "quietcrm"), "--config", str(folder), "doctor", "--json"]
    environment = {**os.environ, "ANA_CALENDAR": password}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)["items"]
    return [one for one in found if one["about"].startswith("calendar ")]


def entry(name: str, url: str, *more: str) -> str:
    words = ["type: caldav", f"url: '{url}'", "login: ana", "password: {env: ANA_CALENDAR}", *more]
    return f"  {name}: {{{', '.join(words)}}}\n"


def test_a_calendar_is_looked_at(radicale: RadicaleServer, tmp_path: Path) -> None:
    made = radicale.make_calendar()
    made.put("week.ics", event("week", "DTSTART:20260101T090000Z", "RRULE:FREQ=DAILY"))
    made.put("bomb.ics", event("bomb", "DTSTART:20260101T090000Z", "RRULE:FREQ=SECONDLY"))
    made.put("floats.ics", event("floats", "DTSTART:20260101T090000", "RRULE:FREQ=DAILY"))
    before = made.snapshot()
    found = doctor(
        tmp_path, entry("ana", radicale.url, f"only: ['{made.name}']", f"reminders: '{made.name}'", "not: [Gone]"), 0
    )
    told = {one["message"]: one["level"] for one in found}
    assert any(message.startswith("reads 1 of ") for message in told)
    assert told[f"reminders go to the calendar {made.name}"] == "ok"
    assert told["no calendar is called 'Gone'"] == "warn"
    assert any("of 3 objects read" in message for message in told)
    assert any("it repeats secondly" in message for message, level in told.items() if level == "warn")
    assert any("time zone" in message for message, level in told.items() if level == "warn")
    assert all(one["remedy"] for one in found if one["level"] != "ok")
    assert made.snapshot() == before
    radicale.ask("DELETE", made.path)


def test_troubles_have_their_exit_codes(tmp_path: Path) -> None:
    with RadicaleServer() as empty:
        (refused,) = doctor(tmp_path, entry("ana", empty.url), 5, password="wrong")
        nobody, *_, lost = doctor(tmp_path, entry("lost", empty.url + "nothing/here/"), 3)
        named = doctor(tmp_path, entry("ana", empty.url, "reminders: Gone"), 3)
    assert "refused the login" in refused["message"]
    assert "app password" in refused["remedy"]
    assert "nobody of the team" in nobody["message"]
    assert (lost["message"], lost["level"]) == ("no calendar takes reminders", "fail")
    assert lost["remedy"]
    told = [(one["message"], one["level"]) for one in named if "Gone" in one["message"]]
    assert told == [("no calendar called 'Gone' takes reminders", "fail")]
