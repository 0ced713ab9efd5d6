"""What comes over the wire, read from transcripts."""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient import IMAPClient

from connectors.imap.wire import Cut, Garbled, Refused, Wire, compact, expand, parse_internal_date, quote, tokens


class Transcript:
    """The three methods of imaplib.IMAP4 that the wire stands on, over bytes."""

    def __init__(self, answers: bytes) -> None:
        self.sent = b""
        self._stream = io.BytesIO(answers)

    def send(self, data: bytes) -> None:
        self.sent += data

    def readline(self) -> bytes:
        return self._stream.readline()

    def read(self, size: int) -> bytes:
        return self._stream.read(size)


def wire(answers: bytes) -> tuple[Wire, Transcript]:
    transcript = Transcript(answers)
    return Wire(SimpleNamespace(_imap=transcript)), transcript  # type: ignore[arg-type]


def test_imapclient_still_has_what_the_wire_stands_on() -> None:
    import imaplib

    assert "_imap" in IMAPClient.__init__.__code__.co_names
    assert all(callable(getattr(imaplib.IMAP4, name)) for name in ("send", "readline", "read"))


def test_literals_are_taken_by_their_length() -> None:
    line, transcript = wire(b'* 1 FETCH (UID 7 BODY[HEADER]<0> {9}\r\n) "{3}\r\nq FLAGS (\\Seen))\r\nq1 OK done\r\n')
    (answer,) = line.run(b"UID FETCH 7 (X)")
    assert transcript.sent == b"q1 UID FETCH 7 (X)\r\n"
    assert tokens(answer.untagged[0]) == [
        b"1", b"FETCH", [b"UID", b"7", b"BODY[HEADER]<0>", b') "{3}\r\nq', b"FLAGS", [b"\\Seen"]],
    ]  # fmt: skip


def test_answers_may_come_in_any_order() -> None:
    line, _ = wire(b"q2 NO [INUSE] busy\r\n* SEARCH 1 2\r\nq1 OK done\r\n")
    first, second = line.run(b"A", b"B")
    assert first.status == "OK"
    assert (second.status, second.code) == ("NO", "INUSE")
    with pytest.raises(Refused):
        second.ok()


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        (b"", Cut),
        (b"* 1 FETCH (UID 7 BODY[] {100}\r\nshort", Cut),
        (b"* BYE too long\r\n", Cut),
        (b"q1 O", Cut),
        (b"HTTP/1.1 200 OK\r\n", Garbled),
        (b"* 1 FETCH (BODY[] {99999999999}\r\n", Garbled),
    ],
)
def test_broken_streams(answers: bytes, error: type[Exception]) -> None:
    line, _ = wire(answers)
    with pytest.raises(error):
        line.run(b"X")


def test_upload_waits_unless_told_otherwise() -> None:
    line, transcript = wire(b"+ go ahead\r\nq1 OK [APPENDUID 1 2] done\r\n")
    assert line.upload(b'APPEND "x" ()', b"abc", at_once=False).argument == b"1 2"
    assert transcript.sent == b'q1 APPEND "x" () {3}\r\nabc\r\n'
    line, transcript = wire(b"q1 NO [TRYCREATE] no such folder\r\n")
    with pytest.raises(Refused):
        line.upload(b'APPEND "x" ()', b"abc", at_once=False)
    assert b"abc" not in transcript.sent


@pytest.mark.parametrize("text", [b"* 1 FETCH (UID 7", b"* 1 FETCH UID 7)", b"* ((((("])
def test_unbalanced_brackets(text: bytes) -> None:
    with pytest.raises(Garbled):
        tokens([text])


@given(st.lists(st.integers(1, 5000), unique=True, max_size=200))
def test_a_set_names_exactly_the_numbers_given(uids: list[int]) -> None:
    assert sorted(expand(compact(uids))) == sorted(uids)
    assert b"*" not in compact(uids)


@given(st.text(alphabet=st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",))))
def test_quoting_is_undone_by_reading(text: str) -> None:
    assert tokens([b"* " + quote(text) + b"\r\n"]) == [text.encode()]


@given(st.binary(max_size=300))
def test_tokens_never_raises_anything_else(line: bytes) -> None:
    with contextlib.suppress(Garbled):
        assert isinstance(tokens([b"* " + line]), list)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"17-Jul-1996 02:44:25 -0700", datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)),
        (b" 1-Jan-2026 23:30:00 +0330", datetime(2026, 1, 1, 20, 0, tzinfo=UTC)),
        (b"30-Jun-2015 23:59:60 +0000", datetime(2015, 6, 30, 23, 59, 59, tzinfo=UTC)),
        (b"31-Feb-2026 00:00:00 +0000", datetime(1970, 1, 1, tzinfo=UTC)),
        (b"nonsense", datetime(1970, 1, 1, tzinfo=UTC)),
        (None, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_internal_date(text: bytes | None, moment: datetime) -> None:
    assert parse_internal_date(text) == moment
