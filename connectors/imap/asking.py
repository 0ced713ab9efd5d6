"""Asks for mails until each has answered, has gone, or has failed for good.

A server may refuse a chunk for one mail in it (NO), break the connection over one, leave one out, or be busy. Each of
these narrows down to the mail that is the cause; the others come through.
"""

from __future__ import annotations

import imaplib
from collections import Counter
from dataclasses import dataclass, replace

from connectors.errors import Unavailable
from connectors.folders import Folder
from connectors.imap.link import Link
from connectors.imap.trouble import FETCH_BUSY, refused
from connectors.imap.wire import Answer, Garbled, Node, Refused, compact, tokens

__all__ = ["HEAD_KEY", "Asker", "Question", "Suspects", "number"]

HEAD_KEY = b"BODY[HEADER]"

_TRIES = 3
_REFUSALS = 4
_LOST_IN_A_ROW = 10
_REFUSED_ALL = 20

Suspects = Counter[tuple[str, int, int]]
"""(folder, UIDVALIDITY, UID) -> how often the connection broke on that mail."""


@dataclass(frozen=True, slots=True)
class Question:
    """One FETCH. A mail has answered when `proof` is among what came for it."""

    uids: tuple[int, ...]
    items: bytes
    proof: bytes


class Asker:
    """Questions about the open folder and what came of them.

    answers     per UID, the FETCH items that came, `BODY[1]<0>` as `BODY[1]`
    failed      (UID, proof) -> why it never will; `received` counts bytes
    """

    def __init__(self, link: Link, suspects: Suspects, folder: Folder, uidvalidity: int) -> None:
        self.answers: dict[int, dict[bytes, Node]] = {}
        self.failed: dict[tuple[int, bytes], str] = {}
        self.received = 0
        self._link = link
        self._suspects = suspects
        self._folder = folder
        self._uidvalidity = uidvalidity
        self._tries: Counter[tuple[int, bytes]] = Counter()
        self._garbled = ""
        self._lost_in_a_row = 0

    def ask(self, questions: list[Question]) -> None:
        """Ask until every mail has answered, has gone, or has failed for good."""
        pending = self._rest(questions)
        while pending:
            connection = self._link.connection()
            self._garbled = ""
            asked, later = self._turn(pending)
            try:
                answers = connection.wire.run(*map(_command, asked), each=self._take)
            except TimeoutError:
                self._blame(asked)
                raise
            except (OSError, Garbled, imaplib.IMAP4.error) as error:
                self._blame(asked, str(error))
                self._link.reopen(self._folder.key, self._uidvalidity)
                pending = self._rest(pending)
                continue
            pending = [
                again
                for question, answer in zip(asked, answers, strict=True)
                for again in self._again(question, answer)
            ] + later

    def _turn(self, pending: list[Question]) -> tuple[list[Question], list[Question]]:
        """(what to ask now, what later). Everything at once, but a mail that was refused twice all by itself."""
        stubborn = [one for one in pending if self._tries[one.uids[0], one.proof] >= 2]
        if len(stubborn) < len(pending):
            return [one for one in pending if one not in stubborn], stubborn
        return pending[:1], pending[1:]

    def _take(self, pieces: list[bytes]) -> None:
        self._link.heard()
        self.received += sum(map(len, pieces))
        if len(pieces) == 1 and b" FETCH " not in pieces[0]:
            return
        try:
            line = tokens(pieces)
        except Garbled as error:
            self._garbled = str(error)
            return
        if len(line) < 3 or line[1].upper() != b"FETCH" or not isinstance(line[2], list):
            return
        values = line[2]
        found = {_plain_key(key): value for key, value in zip(values[::2], values[1::2], strict=False)}
        if found.get(HEAD_KEY, b"") is None:  # deleted while it was read; the search for it tells
            del found[HEAD_KEY]
        if (uid := number(found.get(b"UID"))) > 0:
            self.answers.setdefault(uid, {}).update(found)
            self._lost_in_a_row = 0

    def _missing(self, question: Question) -> list[int]:
        nothing: dict[bytes, Node] = {}
        return [uid for uid in question.uids if question.proof not in self.answers.get(uid, nothing)]

    def _blame(self, pending: list[Question], reason: str = "") -> None:
        """Servers answer in the order of UIDs: the first mail without an answer is the one the connection died on, or
        one whose answer was lost with the connection. So it is asked for alone before it is given up."""
        for question in pending:
            if missing := self._missing(question):
                suspect = (self._folder.key, self._uidvalidity, min(missing))
                self._suspects[suspect] += 1
                if self._suspects[suspect] == _TRIES:
                    self._lost_in_a_row += 1
                break
        if self._lost_in_a_row >= _LOST_IN_A_ROW:
            account = self._link.settings.account
            raise Unavailable(account, f"the connection breaks on every mail: {reason}", hint="look at the server")

    def _rest(self, questions: list[Question]) -> list[Question]:
        """What is left of questions: neither answered nor given up. Suspects are asked for first, one by one."""
        rest = []
        for question in questions:
            innocent = []
            for uid in self._missing(question):
                blamed = self._suspects[self._folder.key, self._uidvalidity, uid]
                if blamed >= _TRIES:
                    self.failed[uid, question.proof] = "the connection broke on it three times"
                elif (uid, question.proof) in self.failed:
                    continue
                elif blamed:
                    rest.append(replace(question, uids=(uid,)))
                else:
                    innocent.append(uid)
            if innocent:
                rest.append(replace(question, uids=tuple(innocent)))
        return rest

    def _again(self, question: Question, answer: Answer) -> list[Question]:
        """After the tagged answer: mails to be asked for once more, one by one."""
        missing = self._missing(question)
        if not missing:
            return []
        if answer.code in FETCH_BUSY and len(question.uids) == 1 and not self.answers:
            error = Refused(answer.status, answer.code, answer.text)
            raise refused(self._link.settings.account, self._link.where, error)
        if answer.status == "OK":  # most likely deleted meanwhile; what is still there was left out by the server
            missing = self._existing(missing)
        reason = f"the server refused it: {answer.text}" if answer.status != "OK" else "the server left it out"
        again = []
        for uid in missing:
            self._tries[uid, question.proof] += 1
            if self._tries[uid, question.proof] >= _REFUSALS:
                self.failed[uid, question.proof] = self._garbled or reason
            else:
                again.append(replace(question, uids=(uid,)))
        if len(self.failed) >= _REFUSED_ALL and not self.answers:
            raise Unavailable(self._link.settings.account, f"the server refuses every mail: {answer.text}")
        return again

    def _existing(self, uids: list[int]) -> list[int]:
        found: set[int] = set()
        for pieces in self._link.connection().wire.say(b"UID SEARCH UID " + compact(uids)).untagged:
            found.update(int(word) for word in pieces[0].split()[2:] if word.isdigit())
        return [uid for uid in uids if uid in found]


def _command(question: Question) -> bytes:
    return b"UID FETCH %s (%s)" % (compact(question.uids), question.items)


def _plain_key(key: Node) -> bytes:
    """`BODY[1]<0>` as `BODY[1]`."""
    text: bytes = key if isinstance(key, bytes) else b""
    return text.partition(b"<")[0].upper() if text.endswith(b">") else text.upper()


def number(value: Node) -> int:
    """A number of an answer, -1 if it is none."""
    return int(value) if isinstance(value, bytes) and value.isdigit() else -1
