"""Which folders are read, and what they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.folders import (
    Purpose,
    choose_folders,
    decode_name,
    encode_name,
    folder_of,
    give_purposes,
    missing_names,
)
from connectors.model import FolderRole


def folders(*names: str, delimiter: str = "/", **attributes: str):  # type: ignore[no-untyped-def]
    made = [folder_of(encode_name(name), name, delimiter, attributes.get(name, "").split()) for name in names]
    return give_purposes(made)


def read(listed, **rules: list[str]) -> list[str]:  # type: ignore[no-untyped-def]
    return [folder.name for folder in choose_folders(listed, **rules)]


@pytest.mark.parametrize(
    ("sent", "drafts", "trash", "junk"),
    [
        ("Sent Items", "Drafts", "Deleted Items", "Junk E-mail"),
        ("Itens Enviados", "Rascunhos", "Lixeira", "Lixo Eletrônico"),
        ("Отправленные", "Черновики", "Корзина", "Спам"),
        ("Elementos enviados", "Borradores", "Papelera", "Correo no deseado"),
        ("Gesendete Elemente", "Entwürfe", "Papierkorb", "Spamverdacht"),
        ("Éléments envoyés", "Brouillons", "Corbeille", "Courrier indésirable"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "INBOX/", "[Gmail]/"])
def test_names_in_six_languages(sent: str, drafts: str, trash: str, junk: str, prefix: str) -> None:
    names = [prefix + name for name in (sent, drafts, trash, junk)]
    listed = folders("INBOX", *names, "Clientes")
    assert read(listed) == ["INBOX", prefix + sent, "Clientes"]
    assert listed[1].role is FolderRole.SENT


def test_what_the_server_says_counts_more_than_a_name() -> None:
    listed = folders("INBOX", "Sent", "Outbound", "Trash", "Bin", Outbound="\\Sent", Bin="\\Trash")
    purposes = {folder.name: folder.purpose for folder in listed}
    assert purposes["Outbound"] is Purpose.SENT
    assert purposes["Sent"] is Purpose.PLAIN
    assert purposes["Trash"] is Purpose.PLAIN


def test_deep_folders_are_somebodys_filing() -> None:
    assert "Projects/Sent" in read(folders("INBOX", "Projects/Sent", "Projects/Drafts"))
    assert "Projects/Drafts" in read(folders("INBOX", "Projects/Sent", "Projects/Drafts"))


def test_views_and_closed_folders_are_left_out() -> None:
    listed = folders("INBOX", "All", "Starred", "Top", All="\\All", Starred="\\Flagged", Top="\\Noselect")
    assert read(listed) == ["INBOX"]
    assert read(listed, only=["all"]) == ["All"]


def test_only_and_not() -> None:
    listed = folders("INBOX", "Sent", "A", "A/B", "A/B/C", "AB", "Drafts")
    assert read(listed, only=["a"]) == ["A", "A/B", "A/B/C"]
    assert read(listed, skip=["A/B"]) == ["INBOX", "Sent", "A", "AB"]
    assert read(listed, only=["A"], skip=["a/b/c"]) == ["A", "A/B"]
    assert read(listed, only=["INBOX"]) == ["INBOX"]
    assert missing_names(listed, ["A", "nothing", "drafts"]) == ["nothing"]


def test_inbox_alone_is_not_everything_on_a_server_that_keeps_all_below_it() -> None:
    listed = folders("INBOX", "INBOX.Sent", "INBOX.Clients", delimiter=".")
    assert read(listed, only=["INBOX"]) == ["INBOX"]


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")))
def test_names_survive_the_wire(name: str) -> None:
    assert decode_name(encode_name(name)) == name


@given(st.binary(max_size=40))
def test_any_bytes_give_a_name(raw: bytes) -> None:
    name = decode_name(raw.decode("latin-1"))
    name.encode("utf-8")
    assert "\0" not in name
