"""What a person does to a logged mail in the mailbox: filed, tagged, flagged, unflagged. Found by comparing copies with
what is known of them; what we did ourselves is nobody's gesture. daemon.reactions has the rules run for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from connectors.model import FolderRole, Remark
from daemon.office import Office
from store import gestures, mailbox_marks, sightings
from store.sightings import FLAGGED, Copy, marks_of, names_in
from store.tables import Gesture, MailboxMark, MarkState

FILED, TAGGED, CLEARED, MARKED = "mail filed", "mail tagged", "mail unflagged", "mail flagged"
OURS_FOR = timedelta(minutes=2)
"""So long a look that was made before our own mark may come in behind it."""


@dataclass(slots=True, kw_only=True)
class Gestures:
    """What is to be noted of one batch, inside its transaction. made: folders that appeared while we were watching."""

    session: Session
    office: Office
    account: str
    now: datetime
    made: Collection[str] = ()

    def of_copies(self, read: Sequence[tuple[Copy, FolderRole]], *, backfill: bool) -> None:
        """Compare copies of known mails, before they are noted, with the copies known of this account."""
        if not read:
            return
        known = sightings.of_mails(self.session, {copy.interaction_id for copy, _ in read}, self.account)
        found: list[Gesture] = []
        for copy, role in read:
            before = known.get(copy.interaction_id, [])
            if not before:
                continue  # its first copy in this mailbox: it was delivered here
            there = next((one for one in before if one.folder == copy.folder), None)
            fresh = not backfill or copy.folder in self.made
            if there is None and role is FolderRole.OTHER and fresh:
                found.append(self._gesture(copy, FILED))
            marks = {name for one in before for name in names_in(one.marks)}
            if all(one.marks is not None for one in before):
                found += self._marked(copy, marks, cleared=False)
        self._note(found)

    def of_remarks(self, changed: Sequence[Remark]) -> None:
        """Compare what a source says of copies read before, and note how they are marked now."""
        ids = [one.message_id for one in changed]
        known = sightings.by_message_ids(self.session, self.account, ids)
        found: list[Gesture] = []
        for one in changed:
            marks = marks_of(one.flags, one.categories)
            there = next((copy for copy in known.get(one.message_id, ()) if copy.folder == one.folder), None)
            if there is None or there.marks == marks:
                continue
            copy = there._replace(ref=one.ref, marks=marks)
            if there.marks is not None:
                found += self._marked(copy, set(names_in(there.marks)), cleared=True)
            sightings.remark(self.session, copy, marks)
        self._note(found)

    def _marked(self, copy: Copy, before: set[str], *, cleared: bool) -> Iterator[Gesture]:
        had = {name.casefold() for name in before}
        now = names_in(copy.marks)
        for name in now:
            if name.casefold() not in had:
                yield self._gesture(copy, MARKED if name == FLAGGED else TAGGED, "" if name == FLAGGED else name)
        if cleared and FLAGGED in before and FLAGGED not in now:
            yield self._gesture(copy, CLEARED)

    def _gesture(self, copy: Copy, what: str, name: str = "") -> Gesture:
        return Gesture(
            interaction_id=copy.interaction_id,
            account=self.account,
            folder=copy.folder,
            ref=copy.ref,
            what=what,
            name=name,
            at=self.now,
        )

    def _note(self, found: Iterable[Gesture]) -> None:
        """Write down those that a rule waits for and a person made."""
        waited = {trigger.word for trigger in self.office.rules.triggers}
        wanted = [one for one in found if one.what in waited]
        if not wanted:
            return
        ours: dict[int, list[MailboxMark]] = {}
        for mark in mailbox_marks.of_mails(self.session, {one.interaction_id for one in wanted}):
            ours.setdefault(mark.interaction_id, []).append(mark)
        people = [
            one for one in wanted if not any(self._is_ours(one, mark) for mark in ours.get(one.interaction_id, ()))
        ]
        gestures.note(self.session, people)

    def _is_ours(self, gesture: Gesture, mark: MailboxMark) -> bool:
        """Whether a mark of a rule, under way or just made, explains what was seen."""
        under_way = mark.state == MarkState.PLANNED and mark.attempts > 0
        recent = mark.done_at is not None and self.now - mark.done_at < OURS_FOR
        if mark.account != gesture.account or not (under_way or recent):
            return False
        asked = mailbox_marks.from_data(mark.marks)
        if gesture.what == FILED:
            return bool(asked.move) and _folded(asked.move) == _folded(gesture.folder)
        if gesture.what == TAGGED:
            return gesture.name.casefold() in {name.casefold() for name in asked.add}
        return asked.flag is not None or asked.unflag


def _folded(folder: str) -> str:
    """A folder's name whatever its server puts between the levels and before them."""
    return re.sub(r"[/.\\]", "/", folder.casefold()).removeprefix("inbox/")
