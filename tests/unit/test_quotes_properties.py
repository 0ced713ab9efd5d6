"""What holds for every body: never an error, nothing invented, nothing lost, a second split changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.mail.html import html_to_text, split_html
from connectors.mail.quotes import split_reply

_LINES = st.sampled_from(
    [
        "",
        " ",
        "Bom dia",
        "segue o pedido.",
        "> velho",
        ">> mais velho",
        ">",
        "Em 20/11/2026 14:03, Ana <ana@loja.example> escreveu:",
        "пт, 20 нояб. 2026 г. в 14:03, Имя <i@p.example>:",
        "Ana <ana@loja.example>",
        "escreveu:",
        "wrote:",
        "> wrote:",
        "<",
        "De: Ana <ana@loja.example>",
        "Enviado: 20 de novembro de 2026 14:03",
        "Para: Bia",
        "Assunto: Oi",
        "-----Mensagem original-----",
        "---------- Forwarded message ---------",
        "________________________________",
        "-- ",
        "--",
        "Att,",
        "Ana Silva",
        "Gerente",
        "(11) 4000-1234",
        "www.loja.example",
        "Enviado do meu iPhone",
        "x" * 90,
    ]
)
_BODIES = st.one_of(st.text(max_size=400), st.lists(_LINES, max_size=25).map("\n".join))
_TAGS = st.sampled_from(
    [
        "<div>",
        "</div>",
        "<p>",
        "</p>",
        "<br>",
        "<blockquote type='cite'>",
        "</blockquote>",
        '<div class="gmail_quote">',
        '<div class="gmail_attr">',
        '<div id="divRplyFwdMsg">',
        "<hr>",
        "<table><tr><td>",
        "</table>",
        "<pre>",
        "</pre>",
        "<script>",
        "</script>",
        "<style>x",
        "</style>",
        "<!--",
        "-->",
        "<title>",
        '<a "',
        "<a '>",
        "<",
        ">",
        "&lt;",
        "&#1;",
        "&nbsp;",
        "<span style='display:none'>",
        "</span>",
        "Bom dia",
        "Ana &lt;ana@loja.example&gt; escreveu:",
        "\n",
        "<li>",
    ]
)
_PAGES = st.one_of(st.text(max_size=300), st.lists(_TAGS, max_size=40).map("".join))


@given(_BODIES)
def test_parts_are_lines_of_the_body(body: str) -> None:
    parts = split_reply(body)
    source = body.replace("\r\n", "\n").replace("\r", "\n")
    for mark in "\ufeff\u200b\u2060":
        source = source.replace(mark, "")
    for part in (parts.text, parts.quoted, parts.signature):
        assert all(line.strip() in source for line in part.split("\n"))


@given(st.lists(_LINES, max_size=25))
def test_every_line_goes_to_one_part(lines: list[str]) -> None:
    parts = split_reply("\n".join(lines))
    whole = "\n".join((parts.text, parts.quoted, parts.signature))
    assert sorted(line.strip() for line in whole.split("\n") if line.strip()) == sorted(
        line.strip() for line in lines if line.strip()
    )


@given(_BODIES)
def test_body_without_quotes_is_split_once(body: str) -> None:
    parts = split_reply(body)
    if not parts.quoted:
        again = split_reply(parts.text)
        assert again.text == parts.text


@given(_PAGES)
def test_any_page_is_rendered(page: str) -> None:
    rendered = html_to_text(page)
    split_html(page)
    assert "gmail_quote" not in rendered.text or "gmail_quote" in page


@given(st.text(alphabet=st.characters(exclude_characters="<>&", exclude_categories=["C", "Z"]), min_size=1))
def test_words_survive_the_rendering(word: str) -> None:
    page = f"<div><p>{word}</p><table><tr><td><b>{word}</b></td></tr></table></div>"
    assert html_to_text(page).text.split() == [*word.split(), *word.split()] or not word.isprintable()
