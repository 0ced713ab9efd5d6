"""A server that refuses, breaks off and forgets: every mail ends somewhere, and the good ones arrive."""

from __future__ import annotations

from itertools import count

import pytest
from plain_parser import PlainParser
from refusing_proxy import RefusingProxy
from servers.faults import Fault, FaultProxy
from servers.users import ImapUser
from source_contract import read_all
from test_imap_source import deliver, settings_for

from connectors.errors import Unavailable
from connectors.imap.source import ImapSource
from connectors.imap.wire import expand


def test_every_third_fetch_refused_loses_nothing(imap_user: ImapUser) -> None:
    deliver(imap_user, range(60))
    calls = count(1)

    def refuses(uids: bytes, items: bytes) -> str | None:
        return "not this time" if next(calls) % 3 == 0 else None

    with RefusingProxy(imap_user.server.host, imap_user.server.port, refuses) as proxy:
        source = ImapSource(settings_for(imap_user, port=proxy.port), PlainParser())
        run = read_all(source, limit=7)
        source.close()
    assert sorted(run.ids) == sorted(f"m{n}" for n in range(60))
    assert not any(batch.unreadable for batch in run.batches)
    assert {item.degraded for item in run.items} == {()}


def test_refused_mails_are_set_aside_and_the_rest_arrives(imap_user: ImapUser) -> None:
    deliver(imap_user, range(100))
    bad = set(range(3, 101, 4))  # UIDs

    def refuses(uids: bytes, items: bytes) -> str | None:
        return "[SERVERBUG] broken" if bad & set(expand(uids)) else None

    with RefusingProxy(imap_user.server.host, imap_user.server.port, refuses) as proxy:
        source = ImapSource(settings_for(imap_user, port=proxy.port), PlainParser())
        run = read_all(source, limit=30)
        source.close()
    broken = [one for batch in run.batches for one in batch.unreadable]
    assert len(broken) == len(bad)
    assert {int(one.ref.partition(":")[2]) for one in broken} == bad
    assert len(run.items) + len(broken) == 100
    assert all("refused" in one.reason for one in broken)


def test_a_refused_text_leaves_a_header_row(imap_user: ImapUser) -> None:
    deliver(imap_user, range(5))

    def refuses(uids: bytes, items: bytes) -> str | None:
        return "no text" if b"[1]" in items and 3 in expand(uids) else None

    with RefusingProxy(imap_user.server.host, imap_user.server.port, refuses) as proxy:
        source = ImapSource(settings_for(imap_user, port=proxy.port), PlainParser())
        run = read_all(source)
        source.close()
    assert len(run.items) == 5
    assert [item.ref.partition(":")[2] for item in run.items if item.degraded == ("header only",)] == ["3"]


def test_a_busy_server_is_no_reason_to_set_mail_aside(imap_user: ImapUser) -> None:
    deliver(imap_user, range(5))
    busy = [True]

    def refuses(uids: bytes, items: bytes) -> str | None:
        return "[UNAVAILABLE] come back later" if busy[0] else None

    with RefusingProxy(imap_user.server.host, imap_user.server.port, refuses) as proxy:
        source = ImapSource(settings_for(imap_user, port=proxy.port), PlainParser())
        for _ in range(5):
            with pytest.raises(Unavailable):
                source.fetch(None, limit=5)
        busy[0] = False
        assert len(read_all(source).ids) == 5
        source.close()


def test_lines_that_break_again_and_again_lose_nothing(imap_user: ImapUser) -> None:
    """Every connection dies after 4,000 bytes: slow, but all arrives, nothing twice, one connection at a time."""
    deliver(imap_user, range(40))
    with FaultProxy(imap_user.server.host, imap_user.server.port) as proxy:
        proxy.plan(Fault(what="close", after=4_000, times=-1))
        source = ImapSource(settings_for(imap_user, port=proxy.port), PlainParser())
        cursor, ids = None, []
        for _ in range(60):
            try:
                batch = source.fetch(cursor, limit=5)
            except Unavailable:
                continue
            cursor = batch.cursor
            assert not batch.unreadable
            ids += [item.message_id for item in batch.items]
            if not batch.more:
                break
        source.close()
    assert len(ids) == len(set(ids)) == 40


def test_a_stalled_fetch_is_unavailable_and_then_goes_on(imap_user: ImapUser) -> None:
    deliver(imap_user, range(40))
    with FaultProxy(imap_user.server.host, imap_user.server.port) as proxy:
        proxy.plan(Fault(what="stall", after=6_000))
        source = ImapSource(settings_for(imap_user, port=proxy.port, read_timeout=0.5), PlainParser())
        with pytest.raises(Unavailable, match="in time"):
            source.fetch(None, limit=40)
        assert len(read_all(source, limit=40).ids) == 40
        source.close()


def test_a_mail_deleted_meanwhile_is_simply_gone(imap_user: ImapUser) -> None:
    deliver(imap_user, range(10))
    source = ImapSource(settings_for(imap_user), PlainParser())
    first = source.fetch(None, limit=4)
    imap_user.server.doveadm("expunge", "-u", imap_user.name, "mailbox", "INBOX", "uid", "2:4")
    rest = read_all(source, first.cursor, limit=4)
    assert rest.ids == ["m5", "m4", "m0"]
    assert not any(batch.unreadable for batch in rest.batches)
    source.close()


def test_a_connection_that_died_between_polls_is_no_trouble(imap_user: ImapUser) -> None:
    deliver(imap_user, range(3))
    with FaultProxy(imap_user.server.host, imap_user.server.port) as proxy:
        source = ImapSource(settings_for(imap_user, port=proxy.port), PlainParser())
        cursor = read_all(source).cursor
        for number in range(5):
            proxy.drop()
            deliver(imap_user, [f"new{number}"])
            run = read_all(source, cursor)
            assert run.ids == [f"mnew{number}"]
            cursor = run.cursor
        assert source.connections_opened == 6
        source.close()
