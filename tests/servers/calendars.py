"""Real CalDAV servers on loopback: Radicale and Xandikos, each with a login `ana` and calendars that tests make.

They come from PyPI and run with the interpreter of the tests, in a folder of their own.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from abc import abstractmethod
from pathlib import Path
from typing import Self
from urllib.parse import urljoin

import httpx
from servers.process import await_port, free_port, private_folder, server_user, spawn, stop, tail

LOGIN, PASSWORD = "ana", "secret"
_serial = itertools.count(1)
_MAKE = (
    '<?xml version="1.0"?><c:mkcalendar xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:set><d:prop>'
    "<d:displayname>{name}</d:displayname></d:prop></d:set></c:mkcalendar>"
)
_LIST = '<?xml version="1.0"?><d:propfind xmlns:d="DAV:"><d:prop><d:getetag/></d:prop></d:propfind>'


class CalendarServer:
    """One private server. Use it in a `with` block."""

    host = "127.0.0.1"
    home = f"/{LOGIN}/"
    """Path of the folder that holds ana's calendars."""

    def __init__(self) -> None:
        self.user = server_user()
        if self.user.pw_name == "nobody":  # the interpreter may lie where nobody else may look
            self.user = server_user("root")
        self.folder = private_folder("caldav", self.user)
        self.log = self.folder / "server.log"
        self.port = 0
        self.client = httpx.Client(auth=(LOGIN, PASSWORD), timeout=30, trust_env=False)
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """How it is started, listening on `port`."""

    def __enter__(self) -> Self:
        for _ in range(5):
            self.port = free_port()
            self._process = spawn(self.command(), self.user, self.log)
            if await_port(self._process, self.port, self.log):
                return self
        raise RuntimeError(f"the calendar server does not start:\n{tail(self.log)}")

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self._process is not None:
            stop(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The root of the server."""
        return f"http://{self.host}:{self.port}/"

    def make_calendar(self) -> TestCalendar:
        """A new calendar with a name that no other test has."""
        name = f"Agenda {next(_serial)}"
        path = f"{self.home}{name.lower().replace(' ', '-')}/"
        self.ask("MKCALENDAR", path, _MAKE.format(name=name)).raise_for_status()
        return TestCalendar(self, name, path)

    def ask(
        self, method: str, path: str, body: str | bytes = b"", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """One request as ana."""
        sent = {"Content-Type": "application/xml", **(headers or {})}
        return self.client.request(method, urljoin(self.url, path), content=body, headers=sent)


class TestCalendar:
    """A calendar on a server, as another calendar program sees it."""

    __test__ = False

    def __init__(self, server: CalendarServer, name: str, path: str) -> None:
        self.server, self.name, self.path = server, name, path

    @property
    def url(self) -> str:
        """Its own address."""
        return urljoin(self.server.url, self.path)

    def put(self, ref: str, data: bytes) -> None:
        """Lay an object there, or change it."""
        self.server.ask("PUT", self.path + ref, data, {"Content-Type": "text/calendar"}).raise_for_status()

    def get(self, ref: str) -> bytes | None:
        """An object as the server gives it; None if it is not there."""
        answer = self.server.ask("GET", self.path + ref)
        return answer.content if answer.status_code == 200 else None

    def remove(self, ref: str) -> None:
        """Take an object out."""
        self.server.ask("DELETE", self.path + ref).raise_for_status()

    def snapshot(self) -> dict[str, bytes | None]:
        """Every object with what is in it."""
        listed = self.server.ask("PROPFIND", self.path, _LIST, {"Depth": "1"}).text
        refs = sorted(set(re.findall(rf"{re.escape(self.path)}([^<>/]+)<", listed)))
        return {ref: self.get(ref) for ref in refs}


_RADICALE = """
import sys
from radicale import config, log, server
log.setup()
settings = config.load([(sys.argv[1], False)])
settings.update({"storage": {"_filesystem_fsync": "False"}}, "tests", privileged=True)  # seconds, for what we delete
server.serve(settings)
"""


class RadicaleServer(CalendarServer):
    """https://radicale.org"""

    def command(self) -> list[str]:
        (self.folder / "users").write_text(f"{LOGIN}:{PASSWORD}\n")
        config = self.folder / "config"
        config.write_text(
            f"[server]\nhosts = {self.host}:{self.port}\n"
            f"[auth]\ntype = htpasswd\nhtpasswd_filename = {self.folder / 'users'}\nhtpasswd_encryption = plain\n"
            "[rights]\ntype = owner_only\n"
            f"[storage]\nfilesystem_folder = {self.folder / 'store'}\n"
            "[web]\ntype = none\n"
        )
        return [sys.executable, "-c", _RADICALE, str(config)]

    def folder_of(self, calendar: TestCalendar) -> Path:
        """Where the objects of a calendar lie as files."""
        return self.folder / "store" / "collection-root" / calendar.path.strip("/")


class XandikosServer(CalendarServer):
    """https://www.xandikos.org; it has no logins of its own and takes everybody for ana."""

    home = f"/{LOGIN}/calendars/"

    def command(self) -> list[str]:
        store = self.folder / "store"
        store.mkdir(exist_ok=True)
        return [
            *(sys.executable, "-m", "xandikos", "serve", "--defaults", "-d", str(store)),
            *("-l", self.host, "-p", str(self.port), "--current-user-principal", f"/{LOGIN}/"),
        ]
