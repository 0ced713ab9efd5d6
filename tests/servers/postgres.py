"""A real PostgreSQL on loopback in a private folder, without fsync: fast, and nothing in it outlives the tests.

Runs as the `postgres` user when the tests run as root (the server refuses root). Any system cluster is left alone.
"""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql
from servers.process import (
    ServerMissing,
    as_user,
    await_port,
    free_port,
    private_folder,
    server_user,
    spawn,
    stop,
    tail,
)

OWNER = "quietcrm"


class PostgresServer:
    """One private cluster. `start()` it, `stop()` it; or use it in a `with` block."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._programs = newest_programs()
        self.user = server_user("postgres")
        self.folder = private_folder("postgres", self.user)
        self.log = self.folder / "postgres.log"
        self.port = 0
        self._password = secrets.token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.remove()

    def start(self) -> None:
        """Make the cluster if there is none, start it on a free port, return when it answers. Keeps its port."""
        if not (self.folder / "data").exists():
            self._make_cluster()
        for _ in range(5):
            self.port = self.port or free_port()
            command = [str(self._programs / "postgres"), "-D", str(self.folder / "data")]
            for setting in (*_SETTINGS, f"port={self.port}", f"unix_socket_directories={self.folder}"):
                command += ["-c", setting]
            self._process = spawn(command, self.user, self.log)
            if await_port(self._process, self.port, self.log):
                self._await_ready()
                return
            self.port = 0  # somebody else took it: try another
        raise RuntimeError(f"PostgreSQL does not start:\n{tail(self.log)}")

    def stop(self) -> None:
        """Disconnect everybody and end the server we started; the data stay, so it can start again."""
        if self._process is not None:
            stop(self._process)
            self._process = None

    def remove(self) -> None:
        """Delete the private folder with all databases in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Process id of the running postmaster."""
        assert self._process is not None, "start() first"
        return self._process.pid

    def new_database(self) -> str:
        """An empty UTF-8 database; its URL for SQLAlchemy with the psycopg driver."""
        self._made += 1
        name = f"test_{self._made}"
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://{OWNER}:{self._password}@{self.host}:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        """Delete a database that new_database made, whoever is still connected."""
        name = url.rpartition("/")[2]
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _administer(self, statement: sql.Composed | None = None) -> None:
        target = f"host={self.host} port={self.port} user={OWNER} password={self._password} dbname=postgres"
        with psycopg.connect(target, autocommit=True) as connection:
            if statement is not None:
                connection.execute(statement)

    def _await_ready(self) -> None:
        """The port answers a moment before the server takes logins (57P03, cannot_connect_now)."""
        for _ in range(100):
            try:
                self._administer()
            except psycopg.OperationalError as error:
                if "starting up" not in str(error):
                    raise
            else:
                return
        raise RuntimeError(f"PostgreSQL is still starting up:\n{tail(self.log)}")

    def _make_cluster(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self._password)
        shutil.chown(password_file, self.user.pw_uid, self.user.pw_gid)
        command = [
            *as_user(self.user), str(self._programs / "initdb"), "-D", str(self.folder / "data"), "-U", OWNER,
            "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C.UTF-8",
            "--no-sync", "--no-instructions",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/")
        if done.returncode:
            raise RuntimeError(f"initdb: exit {done.returncode}\n{done.stdout}{done.stderr}")


def newest_programs() -> Path:
    """The folder of the newest PostgreSQL that Debian's packages installed; raises ServerMissing."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        raise ServerMissing("postgresql")
    return max(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))


_SETTINGS = (
    "listen_addresses=127.0.0.1",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=100",
    "timezone=UTC",
)
