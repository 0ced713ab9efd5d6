"""The folders of a mailbox: which there are, what they are for, and which of them have changed.

What a folder is for comes from the server, whatever language its name is in. Whether something in it changed since the
last look is told by one property of the folder (PidTagLocalCommitTimeMax, MS-OXCFOLD 2.2.2.2.1.14), asked for all
folders in one request; a server that does not give it has every folder asked for its changes instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from connectors.errors import Misconfigured
from connectors.exchange.link import Answer, Link
from connectors.exchange.trouble import refusal
from connectors.exchange.words import Element, M, T, child, field, folder_ids, number, properties, property_tag, text
from connectors.folders import Folder, Purpose, give_purposes

__all__ = ["Directory", "Glance", "distinguished"]

_PURPOSES = {
    "inbox": Purpose.INBOX,
    "sentitems": Purpose.SENT,
    "drafts": Purpose.DRAFTS,
    "deleteditems": Purpose.TRASH,
    "junkemail": Purpose.JUNK,
    "outbox": Purpose.VIEW,
    "syncissues": Purpose.VIEW,
    "conversationhistory": Purpose.VIEW,
}
_WITH_ALL_BELOW = frozenset({Purpose.TRASH, Purpose.JUNK, Purpose.DRAFTS, Purpose.VIEW})
_ROOT = "msgfolderroot"
_COMMITTED = 0x670A
_AT_ONCE = 100
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Glance:
    """A folder at a glance: how many items, and when something in it changed last ("" = not told)."""

    total: int
    changed: str


@dataclass(slots=True)
class _Node:
    """A folder as SyncFolderHierarchy gives it."""

    parent: str
    name: str
    kind: str


def distinguished(link: Link, name: str) -> Element:
    """A folder by its role. A mailbox that is not the login's own has to be named."""
    found = T.DistinguishedFolderId(Id=name)
    if link.settings.access == "delegate":
        found.append(T.Mailbox(T.EmailAddress(link.settings.mailbox)))
    return found


