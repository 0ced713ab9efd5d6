"""What servers say of a sender: read past what the sender can put into it, and believed of one server only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_samples import decide, fired, mail, office, sound_rules

from connectors.mail.verdicts import MOST_FIELDS, read_verdicts

ACCOUNTS = {"ana": {"type": "maildir", "rep": "ana", "path": "mail/ana", "authserv": "MX.vendas.example"}}
SETTINGS = office(accounts=ACCOUNTS)


@pytest.mark.parametrize(
    ("field", "verdict"),
    [
        (" mx.vendas.example; spf=pass smtp.mailfrom=sol.example; dmarc=pass (p=none) header.from=sol.example", "pass"),
        (" mx.vendas.example 1;\r\n dkim=none;\r\n DMARC/1 = Fail header.from=sol.example", "fail"),
        (" mx.vendas.example; none", ""),
        (' mx.vendas.example; spf=fail (domain of "x; dmarc=pass" is bad); dkim=none', ""),
        (" mx.vendas.example; spf=fail (a (b; dmarc=pass) c); dmarc=fail", "fail"),
        (' mx.vendas.example; spf=fail smtp.mailfrom="a; dmarc=pass "@evil.example; dmarc=fail', "fail"),
        (r' mx.vendas.example; spf=fail smtp.mailfrom="a\"; dmarc=pass ;"@evil.example; dmarc=fail', "fail"),
        (" mx.vendas.example; spf=fail reason=dmarc=pass", ""),
    ],
)
def test_the_result_of_dmarc(field: str, verdict: str) -> None:
    assert read_verdicts([field.encode()]) == (("mx.vendas.example", verdict),)


def test_the_topmost_word_of_a_server_counts() -> None:
    fields = [b" mx.a.example; spf=pass", b" mx.b.example; dmarc=fail", b" mx.a.example; dmarc=pass"]
    assert read_verdicts(fields) == (("mx.a.example", ""), ("mx.b.example", "fail"))


@given(st.lists(st.binary(max_size=200), max_size=9))
def test_any_bytes(fields: list[bytes]) -> None:
    found = read_verdicts(fields)
    assert len(found) <= MOST_FIELDS
    assert all(server and server == server.lower() for server, _ in found)


@given(st.text('abc;=()\\" dmrpsfil.', max_size=80))
def test_nothing_inside_a_comment_or_quotes_is_a_result(text: str) -> None:
    inside = "".join(f"\\{sign}" for sign in text)
    assert read_verdicts([f"mx.a.example; spf=fail ({inside}); dkim=none".encode()]) == (("mx.a.example", ""),)
    assert read_verdicts([f'mx.a.example; spf=fail smtp.mailfrom="{inside}"'.encode()]) == (("mx.a.example", ""),)


@pytest.mark.parametrize(
    ("verdicts", "passes", "fails"),
    [
        ((("mx.vendas.example", "pass"),), True, False),
        ((("mx.vendas.example", "fail"),), False, True),
        ((("mx.vendas.example", "none"),), False, False),
        ((("mx.evil.example", "pass"),), False, False),
        ((), False, False),
    ],
)
def test_the_condition_believes_one_server(verdicts: tuple[tuple[str, str], ...], passes: bool, fails: bool) -> None:
    for word, wanted in (("pass", passes), ("fail", fails)):
        rule = f"rules:\n  - {{name: probe, when: mail arrives, if: {{auth: {word}}}, then: {{tag: x}}}}\n"
        decision = decide(
            sound_rules(rule, settings=SETTINGS), mail(verdicts=verdicts), settings=SETTINGS, explain=True
        )
        assert (fired(decision) == ["probe"]) is wanted
        assert decision.traces[0].checks[0].seen == (dict(verdicts).get("mx.vendas.example") or "no verdict")
