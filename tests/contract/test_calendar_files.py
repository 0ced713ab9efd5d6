"""The contracts of calendars on files: a folder with its sub-folders, and one exported file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from calendar_contract import (
    ITEM,
    LATER,
    WINDOW,
    CalendarContract,
    CalendarDeskContract,
    calendar,
    event,
    read_all,
    vevent,
)

from connectors.calendar_files import FileCalendarDesk, FileCalendarSettings, FileCalendarSource
from connectors.calendars import ItemKind
from connectors.errors import Misconfigured, Unavailable
from connectors.parsing import InlineParser


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder, hidden ones too, with its time."""
    found = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


class FolderHooks:
    """What both suites ask of a folder of calendar files."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.root = tmp_path / "Ana"
        self.root.mkdir()
        self.settings = FileCalendarSettings(account="ana", path=self.root, zone="Europe/Lisbon")

    def put(self, name: str, data: bytes, *, second: bool = False) -> None:
        folder = self.root / "Team" if second else self.root
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.ics").write_bytes(data)

    def snapshot(self) -> object:
        return contents(self.root)


class TestFolderSource(FolderHooks, CalendarContract):
    def make_source(self) -> FileCalendarSource:
        return FileCalendarSource(self.settings, InlineParser())

    def remove(self, name: str) -> None:
        (self.root / f"{name}.ics").unlink()

    def test_a_file_with_several_meetings_is_read_by_meeting(self) -> None:
        self.put("export", calendar(vevent("e1"), vevent("e2"), "BEGIN:VEVENT\r\nUID:broken\r\nEND:VEVENT"))
        self.put("single", event("e3"))
        source = self.make_source()
        run = read_all(source)
        assert run.names == ["e1", "e2", "e3"]
        assert len(run.unreadable) == 1
        self.put("export", calendar(vevent("e1"), vevent("e2", "SEQUENCE:1")))
        later = read_all(source, run.cursor)
        assert (later.names, len(later.removed)) == (["e2"], 1)

    @pytest.mark.parametrize("length", [0, 30, 100, 350, 400, 408])
    def test_a_file_that_is_being_written_takes_nothing_away(self, length: int) -> None:
        whole = calendar(vevent("e1"), vevent("e2"), vevent("e3"))
        self.put("all", whole)
        self.put("alone", event("alone"))
        self.put("other", event("other"))
        source = self.make_source()
        run = read_all(source)
        assert run.names == ["alone", "e1", "e2", "e3", "other"]
        self.put("all", whole[:length])
        self.put("alone", event("alone")[: length // 3])
        self.remove("other")
        later = read_all(source, run.cursor)
        assert (later.read, later.removed) == ([], [("Ana", "other.ics")])
        assert {(bad.ref, bad.reason) for bad in later.unreadable} >= {("all.ics", "it ends in the middle")}
        moved = read_all(source, later.cursor, LATER)
        assert (moved.read, moved.removed) == ([], [])
        self.put("all", whole)
        self.put("alone", event("alone"))
        again = read_all(source, moved.cursor, LATER)
        assert again.names == ["alone", "e1", "e2", "e3"]
        assert again.removed == [("Ana", "all.ics")]  # the half file itself, in which no meeting was known
        assert read_all(source, again.cursor, LATER).removed == []

    def test_several_calendars_in_one_file_of_which_the_last_is_cut(self) -> None:
        whole = event("e1") + event("e2")
        self.put("all", whole)
        source = self.make_source()
        run = read_all(source)
        self.put("all", whole[: len(event("e1")) + 40])
        later = read_all(source, run.cursor)
        assert (run.names, later.read, later.removed) == (["e1", "e2"], [], [])

    def test_a_file_that_shrinks_between_two_looks_takes_nothing_away(self) -> None:
        whole = calendar(vevent("e1"), vevent("e2"), vevent("e3"))
        self.put("all", whole)
        source = self.make_source()
        first = source.fetch(None, WINDOW, limit=1)
        self.put("all", whole[:350])
        second = source.fetch(first.cursor, WINDOW, limit=5)
        assert (second.read, second.removed) == ((), ())
        self.put("all", whole)
        assert {*read_all(source, second.cursor).names} >= {"e2", "e3"}

    def test_a_folder_of_another_alphabet_has_a_name_that_can_be_kept(self) -> None:
        folder = Path(os.fsdecode(os.fsencode(self.root) + b"/Caf\xe9"))
        folder.mkdir()
        (folder / "e1.ics").write_bytes(event("e1"))
        run = read_all(self.make_source())
        assert {one.calendar for one in run.events} == {"Caf\\xe9"}
        (folder / "e1.ics").write_bytes(event("e1", "SEQUENCE:1"))
        assert read_all(self.make_source(), run.cursor).names == ["e1"]

    def test_what_is_no_calendar_file_is_passed_over(self) -> None:
        self.put("e1", event("e1"))
        (self.root / ".e1.ics.tmp").write_bytes(event("half"))
        (self.root / ".hidden.ics").write_bytes(event("hidden"))
        (self.root / "notes.txt").write_text("BEGIN:VCALENDAR")
        (self.root / ".git").mkdir()
        assert read_all(self.make_source()).names == ["e1"]
        assert self.make_source().check() == ("reads 1 of 1 calendars: Ana",)

    def test_a_file_that_is_no_calendar_is_named(self) -> None:
        self.put("e1", event("e1"))
        self.put("odd", b"\x00\xff nothing of the kind")
        run = read_all(self.make_source())
        assert run.names == ["e1"]
        assert [bad.ref for bad in run.unreadable] == ["odd.ics"]

    def test_only_the_calendars_that_are_wanted(self) -> None:
        self.put("e1", event("e1"))
        self.put("e2", event("e2"), second=True)
        self.settings = replace(self.settings, only=("team",), skip=("Privat",))
        source = self.make_source()
        assert read_all(source).names == ["e2"]
        assert "no calendar is called 'Privat'" in source.check()

    def test_a_folder_that_is_gone_is_no_empty_calendar(self) -> None:
        self.root.rmdir()
        with pytest.raises(Misconfigured, match="is not a folder"):
            self.make_source().fetch(None, WINDOW, limit=5)


class TestFolderDesk(FolderHooks, CalendarDeskContract):
    def make_desk(self) -> FileCalendarDesk:
        return FileCalendarDesk(self.settings, InlineParser())

    def stored(self, uid: str) -> bytes | None:
        path = self.root / f"{uid}.ics"
        return path.read_bytes() if path.exists() else None

    def overwrite(self, uid: str, data: bytes) -> None:
        (self.root / f"{uid}.ics").write_bytes(data)

    def delete(self, uid: str) -> None:
        (self.root / f"{uid}.ics").unlink()

    def test_a_file_of_somebody_else_under_our_name_is_left_alone(self) -> None:
        self.put(ITEM.uid, event("theirs"))
        before = self.snapshot()
        assert not self.make_desk().put(ITEM).written
        assert self.snapshot() == before

    def test_an_item_that_was_put_into_a_file_with_others_is_left_alone(self) -> None:
        desk = self.make_desk()
        placed = desk.put(ITEM)
        mine = (self.stored(ITEM.uid) or b"").decode()
        inner = mine[mine.index("BEGIN:VEVENT") : mine.index("END:VCALENDAR")].rstrip()
        self.delete(ITEM.uid)
        self.put("everything", calendar(vevent("theirs"), inner))
        before = self.snapshot()
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert found.ref.startswith("everything.ics#")
        assert not desk.put(replace(ITEM, summary="x"), revision=found.revision).written
        assert not desk.remove(found)
        assert not desk.remove(placed)
        assert self.snapshot() == before

    @pytest.mark.parametrize("kind", ["VJOURNAL", "VFREEBUSY", "VAVAILABILITY", "X-NOTE"])
    @pytest.mark.parametrize("uid", ["diary", ""])
    def test_what_else_was_put_into_our_file_is_kept(self, kind: str, uid: str) -> None:
        desk = self.make_desk()
        placed = desk.put(ITEM)
        mine = (self.stored(ITEM.uid) or b"").decode()
        named = f"UID:{uid}\r\n" if uid else ""
        diary = f"BEGIN:{kind}\r\n{named}SUMMARY:My diary\r\nEND:{kind}\r\nEND:VCALENDAR"
        self.overwrite(ITEM.uid, mine.replace("END:VCALENDAR", diary).encode())
        before = self.snapshot()
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert not desk.put(replace(ITEM, summary="x", sequence=1), revision=found.revision).written
        assert not desk.remove(found)
        assert not desk.remove(placed)
        assert self.snapshot() == before

    def test_an_item_of_ours_that_is_half_written_is_not_gone(self) -> None:
        desk = self.make_desk()
        desk.put(ITEM)
        self.overwrite(ITEM.uid, (self.stored(ITEM.uid) or b"")[:-20])
        before = self.snapshot()
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert not found.ours
        assert not desk.remove(found)
        assert self.snapshot() == before

    def test_an_item_is_followed_into_another_calendar(self) -> None:
        self.put("here", event("here"))
        self.put("team", event("team"), second=True)
        desk = self.make_desk()
        desk.put(ITEM)
        (self.root / f"{ITEM.uid}.ics").rename(self.root / "Team" / "renamed.ics")
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert (found.calendar, found.ref, found.ours) == ("Team", "renamed.ics", True)
        assert desk.put(replace(ITEM, summary="x", sequence=1), revision=found.revision).written
        assert not (self.root / f"{ITEM.uid}.ics").exists()

    def test_items_go_where_the_settings_say(self) -> None:
        self.put("team", event("team"), second=True)
        self.settings = replace(self.settings, reminders="team", tasks="Aufgaben")
        desk = self.make_desk()
        assert desk.put(ITEM).calendar == "Team"
        with pytest.raises(Misconfigured, match="Aufgaben") as caught:
            desk.put(replace(ITEM, uid="quietcrm-t", kind=ItemKind.TASK))
        assert str(self.root / "Aufgaben") in caught.value.hint


class TestExport(CalendarContract):
    """One file with everything in it, as a calendar program exports it."""

    second = ""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "Ana.ics"
        self.inside: dict[str, str] = {}
        self._export()

    def _export(self) -> None:
        self.path.write_bytes(calendar(*self.inside.values()))

    def make_source(self) -> FileCalendarSource:
        settings = FileCalendarSettings(account="ana", path=self.path, single=True, zone="Europe/Lisbon")
        return FileCalendarSource(settings, InlineParser())

    def put(self, name: str, data: bytes, *, second: bool = False) -> None:
        text = data.decode()
        self.inside[name] = text[text.index("BEGIN:VEVENT") : text.index("END:VCALENDAR")].rstrip()
        self._export()

    def remove(self, name: str) -> None:
        del self.inside[name]
        self._export()

    def snapshot(self) -> object:
        return contents(self.path.parent)

    @pytest.mark.parametrize("length", [0, 30, 400])
    def test_a_file_that_is_being_written_takes_nothing_away(self, length: int) -> None:
        self.fill(9)
        source = self.make_source()
        run = read_all(source)
        whole = self.path.read_bytes()
        self.path.write_bytes(whole[:length])
        with pytest.raises(Unavailable, match="ends in the middle"):
            source.fetch(run.cursor, WINDOW, limit=5)
        self.path.write_bytes(whole)
        assert read_all(source, run.cursor).read == []

    def test_a_file_that_is_not_there_is_trouble(self) -> None:
        self.path.unlink()
        with pytest.raises(Unavailable, match="it is not there") as caught:
            self.make_source().fetch(None, WINDOW, limit=5)
        assert "export the calendar again" in caught.value.hint

    def test_nothing_is_laid_into_an_export(self) -> None:
        before = self.snapshot()
        desk = FileCalendarDesk(FileCalendarSettings(account="ana", path=self.path, single=True), InlineParser())
        assert desk.check() == ("an export is only read: reminders come as mail",)
        with pytest.raises(Misconfigured, match="reminders are not laid there"):
            desk.put(ITEM)
        assert self.snapshot() == before
