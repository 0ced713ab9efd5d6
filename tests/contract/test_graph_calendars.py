"""The contracts of calendars on a Microsoft Graph whose every answer is checked, and what only that service does."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
from calendar_contract import CalendarContract, CalendarDeskContract
from graph_calendar_world import calendar_settings, graph_office
from graph_world import ANA, Clock
from servers.graph_agenda import Agenda
from servers.graph_ical import as_ical, keep, overwrite, stored_event, stored_task

from connectors.graph.calendar_desk import GraphCalendarDesk
from connectors.graph.calendar_source import GraphCalendarSource


class Hooks:
    """What both suites ask of the service."""

    @pytest.fixture(autouse=True)
    def _service(self) -> Iterator[None]:
        self.clock = Clock()
        with graph_office(self.clock) as self.server:
            self.agenda: Agenda = self.server.agendas[ANA]
            yield

    def put(self, name: str, data: bytes, *, second: bool = False) -> None:
        keep(self.agenda, name, data, "Team" if second else "Calendar")

    def snapshot(self) -> object:
        events = {one.id: copy.deepcopy(one) for one in self.agenda.standing()}
        return events, copy.deepcopy({key: one.tasks for key, one in self.agenda.lists.items()})


class TestGraphCalendarSource(Hooks, CalendarContract):
    def make_source(self) -> GraphCalendarSource:
        return GraphCalendarSource(calendar_settings(self.server, self.clock))

    def remove(self, name: str) -> None:
        self.agenda.remove(self.agenda.id(f"object {name}"))


class TestGraphCalendarDesk(Hooks, CalendarDeskContract):
    def make_desk(self) -> GraphCalendarDesk:
        return GraphCalendarDesk(calendar_settings(self.server, self.clock))

    def stored(self, uid: str) -> bytes | None:
        return as_ical(self.agenda, uid)

    def overwrite(self, uid: str, data: bytes) -> None:
        overwrite(self.agenda, uid, data)

    def delete(self, uid: str) -> None:
        event, task = stored_event(self.agenda, uid), stored_task(self.agenda, uid)
        if event is not None:
            self.agenda.remove(event.id)
        for place in self.agenda.lists.values():
            place.tasks.pop(task["id"] if task else "", None)