class Directory:
    """All folders of a mailbox, kept up to date by SyncFolderHierarchy. A new one asks for everything."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._state = ""
        self._root = ""
        self._nodes: dict[str, _Node] = {}
        self._purposes: dict[str, Purpose] = {}

    def refresh(self) -> list[Folder]:
        """All folders of mail, with names as paths: "Clients/Acme". Raises ConnectorError."""
        self._update()
        listed = [self._folder(key) for key, node in self._nodes.items() if self._is_mail(key, node)]
        return [replace(one, purpose=self._purpose(one)) for one in give_purposes(listed)]

    def of_class(self, folder_class: str) -> list[tuple[Folder, str]]:
        """Folders of another class ("IPF.Appointment"), with their own names, without what was thrown away. Raises
        ConnectorError."""
        self._update()
        listed = [(self._folder(key), node.name) for key, node in self._nodes.items() if _is_of(node, folder_class)]
        return [(one, name) for one, name in listed if self._purpose(one) not in _WITH_ALL_BELOW]

    def _update(self) -> None:
        if not self._root:
            self._find_roles()
        while not self._sync():
            pass

    def _purpose(self, folder: Folder) -> Purpose:
        """What the server says; for others what the name says, as far as there may be several of the kind. A folder
        that was thrown away lies below Deleted Items."""
        if folder.key in self._purposes:
            return self._purposes[folder.key]
        above = (self._purposes.get(key) for key in self._ancestors(folder.key))
        if inherited := next((purpose for purpose in above if purpose in _WITH_ALL_BELOW), None):
            return inherited
        return folder.purpose if folder.purpose in (Purpose.SENT, Purpose.TRASH, Purpose.JUNK) else Purpose.PLAIN

    def _ancestors(self, key: str) -> list[str]:
        found: list[str] = []
        above = self._nodes[key].parent
        while above in self._nodes and len(found) < _DEEPEST:
            found.append(above)
            above = self._nodes[above].parent
        return found

    def _find_roles(self) -> None:
        names = [_ROOT, *_PURPOSES]
        ids = M.FolderIds(*(distinguished(self._link, name) for name in names))
        answers = self._link.ask(M.GetFolder(M.FolderShape(T.BaseShape("IdOnly")), ids))
        if not answers[0].is_good:
            raise refusal(self._link.settings, answers[0].code, answers[0].words)
        for name, answer in zip(names, answers, strict=False):
            folder = next(iter(answer.within("Folders")), None)
            key = _key(folder)
            if name == _ROOT:
                self._root = key
            elif key:
                self._purposes[key] = _PURPOSES[name]

    def _sync(self) -> bool:
        """One page; True after the last."""
        shape = M.FolderShape(
            T.BaseShape("IdOnly"),
            T.AdditionalProperties(
                field("folder:ParentFolderId"), field("folder:DisplayName"), field("folder:FolderClass")
            ),
        )
        request = M.SyncFolderHierarchy(shape, folder_ids("SyncFolderId", [self._root]))
        if self._state:
            request.append(M.SyncState(self._state))
        (answer,) = self._link.ask(request)
        if not answer.is_good:
            if not self._state:
                raise refusal(self._link.settings, answer.code, answer.words)
            self._state = ""  # the list is taken anew
            self._nodes.clear()
            return False
        for change in answer.within("Changes"):
            self._apply(change)
        self._state = answer.text("SyncState")
        return answer.text("IncludesLastFolderInRange") != "false"

    def _apply(self, change: Element) -> None:
        folder = next(iter(change), None)
        if change.tag.endswith("}Delete"):
            self._nodes.pop(folder.get("Id", "") if folder is not None else "", None)
        elif folder is not None and (key := _key(folder)):
            kind = "" if folder.tag.endswith("}SearchFolder") else text(folder, "FolderClass") or "IPF.Note"
            self._nodes[key] = _Node(_key(folder, "ParentFolderId"), text(folder, "DisplayName"), kind)

    def _is_mail(self, key: str, node: _Node) -> bool:
        return key in self._purposes or node.kind.upper().startswith("IPF.NOTE") or node.kind.upper() == "IPF"

    def _folder(self, key: str) -> Folder:
        names = [self._name(one) for one in (key, *self._ancestors(key))]
        return Folder(key=key, name="/".join(reversed(names)), delimiter="/")

    def _name(self, key: str) -> str:
        """The Inbox is INBOX here as on every server, whatever its name in the language of the mailbox."""
        return "INBOX" if self._purposes.get(key) is Purpose.INBOX else self._nodes[key].name

    def glance(self, keys: Sequence[str]) -> dict[str, Glance]:
        """Every one of these folders that is still there, at a glance."""
        found: dict[str, Glance] = {}
        for start in range(0, len(keys), _AT_ONCE):
            chunk = keys[start : start + _AT_ONCE]
            shape = M.FolderShape(
                T.BaseShape("IdOnly"),
                T.AdditionalProperties(field("folder:TotalCount"), property_tag(_COMMITTED, "SystemTime")),
            )
            answers = self._link.ask(M.GetFolder(shape, folder_ids("FolderIds", chunk)))
            found |= {key: one for key, answer in zip(chunk, answers, strict=False) if (one := _glanced(answer))}
        return found

    def make(self, path: str) -> Folder:
        """The folder at a path ("CRM/Pedidos"), made where it is missing. Raises ConnectorError."""
        parent, at = self._root, ""
        folders = {folder.name.casefold(): folder for folder in self.refresh()}
        for name in filter(None, (part.strip() for part in path.split("/"))):
            at = f"{at}/{name}" if at else name
            if at.casefold() not in folders:
                self._create(parent, name)
                folders = {folder.name.casefold(): folder for folder in self.refresh()}
            if at.casefold() not in folders:
                raise Misconfigured(
                    self._link.settings.account, f"the folder {at} holds no mail", hint="use another name in the rule"
                )
            parent = folders[at.casefold()].key
        return folders[at.casefold()]

    def _create(self, parent: str, name: str) -> None:
        made = T.Folder(T.FolderClass("IPF.Note"), T.DisplayName(name))
        (answer,) = self._link.ask(M.CreateFolder(folder_ids("ParentFolderId", [parent]), M.Folders(made)))
        if not answer.is_good and answer.code != "ErrorFolderExists":
            raise refusal(self._link.settings, answer.code, answer.words)


def _is_of(node: _Node, folder_class: str) -> bool:
    kind, wanted = node.kind.upper(), folder_class.upper()
    return kind == wanted or kind.startswith(f"{wanted}.")


def _glanced(answer: Answer) -> Glance | None:
    folder = next(iter(answer.within("Folders")), None)
    if folder is None:
        return None
    told = dict(properties(folder))
    return Glance(max(0, number(folder, "TotalCount")), told.get(f"0x{_COMMITTED:04x}", ""))


def _key(folder: Element | None, name: str = "FolderId") -> str:
    found = child(folder, name) if folder is not None else None
    return str(found.get("Id", "")) if found is not None else ""
