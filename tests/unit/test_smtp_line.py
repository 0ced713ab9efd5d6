"""Replies of an SMTP server, whole, in pieces, and of any other kind."""

from __future__ import annotations

import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.smtp.line import Closing, Cut, Garbled, Line, Reply

TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
ENDS = st.sampled_from(["\r\n", "\n"])


@contextmanager
def line_to(*said: bytes, offers: tuple[str, ...] = ()) -> Iterator[tuple[Line, socket.socket]]:
    """A line to a server that says these pieces and then closes its half."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        smtp = smtplib.SMTP()
        smtp.sock = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    smtp.esmtp_features = dict.fromkeys(offers, "")
    line = Line(smtp, 5.0)

    def say() -> None:
        for piece in said:
            server.sendall(piece)
        server.shutdown(socket.SHUT_WR)

    speaking = threading.Thread(target=say)
    speaking.start()
    try:
        yield line, server
    finally:
        speaking.join()
        line.close()
        server.close()


@given(
    st.integers(200, 599), st.lists(TEXTS, min_size=1, max_size=4), st.integers(0, 400), st.sampled_from(["\r\n", "\n"])
)
def test_a_whole_reply_is_read_in_whatever_pieces(code: int, texts: list[str], cut: int, end: str) -> None:
    lines = [f"{code}-{text}{end}" for text in texts[:-1]] + [f"{code} {texts[-1]}{end}"]
    data = "".join(lines).encode()
    with line_to(data[:cut], data[cut:], b"250 next\r\n") as (line, _):
        assert line.reply() == Reply(code, " ".join(" ".join(texts).split()))
        assert line.reply() == Reply(250, "next")


@given(st.integers(200, 599), st.lists(TEXTS, min_size=1, max_size=3), st.data())
def test_a_part_of_a_reply_is_none(code: int, texts: list[str], data: st.DataObject) -> None:
    lines = [f"{code}-{text}\r\n" for text in texts[:-1]] + [f"{code} {texts[-1]}\r\n"]
    whole = "".join(lines).encode()
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with line_to(part) as (line, _), pytest.raises(Cut):
        line.reply()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_an_error(data: bytes) -> None:
    with line_to(data) as (line, _):
        try:
            reply = line.reply()
        except (Cut, Garbled):
            return
        assert 200 <= reply.code <= 599
        assert reply.text.isprintable() or not reply.text.isascii()
        assert data[:3] == str(reply.code).encode()


@pytest.mark.parametrize(
    ("text", "status"),
    [("2.1.5 Ok", "2.1.5"), ("5.7.1", "5.7.1"), ("4.7.650 slow", "4.7.650"), ("2.1.5.1 Ok", ""), ("Ok 2.1.5", ""),
     ("6.1.1 no", ""), ("2.1234.5 no", ""), ("", "")],
)  # fmt: skip
def test_enhanced_status(text: str, status: str) -> None:
    assert Reply(250, text).status == status


def test_pipelined_commands_leave_together() -> None:
    with line_to(b"250 one\r\n250 two\r\n", offers=("pipelining",)) as (line, server):
        assert [reply.text for reply in line.ask("MAIL", "RCPT")] == ["one", "two"]
        assert server.recv(100) == b"MAIL\r\nRCPT\r\n"


def test_after_a_refusal_nothing_more_is_said() -> None:
    with line_to(b"550 no\r\n") as (line, server):
        assert line.ask("MAIL", "RCPT") == [Reply(550, "no")]
        assert server.recv(100) == b"MAIL\r\n"


def test_a_refusal_counts_though_the_server_leaves_then() -> None:
    with line_to(b"550 no\r\n", offers=("pipelining",)) as (line, _):
        assert line.ask("MAIL", "RCPT") == [Reply(550, "no")]


def test_421_ends_the_line() -> None:
    with line_to(b"421 4.3.2 closing\r\n") as (line, _), pytest.raises(Closing, match=r"4\.3\.2"):
        line.ask("MAIL")


def test_a_reply_is_bounded() -> None:
    with line_to(b"250-x\r\n" * 12_000, b"250 x\r\n") as (line, _), pytest.raises(Garbled):
        line.reply()
    with line_to(b"250 " + b"x" * 2000 + b"\r\n") as (line, _):
        assert len(line.reply().text) == 500


def test_what_the_server_says_unasked_is_overheard() -> None:
    with line_to(b"421 closing\r\n250 x\r\n") as (line, server):
        line.send(b"DATA\r\n")
        server.recv(100)
        while not line.overheard():
            continue
        assert line.reply() == Reply(421, "closing")


def test_silence_is_not_overheard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        smtp = smtplib.SMTP()
        smtp.sock = socket.create_connection(listening.getsockname())
        line = Line(smtp, 5.0)
        assert not line.overheard()
        with pytest.raises(TimeoutError):
            line.reply(0.05)
        line.close()
