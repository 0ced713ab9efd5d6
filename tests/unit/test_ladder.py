"""Who is this mail about: each rung, what beats what, ambiguity, internal mail, our own people under other names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_samples import LUA, MARIA, SETTINGS, SOL, mail, office

from connectors.model import Address, Bounce, Kind
from rules.decision import Direction, Match
from rules.facts import ContactFacts, Directory, Thread
from rules.ladder import direction_of, match, primary
from rules.office import office_of
from rules.public_domains import PUBLIC_DOMAINS

ANA = Address("ana@vendas.example")
BRUNO = Address("bruno@partner.example")
X = Address("x@nobody.example")
DENIS = ContactFacts(id=21, customer_id=2, name="Denis", emails=("denis@lua.example", "denis@gmail.com"))
ALIAS = ContactFacts(
    id=22, customer_id=2, emails=("eva@lua.example", "eva@gmail.com"), aliases=frozenset(("eva@gmail.com",))
)
FULL = Directory(
    contacts={
        "maria@sol.example": (MARIA,),
        "denis@lua.example": (DENIS,),
        "denis@gmail.com": (DENIS,),
        "eva@gmail.com": (ALIAS,),
    },
    domains={"sol.example": (1,), "lua.example": (2,), "gmail.com": (2,)},
    threads={
        "t1@x": Thread(customers=(1,), subject_key="caixas"),
        "t2@x": Thread(customers=(2,), subject_key="caixas"),
        "t12@x": Thread(customers=(1, 2)),
        "none@x": Thread(customers=()),
    },
    tokens={"4F2K": (1,), "lua": (2,)},
    customers={1: SOL, 2: LUA},
)


def found(directory: Directory = FULL, **changes: Any) -> Match:
    return match(mail(**changes), directory, SETTINGS)


def used(result: Match) -> list[tuple[str, str]]:
    return [(answer.rung, answer.seen) for answer in result.answers if answer.used]


def why(result: Match) -> dict[str, str]:
    return {answer.rung: answer.why for answer in result.answers if not answer.used}


def test_address() -> None:
    result = found()
    assert (result.customers, result.contact, used(result)) == ((1,), MARIA, [("address", "maria@sol.example")])
    assert result.rungs == {1: "address"}
    assert why(result) == {"domain": "address answered before"}
    assert result.known


def test_address_ignores_case() -> None:
    assert found(sender=Address("MARIA@sol.example")).contact == MARIA


def test_alias() -> None:
    result = found(sender=Address("eva@gmail.com"))
    assert (result.customers, result.rungs, result.contact) == ((2,), {2: "alias"}, ALIAS)


def test_domain_and_its_subdomains() -> None:
    assert found(sender=Address("new@sol.example")).rungs == {1: "domain"}
    result = found(sender=Address("new@mail.pt.sol.example"))
    assert (result.rungs, result.contact) == ({1: "domain"}, None)
    assert found(sender=Address("new@notsol.example")).customers == ()


def test_public_domains_never_answer() -> None:
    result = found(sender=Address("someone@gmail.com"))
    assert (result.customers, why(result)) == ((), {"domain": "public mail domain"})
    own = office(public_domains=["sol.example"])
    assert match(mail(sender=Address("new@sol.example")), FULL, own).customers == ()


def test_public_list_covers_the_providers_of_our_customers() -> None:
    assert len(PUBLIC_DOMAINS) >= 60
    wanted = "gmail.com outlook.com uol.com.br bol.com.br terra.com.br sapo.pt mail.ru yandex.ru bk.ru list.ru inbox.ru"
    assert set(wanted.split()) | {"rambler.ru", "hotmail.com", "yahoo.com.br", "ya.ru", "icloud.com"} <= PUBLIC_DOMAINS
    assert all(domain == domain.lower() and "." in domain for domain in PUBLIC_DOMAINS)


def test_thread_for_an_unknown_sender() -> None:
    result = found(sender=X, references=("old@x", "t1@x"), in_reply_to="t1@x", subject="Re: Caixas")
    assert (result.customers, result.rungs, result.contact) == ((1,), {1: "thread"}, None)


def test_nearest_known_parent_speaks() -> None:
    result = found(sender=X, references=("t1@x", "t2@x", "lost@x"), in_reply_to="lost@x", subject="Re: caixas")
    assert result.customers == (2,)


def test_sender_of_another_customer_beats_the_thread() -> None:
    result = found(sender=Address("denis@lua.example"), references=("t1@x",), subject="Re: caixas")
    assert result.customers == (2,)
    assert why(result)["thread"] == "the other end is at another customer"


def test_sender_of_another_customer_beats_the_thread_even_when_its_customer_is_in_copy() -> None:
    sender, copy = Address("denis@lua.example"), (Address("maria@sol.example"),)
    result = found(sender=sender, cc=copy, references=("t1@x",), subject="Re: caixas")
    assert result.customers == (2, 1)
    assert why(result)["thread"] == "the sender is at another customer"


def test_our_own_mail_to_another_customer_leaves_the_thread() -> None:
    result = found(sender=ANA, to=(Address("denis@lua.example"),), references=("t1@x",), subject="Fwd: caixas")
    assert result.customers == (2,)


def test_new_subject_without_a_customer_address_breaks_the_thread() -> None:
    result = found(sender=X, references=("t1@x",), subject="Outra coisa")
    assert result.customers == ()
    assert "subject is new" in why(result)["thread"]


@pytest.mark.parametrize(
    "subject", ["RE: Caixas", "Res: RE[2]: [lista] CAIXAS!", "Отв: caixas", "ENC: caixas", "caixas"]
)
def test_same_subject_in_other_words_keeps_the_thread(subject: str) -> None:
    assert found(sender=X, references=("t1@x",), subject=subject).customers == (1,)


def test_new_subject_with_a_customer_address_keeps_the_thread() -> None:
    result = found(references=("t1@x",), subject="Outra coisa")
    assert (result.customers, result.rungs) == ((1,), {1: "thread"})


def test_thread_without_known_subject_is_never_broken() -> None:
    assert found(sender=X, references=("t12@x",), subject="Outra coisa").customers == (1, 2)


def test_thread_settles_an_ambiguous_address() -> None:
    twice = (MARIA, ContactFacts(id=31, customer_id=2, emails=MARIA.emails))
    directory = Directory(contacts={"maria@sol.example": twice}, threads=FULL.threads, customers=FULL.customers)
    result = found(directory, references=("t2@x",), subject="caixas")
    assert (result.customers, result.ambiguous, result.contact) == ((2,), False, twice[1])
    assert why(result)["address"] == "thread says which one"


def test_ambiguous_address_gives_all_its_customers_and_no_contact() -> None:
    twice = (MARIA, ContactFacts(id=31, customer_id=2, emails=MARIA.emails))
    result = found(Directory(contacts={"maria@sol.example": twice}, customers=FULL.customers))
    assert (result.customers, result.ambiguous, result.contact, result.known) == ((1, 2), True, None, False)
    assert primary(result) is None


def test_domain_of_two_customers_is_ambiguous() -> None:
    result = found(Directory(domains={"sol.example": (1, 2)}))
    assert (result.customers, result.ambiguous, primary(result)) == ((1, 2), True, None)


def test_two_contacts_of_one_customer_are_not_ambiguous() -> None:
    twice = (MARIA, ContactFacts(id=31, customer_id=1, emails=MARIA.emails))
    result = found(Directory(contacts={"maria@sol.example": twice}))
    assert (result.customers, result.ambiguous, result.contact) == ((1,), False, None)


def test_union_of_participants_with_the_sender_first() -> None:
    result = found(sender=Address("denis@lua.example"), cc=(Address("maria@sol.example"), X))
    assert (result.customers, primary(result)) == ((2, 1), 2)
    assert [person.email for person in result.outside] == ["denis@lua.example", "maria@sol.example", X.email]


def test_our_own_mail_puts_the_first_recipient_first() -> None:
    result = found(sender=ANA, to=(BRUNO, Address("denis@lua.example")), cc=(Address("maria@sol.example"),))
    assert result.customers == (2, 1)
    assert result.other_end == Address("denis@lua.example")


def test_token_speaks_for_the_mail() -> None:
    result = found(sender=X, subject="Re: x [CRM-4f2k]")
    assert (result.rungs, used(result)) == ({1: "token"}, [("token", "4F2K")])
    assert found(sender=X, subject="[CRM-9999]").customers == ()


def test_token_before_thread() -> None:
    result = found(sender=X, subject="Re: caixas [CRM-4F2K]", references=("t2@x",))
    assert result.customers == (1,)
    assert why(result)["thread"] == "token answered before"


def test_plus_address_of_ours_only() -> None:
    assert found(sender=X, to=(Address("crm+Lua@vendas.example"),)).rungs == {2: "plus_address"}
    assert found(sender=X, to=(ANA, Address("maria+lua@else.example"))).customers == ()


def test_internal_mail_inherits_nothing() -> None:
    result = found(sender=ANA, to=(BRUNO,), references=("t1@x",), subject="Re: caixas [CRM-4F2K]")
    assert (result.outside, result.customers, result.other_end) == ((), (), None)
    assert {answer.why for answer in result.answers} == {"only our own people"}


def test_aliases_of_the_team_are_internal() -> None:
    assert found(sender=Address("Ana.Souza@vendas.example"), to=(BRUNO,)).outside == ()


def test_mail_to_oneself() -> None:
    assert found(sender=ANA, to=(ANA,)).outside == ()


def test_reports_of_lost_mail_belong_to_who_did_not_get_it() -> None:
    bounce = Bounce(recipients=("denis@lua.example",), hard=True, reason="user_unknown")
    report = {"sender": Address("mailer-daemon@vendas.example"), "kind": Kind.BOUNCE, "bounce": bounce}
    result = found(**report)
    assert (result.customers, result.other_end) == ((2,), Address("denis@lua.example"))
    assert direction_of(mail(**report), office_of(SETTINGS)) is Direction.IN


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Direction.IN),
        ({"sender": ANA}, Direction.OUT),
        ({"sender": BRUNO}, Direction.OUT),
        ({"sender": Address("anyone@vendas.example")}, Direction.OUT),
        ({"sender": None}, Direction.IN),
        ({"sender": None, "sent_by": ANA}, Direction.OUT),
        ({"sent_by": ANA}, Direction.OUT),
        ({"sent_by": Address("list@vendas.example")}, Direction.IN),  # our mailing list passes it on
    ],
)
def test_direction(changes: dict[str, Any], expected: Direction) -> None:
    assert direction_of(mail(**changes), office_of(SETTINGS)) is expected


def test_rungs_left_out_of_the_settings_are_not_asked() -> None:
    short = office(match=["address"])
    assert match(mail(sender=Address("new@sol.example")), FULL, short).answers == ()
    assert match(mail(), FULL, short).rungs == {1: "address"}


addresses = st.sampled_from(
    [ANA, BRUNO, X, *map(Address, ("maria@sol.example", "denis@lua.example", "eva@gmail.com", "n@a.sol.example", ""))]
)
messages = st.builds(
    mail,
    sender=st.none() | addresses,
    sent_by=st.none() | addresses,
    to=st.lists(addresses, max_size=3).map(tuple),
    cc=st.lists(addresses, max_size=3).map(tuple),
    reply_to=st.lists(addresses, max_size=1).map(tuple),
    references=st.lists(st.sampled_from(["t1@x", "t2@x", "t12@x", "none@x", "?"]), unique=True).map(tuple),
    subject=st.sampled_from(["Re: caixas", "novo", "[CRM-4F2K] x", ""]),
    kind=st.sampled_from(Kind),
)


@given(messages)
def test_what_always_holds(message: Any) -> None:
    result = match(message, FULL, SETTINGS)
    asked = {customer for answer in result.answers if answer.used for customer in answer.customers}
    assert set(result.customers) == set(result.rungs) == asked
    assert len(set(result.customers)) == len(result.customers)
    assert result.outside or not result.customers
    assert result == match(message, FULL, SETTINGS)
    assert not any(SETTINGS.is_internal(person.email) for person in result.outside)
    if result.contact:
        assert result.contact.customer_id in result.customers
    if primary(result) is not None:
        assert primary(result) == result.customers[0]


def test_unknown_everything() -> None:
    assert match(mail(sender=None, to=()), Directory(), SETTINGS) == Match()
