"""An office whose calendars are files: read, reminded in, and nothing written that is not ours."""

from __future__ import annotations

from pathlib import Path

from calendar_offices import DAY, HOUR, SETTINGS, CalendarOffice, MemoryCalendar, at, in_history

from daemon.app import App
from store import reminders
from store.tables import ReminderState

RULES = """\
rules:
  - {name: for-ana, when: meeting missed, then: {remind: {who: ana, in: 1 day, as: calendar, text: "Outro dia"}}}
  - {name: for-bruno, when: meeting missed, then: {remind: {who: bruno, in: 1 day, as: calendar, text: "Outro dia"}}}
"""
LINES = "  ana: {{type: folder, path: calendars}}\n  bruno: {{type: ics, path: bruno.ics}}"


def told(app: App) -> list[tuple[str, str, str]]:
    with app.store.session() as session:
        rows = reminders.in_states(session, tuple(ReminderState))
        return sorted((one.rep, str(one.state), str(one.laid_as)) for one in rows)


def test_a_folder_takes_reminders_and_an_export_does_not(tmp_path: Path) -> None:
    settings = SETTINGS.replace("{{{{", "{{").replace("}}}}", "}}").replace("{calendars}", LINES)
    settings = settings.replace("{{store}}", "{store}")
    office = CalendarOffice(
        tmp_path / "office", rules=RULES, settings=settings, ana=MemoryCalendar(), bruno=MemoryCalendar()
    )
    office.write()
    calendar, export = office.directory / "calendars", office.directory / "bruno.ics"
    calendar.mkdir()
    export.write_bytes(office.event("other", at(18, 15), title="Outra"))
    with office.running() as app:
        booked = office.event("m", at(18, 13), "CATEGORIES:no-show", title="Ligação")
        (calendar / "m.ics").write_bytes(booked)
        _, begin, other = export.read_bytes().partition(b"BEGIN:VEVENT")
        whole = booked.replace(b"END:VCALENDAR\r\n", begin + other)
        export.write_bytes(whole)
        office.turn(app)
        assert [(one["subject"], len(one["sightings"])) for one in in_history(app)] == [("Outra", 1), ("Ligação", 2)]
        office.go_on(app, at(18, 15), HOUR * 6)
        (item,) = calendar.glob("quietcrm-*.ics")
        assert "SUMMARY:" in item.read_text(encoding="utf-8")
        office.go_on(app, at(20, 13), DAY)
        assert told(app) == [("ana", "placed", "event"), ("bruno", "placed", "mail")]
        assert (calendar / "m.ics").read_bytes() == booked
        assert export.read_bytes() == whole
        item.unlink()
        office.go_on(app, at(20, 15), HOUR)
        assert told(app) == [("ana", "done", "event"), ("bruno", "placed", "mail")]
        assert [path.name for path in calendar.iterdir()] == ["m.ics"]
