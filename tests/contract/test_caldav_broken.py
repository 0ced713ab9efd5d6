"""Five hundred events in a calendar on a real Radicale, fifty of them broken: each good one is read, each broken one is
named. Radicale takes these and hides worse ones from everybody; Xandikos takes and shows anything that has the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from calendar_contract import calendar, event, read_all, vevent
from servers.calendars import CalendarServer, RadicaleServer, TestCalendar, XandikosServer

from connectors.caldav.settings import CaldavSettings
from connectors.caldav.source import CaldavSource
from connectors.calendars import RawCalendar
from connectors.parsing import InlineParser, ParserPool

Make = Callable[[str], bytes]
MANY = ",".join(
    f"2026{month:02}{day:02}T{hour:02}0000Z" for month in range(1, 13) for day in range(1, 29) for hour in range(16)
)
UNWORKABLE: tuple[Make, ...] = (
    lambda name: event(name, "RRULE:FREQ=SECONDLY"),
    lambda name: event(name, "RRULE:FREQ=MINUTELY;COUNT=5"),
    lambda name: event(name, "RRULE:FREQ=DAILY;INTERVAL=0"),
    lambda name: event(name, "RRULE:FREQ=DAILY;COUNT=-3"),
    lambda name: event(name, "RRULE:FREQ=YEARLY;BYMONTH=13"),
    lambda name: event(name, "RRULE:FREQ=DAILY;FREQ=WEEKLY"),
)
UNREADABLE: tuple[Make, ...] = (
    lambda name: event(name, f"RDATE:{MANY}"),
    lambda name: event(name, "RRULE:FREQ=SOMETIMES"),
    lambda name: event(name, "RRULE:FREQ=DAILY;UNTIL=never"),
    lambda name: event(name, start="DTSTART:20261301T090000Z"),
    lambda name: event(name, start="DTSTART:tomorrow"),
    lambda name: event(name, start="X-NO-START:1"),
    lambda name: event(name, "DURATION:for ever"),
    lambda name: event(name, "EXDATE:never", "RRULE:FREQ=DAILY"),
)
NO_CALENDAR: tuple[Make, ...] = (
    lambda name: calendar(vevent(name).replace("END:VEVENT", "")),
    lambda name: b"\x00\xff this is no calendar " + name.encode(),
)


def read(server: CalendarServer, made: TestCalendar, count: int) -> tuple[int, int]:
    """How many were read, and how many named as broken, of calendars of which every tenth is."""
    settings = CaldavSettings(account="ana", url=server.url, login="ana", password="secret", only=(made.name,))
    parser = ParserPool(workers=1)
    source = CaldavSource(settings, parser)
    try:
        run = read_all(source)
        assert len(run.names) == len(run.events) == count * 9 // 10
        named = {bad.ref: bad.reason for bad in run.unreadable}
        assert sorted(named) == sorted(f"e{number}.ics" for number in range(7, count, 10))
        assert all("event e" in reason for reason in named.values())
        assert read_all(source, run.cursor).read == []
        return len(run.events), len(named)
    finally:
        source.close()
        parser.close()
        server.ask("DELETE", made.path)


def objects(broken: Sequence[Make], count: int) -> dict[str, bytes]:
    made = {}
    for number in range(count):
        make: Make = broken[number // 10 % len(broken)] if number % 10 == 7 else event
        made[f"e{number}.ics"] = make(f"e{number}")
    return made


def test_450_are_read_and_50_are_named(radicale: RadicaleServer) -> None:
    made = radicale.make_calendar()
    for number, make in enumerate(UNWORKABLE):
        made.put(f"e{10 * number + 7}.ics", make(f"e{10 * number + 7}"))  # it takes each kind from a calendar program
    for ref, data in objects(UNWORKABLE, 500).items():
        (radicale.folder_of(made) / ref).write_bytes(data)
    assert read(radicale, made, 500) == (450, 50)


def test_117_are_read_and_13_are_named(xandikos: XandikosServer) -> None:
    made = xandikos.make_calendar()
    for ref, data in objects((*UNWORKABLE[:-1], *UNREADABLE), 130).items():
        made.put(ref, data)
    assert read(xandikos, made, 130) == (117, 13)


@pytest.mark.parametrize("broken", [*UNWORKABLE, *UNREADABLE, *NO_CALENDAR])
def test_the_reason_is_in_words(broken: Make) -> None:
    raw = RawCalendar(account="a", calendar="c", ref="r", data=broken("e1"))
    (reading,) = InlineParser().parse_calendars([raw])
    (bad,) = reading.unreadable
    assert (bad.stage, bad.ref) == ("parse", "r")
    assert len(bad.reason.split()) > 3
    assert not reading.events
