"""A real DAViCal on loopback: its PHP under PHP's own server, its tables in a database of the tests' PostgreSQL.

The system's configuration in /etc/davical stays out: the programs are copied and look for theirs beside them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from servers.calendars import LOGIN, PASSWORD, CalendarServer
from servers.postgres import PostgresServer, newest_programs
from servers.process import as_user, find_program

_PROGRAMS = Path("/usr/share/davical")
_TABLES = (
    *("/usr/share/awl/dba/awl-tables.sql", "/usr/share/awl/dba/schema-management.sql"),
    *("dba/davical.sql", "dba/rrule_functions.sql", "dba/caldav_functions.sql"),
    *("dba/views/dav_principal.sql", "dba/base-data.sql"),
)
_ANA = (
    "INSERT INTO usr (user_no, active, email_ok, updated, username, password, fullname, email) VALUES "
    f"(1001, TRUE, current_date, current_date, '{LOGIN}', '**{PASSWORD}', 'Ana', 'ana@vendas.example')",
    "INSERT INTO principal (type_id, user_no, displayname, default_privileges) VALUES (1, 1001, 'Ana', 0::BIT(24))",
)


def why_not() -> str:
    """Why no DAViCal can be started here; "" if one can."""
    if not (_PROGRAMS / "htdocs" / "caldav.php").exists() or shutil.which("php") is None:
        return "DAViCal is not installed (`make servers` does it where the system has it)"
    return ""


class DavicalServer(CalendarServer):
    """https://www.davical.org"""

    home = f"/caldav.php/{LOGIN}/"

    def __init__(self, postgres: PostgresServer) -> None:
        super().__init__()
        self._postgres = postgres
        self._database = postgres.new_database()
        self._fill(self._database.replace("+psycopg", ""))
        self._copy_programs()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._postgres.drop_database(self._database)

    @property
    def url(self) -> str:
        """Ana's own address: a bare server does not tell where it keeps people."""
        return f"{super().url}caldav.php/{LOGIN}/"

    def command(self) -> list[str]:
        quiet = ("-d", "error_reporting=0", "-d", "display_errors=0")
        return [find_program("php"), *quiet, "-S", f"{self.host}:{self.port}", "-t", str(self.folder / "htdocs")]

    def _fill(self, url: str) -> None:
        for name in _TABLES:
            command = [*as_user(self._postgres.user), str(newest_programs() / "psql"), "-qXAt", "-f"]
            environment = {**os.environ, "PGOPTIONS": "--client-min-messages=error"}
            subprocess.run(
                [*command, str(_PROGRAMS / name), url], check=True, capture_output=True, env=environment, cwd="/"
            )
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in _ANA:
                connection.execute(statement.encode())

    def _copy_programs(self) -> None:
        for name in ("htdocs", "inc"):
            shutil.copytree(_PROGRAMS / name, self.folder / name)
        start = self.folder / "htdocs" / "always.php"
        start.write_text(start.read_text().replace("'/etc/davical/", "'/nonexistent/"))
        url = urlsplit(self._database)
        words = f"host={url.hostname} port={url.port} dbname={url.path[1:]} user={url.username} password={url.password}"
        config = self.folder / "config" / "config.php"
        config.parent.mkdir()
        config.write_text(f'<?php\n$c->pg_connect[] = "{words}";\n$c->admin_email = "ana@vendas.example";\n')
