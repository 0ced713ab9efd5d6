"""What mail folders are for: their roles, their names in six languages, and which of them are read.

Decision: every selectable folder is read except Drafts, Trash, Junk and views that repeat other folders' mail.
The purpose comes from the server (RFC 6154 SPECIAL-USE) and, per purpose that the server does not name, from the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from imapclient.imap_utf7 import decode as decode_utf7
from imapclient.imap_utf7 import encode as encode_utf7

from connectors.model import FolderRole

__all__ = ["Folder", "Purpose", "choose_folders", "decode_name", "encode_name", "folder_of", "give_purposes"]


class Purpose(StrEnum):
    """What a folder holds, as far as it decides whether we read it."""

    INBOX = "inbox"
    SENT = "sent"
    DRAFTS = "drafts"
    TRASH = "trash"
    JUNK = "junk"
    VIEW = "view"
    PLAIN = "plain"


_ATTRIBUTES = {
    "\\sent": Purpose.SENT,
    "\\drafts": Purpose.DRAFTS,
    "\\trash": Purpose.TRASH,
    "\\junk": Purpose.JUNK,
    "\\all": Purpose.VIEW,
    "\\flagged": Purpose.VIEW,
    "\\important": Purpose.VIEW,
}

_NAMES = {
    Purpose.SENT: (
        "sent|sent items|sent messages|sent mail|outbox sent|enviados|enviadas|itens enviados|mensagens enviadas|"
        "e-mails enviados|elementos enviados|mensajes enviados|correo enviado|отправленные|отправленные письма|"
        "gesendet|gesendete elemente|gesendete objekte|envoyés|messages envoyés|éléments envoyés|objets envoyés"
    ),
    Purpose.DRAFTS: (
        "drafts|draft|rascunhos|rascunho|borradores|borrador|черновики|черновик|entwürfe|entwurf|brouillons|brouillon"
    ),
    Purpose.TRASH: (
        "trash|deleted|deleted items|deleted messages|bin|lixeira|lixo|itens excluídos|itens eliminados|papelera|"
        "elementos eliminados|корзина|удаленные|удалённые|удаленные сообщения|papierkorb|gelöschte elemente|"
        "gelöschte objekte|gelöscht|corbeille|éléments supprimés|messages supprimés"
    ),
    Purpose.JUNK: (
        "junk|spam|junk e-mail|junk email|junk mail|bulk mail|lixo eletrônico|lixo electrónico|correo no deseado|"
        "correo basura|спам|нежелательная почта|junk-e-mail|spamverdacht|unerwünscht|indésirables|"
        "courrier indésirable|pourriel|pourriels"
    ),
}
_PURPOSE_OF_NAME = {name: purpose for purpose, names in _NAMES.items() for name in names.split("|")}
_NEVER_READ = frozenset({Purpose.DRAFTS, Purpose.TRASH, Purpose.JUNK, Purpose.VIEW})
_ORDER = {Purpose.INBOX: 0, Purpose.SENT: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One folder. `key` is the name as the protocol has it (modified UTF-7, a directory), `name` the one for people."""

    key: str
    name: str
    delimiter: str = ""
    selectable: bool = True
    attributes: frozenset[str] = frozenset()
    purpose: Purpose = Purpose.PLAIN

    @property
    def role(self) -> FolderRole:
        """The role that messages of this folder carry."""
        if self.purpose is Purpose.INBOX:
            return FolderRole.INBOX
        return FolderRole.SENT if self.purpose is Purpose.SENT else FolderRole.OTHER


def decode_name(key: str) -> str:
    """A folder name for people from modified UTF-7 (RFC 3501 5.1.3). What cannot be decoded stays as it is."""
    try:
        name = str(decode_utf7(key.encode("latin-1")))
        name.encode("utf-8")
    except (ValueError, UnicodeError):
        # A server with UTF-8 names on the wire (RFC 6855 habits without ENABLE), or a name that is not UTF-7 at all.
        name = key.encode("latin-1", "replace").decode("utf-8", "replace")
    return name.replace("\0", "")


def encode_name(name: str) -> str:
    """The modified UTF-7 form of a folder name."""
    return bytes(encode_utf7(name)).decode("latin-1")


def folder_of(key: str, name: str, delimiter: str, attributes: Iterable[str] = ()) -> Folder:
    """A folder as listed; purposes come later, when all are known."""
    lowered = frozenset(attribute.lower() for attribute in attributes)
    closed = bool(lowered & {"\\noselect", "\\nonexistent"})
    return Folder(key=key, name=name, delimiter=delimiter, selectable=not closed, attributes=lowered)


def is_junk(name: str) -> bool:
    """Whether a folder of this display name is one for spam, at whatever depth and whoever filed the mail there."""
    parts = name.replace("\\", "/").replace(".", "/").split("/")
    return any(_PURPOSE_OF_NAME.get(part.strip().casefold()) is Purpose.JUNK for part in parts)


def give_purposes(folders: Sequence[Folder]) -> list[Folder]:
    """The same folders with their purposes. A purpose that the server names anywhere is not guessed from names."""
    announced = {folder.key: _announced(folder) for folder in folders}
    named = {purpose for purpose in announced.values() if purpose}
    return [replace(folder, purpose=announced[folder.key] or _guessed(folder, named)) for folder in folders]


def _announced(folder: Folder) -> Purpose | None:
    if folder.name.upper() == "INBOX":
        return Purpose.INBOX
    return next((purpose for flag, purpose in _ATTRIBUTES.items() if flag in folder.attributes), None)


def _guessed(folder: Folder, named: set[Purpose]) -> Purpose:
    parts = folder.name.split(folder.delimiter) if folder.delimiter else [folder.name]
    # "Projects/Sent" is somebody's own filing; "INBOX.Sent" and "[Gmail]/Sent" are the account's.
    if len(parts) > 2 or (len(parts) == 2 and parts[0].upper() not in {"INBOX", "[GMAIL]", "[GOOGLE MAIL]"}):
        return Purpose.PLAIN
    purpose = _PURPOSE_OF_NAME.get(parts[-1].strip().casefold(), Purpose.PLAIN)
    return Purpose.PLAIN if purpose in named else purpose


def choose_folders(folders: Sequence[Folder], only: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Folder]:
    """The folders to read, Inbox first, then Sent, then by name.

    `only` and `skip` hold display names (or wire names), case ignored; a name covers the folders below it. `only`
    overrides the default exclusions, `skip` overrides everything.
    """
    chosen = [folder for folder in folders if folder.selectable and _is_wanted(folder, only, skip)]
    return sorted(chosen, key=lambda folder: (_ORDER.get(folder.purpose, 2), folder.name))


def _is_wanted(folder: Folder, only: Sequence[str], skip: Sequence[str]) -> bool:
    if any(_covers(name, folder) for name in skip):
        return False
    if only:
        return any(_covers(name, folder) for name in only)
    return folder.purpose not in _NEVER_READ


def _covers(name: str, folder: Folder) -> bool:
    wanted = name.strip().casefold()
    for own in (folder.name.casefold(), folder.key.casefold()):
        below = bool(folder.delimiter) and own.startswith(wanted + folder.delimiter)
        # A name covers what lies below it, but "INBOX" alone never means every folder of an INBOX.-style server.
        if own == wanted or (below and wanted != "inbox"):
            return True
    return False


def missing_names(folders: Sequence[Folder], names: Sequence[str]) -> list[str]:
    """Names of the settings that no folder answers to."""
    return [name for name in names if not any(_covers(name, folder) for folder in folders)]
