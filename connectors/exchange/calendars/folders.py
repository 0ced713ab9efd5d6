"""The calendars and task lists of a mailbox: its own ones, and those its owner made beside them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connectors.calendar_objects import Folder
from connectors.calendars import ItemKind
from connectors.errors import Misconfigured
from connectors.exchange.calendars.settings import ExchangeCalendarSettings
from connectors.exchange.folders import Directory, distinguished
from connectors.exchange.link import Link
from connectors.exchange.trouble import refusal
from connectors.exchange.words import Element, M, T, child, field, text

__all__ = ["CalendarFolders"]

_CLASSES = {ItemKind.EVENT: "IPF.Appointment", ItemKind.TASK: "IPF.Task"}
_OWN = {ItemKind.EVENT: "calendar", ItemKind.TASK: "tasks"}
_WRITING = ("CreateContents", "Modify", "Delete")


@dataclass(frozen=True, slots=True)
class _Own:
    """The folder a mailbox has by itself. `missing`: the rights to write that the login lacks."""

    folder: Folder
    missing: tuple[str, ...]


class CalendarFolders:
    """Which there are, asked anew every now and then (`folders_every` of the login)."""

    def __init__(
        self, settings: ExchangeCalendarSettings, link: Link, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._link, self._monotonic = settings, link, monotonic
        self.forget()

    def forget(self) -> None:
        """Ask again at the next question."""
        self._directory = Directory(self._link)
        self._listed: dict[ItemKind, list[Folder]] = {}
        self._own: dict[ItemKind, _Own] = {}
        self._listed_at = 0.0

    def every(self, kind: ItemKind) -> list[Folder]:
        """All for items of a kind, the mailbox's own first. Raises ConnectorError."""
        if not self._own or self._monotonic() - self._listed_at >= self._settings.login.folders_every:
            self._find_own()
            self._listed = {one: self._list(one) for one in ItemKind}
            self._listed_at = self._monotonic()
        return self._listed[kind]

    def read(self) -> list[Folder]:
        """The calendars that the settings choose. Raises ConnectorError."""
        only = {name.casefold() for name in self._settings.login.only}
        skip = {name.casefold() for name in self._settings.login.skip}
        return [
            one
            for one in self.every(ItemKind.EVENT)
            if (not only or one.name.casefold() in only) and one.name.casefold() not in skip
        ]

    def home(self, kind: ItemKind) -> Folder:
        """Where our items go: what the settings name, else the mailbox's own. Raises Misconfigured."""
        setting = "tasks" if kind is ItemKind.TASK else "reminders"
        name = self._settings.tasks if kind is ItemKind.TASK else self._settings.reminders
        for one in self.every(kind):
            if not name or one.name.casefold() == name.casefold():
                return one
        what = "task list" if kind is ItemKind.TASK else "calendar"
        message = f"the mailbox has no {what} called {name!r}" if name else f"the mailbox has no {what} that opens"
        raise Misconfigured(
            self._settings.account, message, hint=f"correct {setting}: in calendars:, or make it in Outlook"
        )

    def missing_rights(self, kind: ItemKind) -> Sequence[str]:
        """What this login may not do in the mailbox's own folder. Raises ConnectorError."""
        self.every(kind)
        own = self._own.get(kind)
        return own.missing if own else ()

    def _find_own(self) -> None:
        shape = M.FolderShape(
            T.BaseShape("IdOnly"), T.AdditionalProperties(field("folder:DisplayName"), field("folder:EffectiveRights"))
        )
        ids = M.FolderIds(*(distinguished(self._link, _OWN[kind]) for kind in ItemKind))
        answers = self._link.ask(M.GetFolder(shape, ids))
        calendar = answers[0]
        if not calendar.is_good:
            raise refusal(self._link.settings, calendar.code, calendar.words)
        for kind, answer in zip(ItemKind, answers, strict=False):
            found = next(iter(answer.within("Folders")), None)
            if answer.is_good and found is not None:
                self._own[kind] = _own(found)

    def _list(self, kind: ItemKind) -> list[Folder]:
        """Names as people see them; paths where two have the same. A delegate who may open the calendar alone sees no
        others."""
        own = [self._own[kind].folder] if kind in self._own else []
        try:
            found = self._directory.of_class(_CLASSES[kind])
        except Misconfigured:
            return own
        others = [(one, name) for one, name in found if all(one.key != each.key for each in own)]
        count = Counter([*(each.name for each in own), *(name for _, name in others)])
        return [*own, *(Folder(one.key, name if count[name] == 1 else one.name) for one, name in others)]


def _own(found: Element) -> _Own:
    id, rights = child(found, "FolderId"), child(found, "EffectiveRights")
    missing = [name for name in _WRITING if rights is not None and text(rights, name) == "false"]
    return _Own(Folder(str(id.get("Id", "")) if id is not None else "", text(found, "DisplayName")), tuple(missing))
