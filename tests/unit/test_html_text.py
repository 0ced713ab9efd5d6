"""HTML mail to text: layout, safety, and the quotes that mail programs mark."""

from __future__ import annotations

import pytest

from connectors.mail.html import html_to_text, split_html


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("a<br>b", "a\nb"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<p class=MsoNormal>a</p><p class=MsoNormal>&nbsp;</p><p class=MsoNormal>b</p>", "a\n\nb"),
        ('<p style="margin: 0">a</p><p style="margin: 0">b</p>', "a\nb"),
        ("<div>a<br></div><div><br></div><div>b</div>", "a\n\nb"),
        ("a\n   b\t c", "a b c"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<table><tr><td><table><tr><td>a</td></tr></table></td></tr></table>b", "a\nb"),
        ('<a href="https://x.example">link</a>', "link"),
        ("&lt;b&gt; &amp; &eacute;&#233;&#x1F600;", "<b> & éé😀"),
        ('a<img src="cid:1" alt="logo">b<img alt="😊">', "ab😊"),
        ("a<script>alert('<b>')</script>b<style>p{}</style>c<!-- d -->e", "abce"),
        ("<html><head><title>t</title></head><body>a</body></html>", "a"),
        ("<!DOCTYPE html><?xml version='1'?><![if !mso]>a<![endif]>", "a"),
        ("<DIV>A</DIV><BR/>b", "A\n\nb"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a <b", "a <b"),
        ('<div style="display:none">preheader</div>a', "a"),
        ("<title>never closed <p>a", "never closed\n\na"),
        ('<a title="a>b">c</a>', "c"),
        ("<a title='open>c", "c"),
        ("", ""),
    ],
)
def test_layout(page: str, text: str) -> None:
    assert html_to_text(page).text == text


QUOTES = {
    "gmail": '<div class="gmail_quote"><div class="gmail_attr">H:</div><blockquote class="gmail_quote">old</blockquote>'
    "</div>",
    "gmail before 2018": '<div class="gmail_quote">H:<br><blockquote class="gmail_quote">old</blockquote></div><br>',
    "gmail in outlook": '<div class="x_gmail_quote"><div class="x_gmail_attr">H:</div><blockquote>old</blockquote>'
    "</div>",
    "hotmail": '<hr id="stopSpelling">H:<br>old',
    "outlook web": '<div id="appendonsend"></div><hr><div id="divRplyFwdMsg">H:</div>old',
    "outlook web, quoted again": '<hr><div id="x_divRplyFwdMsg">H:</div><div>old</div>',
    "outlook for mac": '<span id="OLK_SRC_BODY_SECTION"><div>H:</div>old</span>',
    "apple": '<blockquote type="cite"><div>H:</div><br class="Apple-interchange-newline"><div>old</div></blockquote>',
    "yahoo": '<div id="ydp1yahoo_quoted_1" class="ydp1yahoo_quoted"><div>H:</div>old</div>',
    "thunderbird": '<div class="moz-cite-prefix">H:<br></div><blockquote type="cite">old</blockquote>',
    "mail.ru": '<blockquote style="border-left:1px solid #0857A6; margin:10px;">H:<br>old</blockquote>',
    "proton": '<div class="protonmail_quote">H:<br><blockquote>old</blockquote></div>',
    "zimbra": '<hr id="zwchr">H:<br>old',
    "unclosed": '<div class="gmail_quote">H:<blockquote>old',
}


@pytest.mark.parametrize("page", QUOTES.values(), ids=QUOTES.keys())
def test_marked_quote(page: str) -> None:
    parts = html_to_text(f"<div>new</div>{page}")
    assert parts.text == "new"
    assert parts.quoted.split() == ["H:", "old"]
    assert split_html(f"<div>new</div>{page}").text == "new"


@pytest.mark.parametrize(
    "mark",
    [
        '<div class="gmail_signature">{}</div>',
        '<div class="moz-signature">{}</div>',
        '<pre class="moz-signature" cols="72">{}</pre>',
        '<div id="Signature"><p>{}</p></div>',
        '<div id="ms-outlook-mobile-signature">{}</div>',
        '<div data-signatureblock="true">{}</div>',
    ],
)
def test_marked_signature(mark: str) -> None:
    parts = split_html("<div>new</div>" + mark.format("Ana") + '<blockquote type="cite">old</blockquote>')
    assert (parts.text, parts.quoted, parts.signature) == ("new", "old", "Ana")


def test_answers_inside_a_gmail_quote_are_text() -> None:
    page = (
        '<div dir="ltr"></div><div class="gmail_quote"><div class="gmail_attr">On 1 May, A wrote:</div>'
        '<blockquote class="gmail_quote">one?</blockquote><div>yes</div>'
        '<blockquote class="gmail_quote">two?</blockquote><div>no</div></div>'
    )
    assert split_html(page).text == "yes\n\nno"


def test_writers_own_indent_is_text() -> None:
    page = 'see:<blockquote style="margin:0 0 0 40px;border:none;padding:0px">indented</blockquote>end'
    assert html_to_text(page).text == "see:\nindented\nend"


def test_header_line_above_a_marked_quote_is_quoted() -> None:
    page = '<div>new</div><div>Em 20/11/2026, Ana escreveu:</div><blockquote type="cite">old</blockquote>'
    assert split_html(page).text == "new"


def test_outlook_block_in_an_unknown_language() -> None:
    page = (
        '<p>new</p><div style="border:none;border-top:solid #B5C4DF 1.0pt;padding:3.0pt 0in 0in 0in">'
        "<p><b>Kutoka:</b> Ana &lt;ana@shop.example&gt;<br><b>Imetumwa:</b> leo<br><b>Kwa:</b> Bia</p></div><p>old</p>"
    )
    assert split_html(page).text == "new"


def test_rule_of_the_writer_is_no_quote() -> None:
    assert split_html("<p>one</p><hr><p>Note: two</p><p>three</p>").text == "one\n\nNote: two\n\nthree"


def test_forwarded_page_without_a_word_of_its_own() -> None:
    page = '<div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------<br>'
    page += "From: <b>A</b> &lt;a@b.example&gt;<br>Date: Fri<br>Subject: S<br>To: C<br></div>help</div>"
    assert split_html(page).text == "help"


@pytest.mark.parametrize(
    "unit",
    [
        "<div>",
        "<blockquote>",
        "<table><tr><td>",
        '<div class="gmail_quote"><span>',
        "<a '",
        "<a \"'>",
        "<!--",
        "<title>",
    ],
)
def test_hostile_nesting_ends(unit: str) -> None:
    page = "new" + unit * (200_000 // len(unit))
    assert split_html(page).text.startswith("new")


def test_numeric_entity_of_thousands_of_digits() -> None:
    assert html_to_text("a&#" + "1" * 5000 + ";b").text.startswith("a&#1")
