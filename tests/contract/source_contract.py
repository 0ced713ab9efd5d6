"""What every source promises. Subclass `SourceContract`, fill in the hooks, name the class Test...; see CONTRIBUTING.

`BreakableContract` goes with it where one mail can be made unreadable while the others stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from plain_parser import PlainParser

from connectors.errors import CursorExpired
from connectors.model import Batch, Cursor, FolderRole, Message
from connectors.protocols import JunkReader, Rereader, Source

FIRST = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def mail(number: int | str, text: str = "hello") -> bytes:
    """A small mail whose Message-ID is m{number}@acme.example."""
    return (
        f"Message-ID: <m{number}@acme.example>\r\nFrom: ivan@acme.example\r\nTo: ana@vendas.example\r\n"
        f"Subject: mail {number}\r\nDate: Thu, 1 Jan 2026 12:00:00 +0000\r\n\r\n{text} {number}\r\n"
    ).encode()


@dataclass
class Run:
    """All batches from a cursor on, until the source says there is no more."""

    batches: list[Batch] = field(default_factory=list)

    @property
    def items(self) -> list[Message]:
        return [item for batch in self.batches for item in batch.items]

    @property
    def ids(self) -> list[str]:
        return [item.message_id.partition("@")[0] for item in self.items]

    @property
    def cursor(self) -> Cursor:
        return self.batches[-1].cursor


def read_all(source: Source, cursor: Cursor | None = None, *, limit: int = 100) -> Run:
    run = Run()
    for _ in range(500):
        batch = source.fetch(cursor, limit=limit)
        run.batches.append(batch)
        cursor = batch.cursor
        if not batch.more:
            return run
    raise AssertionError("the source never ends")


class SourceContract:
    """The suite. Hooks: make_source, add_mail, snapshot; `sent` is the name of a folder of sent mail or ""."""

    sent = "Sent"
    junk = "Junk"
    other = "Projects"

    @pytest.fixture
    def parser(self) -> PlainParser:
        return PlainParser()

    def make_source(
        self, parser: PlainParser, *, since: date | None = None, only: Sequence[str] = (), skip: Sequence[str] = ()
    ) -> Source:
        """A source on the mailbox under test."""
        raise NotImplementedError

    def add_mail(self, raw: bytes, *, folder: str = "INBOX", at: datetime = FIRST) -> None:
        """Let a mail arrive at `at` in a folder, made if need be."""
        raise NotImplementedError

    def snapshot(self) -> object:
        """The mailbox with all flags, byte for byte; equal before and after any reading."""
        raise NotImplementedError

    def fill(self, count: int, *, folder: str = "INBOX", first: int = 1) -> None:
        for number in range(first, first + count):
            self.add_mail(mail(number), folder=folder, at=FIRST + timedelta(hours=number))

    # -- the promises

    def test_an_empty_mailbox_is_no_trouble(self, parser: PlainParser) -> None:
        self.add_mail(mail(0))
        source = self.make_source(parser, since=date(2027, 1, 1))
        run = read_all(source)
        assert run.ids == []
        assert read_all(source, run.cursor).ids == []
        source.close()

    def test_everything_is_read_once_newest_first(self, parser: PlainParser) -> None:
        self.fill(10)
        source = self.make_source(parser)
        run = read_all(source, limit=3)
        assert run.ids == [f"m{number}" for number in range(10, 0, -1)]
        assert all(len(batch.items) <= 3 for batch in run.batches)
        assert all(batch.backfill for batch in run.batches if batch.items)
        assert len({(item.folder, item.ref) for item in run.items}) == 10
        assert run.batches[-1].progress.done == run.batches[-1].progress.total == 10
        assert read_all(source, run.cursor).ids == []
        source.close()

    def test_the_same_cursor_gives_the_same_items(self, parser: PlainParser) -> None:
        self.fill(7)
        source = self.make_source(parser)
        first = source.fetch(None, limit=3)
        assert source.fetch(None, limit=3) == first
        second = source.fetch(first.cursor, limit=3)
        assert second == source.fetch(first.cursor, limit=3)
        other = self.make_source(parser)
        assert other.fetch(first.cursor, limit=3) == second
        source.close()
        other.close()

    def test_new_mail_is_live_and_old_mail_is_not(self, parser: PlainParser) -> None:
        self.fill(2)
        source = self.make_source(parser)
        run = read_all(source)
        self.add_mail(mail("new"), at=FIRST + timedelta(days=30))
        source.close()  # so that a source that looks at intervals looks at once
        later = read_all(source, run.cursor)
        assert later.ids == ["mnew"]
        assert not later.batches[0].backfill
        source.close()

    def test_new_mail_does_not_wait_behind_old(self, parser: PlainParser) -> None:
        self.fill(9)
        source = self.make_source(parser)
        first = source.fetch(None, limit=2)
        self.add_mail(mail("new"), at=FIRST + timedelta(days=30))
        second = source.fetch(first.cursor, limit=2)
        assert [item.message_id for item in second.items] == ["mnew@acme.example"]
        assert not second.backfill
        assert second.more
        rest = read_all(source, second.cursor, limit=2)
        assert sorted([*[i.message_id.partition("@")[0] for i in first.items], *rest.ids]) == [
            f"m{n}" for n in range(1, 10)
        ]
        source.close()

    def test_old_mail_laid_in_later_is_found(self, parser: PlainParser) -> None:
        self.fill(3, first=10)
        source = self.make_source(parser)
        run = read_all(source)
        self.add_mail(mail("old"), at=FIRST - timedelta(days=400))
        source.close()
        assert read_all(source, run.cursor).ids == ["mold"]
        source.close()

    def test_a_new_process_goes_on_where_the_old_one_stopped(self, parser: PlainParser) -> None:
        self.fill(8)
        ids: list[str] = []
        cursor: Cursor | None = None
        for _ in range(20):
            source = self.make_source(parser)
            batch = source.fetch(cursor, limit=3)
            source.close()
            ids += [item.message_id.partition("@")[0] for item in batch.items]
            cursor = batch.cursor
            if not batch.more:
                break
        assert ids == [f"m{number}" for number in range(8, 0, -1)]

    def test_reading_changes_nothing(self, parser: PlainParser) -> None:
        self.fill(5)
        before = self.snapshot()
        source = self.make_source(parser)
        source.check()
        read_all(source, limit=2)
        source.close()
        assert self.snapshot() == before

    def test_since_is_kept(self, parser: PlainParser) -> None:
        self.add_mail(mail("before"), at=datetime(2026, 2, 9, 23, 0, tzinfo=UTC))
        self.add_mail(mail("after"), at=datetime(2026, 2, 10, 1, 0, tzinfo=UTC))
        source = self.make_source(parser, since=date(2026, 2, 10))
        assert read_all(source).ids == ["mafter"]
        source.close()

    def test_folders_have_roles_and_all_are_read(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        self.add_mail(mail(2), folder=self.sent)
        self.add_mail(mail(3), folder=self.other)
        source = self.make_source(parser)
        run = read_all(source)
        roles = {item.message_id[:2]: item.folder_role for item in run.items}
        assert roles == {"m1": FolderRole.INBOX, "m2": FolderRole.SENT, "m3": FolderRole.OTHER}
        assert {item.folder for item in run.items} <= set(run.batches[-1].folders)
        source.close()

    def test_folders_only_and_not(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        self.add_mail(mail(2), folder=self.sent)
        self.add_mail(mail(3), folder=self.other)
        only = self.make_source(parser, only=[self.other.upper()])
        assert read_all(only).ids == ["m3"]
        only.close()
        skip = self.make_source(parser, skip=[self.other])
        assert sorted(read_all(skip).ids) == ["m1", "m2"]
        skip.close()

    def test_a_folder_that_appears_is_read_as_old(self, parser: PlainParser) -> None:
        self.fill(2)
        source = self.make_source(parser)
        run = read_all(source)
        self.add_mail(mail("x"), folder=self.other)
        source.close()
        later = read_all(source, run.cursor)
        assert later.ids == ["mx"]
        assert all(batch.backfill for batch in later.batches if batch.items)
        source.close()

    def test_drafts_are_not_read(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        self.add_mail(mail(2), folder="Drafts")
        source = self.make_source(parser)
        assert read_all(source).ids == ["m1"]
        source.close()

    @pytest.mark.parametrize(
        "cursor", ["", "{}", "null", '{"v":99,"kind":"imap","folders":{}}', "[1,2]", "\x00", "9" * 5000]
    )
    def test_a_foreign_cursor_has_expired(self, parser: PlainParser, cursor: str) -> None:
        self.add_mail(mail(1))
        source = self.make_source(parser)
        with pytest.raises(CursorExpired) as caught:
            source.fetch(Cursor(cursor), limit=5)
        assert caught.value.hint
        source.close()

    def test_single_mails_are_read_again(self, parser: PlainParser) -> None:
        self.fill(6)
        self.add_mail(mail("s"), folder=self.sent)
        source = self.make_source(parser)
        run = read_all(source)
        wanted = [item for item in run.items if item.message_id[:2] in ("m2", "m5", "ms")]
        places = [(item.folder, item.ref) for item in wanted]
        other = self.make_source(parser, since=date(2027, 1, 1))
        assert isinstance(other, Rereader)
        again = other.reread([*places, ("INBOX", "1:999999"), ("INBOX", "no ref"), ("No such folder", "1:1")])
        assert sorted(item.message_id for item in again if isinstance(item, Message)) == sorted(
            item.message_id for item in wanted
        )
        assert {(item.folder, item.ref) for item in again} == set(places)
        assert read_all(source, run.cursor).ids == []
        source.close()
        other.close()

    def read_junk(self, parser: PlainParser, since: datetime) -> tuple[Message, ...]:
        source = self.make_source(parser)
        assert isinstance(source, JunkReader)
        try:
            return source.read_junk(since)
        finally:
            source.close()

    def test_a_look_into_junk_by_header_alone(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        for number, hours in (("old", -1), ("second", 1), ("third", 2), ("first", 0)):
            self.add_mail(mail(number), folder=self.junk, at=FIRST + timedelta(hours=hours))
        before = self.snapshot()
        found = self.read_junk(parser, FIRST)
        assert [item.message_id for item in found] == [f"m{name}@acme.example" for name in ("third", "second", "first")]
        assert {item.folder for item in found} == {self.junk}
        assert {(item.text, item.quoted) for item in found} == {("", "")}
        assert [item.received_at for item in found] == [FIRST + timedelta(hours=hours) for hours in (2, 1, 0)]
        assert found[0].sender is not None
        assert (found[0].sender.email, found[0].subject) == ("ivan@acme.example", "mail third")
        assert all(raw.header and not raw.whole and not raw.parts for raw in parser.seen)
        assert self.snapshot() == before

    def test_junk_is_never_part_of_what_is_read(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        self.add_mail(mail("junk"), folder=self.junk)
        source = self.make_source(parser)
        assert isinstance(source, JunkReader)
        run = read_all(source)
        assert [item.message_id for item in source.read_junk(FIRST)] == ["mjunk@acme.example"]
        self.add_mail(mail(2), at=FIRST + timedelta(days=1))
        source.close()
        assert [*run.ids, *read_all(source, run.cursor).ids] == ["m1", "m2"]
        source.close()

    def test_a_look_into_an_empty_or_missing_junk(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        assert self.read_junk(parser, FIRST) == ()
        self.add_mail(mail("old"), folder=self.junk, at=FIRST - timedelta(days=40))
        assert self.read_junk(parser, FIRST) == ()

    def test_at_most_500_of_junk_are_read(self, parser: PlainParser) -> None:
        for number in range(503):
            self.add_mail(mail(number), folder=self.junk, at=FIRST + timedelta(seconds=number))
        found = self.read_junk(parser, FIRST)
        assert [item.message_id for item in found] == [f"m{number}@acme.example" for number in range(502, 2, -1)]

    def test_check_says_what_is_read(self, parser: PlainParser) -> None:
        self.fill(3)
        source = self.make_source(parser, skip=["No such folder"])
        findings = source.check()
        assert "3 messages" in findings[0]
        assert any("No such folder" in finding for finding in findings)
        source.close()

    def test_closing_twice_is_fine(self, parser: PlainParser) -> None:
        self.fill(1)
        source = self.make_source(parser)
        source.fetch(None, limit=1)
        source.close()
        source.close()
        assert read_all(source).ids == ["m1"]
        source.close()


class BreakableContract(SourceContract):
    """With one more hook: `break_mail` makes the newest mail of the Inbox unreadable while it stays listed."""

    def break_mail(self, number: int) -> None:
        """Make the mail with this number unreadable."""
        raise NotImplementedError

    def test_an_unreadable_mail_does_not_stop_the_others(self, parser: PlainParser) -> None:
        self.fill(9)
        for number in (2, 5, 9):
            self.break_mail(number)
        source = self.make_source(parser)
        run = read_all(source, limit=4)
        broken = [bad for batch in run.batches for bad in batch.unreadable]
        assert sorted(run.ids) == ["m1", "m3", "m4", "m6", "m7", "m8"]
        assert len(broken) == 3
        assert {bad.stage for bad in broken} == {"fetch"}
        assert all(bad.reason and bad.account == source.account for bad in broken)
        assert read_all(source, run.cursor).ids == []
        source.close()

    def test_an_unreadable_new_mail_does_not_stop_the_others(self, parser: PlainParser) -> None:
        self.fill(1)
        source = self.make_source(parser)
        run = read_all(source)
        self.fill(3, first=20)
        self.break_mail(21)
        source.close()
        later = read_all(source, run.cursor)
        assert later.ids == ["m20", "m22"]
        assert sum(len(batch.unreadable) for batch in later.batches) == 1
        source.close()
