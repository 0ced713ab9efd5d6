"""What sources promise that tell how mails are marked now (`Batch.changed`)."""

from __future__ import annotations

import pytest
from plain_parser import PlainParser
from source_contract import SourceContract, mail, read_all

from connectors.model import Cursor, Remark
from connectors.protocols import Source


class ChangeContract:
    """`hooks` makes sources and mails; `mark` is one more hook."""

    keeps_categories = True
    hooks: SourceContract

    @pytest.fixture
    def parser(self) -> PlainParser:
        return PlainParser()

    def mark(self, number: int, *, flag: bool | None = None, seen: bool = False, category: str = "") -> None:
        """Another client sets or takes away the flag of the Inbox's mail with this number, reads it, or adds a
        category."""
        raise NotImplementedError

    def changes(self, source: Source, cursor: Cursor) -> tuple[list[Remark], Cursor]:
        source.close()  # so that a source that looks at intervals looks at once
        run = read_all(source, cursor)
        return [one for batch in run.batches for one in batch.changed], run.cursor

    def started(self, parser: PlainParser) -> tuple[Source, Cursor]:
        self.hooks.fill(3)
        source = self.hooks.make_source(parser)
        cursor = read_all(source).cursor
        _, cursor = self.changes(source, cursor)
        return source, cursor

    def test_a_flag_set_later_is_told(self, parser: PlainParser) -> None:
        source, cursor = self.started(parser)
        self.mark(2, flag=True)
        found, cursor = self.changes(source, cursor)
        (one,) = [one for one in found if "\\Flagged" in one.flags]
        assert one.message_id == "m2@acme.example"
        assert one.folder == "INBOX"
        assert one.ref
        self.mark(2, flag=False)
        found, cursor = self.changes(source, cursor)
        assert [("\\Flagged" in one.flags, one.message_id) for one in found] == [(False, "m2@acme.example")]
        assert self.changes(source, cursor)[0] == []
        source.close()

    def test_a_category_set_later_is_told(self, parser: PlainParser) -> None:
        source, cursor = self.started(parser)
        self.mark(1, category="CRM: reclamação")
        found, _ = self.changes(source, cursor)
        if self.keeps_categories:
            assert [(one.message_id, one.categories) for one in found] == [("m1@acme.example", ("CRM: reclamação",))]
        source.close()

    def test_what_was_marked_while_nobody_looked_is_told(self, parser: PlainParser) -> None:
        source, cursor = self.started(parser)
        source.close()
        self.mark(3, flag=True)
        other = self.hooks.make_source(parser)
        found, _ = self.changes(other, cursor)
        assert "m3@acme.example" in [one.message_id for one in found if "\\Flagged" in one.flags]
        other.close()

    def test_a_mail_that_is_only_read_is_no_flag(self, parser: PlainParser) -> None:
        source, cursor = self.started(parser)
        self.mark(2, seen=True)
        found, _ = self.changes(source, cursor)
        assert not [one for one in found if "\\Flagged" in one.flags or one.categories]
        source.close()

    def test_a_mail_that_is_new_comes_as_it_is(self, parser: PlainParser) -> None:
        source, cursor = self.started(parser)
        self.hooks.add_mail(mail("new"))
        source.close()
        run = read_all(source, cursor)
        assert run.ids == ["mnew"]
        assert [one for batch in run.batches for one in batch.changed if one.message_id == "mnew@acme.example"] == []
        source.close()
