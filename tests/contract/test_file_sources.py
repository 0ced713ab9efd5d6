"""Maildir, mbox and folders of .eml keep the promises of a source."""

from __future__ import annotations

import mailbox
import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path

import pytest
from plain_parser import PlainParser
from source_contract import FIRST, BreakableContract, SourceContract, mail, read_all

from connectors.errors import Misconfigured
from connectors.maildir.eml import EmlShelf
from connectors.maildir.maildir import MaildirShelf
from connectors.maildir.mbox import MboxShelf
from connectors.shelf import Shelf, ShelfSource


def tree(root: Path) -> list[tuple[str, int, bytes]]:
    """Every path with its time and content."""
    return sorted(
        (str(path), path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in root.rglob("*")
    )


class FileHooks(SourceContract):
    """The hooks that the three have in common."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.root = tmp_path / "mail"
        self.root.mkdir()
        self.serial = count(1)
        self.prepare()

    def prepare(self) -> None:
        """Make what has to be there before the first mail."""

    def shelf(self) -> Shelf:
        raise NotImplementedError

    def make_source(
        self, parser: PlainParser, *, since: date | None = None, only: Sequence[str] = (), skip: Sequence[str] = ()
    ) -> ShelfSource:
        return ShelfSource("files", self.shelf(), parser, since=since, only=only, skip=skip)

    def snapshot(self) -> object:
        return tree(self.root)

    def write(self, path: Path, raw: bytes, at: datetime) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        os.utime(path, (at.timestamp(), at.timestamp()))
        return path


class TestMaildirSource(FileHooks, BreakableContract):
    def prepare(self) -> None:
        self.make_folder(self.root)

    def make_folder(self, path: Path) -> None:
        for name in ("cur", "new", "tmp"):
            (path / name).mkdir(parents=True, exist_ok=True)

    def shelf(self) -> Shelf:
        return MaildirShelf("files", self.root)

    def add_mail(self, raw: bytes, *, folder: str = "INBOX", at: datetime = FIRST) -> None:
        path = self.root if folder == "INBOX" else self.root / f".{folder}"
        self.make_folder(path)
        number = next(self.serial)
        name = f"new/{number:04}.x.host" if number % 2 else f"cur/{number:04}.x.host:2,RS"
        self.write(path / name, raw, at)

    def break_mail(self, number: int) -> None:
        for path in [*self.root.glob("new/*"), *self.root.glob("cur/*")]:
            if path.is_file() and f"<m{number}@".encode() in path.read_bytes():
                path.unlink()
                path.mkdir()

    def test_a_flag_set_by_the_user_is_no_new_mail(self, parser: PlainParser) -> None:
        self.fill(3)
        source = self.make_source(parser)
        run = read_all(source)
        for path in list((self.root / "new").iterdir()):
            path.rename(self.root / "cur" / f"{path.name}:2,S")
        assert read_all(source, run.cursor).ids == []

    def test_a_mail_renamed_after_the_listing_is_read(self, parser: PlainParser) -> None:
        self.fill(1)
        shelf = MaildirShelf("files", self.root)
        (folder,) = shelf.folders()
        (entry,) = shelf.entries(folder)
        (path,) = (self.root / "new").iterdir()
        path.rename(self.root / "cur" / f"{path.name}:2,S")
        content = shelf.load(folder, entry)
        assert content is not None
        assert content.flags == ("\\Seen",)
        next((self.root / "cur").iterdir()).unlink()
        assert shelf.load(folder, entry) is None

    def test_a_still_folder_is_listed_once(self, parser: PlainParser) -> None:
        self.fill(3)
        for place in ("new", "cur"):
            os.utime(self.root / place, (FIRST.timestamp(), FIRST.timestamp()))
        shelf = MaildirShelf("files", self.root)
        (folder,) = shelf.folders()
        assert shelf.entries(folder) is shelf.entries(folder)
        self.fill(1, first=7)
        assert len(shelf.entries(folder)) == 4

    def test_flags_and_nested_names(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        self.add_mail(mail(2), folder="Clientes.A&AOc-o")
        run = read_all(self.make_source(parser))
        assert {item.folder for item in run.items} == {"INBOX", "Clientes/Aço"}
        assert {item.flags for item in run.items} == {(), ("\\Answered", "\\Seen")}


class TestEmlSource(FileHooks):
    def shelf(self) -> Shelf:
        return EmlShelf("files", self.root)

    def add_mail(self, raw: bytes, *, folder: str = "INBOX", at: datetime = FIRST) -> None:
        path = self.root if folder == "INBOX" else self.root / folder
        self.write(path / f"{next(self.serial):04}.eml", raw, at)


class TestMboxSource(FileHooks):
    def prepare(self) -> None:
        (self.root / "INBOX").touch()

    def shelf(self) -> Shelf:
        return MboxShelf("files", self.root)

    def add_mail(self, raw: bytes, *, folder: str = "INBOX", at: datetime = FIRST) -> None:
        message = mailbox.mboxMessage(raw.replace(b"\r\n", b"\n"))
        message.set_from("ivan@acme.example", at.astimezone(UTC).timetuple())
        box = mailbox.mbox(self.root / folder)
        box.add(message)
        box.close()

    def test_a_rewritten_file_brings_nothing_twice(self, parser: PlainParser) -> None:
        self.fill(5)
        source = self.make_source(parser)
        run = read_all(source)
        box = mailbox.mbox(self.root / "INBOX")
        box.remove(1)
        seen = box[3]
        seen.add_flag("RO")
        box[3] = seen
        box.close()
        self.add_mail(mail("new"), at=FIRST)
        assert read_all(source, run.cursor).ids == ["mnew"]

    def test_quoted_from_lines_are_restored(self, parser: PlainParser) -> None:
        body = b"From here on.\n>From there\nend"
        self.add_mail(mail(1).replace(b"hello 1", body))
        (item,) = read_all(self.make_source(parser)).items
        assert "From here on." in item.text
        assert ">From here" not in item.text

    def test_a_from_line_inside_a_text_splits_nothing(self, parser: PlainParser) -> None:
        self.add_mail(mail(1, "one\n\nFrom our side all is well in 2026\n"))
        self.fill(1, first=2)
        assert read_all(self.make_source(parser)).ids == ["m2", "m1"]

    def test_a_single_file_is_the_inbox(self, parser: PlainParser) -> None:
        self.fill(2)
        source = ShelfSource("files", MboxShelf("files", self.root / "INBOX"), parser)
        assert [item.folder for item in read_all(source).items] == ["INBOX", "INBOX"]


@pytest.mark.parametrize("shelf", [MaildirShelf, MboxShelf, EmlShelf])
def test_a_missing_path_is_a_wrong_setting(shelf: type[MaildirShelf], tmp_path: Path) -> None:
    source = ShelfSource("files", shelf("files", tmp_path / "nowhere"), PlainParser())
    with pytest.raises(Misconfigured) as caught:
        source.check()
    assert "path:" in caught.value.hint


def test_a_mail_beyond_the_limit_becomes_a_header(tmp_path: Path) -> None:
    path = tmp_path / "huge.eml"
    path.write_bytes(mail(1))
    with path.open("r+b") as file:
        file.truncate(41 << 20)  # sparse: costs no disk
    parser = PlainParser()
    (item,) = read_all(ShelfSource("files", EmlShelf("files", tmp_path), parser)).items
    assert item.degraded == ("header only",)
    assert len(parser.seen[0].header) < 1000
    assert item.size == 41 << 20
