"""Marks and moves one mail of a rep's, where a rule says so: categories as keywords, \\Flagged, the folder.

Only by UID and only by adding and taking away: what a person sets at the same moment stays. Whether a mail was read
is never touched, and a bare EXPUNGE, which would remove what others marked as deleted, never sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connectors.categories import category_of, fold_category, keyword_of
from connectors.errors import Unavailable
from connectors.folders import Folder, Purpose, choose_folders, encode_name
from connectors.imap.connection import Connection, mailbox_name
from connectors.imap.trouble import BUSY_CODES
from connectors.imap.wire import Answer, Node, Refused, quote, tokens
from connectors.model import NO_DAY, Marked, Marks
from connectors.outgoing import message_id_of

__all__ = ["Marking", "mark_words"]

_COPIED = re.compile(rb"\[COPYUID (\d+) \S+ (\d+)\]", re.IGNORECASE)
_REF = re.compile(r"(\d+):(\d+)", re.ASCII)


def mark_words(permanent: frozenset[str] | None) -> tuple[str, ...]:
    """What a mailbox with these PERMANENTFLAGS does not keep, in words for a person; None = the server did not say,
    which means that it keeps all (RFC 3501 7.1)."""
    flags = permanent if permanent is not None else frozenset(("\\*", "\\flagged"))
    missing = [] if "\\*" in flags else ["keeps no categories of ours"]
    return (*missing, *([] if "\\flagged" in flags else ["keeps no flags"]))


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a mail lies."""

    folder: Folder
    uidvalidity: int
    uid: int

    @property
    def ref(self) -> str:
        return f"{self.uidvalidity}:{self.uid}"


