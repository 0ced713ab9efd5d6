"""Categories as IMAP keywords: legal atoms, and the same name back."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.categories import categories_in, category_of, fold_category, keyword_of, tidy_category

ATOM = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")
"""RFC 3501 9: ATOM-CHAR is any but ( ) { SP CTL % * " \\ ]"""


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn", "Zl", "Zp")), min_size=1, max_size=60))
@example("CRM: lead")
@example("CRM: reclamação")
@example("_a_=u")
@example("=41")
@example("$Forwarded")
def test_every_name_comes_back(name: str) -> None:
    if not tidy_category(name):
        return
    keyword = keyword_of(name)
    assert ATOM.fullmatch(keyword)
    assert keyword[0] not in "\\$"
    assert category_of(keyword) == tidy_category(name)
    # RFC 3501 2.3.2 keeps no case apart, and servers may keep one only.
    assert fold_category(category_of(keyword.lower())) == fold_category(category_of(keyword).lower())


@given(st.text(max_size=60))
def test_any_keyword_has_a_name(keyword: str) -> None:
    assert keyword == "" or category_of(keyword)


@pytest.mark.parametrize("keyword", ["=ZZ", "=00x", "abc-999999999=u", "=u", "caf\xe9", "=20", "_"])
def test_a_keyword_we_did_not_make_is_its_own_name(keyword: str) -> None:
    assert category_of(keyword) == keyword


def test_known_names_are_short_enough_for_servers() -> None:
    assert keyword_of("CRM: lead") == "CRM:_lead"
    assert keyword_of("CRM: reclamação") == "CRM:_reclamao-7eb3d=u"
    assert len(keyword_of("CRM: коммерческое предложение")) <= 50


def test_a_name_needs_letters() -> None:
    with pytest.raises(ValueError, match="name"):
        keyword_of("  ")


def test_what_programs_keep_for_themselves_is_no_category() -> None:
    flags = ("\\Seen", "$Forwarded", "NonJunk", "CRM:_lead", "crm:_lead", "Urgente")
    assert categories_in(flags) == ("CRM: lead", "crm: lead", "Urgente")
