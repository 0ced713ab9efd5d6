"""Marks in mailboxes and what is known of copies, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from store_samples import NOW

from connectors.model import Marks, Message
from store import changes, interactions, mailbox_marks, schema, sightings
from store.engine import Store, open_store
from store.errors import Conflict
from store.identity import identity
from store.interactions import NewInteraction
from store.sightings import Copy, marks_of
from store.tables import MailboxMark, MarkState

Make = Callable[..., Message]
LEAD = Marks(add=("CRM: lead",))


def log_mail(session: Session, message: Message) -> int:
    row = NewInteraction(message=message, identity=identity(message), kind="human", direction="in", created_at=NOW)
    return interactions.record(session, [row])[0]


def mark(number: int, slot: str = "move", marks: Marks | None = None, **stated: object) -> MailboxMark:
    values = {"event": "e1", "rule": "r", "account": "rep1", "folder": "INBOX", "ref": "1:1", "created_at": NOW}
    asked = mailbox_marks.as_data(marks or Marks(move="CRM"))
    return MailboxMark(**{**values, **stated}, slot=slot, interaction_id=number, marks=asked)  # type: ignore[arg-type]


def test_a_mark_is_planned_once_and_moves_come_last(store: Store, mail: Make) -> None:
    with store.writing() as session:
        number = log_mail(session, mail())
        first = mailbox_marks.plan(session, mark(number))
        assert first
        assert mailbox_marks.plan(session, mark(number)) is None
        mailbox_marks.plan(session, mark(number, "category:x", LEAD))
        mailbox_marks.plan(session, mark(number, "flag", Marks(flag=date(2026, 12, 1)), account="rep2"))
        due = mailbox_marks.due(session, NOW, 10)
        assert [row.slot for row in due] == ["category:x", "flag", "move"]
        assert [row.slot for row in mailbox_marks.due(session, NOW, 10, not_in=["rep2"])] == ["category:x", "move"]
        assert mailbox_marks.begin(session, first, NOW + timedelta(hours=1))
        assert "move" not in [row.slot for row in mailbox_marks.due(session, NOW, 10)]
        mailbox_marks.settle(session, first, MarkState.IMPOSSIBLE, NOW, reason="no")
        assert not mailbox_marks.begin(session, first, NOW)
        assert mailbox_marks.impossible_since(session, NOW) == [("rep1", "no", 1)]
        assert mailbox_marks.counts(session) == {"planned": 2, "impossible": 1}


@pytest.mark.parametrize(
    "marks",
    [LEAD, Marks(remove=("x", "y")), Marks(flag=date(2026, 12, 1)), Marks(unflag=True), Marks(move="A/Ё"), Marks()],
)
def test_marks_come_back_from_plain_data(marks: Marks) -> None:
    assert mailbox_marks.from_data(mailbox_marks.as_data(marks)) == marks


def take_back(store: Store, did: Marks, before: str, *, folder: str = "INBOX", lies: str = "INBOX") -> Marks | None:
    """The opposite that is planned for what was done, None if nothing is."""
    with store.writing() as session:
        message = Message(account="rep1", folder=lies, ref="1:9", message_id="a@b.example", sent_at=NOW,
                          received_at=NOW, sender=None)  # fmt: skip
        number = log_mail(session, message)
        row = mailbox_marks.plan(session, mark(number, "s", did))
        assert row
        was = {"marks": before, "folder": "INBOX"}
        mailbox_marks.settle(session, row, MarkState.DONE, NOW, before=was, folder=folder)
        note = changes.note(
            session, at=NOW, actor="rule r", what="marked", row=("mailbox_mark", row), before={}, after={"slot": "s"}
        )
        changes.undo(session, note, NOW)
        planned = mailbox_marks.due(session, NOW, 10)
    return mailbox_marks.from_data(planned[0].marks) if planned else None


@pytest.mark.parametrize(
    ("did", "before", "opposite"),
    [
        (LEAD, "", Marks(remove=("CRM: lead",))),
        (LEAD, "crm: lead", None),
        (Marks(remove=("CRM: lead",)), "CRM: LEAD\nother", Marks(add=("CRM: lead",))),
        (Marks(remove=("CRM: lead",)), "other", None),
        (Marks(flag=date(2026, 12, 1)), "", Marks(unflag=True)),
        (Marks(flag=date(2026, 12, 1)), "\\Flagged", None),
    ],
)
def test_the_opposite_leaves_what_was_there_before(
    store: Store, did: Marks, before: str, opposite: Marks | None
) -> None:
    assert take_back(store, did, before) == opposite


def test_a_move_goes_back_unless_somebody_filed_the_mail(store: Store) -> None:
    assert take_back(store, Marks(move="CRM"), "", folder="CRM", lies="CRM") == Marks(move="INBOX")


def test_a_mail_that_lies_elsewhere_stays(store: Store) -> None:
    with pytest.raises(Conflict, match="filed"):
        take_back(store, Marks(move="CRM"), "", folder="CRM", lies="Elsewhere")


def test_a_mark_that_is_under_way_cannot_be_cancelled(store: Store, mail: Make) -> None:
    with store.writing() as session:
        number = log_mail(session, mail())
        row = mailbox_marks.plan(session, mark(number))
        assert row
        mailbox_marks.begin(session, row, NOW)
        with pytest.raises(Conflict, match="minute"):
            mailbox_marks.take_back(session, row, 1, NOW)


def test_what_is_known_of_copies(store: Store, mail: Make) -> None:
    message = mail(flags=("\\Seen", "\\FLAGGED"), categories=("b", "a  c", "b"))
    with store.writing() as session:
        number = log_mail(session, message)
        ((copy,),) = sightings.of_mails(session, [number], "rep1").values()
        assert copy.marks == marks_of(["\\flagged"], ["a c", "b"]) == "\\Flagged\na c\nb"
        assert sightings.names_in(copy.marks) == ("\\Flagged", "a c", "b")
        assert sightings.by_message_ids(session, "rep1", [message.message_id, ""]) == {message.message_id: [copy]}
        assert sightings.by_message_ids(session, "rep2", [message.message_id]) == {}
        sightings.remark(session, copy, "")
        new = copy._replace(folder="CRM", ref="2:1", marks="x")
        sightings.moved(session, copy, new)
        assert sightings.of_mails(session, [number], "rep1") == {number: [new]}
        unknown = Copy(number, "rep1", "Old", "1", NOW)
        sightings.add_sightings(session, [unknown])
        assert sightings.of_mails(session, [number], "rep1") == {number: [new, unknown]}


def test_a_store_of_the_first_release_is_upgraded_with_its_rows(database_url: str, tmp_path: Path) -> None:
    store = open_store(database_url, base=tmp_path)
    schema.migrate(store, "0001")
    at: object = "2026-01-01 00:00:00.000000" if store.dialect == "sqlite" else NOW
    with store.writing() as session:
        session.execute(
            text(
                "INSERT INTO interaction (id, identity, content_key, channel, kind, direction, at, message_id, thread, "
                "subject, text, sender, sender_name, attachments, headers, size, rep, logged_by, degraded, backfill, "
                "created_at) VALUES (1, 'i', 'c', 'mail', 'human', 'in', :at, '', '', '', '', '', '', '[]', '[]', 1, "
                "'', '', '', :no, :at)"
            ),
            {"at": at, "no": False},
        )
        session.execute(
            text("INSERT INTO sighting VALUES (1, 'rep1', 'INBOX', '1:1', :at)"),
            {"at": at},
        )
    schema.migrate(store, schema.HEAD)
    with store.session() as session:
        ((copy,),) = sightings.of_mails(session, [1], "rep1").values()
    assert copy.marks is None
    assert schema.check(store) == []
    store.close()
