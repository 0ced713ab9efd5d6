"""A private Dovecot whose mailboxes are fresh copies of a corpus, with the server's indexes warm."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from servers.dovecot import DovecotOptions, DovecotServer

from bench.corpus import Corpus, cache_folder

PASSWORD = "secret"
CACHED = "uid flags date.received size.virtual imap.bodystructure hdr.message-id"
SERVER_OPTIONS = "service imap {\n  client_limit = 1\n}\n"


class Laboratory:
    """The server, its mailboxes, and a folder for what clients write. Use as a context."""

    def __init__(self) -> None:
        self._server = DovecotServer(DovecotOptions(extra=SERVER_OPTIONS))
        self._boxes = 0

    def __enter__(self) -> Laboratory:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._server.remove()

    @property
    def port(self) -> int:
        """Where the server answers in the clear."""
        return self._server.port

    def deliver(self, login: str, raw: bytes) -> None:
        """Lay one mail into a mailbox, as a delivery agent does."""
        self._server.deliver(login, raw)

    @contextmanager
    def mailbox(self, corpus: Corpus) -> Iterator[str]:
        """The login of a mailbox with the corpus as its INBOX; gone afterwards."""
        self._boxes += 1
        login = f"box{self._boxes}"
        self._server.add_user(login)
        maildir = self._server.maildir(login)
        shutil.rmtree(maildir / "cur")
        self._link(corpus.maildir / "cur", maildir / "cur")
        self._warm(corpus, login)
        try:
            yield login
        finally:
            shutil.rmtree(maildir.parent, ignore_errors=True)

    def _link(self, source: Path, target: Path) -> None:
        """Hard links where the file system allows them: the server never changes a message."""
        target.mkdir()
        user = self._server.user
        os.chown(target, user.pw_uid, user.pw_gid)
        for file in source.iterdir():
            try:
                os.link(file, target / file.name)
            except OSError:
                shutil.copy2(file, target / file.name)
            os.chown(target / file.name, user.pw_uid, user.pw_gid)

    def _warm(self, corpus: Corpus, login: str) -> None:
        """Lay in the indexes that a server has of mail it delivered itself; made once for each corpus."""
        maildir = self._server.maildir(login)
        kept = corpus.folder / "indexes"
        if not kept.exists():
            self._server.doveadm("fetch", "-u", login, CACHED, "mailbox", "INBOX")
            kept.mkdir()
            for file in maildir.glob("dovecot*"):
                if file.is_file():
                    shutil.copy2(file, kept / file.name)
            return
        for file in kept.iterdir():
            shutil.copy2(file, maildir / file.name)
            os.chown(maildir / file.name, self._server.user.pw_uid, self._server.user.pw_gid)


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder for one run of a client, on the disk that the corpus lies on."""
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=cache_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
