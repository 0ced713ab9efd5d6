"""The pool of children: order, deaths, limits, life. Real processes, real signals."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import connectors.parsing as parsing
from connectors.mail.crossing import pack_mail, unpack_mail
from connectors.mail.envelope import scan_envelope
from connectors.model import Address, Attachment, FolderRole, Message, RawMail, RawPart, Unreadable
from connectors.parser_child import Child, ChildDied, ParserLimits, child_command
from connectors.parsing import InlineParser, ParserPool
from connectors.protocols import Parser

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


MAIL = RawMail(account="ana", folder="Caixa", folder_role=FolderRole.INBOX, ref="", received_at=NOON, flags=("\\Seen",))


def make(number: int, **more: Any) -> RawMail:
    """A small mail; `more` overrides its fields."""
    text = (
        f"From: Ana <ana{number}@padaria.example>\nTo: rui@vendas.example\nMessage-ID: <m{number}@x>\n"
        f"Subject: Olá {number}\n\ntext {number} ☃"
    )
    return replace(MAIL, ref=f"1:{number}", **({"whole": text.encode()} | more))


@pytest.fixture
def pool() -> Iterator[ParserPool]:
    made = ParserPool()
    yield made
    made.close()


def child_of(pool: ParserPool) -> subprocess.Popen[bytes]:
    child = pool._workers[0].child
    assert child is not None
    return child.process


def test_same_answers_as_inline(pool: ParserPool) -> None:
    parsers: tuple[Parser, Parser] = (InlineParser(), pool)
    mails = [make(number) for number in range(300)]
    part = RawPart(content_type="text/plain", body=b"part")
    pdf = Attachment(name="a.pdf", content_type="application/pdf", size=3)
    head = b"From: a@b.example\n\n"
    mails.append(make(300, whole=b"", header=head, parts=(part,), attachments=(pdf,), notes=("noted",), size=77))
    inline, far = (parser.parse(mails) for parser in parsers)
    assert inline == far
    assert [mail.ref for mail in far] == [raw.ref for raw in mails]
    assert InlineParser().submit(mails[:2]).result() == inline[:2]


def test_packing_loses_nothing() -> None:
    raw = make(
        1,
        parts=(
            RawPart(
                content_type="text/plain", parameters=(("charset", "x"),), encoding="8bit", body=b"b", truncated=True
            ),
        ),
        notes=("n",),
    )
    again = unpack_mail(pack_mail(raw))
    assert (again.whole, again.parts, again.notes, again.received_at) == (
        raw.whole,
        raw.parts,
        raw.notes,
        raw.received_at,
    )


def test_child_starts_with_the_first_mail_and_is_reused(pool: ParserPool) -> None:
    assert pool._workers == []
    pool.parse([make(1)])
    first = child_of(pool).pid
    pool.parse([make(2)])
    assert child_of(pool).pid == first


def test_a_large_parent_does_not_make_its_child_look_grown(pool: ParserPool) -> None:
    ballast = bytearray(200_000_000)  # more than `growth`; written to, so that it counts
    ballast[::4096] = b"x" * len(ballast[::4096])
    pool.parse([make(1)])
    assert 0 < pool._workers[0].child.peak < 60_000_000  # type: ignore[union-attr]
    first = child_of(pool).pid
    pool.parse([make(2)])
    assert child_of(pool).pid == first
    assert len(ballast) == 200_000_000


def test_child_imports_nothing_heavy() -> None:
    *head, code = child_command(ParserLimits())
    probe = (
        code.partition(";from connectors")[0] + ";import connectors.mail.child;print('\\n'.join(sorted(sys.modules)))"
    )
    loaded = set(subprocess.run([*head, probe], check=True, capture_output=True, text=True).stdout.split())
    heavy = {
        *("sqlmodel", "sqlalchemy", "pydantic", "typer", "rich", "structlog", "imapclient", "apscheduler", "re2"),
        *("store", "rules", "daemon", "config", "multiprocessing", "subprocess", "socket", "ssl", "email", "pickle"),
        *("asyncio", "logging"),
    }
    assert loaded & heavy == set()
    assert "connectors.mail.mime" in loaded
    assert len(loaded) < 130


def test_child_gets_no_secret_from_the_environment(pool: ParserPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REP1_PASSWORD", "hunter2")
    pool.parse([make(1)])
    assert b"hunter2" not in Path(f"/proc/{child_of(pool).pid}/environ").read_bytes()


def test_a_killed_child_is_replaced_and_no_mail_is_lost(pool: ParserPool) -> None:
    pool.parse([make(0)])
    child_of(pool).kill()
    child_of(pool).wait()
    answers = pool.parse([make(number) for number in range(5)])
    assert [type(answer) for answer in answers] == [Message] * 5


def make_bomb(number: int) -> RawMail:
    """More memory than the child below may have: the text part alone is bigger when decoded and split."""
    return make(
        number,
        whole=b"From: eve@evil.example\nTo: rui@vendas.example\nMessage-ID: <bomb@evil.example>\n\n"
        + b"x" * 90_000_000,
    )


def test_a_mail_that_kills_children_becomes_unreadable_and_its_neighbours_live() -> None:
    pool = ParserPool(limits=ParserLimits(memory=150_000_000, mail=200_000_000))
    answers = pool.parse([make(1), make_bomb(2), make(3)])
    pool.close()
    assert [type(answer) for answer in answers] == [Message, Unreadable, Message]
    lost = answers[1]
    assert isinstance(lost, Unreadable)
    assert (lost.stage, lost.ref, lost.message_id, len(lost.raw)) == ("parse", "1:2", "bomb@evil.example", 1_000_000)
    assert lost.people == (Address("eve@evil.example"), Address("rui@vendas.example"))
    assert not lost.transient
    assert "3 times" in lost.reason


def test_three_deaths_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Counted(Child):
        def __init__(self, limits: ParserLimits) -> None:
            started.append(1)
            super().__init__(limits)

    monkeypatch.setattr(parsing, "Child", Counted)
    pool = ParserPool(limits=ParserLimits(memory=150_000_000, mail=200_000_000))
    pool.parse([make_bomb(1)])
    pool.close()
    assert len(started) == 4  # once with its chunk, three times alone


def test_a_stuck_child_is_ended_by_the_deadline() -> None:
    pool = ParserPool(limits=ParserLimits(wall=0.000001, attempts=1))
    answer = pool.parse([make(1)])[0]
    pool.close()
    assert isinstance(answer, Unreadable)
    assert "took longer" in answer.reason


def test_a_mail_beyond_the_size_limit_is_read_by_its_header() -> None:
    pool = ParserPool(limits=ParserLimits(mail=1000))
    answer = pool.parse([make(1, whole=make(1).whole + b"x" * 5000)])[0]
    pool.close()
    assert isinstance(answer, Message)
    assert (answer.message_id, answer.text) == ("m1@x", "")
    assert any(note.startswith("header only") for note in answer.degraded)
    assert answer.size > 5000


def test_children_are_replaced_after_their_lifetime() -> None:
    pool = ParserPool(limits=ParserLimits(lifetime=2))
    pool.parse([make(1), make(2)])
    first = child_of(pool).pid
    pool.parse([make(3)])
    assert child_of(pool).pid != first
    pool.close()


def test_growth_replaces_a_child() -> None:
    pool = ParserPool(limits=ParserLimits(growth=1))
    pool.parse([make(1)])
    first = child_of(pool).pid
    assert isinstance(pool.parse([make(2)])[0], Message)
    assert child_of(pool).pid != first
    pool.close()


def test_idle_children_end() -> None:
    pool = ParserPool(limits=ParserLimits(idle=0.05))
    pool.parse([make(1)])
    worker = pool._workers[0]
    process = worker.child.process if worker.child else None
    if process:
        process.wait(20)
    assert isinstance(pool.parse([make(2)])[0], Message)
    pool.close()


def test_close_ends_children_and_refuses_more(pool: ParserPool) -> None:
    pool.parse([make(1)])
    process = child_of(pool)
    pool.close()
    pool.close()
    assert process.wait(10) is not None
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit([make(2)])


def test_close_gives_up_what_waits() -> None:
    pool = ParserPool()
    futures = [pool.submit([make(number) for number in range(400)]) for _ in range(20)]
    pool.close()
    failed = 0
    for future in futures:
        try:
            assert len(future.result(10)) == 400
        except (CancelledError, ChildDied):
            failed += 1
    assert failed


def test_two_workers_share_the_work() -> None:
    pool = ParserPool(workers=2)
    futures = [pool.submit([make(number)]) for number in range(40)]
    assert [len(future.result()) for future in futures] == [1] * 40
    assert len(pool._workers) == 2
    pool.close()


def test_envelope_scan_is_bounded() -> None:
    people, identifier = scan_envelope(
        b"To: " + b"a@b.example, " * 100_000 + b"\nFrom: \xff<x@y.example>\nMessage-Id: <[q@w]>\n\nTo: no@no.example"
    )
    assert people == (Address("a@b.example"),)
    assert identifier == ""
    people, identifier = scan_envelope(
        b"From: \xff<x@Y.example>\r\nCC: a@b.example,\r\n c@d.example\r\nMessage-Id: <[q@w]>\r\n\r\nTo: no@no.example"
    )
    assert [item.email for item in people] == ["x@y.example", "a@b.example", "c@d.example"]
    assert identifier == "q@w"
