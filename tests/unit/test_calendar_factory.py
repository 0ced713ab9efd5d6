"""From `calendars:` in quietcrm.yaml to sources and desks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from config.calendars import CaldavCalendar, Calendar
from config.settings import Settings
from connectors.calendar_factory import (
    CALENDAR_DESKS,
    CALENDAR_SOURCES,
    Wanted,
    build_calendar_desk,
    build_calendar_source,
    caldav_settings,
    exchange_calendar_settings,
    graph_calendar_settings,
)
from connectors.calendars import OwnItem, Window
from connectors.factory import Surroundings
from connectors.oauth.household import households
from connectors.parsing import InlineParser
from connectors.protocols import CalendarDesk, CalendarSource

READ: TypeAdapter[Any] = TypeAdapter(Calendar)
MICROSOFT = {"provider": "microsoft", "client_id": "11111111-2222-3333-4444-555555555555"}
CALDAV = {"type": "caldav", "url": "https://cloud.vendas.example/", "login": "ana", "password": {"env": "ANA_CALENDAR"}}

MAILBOX = {
    "type": "exchange",
    "endpoint": "https://mail.vendas.example/EWS/Exchange.asmx",
    "login": "ana@vendas.example",
    "password": {"env": "ANA_CALENDAR"},
    "folders": {"only": ["INBOX"]},
}


def office(entry: dict[str, object]) -> Settings:
    return Settings.model_validate(
        {
            "company": {"name": "Vendas", "zone": "UTC", "language": "pt"},
            "team": {"ana": {"mail": "ana@vendas.example", "zone": "Europe/Lisbon"}},
            "accounts": {"ana": MAILBOX},
            "calendars": {"ana": entry},
        }
    )


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    monkeypatch.setenv("ANA_CALENDAR", "secret")
    return Surroundings(base=tmp_path, today=date(2026, 11, 30))


def test_the_tables_cover_the_settings() -> None:
    kinds = set(get_args(get_args(Calendar)[0]))
    assert kinds == set(CALENDAR_SOURCES) == set(CALENDAR_DESKS)


FILES: list[dict[str, object]] = [{"type": "folder", "path": "calendars/ana"}, {"type": "ics", "path": "ana.ics"}]


@pytest.mark.parametrize("entry", [CALDAV, {"type": "exchange"}, *FILES, {"type": "memory"}])
def test_sources_and_desks(entry: dict[str, object], around: Surroundings) -> None:
    parser = InlineParser()
    source = build_calendar_source("ana", office(entry), parser, around)
    desk = build_calendar_desk("ana", office(entry), parser, around)
    assert isinstance(source, CalendarSource)
    assert isinstance(desk, CalendarDesk)
    assert source.account == "ana"


def test_settings_arrive(around: Surroundings) -> None:
    entry = CALDAV | {"only": ["Kunden"], "not": ["Privat"], "reminders": "Kunden", "tasks": "Aufgaben", "ca": "ca.pem"}
    calendar = READ.validate_python(entry)
    assert isinstance(calendar, CaldavCalendar)
    found = caldav_settings("ana", calendar, around, "Europe/Lisbon")
    assert (found.login, found.password, found.tokens) == ("ana", "secret", None)
    assert (found.only, found.skip, found.reminders, found.tasks) == (("Kunden",), ("Privat",), "Kunden", "Aufgaben")
    assert found.ca == str(around.base / "ca.pem")
    assert "secret" not in repr(found)


def test_calendars_of_exchange_are_opened_by_their_mailbox(around: Surroundings) -> None:
    entry = {"type": "exchange", "account": "ana", "only": ["Kunden"], "reminders": "Kunden", "tasks": "Aufgaben"}
    wanted = Wanted.of("ana", office(entry), InlineParser(), around)
    found = exchange_calendar_settings(replace(wanted, name="anas"))
    assert (found.account, found.login.login, found.login.password) == ("anas", "ana@vendas.example", "secret")
    assert (found.login.only, found.login.skip, found.reminders, found.tasks) == (("Kunden",), (), "Kunden", "Aufgaben")
    assert found.zone == "Europe/Lisbon"
    assert "secret" not in repr(found)


def test_a_memory_calendar_is_shared_by_source_and_desk(around: Surroundings) -> None:
    from datetime import UTC, datetime

    settings = office({"type": "memory"})
    desk = build_calendar_desk("ana", settings, InlineParser(), around)
    desk.put(OwnItem(uid="quietcrm-1", summary="Call", start=datetime(2026, 12, 1, 9, tzinfo=UTC)))
    source = build_calendar_source("ana", settings, InlineParser(), around)
    window = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    (event,) = source.fetch(None, window, limit=5).events
    assert (event.summary, event.is_ours, event.free) == ("Call", True, True)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"url": "http://cloud.vendas.example/"}, "E307"),
        ({"url": "cloud.vendas.example"}, "E307"),
        ({"password": None}, "E304"),
        ({"sign_in": {"provider": "google", "client_id": "x"}}, "E305"),
        ({"every": "often"}, "E202"),
    ],
)
def test_what_cannot_work_is_refused(change: dict[str, object], code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        READ.validate_python(CALDAV | change)
    assert code in {error["type"] for error in caught.value.errors()}


def test_calendars_of_a_mailbox_open_with_its_login(around: Surroundings) -> None:
    settings = Settings.model_validate(
        {
            "company": {"name": "Vendas", "zone": "UTC", "language": "pt"},
            "team": {"ana": {"mail": "ana@vendas.example", "zone": "Europe/Lisbon"}},
            "accounts": {"mail": {"type": "graph", "rep": "ana", "login": "ana@vendas.example", "sign_in": MICROSOFT}},
            "calendars": {"cal": {"type": "graph", "account": "mail", "only": ["Kunden"], "reminders": "Kunden"}},
        }
    )
    found = graph_calendar_settings(Wanted.of("cal", settings, InlineParser(), around))
    assert (found.account, found.login, found.zone) == ("cal", "ana@vendas.example", "Europe/Lisbon")
    assert (found.only, found.reminders, settings.calendar_owner("cal")) == (("Kunden",), "Kunden", "ana")
    (household,) = households(settings, around.base)
    assert household.names == ("mail", "cal")
    assert [scope.rpartition("/")[2] for scope in household.parties[1].scopes] == [
        "Calendars.ReadWrite",
        "Tasks.ReadWrite",
        "User.Read",
    ]
    assert not {"Calendars.ReadWrite", "Tasks.ReadWrite"} & {one.rpartition("/")[2] for one in household.first.scopes}