class Marking:
    """One mail on an open connection. `listed` are the folders of the mailbox."""

    def __init__(self, connection: Connection, account: str, listed: Sequence[Folder]) -> None:
        self._connection = connection
        self._account = account
        self._folders = list(listed)
        self._uidvalidity = 0
        self._missing: list[str] = []

    def mark(self, folder: str, ref: str, message_id: str, marks: Marks) -> Marked:
        """Find the mail, mark it where it lies, then move it. Raises Refused, Unavailable and what the line raises."""
        target = self._target(marks.move) if marks.move else None
        spot = self._find(folder, ref, message_id, target)
        if spot is None:
            return Marked()
        try:
            self._open(spot)
            self._store(spot.uid, marks)
            if target is not None and target.key != spot.folder.key:
                spot = self._move(spot, target, message_id)
        finally:
            self._connection.leave()
        return Marked(folder=spot.folder.name, ref=spot.ref, missing=tuple(dict.fromkeys(self._missing)))

    # -- finding it

    def _find(self, name: str, ref: str, message_id: str, target: Folder | None) -> _Spot | None:
        named = next((folder for folder in self._folders if folder.name == name and folder.selectable), None)
        if named is not None and (spot := self._at(named, ref, message_id)):
            return spot
        if not message_id:
            return None
        likely = [folder for folder in (named, target) if folder is not None and not _is_bin(folder)]
        for folder in dict.fromkeys([*likely, *choose_folders(self._folders)]):
            if spot := self._with_id(folder, message_id):
                return spot
        return None

    def _at(self, folder: Folder, ref: str, message_id: str) -> _Spot | None:
        """The mail at a place, if it is the one meant and not marked as deleted."""
        match = _REF.fullmatch(ref)
        if match is None or not self._examine(folder) or self._uidvalidity != int(match[1]):
            return None
        uid = int(match[2])
        found = self._fetch(uid, b"FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]")
        if found is None or "\\deleted" in map(str.lower, found[0]):
            return None
        return _Spot(folder, int(match[1]), uid) if not message_id or message_id_of(found[1]) == message_id else None

    def _with_id(self, folder: Folder, message_id: str) -> _Spot | None:
        if not self._examine(folder):
            return None
        criteria = b"UNDELETED HEADER Message-ID " + quote(message_id)
        for uid in self._connection.uids(1, criteria=criteria):
            found = self._fetch(uid, b"FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]")
            if found and message_id_of(found[1]) == message_id:  # HEADER matches substrings
                return _Spot(folder, self._uidvalidity, uid)
        return None

    def _examine(self, folder: Folder) -> bool:
        """Open a folder read-only; False if it refuses: then nothing can be found in it."""
        try:
            self._uidvalidity = self._connection.examine(folder.key).uidvalidity
        except Refused:
            return False
        return True

    def _fetch(self, uid: int, items: bytes) -> tuple[list[str], bytes] | None:
        """(flags, header asked for) of a mail in the open folder; None if there is none."""
        answer = self._connection.wire.say(b"UID FETCH %d (UID %s)" % (uid, items))
        for line in map(tokens, answer.untagged):
            if len(line) < 3 or not isinstance(line[2], list):
                continue
            flags: list[str] = []
            header, mine = b"", False
            for key, value in _pairs(line[2]):
                mine = mine or (key == b"UID" and value == b"%d" % uid)
                if key == b"FLAGS" and isinstance(value, list):
                    flags = [flag.decode("latin-1") for flag in value if isinstance(flag, bytes)]
                elif isinstance(value, bytes) and key != b"UID":
                    header = value
            if mine:
                return flags, header
        return None

    # -- marking it

    def _open(self, spot: _Spot) -> None:
        if self._connection.select(spot.folder.key).uidvalidity != spot.uidvalidity:
            raise Unavailable(self._account, "a folder was renumbered this moment", hint="nothing to do")

    def _store(self, uid: int, marks: Marks) -> None:
        if not (marks.add or marks.remove or marks.flag or marks.unflag):
            return
        now = self._flags(uid)
        gone = {fold_category(name) for name in marks.remove}
        self._change(uid, b"-", [flag for flag in now if fold_category(category_of(flag)) in gone])
        if marks.unflag and "\\flagged" in map(str.lower, now):
            self._change(uid, b"-", ["\\Flagged"])
        wanted = {keyword_of(name): f"keeps no category {name}" for name in marks.add}
        if marks.flag is not None:
            wanted["\\Flagged"] = "keeps no flags"
            self._missing.append(NO_DAY)
        had = {flag.lower() for flag in now}
        for flag in wanted:
            if flag.lower() not in had:
                self._change(uid, b"+", [flag])
        kept = {flag.lower() for flag in self._flags(uid)}  # some servers say yes and keep nothing
        self._missing += [words for flag, words in wanted.items() if flag.lower() not in kept]

    def _flags(self, uid: int) -> list[str]:
        found = self._fetch(uid, b"FLAGS")
        return found[0] if found else []

    def _change(self, uid: int, sign: bytes, flags: Sequence[str]) -> None:
        """Add or take away flags; a server that will not is found out afterwards."""
        permanent = self._connection.permanent
        if sign == b"+" and permanent is not None:
            flags = [flag for flag in flags if flag.lower() in permanent or "\\*" in permanent]
        if not flags:
            return
        names = " ".join(flags).encode("latin-1")
        answer = self._connection.wire.run(b"UID STORE %d %sFLAGS.SILENT (%s)" % (uid, sign, names))[0]
        if answer.status != "OK" and answer.code in BUSY_CODES - {"LIMIT", "OVERQUOTA"}:
            answer.ok()

    # -- moving it

    def _target(self, name: str) -> Folder | None:
        """The folder of a display name with "/" between its levels, made and subscribed if it is not there; None, and
        told as missing, if it cannot be."""
        if exact := next((one for one in self._folders if one.name == name and one.selectable), None):
            return exact
        here = next((one for one in self._folders if one.purpose is Purpose.INBOX), None)
        delimiter = here.delimiter if here else next((one.delimiter for one in self._folders), "")
        parts = name.split("/")
        if len(parts) > 1 and not delimiter:
            self._missing.append("keeps no folders inside folders")
            return None
        if delimiter != "/" and delimiter and any(delimiter in part for part in parts):
            self._missing.append(f"takes no {delimiter} in the name of a folder")
            return None
        shown = (delimiter or "/").join(parts)
        prefix = self._prefix(delimiter)
        known = self._known(shown, prefix)
        return known or self._made(prefix + shown)

    def _known(self, shown: str, prefix: str) -> Folder | None:
        """The folder of this name, in whatever case."""
        names = {shown.casefold(), (prefix + shown).casefold()}
        return next((one for one in self._folders if one.selectable and one.name.casefold() in names), None)

    def _prefix(self, delimiter: str) -> str:
        """What the names of the rep's own folders begin with, e.g. "INBOX." (RFC 2342)."""
        if "NAMESPACE" in self._connection.capabilities:
            for line in map(tokens, self._connection.wire.say(b"NAMESPACE").untagged):
                if len(line) > 1 and line[0].upper() == b"NAMESPACE" and isinstance(line[1], list) and line[1]:
                    first = line[1][0][0]
                    return first.decode("latin-1") if isinstance(first, bytes) else ""
        below = f"INBOX{delimiter}"
        others = [folder.name.upper() for folder in self._folders if folder.purpose is not Purpose.INBOX]
        return below if delimiter and others and all(name.startswith(below) for name in others) else ""

    def _made(self, name: str) -> Folder | None:
        wire, mailbox = self._connection.wire, mailbox_name(encode_name(name))
        answer = wire.run(b"CREATE " + mailbox)[0]
        wire.run(b"SUBSCRIBE " + mailbox)  # some servers keep no list of subscriptions: it is there all the same
        self._folders = self._connection.list_folders()[0]
        made = self._known(name, "")
        if made is None and answer.code in BUSY_CODES - {"LIMIT", "OVERQUOTA"}:
            answer.ok()
        if made is None:
            self._missing.append(f"does not make the folder {name}: {answer.text}")
        return made

    def _move(self, spot: _Spot, target: Folder, message_id: str) -> _Spot:
        """MOVE (RFC 6851); else COPY, mark the old copy as deleted and expunge it alone (RFC 4315)."""
        before = self._connection.standings([target.key]).get(target.key)
        if "MOVE" in self._connection.capabilities:
            answer = self._connection.wire.run(b"UID MOVE %d %s" % (spot.uid, mailbox_name(target.key)))[0]
        else:
            answer = self._copy_once(spot, target, message_id)
        if answer.status != "OK":
            if answer.code == "TRYCREATE" or answer.code in BUSY_CODES - {"OVERQUOTA"}:
                raise Unavailable(self._account, f"a mail cannot be moved now: {answer.text}", hint="nothing to do")
            self._missing.append(f"does not move it into {target.name}: {answer.text}")
            return spot
        if "MOVE" not in self._connection.capabilities:
            self._remove(spot)
        return self._landed(answer, target, message_id, before.uidnext if before else 0)

    def _copy_once(self, spot: _Spot, target: Folder, message_id: str) -> Answer:
        """Copy it, unless an earlier try did and broke off before the old copy was gone."""
        if message_id and self._with_id(target, message_id):
            self._open(spot)
            return Answer(status="OK")
        self._open(spot)
        return self._connection.wire.run(b"UID COPY %d %s" % (spot.uid, mailbox_name(target.key)))[0]

    def _remove(self, spot: _Spot) -> None:
        wire = self._connection.wire
        wire.say(b"UID STORE %d +FLAGS.SILENT (\\Deleted)" % spot.uid)
        if "UIDPLUS" in self._connection.capabilities:
            wire.say(b"UID EXPUNGE %d" % spot.uid)

    def _landed(self, answer: Answer, target: Folder, message_id: str, uidnext: int) -> _Spot:
        """Where the mail lies there: by what the server says (COPYUID), by its Message-ID, or as the newest one."""
        told = [b"[COPYUID %s]" % answer.argument] if answer.code == "COPYUID" else []
        for line in (*told, *(pieces[0] for pieces in answer.untagged)):
            if match := _COPIED.search(line):
                return _Spot(target, int(match[1]), int(match[2]))
        if message_id and (spot := self._with_id(target, message_id)):
            return spot
        self._examine(target)
        newest = self._connection.uids(uidnext or 1)[-1:]
        return _Spot(target, self._uidvalidity, newest[0] if newest else 0)


def _is_bin(folder: Folder) -> bool:
    return folder.purpose in (Purpose.TRASH, Purpose.JUNK, Purpose.DRAFTS)


def _pairs(items: list[Node]) -> Iterator[tuple[bytes, Node]]:
    for key, value in zip(items[::2], items[1::2], strict=False):
        yield (key.upper() if isinstance(key, bytes) else b""), value
